//! A program's kernels, assembled by the driver for one device.

use super::driver::{Context, Function};
use super::error::CudaError;
use super::ptx::PtxProgram;
use crate::threads::available_threads;
use bsq_codegen::ptx::{Entry, TARGETS};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Kernels that can be launched on a device.
pub struct CudaCode {
    pub(super) context: Arc<Context>,
    pub(super) entries: Vec<Entry>,
    pub(super) functions: Vec<Function>,
}

/// A device, before it has code.
pub struct Gpu(Arc<Context>);

impl Gpu {
    pub fn open(ordinal: u32) -> Result<Gpu, CudaError> {
        Ok(Gpu(Context::open(ordinal)?))
    }

    /// The newest known target that the device runs.
    pub fn target(&self) -> u32 {
        target_of(self.0.info().capability)
    }

    /// Has the driver assemble a program's kernels, several at a time.
    pub fn load(self, compiled: &PtxProgram) -> Result<CudaCode, CudaError> {
        let entries = compiled.entries.clone();
        let next = AtomicUsize::new(0);
        let mut functions: Vec<Option<Function>> = entries.iter().map(|_| None).collect();
        let work = || {
            let mut done = Vec::new();
            while let Some((index, entry)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                entries.get(index).map(|entry| (index, entry))
            } {
                done.push((index, Function::load(&self.0, entry)?));
            }
            Ok::<_, CudaError>(done)
        };
        let parts = thread::scope(|scope| {
            let threads = available_threads().min(entries.len());
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let parts = workers.into_iter().map(|worker| match worker.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            parts.collect::<Result<Vec<_>, CudaError>>()
        })?;
        for (index, function) in parts.into_iter().flatten() {
            functions[index] = Some(function);
        }
        Ok(CudaCode {
            context: self.0,
            functions: functions.into_iter().flatten().collect(),
            entries,
        })
    }
}

/// The newest known target of at most a compute capability. A device runs the PTX of every
/// earlier one.
fn target_of(capability: u32) -> u32 {
    let known = TARGETS.iter().copied();
    let target = known.filter(|&sm| sm <= capability).max();
    target.unwrap_or(TARGETS[0])
}

#[cfg(test)]
mod tests {
    use super::target_of;

    #[test]
    fn a_device_gets_the_newest_target_that_it_runs() {
        for (capability, target) in [(80, 80), (86, 86), (88, 87), (103, 100), (121, 120)] {
            assert_eq!(target_of(capability), target);
        }
    }
}
