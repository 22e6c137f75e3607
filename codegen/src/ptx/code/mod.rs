//! PTX as data: registers and other operands, instructions, and the body of a kernel.
//!
//! What an instruction reads and defines, and where it branches to, is said where it is made; its
//! text is only its `Display`.

mod body;
mod instruction;
mod operand;

pub use body::Body;
pub use instruction::{FMA, Instruction, Opcode};
pub use operand::{Address, Class, Label, Operand, Operands, Parameter, Reg, Space};
