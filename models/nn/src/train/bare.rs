//! The programs of a step without a loop around them: to measure them.

use super::TrainError;
use super::parts::Parts;
use super::task::Program;
use bsq_runtime::{CompileOptions, HostTensor};
use std::collections::BTreeMap;

/// A step's programs, bound to their state.
pub struct BareSteps(Parts);

impl BareSteps {
    /// Compiles the programs, for whole batches, and binds them to what they start with.
    ///
    /// # Errors
    /// If a program cannot be compiled, or memory runs out.
    pub fn new(program: &Program, options: &CompileOptions) -> Result<BareSteps, TrainError> {
        let (parts, _) = Parts::new(program, &program.start, None, options)?;
        Ok(BareSteps(parts))
    }

    /// Runs those whose turn step `number` is, counted from 0, on inputs by name; their outputs.
    ///
    /// # Errors
    /// If an input is missing or does not fit.
    pub fn run(
        &mut self,
        number: u64,
        inputs: &[(&str, &HostTensor)],
    ) -> Result<BTreeMap<String, HostTensor>, TrainError> {
        self.0.run(number, &[inputs.to_vec()])
    }

    /// Memory of all programs, bytes as planned.
    pub fn planned_bytes(&self) -> usize {
        self.0.planned_bytes()
    }

    /// Parameters and optimizers' state as they are now, by name.
    ///
    /// # Errors
    /// If a device does not give them.
    pub fn state(&self) -> Result<Vec<(&str, &HostTensor)>, TrainError> {
        self.0.parameters()
    }
}
