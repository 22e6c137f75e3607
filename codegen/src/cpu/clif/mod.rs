//! Kernels as machine code, by Cranelift.
//!
//! [`compile`] turns kernels into functions of this process, [`explain`] shows what one becomes.
//! Vectors are 128 bits wide, the widest that Cranelift has on x86-64. What is wider is called:
//! contractions are microkernels of [`microkernel`](super::microkernel), the main parts of vector
//! loops functions of `cpu::simd`.
//!
//! | file | what is in it |
//! |---|---|
//! | `target` | the instruction set, and the functions that stand in for a missing one |
//! | `part` | the kernels that one thread compiles; `listing`: what one becomes |
//! | `function` | a kernel's function and the loop over its work items |
//! | `emit` | variables in scope, addresses, extents |
//! | `statements` | definitions, stores, loops |
//! | `lanes` | values of a vector loop in registers |
//! | `memory` | loads and stores |
//! | `reduce` | reductions in the fixed order; `min_max`: those for a minimum or maximum |
//! | `contract` | calls of the microkernel |
//! | `vector_calls` | calls of SIMD loops |
//! | `ops` | the elementwise ops |

mod contract;
#[cfg(feature = "disassembly")]
mod disassembly;
mod emit;
mod function;
mod joined;
mod lanes;
mod listing;
mod memory;
mod min_max;
mod ops;
mod part;
mod reduce;
mod statements;
mod target;
#[cfg(test)]
mod tests;
mod vector_calls;

use super::microkernel::Family;
use crate::kernel::Kernel;
use cranelift_jit::JITModule;
pub use listing::{Listing, SimdListing, explain};
use part::compile_part;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

/// A compiled kernel: runs work items `begin..end`.
///
/// # Safety
/// - `buffers` points to one address for each of the kernel's buffers, each of which can be read,
///   and written where the kernel writes, to its full size. Alignment is not needed.
/// - `scratch` points to as many bytes as [`Kernel::scratch_layout`] says, used by no other call
///   that runs at the same time.
/// - `begin <= end`, and `end` is at most the number of the kernel's items.
/// - Run-time offsets stay inside their arrays.
/// - The [`Compiled`] that it came from lives.
pub type KernelFn =
    unsafe extern "C" fn(buffers: *const *mut u8, scratch: *mut u8, begin: usize, end: usize);

/// What to compile for.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Decides which instructions and which microkernel the code uses, never its results.
    pub family: Family,
    /// Threads to compile with; at least 1.
    pub threads: usize,
}

/// Why kernels were not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// Cranelift has no backend for this machine.
    #[error("no code can be made for this machine: {0}")]
    Host(String),
    /// Cranelift refused a kernel: a fault of this crate.
    #[error("Cranelift refused a kernel (please report this): {error}\n{kernel}")]
    Kernel { error: String, kernel: String },
}

/// Functions of this process, in the order of the kernels that they were made from.
pub struct Compiled {
    entries: Vec<KernelFn>,
    timings: Timings,
    modules: Vec<Mutex<JITModule>>,
}

/// Where compile time went, summed over threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings {
    /// Kernels compiled, equal ones counted once.
    pub kernels: usize,
    /// Writing Cranelift's IR.
    pub build: Duration,
    /// Cranelift, from its IR to bytes.
    pub cranelift: Duration,
    /// Making the bytes executable.
    pub finalise: Duration,
}

/// Compiles kernels; equal ones once.
///
/// # Errors
/// If Cranelift has no backend for this machine or refuses a kernel.
///
/// # Panics
/// If this CPU cannot run the family; in debug builds, if a kernel breaks an invariant of
/// [`Kernel`].
pub fn compile(kernels: &[Kernel], options: &Options) -> Result<Compiled, CodegenError> {
    let mut distinct: Vec<&Kernel> = Vec::new();
    let mut positions = HashMap::new();
    let indices: Vec<usize> = kernels
        .iter()
        .map(|kernel| {
            *positions.entry(kernel).or_insert_with(|| {
                distinct.push(kernel);
                distinct.len() - 1
            })
        })
        .collect();
    let threads = options.threads.clamp(1, distinct.len().max(1));
    // Neighbours are often alike: dealing them out in turn balances the threads.
    let share = |thread: usize| distinct.iter().copied().skip(thread).step_by(threads);
    let parts = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|thread| scope.spawn(move || compile_part(share(thread), options)))
            .collect();
        let mut parts = vec![compile_part(share(0), options)];
        parts.extend(others.into_iter().map(|other| match other.join() {
            Ok(part) => part,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        parts.into_iter().collect::<Result<Vec<_>, _>>()
    })?;
    let entries = indices
        .into_iter()
        .map(|index| parts[index % threads].entries[index / threads])
        .collect();
    let mut timings = Timings::default();
    let mut modules = Vec::new();
    for part in parts {
        timings.kernels += part.timings.kernels;
        timings.build += part.timings.build;
        timings.cranelift += part.timings.cranelift;
        timings.finalise += part.timings.finalise;
        modules.push(Mutex::new(part.module));
    }
    Ok(Compiled {
        entries,
        timings,
        modules,
    })
}

impl Compiled {
    /// The function of the kernel at `index` of those compiled.
    pub fn entry(&self, index: usize) -> KernelFn {
        self.entries[index]
    }

    pub fn timings(&self) -> Timings {
        self.timings
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        for module in self.modules.drain(..) {
            let module = module.into_inner().unwrap_or_else(|e| e.into_inner());
            // SAFETY: a `KernelFn` may be called only while its `Compiled` lives.
            unsafe { module.free_memory() };
        }
    }
}
