//! Which arrays of a kernel may be the same memory.
//!
//! A kernel does not know it: only the launches of a program do.

use crate::kernel::{Kernel, Place};
use crate::program::Program;

/// A kernel's arrays by the memory that they may share: an update in place is launched with the
/// old value and the new one in the same buffer.
#[derive(Clone, Debug)]
pub struct Aliases {
    /// For each buffer the first one that may be the same.
    first: Vec<u32>,
    /// Whether a buffer, or one that may be the same, is written.
    written: Vec<bool>,
    scratch: Vec<bool>,
}

impl Aliases {
    /// The arrays of a kernel in all its launches.
    pub fn new(program: &Program, index: usize) -> Aliases {
        let kernel = &program.kernels[index];
        let mut first: Vec<u32> = (0..kernel.buffers.len() as u32).collect();
        for launch in program
            .launches
            .iter()
            .filter(|launch| launch.kernel == index)
        {
            for (position, argument) in launch.arguments.iter().enumerate() {
                let same = launch.arguments.iter().position(|other| other == argument);
                let earlier = first[same.unwrap_or(position)];
                let later = first[position];
                let (low, high) = (earlier.min(later), earlier.max(later));
                first
                    .iter_mut()
                    .filter(|one| **one == high)
                    .for_each(|one| *one = low);
            }
        }
        Aliases::joined(kernel, first)
    }

    fn joined(kernel: &Kernel, first: Vec<u32>) -> Aliases {
        let any_written = |group: &u32| {
            let mut members = first.iter().zip(&kernel.buffers);
            members.any(|(other, array)| other == group && array.written)
        };
        Aliases {
            written: first.iter().map(any_written).collect(),
            scratch: kernel.scratch.iter().map(|array| array.written).collect(),
            first,
        }
    }

    /// One place for all arrays that may be the same.
    pub fn memory(&self, place: Place) -> Place {
        match place {
            Place::Buffer(index) => Place::Buffer(self.first[index as usize]),
            scratch => scratch,
        }
    }

    /// True if the kernel writes to an array, or to one that may be the same.
    pub fn is_written(&self, place: Place) -> bool {
        match place {
            Place::Buffer(index) => self.written[index as usize],
            Place::Scratch(index) => self.scratch[index as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Array;
    use bsq_ir::DType;

    #[test]
    fn buffers_that_are_the_same_are_written_together() {
        let array = |written| Array {
            dtype: DType::F32,
            elements: 4,
            written,
        };
        let kernel = Kernel {
            buffers: vec![array(false), array(false), array(true)],
            scratch: vec![array(true)],
            grid: Vec::new(),
            body: Vec::new(),
        };
        let aliases = Aliases::joined(&kernel, vec![0, 1, 1]);
        let buffers = [0, 1, 2].map(Place::Buffer);
        assert_eq!(
            buffers.map(|place| aliases.is_written(place)),
            [false, true, true]
        );
        assert_eq!(aliases.memory(buffers[2]), buffers[1]);
        assert_eq!(aliases.memory(Place::Scratch(0)), Place::Scratch(0));
    }
}
