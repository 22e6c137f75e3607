//! What a kernel becomes on the way to machine code, as text.

use super::{CodegenError, Options, function, target};
use crate::cpu::simd::SimdLoop;
use crate::kernel::Kernel;
use cranelift_codegen::Context;
use cranelift_frontend::FunctionBuilderContext;

/// What a kernel becomes.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Cranelift's IR, before its optimisations.
    pub clif: String,
    /// Machine instructions, without those of SIMD loops.
    pub assembly: String,
    /// The SIMD loops that it calls: `u0:N` in the other texts is the `N`th.
    pub simd_loops: Vec<SimdListing>,
}

/// A vector loop's function: its own, for the family's vectors on any machine.
#[derive(Clone, Debug)]
pub struct SimdListing {
    /// The body before registers are given out.
    pub body: String,
    /// Its instructions in machine code, x86-64, for a disassembler.
    pub code: Vec<u8>,
    /// The constants that follow the code, which it addresses relative to itself.
    pub constants: Vec<u8>,
}

/// What a kernel becomes on the way to machine code.
///
/// # Errors
/// As [`compile`](super::compile).
pub fn explain(kernel: &Kernel, options: &Options) -> Result<Listing, CodegenError> {
    let isa = target::isa(options.family)?;
    let mut context = Context::new();
    context.set_disasm(true);
    let mut builder = FunctionBuilderContext::new();
    let mut loops = Vec::new();
    let mut define = |made: SimdLoop| {
        let (code, constants) = made.bytes.split_at(made.code);
        loops.push(SimdListing {
            body: made.text,
            code: code.to_vec(),
            constants: constants.to_vec(),
        });
        loops.len() as u32 - 1
    };
    function::build(
        kernel,
        options.family,
        &mut define,
        isa.frontend_config(),
        &mut context.func,
        &mut builder,
    );
    let mut clif = context.func.display().to_string();
    for (index, made) in loops.iter().enumerate() {
        clif.push_str(&format!("\nSIMD loop u0:{index}\n{}", made.body));
    }
    let code = context
        .compile(&*isa, &mut Default::default())
        .map_err(|error| CodegenError::Kernel {
            error: error.inner.to_string(),
            kernel: kernel.to_string(),
        })?;
    let assembly = code.vcode.clone().unwrap_or_default();
    Ok(Listing {
        clif,
        assembly,
        simd_loops: loops,
    })
}
