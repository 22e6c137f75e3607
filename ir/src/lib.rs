//! The intermediate representation: a graph of primitive operations, the words that write it, its
//! derivatives, and the rewrites that make it faster.
//!
//! A model is ordinary Rust over [`Tensor`] handles. What it writes down is a [`Graph`]: nodes in
//! topological order, hash-consed, with static shapes. A [`Function`] is a part of it with named
//! outputs and updates of parameters, and what the other packages compile. Nothing here knows of
//! machines: no tiles, threads or instruction sets.
//!
//! | module | what is in it |
//! |---|---|
//! | [`tensor`] | the DSL: operators and methods of [`Tensor`], parameters by [`Scope`] |
//! | [`op`] | the closed set of operations, their types and properties |
//! | [`graph`] | nodes, regions, functions |
//! | [`autodiff`] | gradients, as nodes of the same graph |
//! | [`batch`] | where samples lie in a batch's values, and that none depends on another |
//! | [`rewrite`] | canonical forms, the e-graph, and what fuses |
//! | [`fused`] | what each fused operation stands for, in primitives |
//! | [`eval`] | the reference evaluator: what every operation means |
//! | [`order`], [`math`] | the order of sums, and exp, log, tanh, erf: one definition for all targets |
//! | [`text`] | functions as text that parses back, and as Graphviz |
//! | [`verify`] | that a function is well formed |
//! | [`philox`] | random numbers by counter |
//!
//! ```
//! use bsq_ir::autodiff::gradients;
//! use bsq_ir::eval::{Precision, Value, evaluate};
//! use bsq_ir::{DType, Function, Graph};
//!
//! let g = Graph::new();
//! let x = g.input("x", DType::F32, [3]);
//! let y = (x * x).sum(..);
//! let slope = gradients(y, &[x])[0];
//! let curvature = gradients(slope.sum(..), &[x])[0];
//! let function = g.function([("slope", slope.id()), ("curvature", curvature.id())], []);
//!
//! // It prints as text that reads back.
//! let again: Function = function.to_string().parse()?;
//! assert_eq!(again.to_string(), function.to_string());
//!
//! let x = Value::new([3], vec![1.0_f32, 2.0, 3.0]);
//! let run = evaluate(&function, &[("x".to_string(), x)].into(), &Default::default(), Precision::F32)?;
//! assert_eq!(run.outputs["slope"].as_f32(), [2.0, 4.0, 6.0]);
//! assert_eq!(run.outputs["curvature"].as_f32(), [2.0, 2.0, 2.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod autodiff;
pub mod batch;
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
pub use tensor::{AsScope, Scope, Tensor};
