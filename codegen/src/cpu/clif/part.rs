//! The kernels that one thread compiles, as one module.

use super::{CodegenError, KernelFn, Options, Timings, function, target, vector_calls};
use crate::cpu::simd::SimdLoop;
use crate::kernel::{Kernel, verify};
use cranelift_frontend::FunctionBuilderContext;
use cranelift_jit::JITModule;
use cranelift_module::{FuncId, Linkage, Module};
use std::collections::HashMap;
use std::time::Instant;

/// What one thread has compiled.
pub(super) struct Part {
    pub entries: Vec<KernelFn>,
    pub timings: Timings,
    pub module: JITModule,
}

pub(super) fn compile_part<'k>(
    kernels: impl Iterator<Item = &'k Kernel>,
    options: &Options,
) -> Result<Part, CodegenError> {
    let mut module = target::module(target::isa(options.family)?);
    let mut context = module.make_context();
    let mut builder = FunctionBuilderContext::new();
    let mut timings = Timings::default();
    let mut ids: Vec<FuncId> = Vec::new();
    let mut functions: HashMap<Vec<u8>, FuncId> = HashMap::new();
    for kernel in kernels {
        verify::check("compile", kernel);
        let refused = |error: String| CodegenError::Kernel {
            error,
            kernel: kernel.to_string(),
        };
        let start = Instant::now();
        let config = module.isa().frontend_config();
        let mut failed = None;
        let mut define = |made: SimdLoop| {
            let id = match functions.get(&made.bytes) {
                Some(&id) => Ok(id),
                None => define_simd(&mut module, &made.bytes),
            };
            match id {
                Ok(id) => {
                    functions.insert(made.bytes, id);
                    id.as_u32()
                }
                Err(error) => {
                    failed = Some(error);
                    0
                }
            }
        };
        function::build(
            kernel,
            options.family,
            &mut define,
            config,
            &mut context.func,
            &mut builder,
        );
        if let Some(error) = failed {
            return Err(refused(error));
        }
        let built = Instant::now();
        let name = format!("kernel_{}", ids.len());
        let id = module
            .declare_function(&name, Linkage::Local, &context.func.signature)
            .map_err(|error| refused(error.to_string()))?;
        module
            .define_function(id, &mut context)
            .map_err(|error| refused(error.to_string()))?;
        module.clear_context(&mut context);
        timings.kernels += 1;
        timings.build += built - start;
        timings.cranelift += built.elapsed();
        ids.push(id);
    }
    let start = Instant::now();
    module
        .finalize_definitions()
        .map_err(|error| CodegenError::Host(error.to_string()))?;
    timings.finalise = start.elapsed();
    let entries = ids
        .into_iter()
        .map(|id| {
            let code = module.get_finalized_function(id);
            // SAFETY: the function was compiled with the signature of `KernelFn`.
            unsafe { std::mem::transmute::<*const u8, KernelFn>(code) }
        })
        .collect();
    Ok(Part {
        entries,
        timings,
        module,
    })
}

/// A SIMD loop's bytes as a function of the module.
fn define_simd(module: &mut JITModule, bytes: &[u8]) -> Result<FuncId, String> {
    const ALIGNMENT: u64 = 64;
    let id = module.declare_anonymous_function(&vector_calls::signature());
    let id = id.map_err(|error| error.to_string())?;
    let defined = module.define_function_bytes(id, ALIGNMENT, bytes, &[]);
    defined.map_err(|error| error.to_string())?;
    Ok(id)
}
