//! Where a session's buffers lie, and what each launch is called with: found once, not per launch.

use bsq_codegen::program::{BufferId, BufferKind, Program};

/// Addresses by buffer, and the arguments of every launch in terms of them.
pub(super) struct Addresses {
    buffers: Vec<*mut u8>,
    /// Of all launches, one after the other.
    arguments: Vec<*mut u8>,
    /// Where each launch's arguments start.
    starts: Vec<usize>,
    /// For each input and parameter, which arguments it is. Empty for other buffers.
    uses: Vec<Vec<usize>>,
}

// SAFETY: addresses are only numbers here; who follows one answers for that.
unsafe impl Send for Addresses {}
// SAFETY: as above.
unsafe impl Sync for Addresses {}

impl Addresses {
    /// `buffers` are where the program's buffers lie, those of inputs still unknown.
    ///
    /// # Panics
    /// If a kernel writes to an input: inputs are bound for reading.
    pub fn new(program: &Program, buffers: Vec<*mut u8>) -> Addresses {
        let mut addresses = Addresses {
            uses: vec![Vec::new(); buffers.len()],
            buffers,
            arguments: Vec::new(),
            starts: Vec::with_capacity(program.launches.len()),
        };
        for launch in &program.launches {
            addresses.starts.push(addresses.arguments.len());
            let arrays = &program.kernels[launch.kernel].buffers;
            for (id, array) in launch.arguments.iter().zip(arrays) {
                let index = id.0 as usize;
                match &program.buffers[index].kind {
                    BufferKind::Input(name) => {
                        assert!(!array.written, "{} writes to input {name}", launch.label);
                        addresses.uses[index].push(addresses.arguments.len());
                    }
                    BufferKind::Parameter(_) => {
                        addresses.uses[index].push(addresses.arguments.len());
                    }
                    _ => {}
                }
                addresses.arguments.push(addresses.buffers[index]);
            }
        }
        addresses
    }

    /// Says where an input or a parameter lies in the next run.
    pub fn place(&mut self, buffer: usize, address: *mut u8) {
        self.buffers[buffer] = address;
        for &argument in &self.uses[buffer] {
            self.arguments[argument] = address;
        }
    }

    /// Where a buffer lies.
    pub fn buffer(&self, id: BufferId) -> *mut u8 {
        self.buffers[id.0 as usize]
    }

    /// The arguments of a launch.
    pub fn arguments(&self, launch: usize) -> *const *mut u8 {
        self.arguments[self.starts[launch]..].as_ptr()
    }
}
