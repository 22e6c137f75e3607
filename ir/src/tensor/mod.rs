//! The DSL: a [`Tensor`] is a small copyable handle on a node, with the method names that a
//! PyTorch or JAX user would guess.
//!
//! A shape that does not fit panics with a [`TypeError`] at the caller's own line, as an index
//! out of bounds would; [`Graph::add`] is the fallible way in.

mod arithmetic;
mod axes;
mod broadcasting;
mod contraction;
mod images;
mod indexing;
mod movement;
mod nn;
mod quantized;
mod reduction;
mod scope;

pub use axes::Axes;
pub use scope::{Init, ParameterSpec, Scope};

use crate::dtype::DType;
use crate::graph::{Graph, NodeId};
use crate::op::{Constant, Op, TypeError};
use crate::shape::{Shape, Type};
use std::fmt;
use std::panic::Location;

/// A value in a graph.
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    graph: &'g Graph,
    id: NodeId,
}

impl<'g> Tensor<'g> {
    /// The handle of a node that has one result.
    pub fn new(graph: &'g Graph, id: NodeId) -> Self {
        Tensor { graph, id }
    }

    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    pub fn id(self) -> NodeId {
        self.id
    }

    pub fn ty(self) -> Type {
        self.graph.ty(self.id)
    }

    pub fn shape(self) -> Shape {
        self.ty().shape
    }

    pub fn dtype(self) -> DType {
        self.ty().dtype
    }

    pub fn rank(self) -> usize {
        self.shape().rank()
    }

    /// A constant of this tensor's shape and element type.
    #[track_caller]
    pub fn full_like(self, value: f64) -> Tensor<'g> {
        let ty = self.ty();
        self.graph.full(value, ty.dtype, ty.shape)
    }

    #[track_caller]
    fn apply(self, op: Op, others: &[Tensor<'g>]) -> Tensor<'g> {
        let operands: Vec<NodeId> = std::iter::once(self.id)
            .chain(others.iter().map(|other| other.id))
            .collect();
        build(self.graph, op, &operands)
    }
}

#[track_caller]
fn build<'g>(graph: &'g Graph, op: Op, operands: &[NodeId]) -> Tensor<'g> {
    match graph.add_from(op, operands, Location::caller()) {
        Ok(id) => Tensor { graph, id },
        Err(error) => panic!("{error}"),
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.ty())
    }
}

/// Leaves.
impl Graph {
    /// A value given by name at every run.
    #[track_caller]
    pub fn input(&self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Tensor<'_> {
        let (name, ty) = (name.to_string(), Type::new(dtype, shape));
        build(self, Op::Input { name, ty }, &[])
    }

    /// An `f32[]` input: a learning rate, a weight of a loss term.
    #[track_caller]
    pub fn scalar(&self, name: &str) -> Tensor<'_> {
        self.input(name, DType::F32, Shape::scalar())
    }

    /// A value that stays with the program between runs; prefer [`Scope::parameter`].
    #[track_caller]
    pub fn parameter(&self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Tensor<'_> {
        let (name, ty) = (name.to_string(), Type::new(dtype, shape));
        build(self, Op::Parameter { name, ty }, &[])
    }

    /// One value everywhere.
    #[track_caller]
    pub fn full(&self, value: f64, dtype: DType, shape: impl Into<Shape>) -> Tensor<'_> {
        let constant = Constant::splat(value, dtype, Shape::scalar());
        let scalar = build(self, Op::Constant(constant), &[]);
        scalar.expand(shape)
    }

    /// Given elements, row-major.
    ///
    /// # Panics
    /// If there are not as many as the shape has.
    #[track_caller]
    pub fn constant_f32(&self, values: &[f32], shape: impl Into<Shape>) -> Tensor<'_> {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let ty = Type::new(DType::F32, shape);
        if ty.shape.elements() != values.len() {
            let what = format!("{} values for {ty}", values.len());
            TypeError::of_call("constant", [], what).raise();
        }
        let constant = Constant::dense_bytes(ty, bytes);
        build(self, Op::Constant(constant), &[])
    }

    /// Any constant.
    #[track_caller]
    pub fn constant(&self, constant: Constant) -> Tensor<'_> {
        build(self, Op::Constant(constant), &[])
    }

    /// The index along `axis`.
    #[track_caller]
    pub fn iota(&self, dtype: DType, shape: impl Into<Shape>, axis: usize) -> Tensor<'_> {
        let ty = Type::new(dtype, shape);
        build(self, Op::Iota { ty, axis }, &[])
    }

    /// Philox-4x32-10 bits (`u32`), a pure function of key and counter (`u64[]`).
    #[track_caller]
    pub fn random_bits<'g>(
        &'g self,
        shape: impl Into<Shape>,
        key: Tensor<'g>,
        counter: Tensor<'g>,
    ) -> Tensor<'g> {
        let shape = shape.into();
        build(self, Op::Random { shape }, &[key.id, counter.id])
    }
}
