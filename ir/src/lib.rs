//! The intermediate representation: graph, DSL, autodiff, rewriting, reference evaluator.
//!
//! `ir` knows nothing of machines: no tiles, threads or instruction sets.

pub mod autodiff;
pub mod dtype;
pub mod eval;
pub mod fused;
pub mod graph;
pub mod math;
pub mod op;
pub mod order;
pub mod philox;
pub mod rewrite;
pub mod shape;
pub mod tensor;
pub mod text;
pub mod verify;

pub use dtype::DType;
pub use graph::{Function, Graph, Node, NodeId};
pub use op::{Constant, DotAxes, Float, Mask, Op, Padding, TypeError};
pub use shape::{Shape, Type};
pub use tensor::{Scope, Tensor};
