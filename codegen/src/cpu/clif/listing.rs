//! What a kernel becomes on the way to machine code, as text.

use super::{CodegenError, Options, function, target};
use crate::cpu::wide::WideLoop;
use crate::kernel::Kernel;
use cranelift_codegen::Context;
use cranelift_frontend::FunctionBuilderContext;

/// What a kernel becomes.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Cranelift's IR, before its optimisations.
    pub clif: String,
    /// Machine instructions.
    pub assembly: String,
}

/// What a kernel becomes on the way to machine code.
///
/// # Errors
/// As [`compile`].
pub fn explain(kernel: &Kernel, options: &Options) -> Result<Listing, CodegenError> {
    let isa = target::isa(options.family)?;
    let mut context = Context::new();
    context.set_disasm(true);
    let mut builder = FunctionBuilderContext::new();
    let mut loops = Vec::new();
    let mut define = |made: WideLoop| {
        loops.push(made.text);
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
    for (index, text) in loops.iter().enumerate() {
        clif.push_str(&format!("\nwide loop u0:{index}\n{text}"));
    }
    let code = context
        .compile(&*isa, &mut Default::default())
        .map_err(|error| CodegenError::Kernel {
            error: error.inner.to_string(),
            kernel: kernel.to_string(),
        })?;
    let assembly = code.vcode.clone().unwrap_or_default();
    Ok(Listing { clif, assembly })
}
