//! What a session asks of a device: a program bound to parameters.

use super::{LaunchTime, ProgramError};
use crate::tensor_data::HostTensor;

/// A program with its parameters and memory on a device. Buffers are given by their position in
/// the program; values have been checked.
pub(crate) trait BoundProgram: Send {
    fn write_parameter(&mut self, buffer: usize, value: &HostTensor) -> Result<(), ProgramError>;

    /// The current value.
    fn parameter(&self, buffer: usize) -> Result<&HostTensor, ProgramError>;

    /// Runs once with all inputs; of invariant launches those that are `outdated`, by their position. With a
    /// profile, each launch is measured and added to it. Each output is given to `ready`, by its position in
    /// the program, once: as soon as it is there, or at the end.
    fn run(
        &mut self,
        inputs: &[(usize, &HostTensor)],
        outdated: &[bool],
        profile: Option<&mut Vec<LaunchTime>>,
        ready: &mut dyn FnMut(usize, HostTensor),
    ) -> Result<(), ProgramError>;
}
