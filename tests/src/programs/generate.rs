//! A program from a stream of choices.

use super::Program;
use super::choices::Choices;
use super::steps;
use super::values::{self, Style};
use super::{finish, shapes};
use bsq_ir::eval::Values;
use bsq_ir::{Constant, DType, Graph, NodeId, Op, Shape, Tensor, Type};

/// How large programs are, and what may be in them.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most steps; a step is an op or a layer.
    pub steps: usize,
    /// Most elements of a tensor.
    pub elements: usize,
    /// Most nodes of a graph with its gradients.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            steps: 14,
            elements: 1500,
            nodes: 400,
        }
    }
}

/// What a program is built with.
pub(super) struct Builder<'g, 'c, 'b> {
    pub graph: &'g Graph,
    pub choices: &'c mut Choices<'b>,
    pub limits: Limits,
    pub style: Style,
    /// Values to choose operands from.
    pub pool: Vec<Tensor<'g>>,
    leaves: usize,
}

/// A program; equal choices make equal programs.
pub fn generate(choices: &mut Choices, limits: &Limits) -> Program {
    let graph = Graph::new();
    let style = choices.of(&[
        Style::Plain,
        Style::Plain,
        Style::NotFinite,
        Style::Some,
        Style::Many,
    ]);
    let count = 1 + choices.below(limits.steps);
    let mut limits = *limits;
    if choices.once_in(8) {
        // Enough for chunks of sums, blocks of contractions, and work for every thread.
        limits.elements *= 8;
    }
    let mut builder = Builder {
        graph: &graph,
        choices,
        limits,
        style,
        pool: Vec::new(),
        leaves: 0,
    };
    builder.any_leaf();
    for _ in 0..count {
        if builder.choices.are_over() {
            break;
        }
        steps::step(&mut builder);
    }
    let function = finish::finish(&mut builder);
    let mut given = |ty: &Type| values::value(choices, ty, style);
    let inputs: Values = function
        .inputs()
        .map(|(_, name, ty)| (name.to_string(), given(ty)))
        .collect();
    let parameters: Values = function
        .parameters()
        .map(|(_, name, ty)| (name.to_string(), given(ty)))
        .collect();
    Program {
        function,
        inputs,
        parameters,
    }
}

impl<'g> Builder<'g, '_, '_> {
    /// Adds a node and, unless it is too large, takes it into the pool. `None` if it is not well
    /// typed or too large.
    pub fn add(&mut self, op: Op, operands: &[Tensor<'g>]) -> Option<Tensor<'g>> {
        let ids: Vec<NodeId> = operands.iter().map(|operand| operand.id()).collect();
        let id = self.graph.add(op, &ids).ok()?;
        self.keep(Tensor::new(self.graph, id))
    }

    /// Takes a tensor into the pool unless it is too large.
    pub fn keep(&mut self, tensor: Tensor<'g>) -> Option<Tensor<'g>> {
        let shape = tensor.shape();
        let fits = shape.elements() <= self.limits.elements && shape.rank() <= shapes::RANK;
        fits.then(|| self.pool.push(tensor))?;
        Some(tensor)
    }

    /// One of the pool that is accepted, often a late one.
    pub fn pick(&mut self, accept: impl Fn(&Type) -> bool) -> Option<Tensor<'g>> {
        let all: Vec<Tensor<'g>> = self
            .pool
            .iter()
            .copied()
            .filter(|tensor| accept(&tensor.ty()))
            .collect();
        if all.is_empty() {
            return None;
        }
        let place = self.choices.below(all.len());
        let place = match self.choices.once_in(2) {
            true => place.max(self.choices.below(all.len())),
            false => place,
        };
        Some(all[place])
    }

    /// One of the pool, else a new leaf.
    pub fn any(&mut self) -> Tensor<'g> {
        self.pick(|_| true).expect("the pool has a leaf")
    }

    /// A tensor of an element type that is accepted; a leaf if there is none.
    pub fn any_of(&mut self, accept: impl Fn(DType) -> bool) -> Tensor<'g> {
        if let Some(found) = self.pick(|ty| accept(ty.dtype)) {
            return found;
        }
        let dtypes: Vec<DType> = DType::ALL.into_iter().filter(|&d| accept(d)).collect();
        let ty = Type::new(
            self.choices.of(&dtypes),
            shapes::shape(self.choices, &self.limits),
        );
        self.leaf(&ty)
    }

    pub fn any_f32(&mut self) -> Tensor<'g> {
        self.any_of(|dtype| dtype == DType::F32)
    }

    /// A tensor of a type: one that there is, a leaf, or one made by moving or casting another.
    pub fn of(&mut self, ty: &Type) -> Tensor<'g> {
        if self.choices.below(4) < 3
            && let Some(found) = self.pick(|other| other == ty)
        {
            return found;
        }
        let made = match self.choices.below(4) {
            0 => self.repeated(ty),
            1 => self.cast(ty),
            _ => None,
        };
        made.unwrap_or_else(|| self.leaf(ty))
    }

    /// A tensor of fewer axes, repeated over the others.
    fn repeated(&mut self, ty: &Type) -> Option<Tensor<'g>> {
        let axes = shapes::some_axes(self.choices, ty.shape.rank());
        let from: Shape = axes.iter().map(|&axis| ty.shape[axis]).collect();
        let from = Type::new(ty.dtype, from);
        let small = match self.pick(|other| *other == from) {
            Some(found) => found,
            None => self.leaf(&from),
        };
        let shape = ty.shape.clone();
        self.add(Op::Broadcast { shape, axes }, &[small])
    }

    /// A tensor of the same shape but another element type, or as many elements.
    fn cast(&mut self, ty: &Type) -> Option<Tensor<'g>> {
        let elements = ty.shape.elements();
        let mut x = self.pick(|other| other.shape.elements() == elements)?;
        if x.shape() != ty.shape {
            x = self.add(Op::Reshape(ty.shape.clone()), &[x])?;
        }
        match x.dtype() == ty.dtype {
            true => Some(x),
            false => self.add(Op::Cast(ty.dtype), &[x]),
        }
    }

    pub fn any_leaf(&mut self) -> Tensor<'g> {
        let ty = shapes::ty(self.choices, &self.limits);
        self.leaf(&ty)
    }

    /// A leaf of the type of another: parameters that may take each other's values.
    pub fn twin(&mut self) {
        let ty = self.any().ty();
        self.leaf(&ty);
    }

    /// A number that a model would write, as the element type holds it.
    pub fn number(&mut self, dtype: DType) -> f64 {
        match dtype {
            DType::F32 => self
                .choices
                .of(&[0.0, 1.0, -1.0, 2.0, 0.5, -0.0, 3.0, 1e-3, 1e-5, -1e30]),
            DType::F16 | DType::BF16 => self.choices.of(&[0.0, 1.0, -0.5, -0.0]),
            DType::I32 | DType::I64 => self.choices.of(&[0.0, 1.0, -1.0, 2.0, 7.0]),
            DType::Bool => self.choices.of(&[0.0, 1.0]),
            _ => self.choices.of(&[0.0, 1.0, 2.0, 3.0, 7.0]),
        }
    }

    /// An input, a parameter, a constant or a count.
    pub fn leaf(&mut self, ty: &Type) -> Tensor<'g> {
        let name = |leaves: usize, letter: &str| format!("{letter}{leaves}");
        let (dtype, shape) = (ty.dtype, ty.shape.clone());
        self.leaves += 1;
        let leaf = match self.choices.below(16) {
            0..7 => self.graph.input(&name(self.leaves, "x"), dtype, shape),
            7..12 => self.graph.parameter(&name(self.leaves, "p"), dtype, shape),
            12 if shape.rank() > 0 => {
                let axis = self.choices.below(shape.rank());
                let iota = Op::Iota {
                    ty: ty.clone(),
                    axis,
                };
                // A type may be too narrow to count.
                match self.graph.add(iota, &[]) {
                    Ok(id) => Tensor::new(self.graph, id),
                    Err(_) => self.graph.full(1.0, dtype, shape),
                }
            }
            13 if shape.elements() <= 64 => {
                let value = values::value(self.choices, ty, self.style);
                let constant = Constant::dense_bytes(ty.clone(), value.to_bytes());
                self.graph.constant(constant)
            }
            14 => {
                let element = values::element(self.choices, dtype, self.style);
                let constant = Constant::splat_bytes(ty.clone(), &element);
                self.graph.constant(constant)
            }
            _ => {
                let number = self.number(dtype);
                self.graph.full(number, dtype, shape)
            }
        };
        self.pool.push(leaf);
        leaf
    }
}
