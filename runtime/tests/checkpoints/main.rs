//! Checkpoint files: those that PyTorch writes, and those that nobody should.

mod allocations;
mod archive;
mod fixtures;
mod forms;
mod hostile;
mod large;
