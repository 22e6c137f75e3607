//! SIMD loops: vector loops as machine code of 256 or 512 bits.
//!
//! Cranelift's vectors are 128 bits wide on x86-64. The main part of most vector loops and
//! reductions, straight code over elements side by side, is therefore written here: with AVX2 or
//! AVX-512 by family. [`compile`] gives the bytes of a function and says what it is called with;
//! whatever it does not know (64-bit elements, strided stores, loops in loops) it leaves to Cranelift, so
//! this path decides speed only. One iteration is 16 lanes for every family: the 16 partial results
//! of a reduction in the fixed order *are* the lanes of one 512-bit or two 256-bit registers.
//!
//! | file | what is in it |
//! |---|---|
//! | `code` | straight-line vector code |
//! | `build`, `lanes` | from a loop's statements to that code |
//! | `registers` | which name is in which register |
//! | `function` | the function around the code, and each line's instructions |
//! | `assembler`, `instructions` | their bytes: encodings, and a row for each instruction |

mod assembler;
mod build;
mod code;
mod function;
mod instructions;
mod lanes;
mod registers;
#[cfg(test)]
pub(crate) mod tests;

pub(super) use assembler::Width;

use crate::cpu::microkernel::Family;
use crate::kernel::{Affine, Element, Kernel, Reduction, Stmt, Value, Var};
use bsq_ir::DType;
use bsq_ir::order::LANES;

/// Registers that one instruction may need at once, with some to spare.
const WORKING: usize = 6;
/// Bytes of 16 lanes.
const LANES_BYTES: usize = 4 * LANES;

/// A loop whose iterations may run side by side.
#[derive(Clone, Copy)]
pub(super) struct SimdBody<'k> {
    pub var: Var,
    /// Iterations at most.
    pub extent: usize,
    pub statements: &'k [Stmt],
    /// Reductions of terms of the body.
    pub results: &'k [Reduction],
    /// The types of values from outside the loop.
    pub outer: &'k dyn Fn(Value) -> DType,
}

/// The function of a loop, of the type `unsafe extern "sysv64" fn(record: *mut u8, n: usize)`:
/// runs iterations `0..n`, where `n` is a multiple of 16 and not 0. The record is filled as
/// [`Layout`] says.
pub(super) struct SimdLoop {
    pub bytes: Vec<u8>,
    /// So many bytes are instructions; constants follow.
    pub code: usize,
    pub layout: Layout,
    /// Where each stream starts: the element of the first iteration.
    pub streams: Vec<Element>,
    pub uniforms: Vec<Uniform>,
    /// Instructions of one iteration, about.
    pub length: usize,
    /// Statements of the body that are to run once, before the loop.
    pub hoisted: Vec<Stmt>,
    /// The loop's code as text.
    pub text: String,
}

/// A value of 32 bits that is the same in all lanes; `bool` is all or no bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Uniform {
    Value(Value),
    /// In the first iteration, as `i32`.
    Index(Affine),
}

/// Where things are in the record of a call, in bytes: addresses of streams, uniform values, and
/// room for what was carried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    streams: usize,
    uniforms: usize,
    carried: usize,
}

impl Layout {
    pub fn stream(&self, index: usize) -> usize {
        8 * index
    }

    pub fn uniform(&self, index: usize) -> usize {
        8 * self.streams + 4 * index
    }

    pub fn carried(&self, index: usize, width: Width) -> usize {
        self.first_carried() + 4 * width.lanes() * index
    }

    fn first_carried(&self) -> usize {
        self.uniform(self.uniforms).next_multiple_of(8)
    }

    /// The four lanes from `lane` on of what a body carries at `index`, of `count` in all.
    pub fn lanes(&self, index: usize, count: usize, lane: usize, width: Width) -> usize {
        let part = lane / width.lanes();
        self.carried(part * count + index, width) + 4 * (lane % width.lanes())
    }

    pub fn bytes(&self) -> usize {
        self.first_carried() + LANES_BYTES * self.carried
    }
}

/// The vectors that SIMD loops of a family use.
pub(super) fn width(family: Family) -> Option<Width> {
    match family {
        Family::Portable => None,
        Family::Avx2 => Some(Width::Ymm),
        Family::Avx512 => Some(Width::Zmm),
    }
}

/// The loop as a function, if it can be one.
pub(super) fn compile(kernel: &Kernel, body: SimdBody, width: Width) -> Option<SimdLoop> {
    let mut builder = build::CodeBuilder::new(kernel, body, width);
    builder.write().ok()?;
    let code = builder.code;
    let carried = code.carried.len();
    let registers = usize::from(width.registers());
    if builder.streams.len() > function::STREAMS || carried + WORKING > registers {
        return None;
    }
    let layout = Layout {
        streams: builder.streams.len(),
        uniforms: builder.uniforms.len(),
        carried,
    };
    let (bytes, length) = function::assemble(&code, &layout, width);
    Some(SimdLoop {
        bytes,
        code: length,
        layout,
        streams: builder.streams,
        uniforms: builder.uniforms,
        hoisted: builder.hoisted,
        length: code.lines.len(),
        text: code.to_string(),
    })
}
