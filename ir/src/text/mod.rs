//! The text form of a [`Function`](crate::Function): printed for people, parsed back for tests and tools.
//!
//! One node a line, operands before users; `#` starts a comment:
//!
//! ```text
//! %0 = input "image" : f32[2,3]
//! %1 = parameter "weight" : f32[2,3]
//! %2 = mul %0, %1 : f32[2,3]
//! %3 = sum %2 axes=[0,1] region=1 : f32[]
//! output "loss" %3
//! update %1 <- %2
//! ```
//!
//! A line is `%name = op operands payload region : types`. What the types already say (the shape
//! of a reshape, the target of a cast) is not repeated in the payload; `region` is left out where
//! it is 0. Several results are written `: (f32[2,3], f32[2])` and read by `projection`. Printed
//! names are numbers; a parsed name may be any word. Floats are the shortest decimals that give
//! back the same bits; a NaN that is not the usual one is written as its bits in hexadecimal.
//!
//! ```
//! # fn main() -> Result<(), bsq_ir::text::ParseError> {
//! let text = "%0 = input \"x\" : f32[3]\n%1 = neg %0 : f32[3]\noutput \"y\" %1\n";
//! let function = bsq_ir::text::parse(text)?;
//! assert_eq!(function.to_string(), text);
//! # Ok(())
//! # }
//! ```

mod attribute;
mod error;
mod graphviz;
mod lexer;
mod literal;
mod parse;
mod payload;
mod print;

pub use error::ParseError;
pub use graphviz::graphviz;
pub use parse::parse;
pub use payload::elementwise;
pub use print::print_node;

#[cfg(test)]
mod tests;
