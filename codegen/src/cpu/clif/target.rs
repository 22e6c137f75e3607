//! The machine that code is made for: this one, without what a smaller CPU family lacks.

use super::CodegenError;
use crate::cpu::microkernel::Family;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_jit::{JITBuilder, JITModule};

/// The instruction set that `family` has on this machine.
pub(super) fn isa(family: Family) -> Result<OwnedTargetIsa, CodegenError> {
    let host = |what: &str| CodegenError::Host(what.to_string());
    let mut flags = settings::builder();
    let options = [
        // What its optimiser would do is done while writing: addresses are hoisted, groups of
        // lanes interleaved. It would undo the latter, and takes a third of the compile time.
        ("opt_level", "none"),
        (
            "enable_verifier",
            if cfg!(debug_assertions) {
                "true"
            } else {
                "false"
            },
        ),
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
    ];
    for (name, value) in options {
        flags.set(name, value).map_err(|e| host(&e.to_string()))?;
    }
    let mut builder = cranelift_native::builder().map_err(host)?;
    for name in absent(family) {
        builder
            .set(name, "false")
            .map_err(|e| host(&e.to_string()))?;
    }
    builder
        .finish(settings::Flags::new(flags))
        .map_err(|e| host(&e.to_string()))
}

/// Instruction sets that a family does without, even if this machine has them.
fn absent(family: Family) -> &'static [&'static str] {
    const AVX512: [&str; 5] = [
        "has_avx512f",
        "has_avx512dq",
        "has_avx512vl",
        "has_avx512vbmi",
        "has_avx512bitalg",
    ];
    const AVX: [&str; 8] = [
        "has_avx512f",
        "has_avx512dq",
        "has_avx512vl",
        "has_avx512vbmi",
        "has_avx512bitalg",
        "has_fma",
        "has_avx2",
        "has_avx",
    ];
    if cfg!(not(target_arch = "x86_64")) {
        return &[];
    }
    match family {
        Family::Portable => &AVX,
        Family::Avx2 => &AVX512,
        Family::Avx512 => &[],
    }
}

/// An empty module for code of `isa`.
pub(super) fn module(isa: OwnedTargetIsa) -> JITModule {
    let mut builder = JITBuilder::with_isa(isa, cranelift_module::default_libcall_names());
    // What a CPU without the instruction calls instead.
    builder.symbol("floorf", floor as *const u8);
    JITModule::new(builder)
}

extern "C" fn floor(x: f32) -> f32 {
    x.floor()
}
