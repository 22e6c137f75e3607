//! The DSL: a [`Tensor`] is a small copyable handle on a node, with the method names that a
//! PyTorch or JAX user would guess.
//!
//! A shape that does not fit panics with a [`TypeError`] at the caller's own line, as an index
//! out of bounds would; [`Graph::add`] is the fallible way in.

mod activation;
mod arithmetic;
mod axes;
mod broadcasting;
mod contraction;
mod convolution;
mod einsum;
mod indexing;
mod movement;
mod nn;
mod pooling;
mod powers;
mod quantized;
mod random;
mod reduction;
mod rounding;
mod scan;
mod scope;
mod sorting;

pub use arithmetic::Operand;
pub use axes::{Axes, Keep, ReduceAxes};
pub use convolution::{Layout, Slide};
pub use powers::Exponent;
pub use scope::{AsScope, Init, ParameterSpec, Scope};

use crate::dtype::DType;
use crate::graph::{Graph, NodeId, ONE_GRAPH};
use crate::op::{Constant, Op, TypeError};
use crate::shape::{Shape, Type};
use std::fmt;
use std::panic::Location;

/// A value in a graph.
///
/// | | words |
/// |---|---|
/// | made by [`Graph`] | [`input`](Graph::input), [`scalar`](Graph::scalar), [`parameter`](Graph::parameter), [`full`](Graph::full), [`constant_f32`](Graph::constant_f32), [`constant`](Graph::constant), [`iota`](Graph::iota) |
/// | arithmetic | `+ - * /`, `-x`, [`abs`](Tensor::abs), [`sign`](Tensor::sign), [`square`](Tensor::square), [`sqrt`](Tensor::sqrt), [`rsqrt`](Tensor::rsqrt), [`reciprocal`](Tensor::reciprocal), [`pow`](Tensor::pow), [`powi`](Tensor::powi), [`exp`](Tensor::exp), [`log`](Tensor::log), [`sin`](Tensor::sin), [`cos`](Tensor::cos), [`tanh`](Tensor::tanh), [`erf`](Tensor::erf), [`maximum`](Tensor::maximum), [`minimum`](Tensor::minimum), [`clamp`](Tensor::clamp) |
/// | rounding, types | [`floor`](Tensor::floor), [`ceil`](Tensor::ceil), [`trunc`](Tensor::trunc), [`round`](Tensor::round), [`cast`](Tensor::cast), [`quantize`](Tensor::quantize), [`dequantize`](Tensor::dequantize) |
/// | comparison, choice | [`eq`](Tensor::eq), [`ne`](Tensor::ne), [`lt`](Tensor::lt), [`le`](Tensor::le), [`gt`](Tensor::gt), [`ge`](Tensor::ge), [`where_`](Tensor::where_) |
/// | truths, bits | `& \| ^ ! << >>`, or [`and`](Tensor::and), [`or`](Tensor::or), [`xor`](Tensor::xor), [`logical_not`](Tensor::logical_not), [`shift_left`](Tensor::shift_left), [`shift_right`](Tensor::shift_right) |
/// | reductions | [`sum`](Tensor::sum), [`mean`](Tensor::mean), [`max`](Tensor::max), [`min`](Tensor::min), [`prod`](Tensor::prod), [`var`](Tensor::var), [`std`](Tensor::std), [`log_sum_exp`](Tensor::log_sum_exp), [`any`](Tensor::any), [`all`](Tensor::all), [`argmax`](Tensor::argmax); over `-1`, `[0, 2]`, `..`, or [`Keep(-1)`](Keep), which leaves extent 1 |
/// | along an axis | [`cumsum`](Tensor::cumsum), [`sort`](Tensor::sort), [`top_k`](Tensor::top_k), [`tril`](Tensor::tril), [`triu`](Tensor::triu) |
/// | products | [`matmul`](Tensor::matmul), [`matmul_transposed`](Tensor::matmul_transposed), [`dot_general`](Tensor::dot_general), [`Graph::einsum`] |
/// | shapes | [`reshape`](Tensor::reshape), [`transpose`](Tensor::transpose), [`swap_axes`](Tensor::swap_axes), [`unsqueeze`](Tensor::unsqueeze), [`squeeze`](Tensor::squeeze), [`broadcast_to`](Tensor::broadcast_to), [`expand_axes`](Tensor::expand_axes) |
/// | parts, joins | [`slice`](Tensor::slice), [`every`](Tensor::every), [`chunk`](Tensor::chunk), [`pad`](Tensor::pad), [`flip`](Tensor::flip), [`window`](Tensor::window), [`Graph::concat`], [`Graph::stack`] |
/// | by index | [`gather`](Tensor::gather), [`take_along`](Tensor::take_along), [`one_hot`](Tensor::one_hot), [`scatter_add`](Tensor::scatter_add), [`dynamic_slice`](Tensor::dynamic_slice), [`dynamic_update_slice`](Tensor::dynamic_update_slice) |
/// | activations | [`relu`](Tensor::relu), [`leaky_relu`](Tensor::leaky_relu), [`gelu`](Tensor::gelu), [`gelu_tanh`](Tensor::gelu_tanh), [`silu`](Tensor::silu), [`sigmoid`](Tensor::sigmoid), [`softplus`](Tensor::softplus), [`softmax`](Tensor::softmax), [`log_softmax`](Tensor::log_softmax) |
/// | layers, losses | [`linear`](Tensor::linear), [`layer_norm`](Tensor::layer_norm), [`l2_normalize`](Tensor::l2_normalize), [`attention`](Tensor::attention), [`conv2d`](Tensor::conv2d), [`convolution`](Tensor::convolution), [`max_pool`](Tensor::max_pool), [`average_pool`](Tensor::average_pool), [`cross_entropy`](Tensor::cross_entropy) |
/// | random numbers | [`Graph::uniform`], [`Graph::normal`], [`dropout`](Tensor::dropout), [`Graph::random_bits`] |
/// | derivatives | [`gradients`](crate::autodiff::gradients), [`stop_gradient`](Tensor::stop_gradient) |
///
/// Two tensors of an operation broadcast as in NumPy; a number takes the type of the tensor beside it.
///
/// ```
/// use bsq_ir::tensor::Keep;
/// use bsq_ir::{DType, Graph, Scope};
///
/// let g = Graph::new();
/// let model = Scope::root(&g);
/// let x = g.input("x", DType::F32, [4, 8]);
/// let label = g.input("label", DType::I32, [4]);
/// let standard = (x - x.mean(Keep(-1))) / (x.std(Keep(-1), 1) + 1e-5);
/// let hidden = standard.linear(&model / "hidden", 16).silu();
/// let logits = hidden.layer_norm(&model / "norm", 1e-5).linear(&model / "head", 3);
/// let hits = logits.argmax(-1).eq(label).cast(DType::F32).mean(..);
/// let loss = logits.cross_entropy(label);
/// let slopes = bsq_ir::autodiff::gradients(loss, &model.parameters());
/// assert_eq!(slopes[0].ty().to_string(), "f32[16,8]");
/// # let _ = hits;
/// ```
#[derive(Clone, Copy)]
pub struct Tensor<'g> {
    graph: &'g Graph,
    id: NodeId,
}

impl<'g> Tensor<'g> {
    /// The handle of a node, which should have one result.
    ///
    /// # Panics
    /// If the node is none of this graph.
    #[track_caller]
    pub fn new(graph: &'g Graph, id: NodeId) -> Self {
        graph.check(id);
        Tensor { graph, id }
    }

    pub fn graph(self) -> &'g Graph {
        self.graph
    }

    pub fn id(self) -> NodeId {
        self.id
    }

    /// Element type and shape.
    ///
    /// # Panics
    /// If the node has several results, which `new` does not refuse.
    #[track_caller]
    pub fn ty(self) -> Type {
        self.graph.ty(self.id)
    }

    /// The extents.
    ///
    /// # Panics
    /// As [`ty`](Tensor::ty).
    #[track_caller]
    pub fn shape(self) -> Shape {
        self.ty().shape
    }

    /// The type of the elements.
    ///
    /// # Panics
    /// As [`ty`](Tensor::ty).
    #[track_caller]
    pub fn dtype(self) -> DType {
        self.ty().dtype
    }

    /// The number of axes.
    ///
    /// # Panics
    /// As [`ty`](Tensor::ty).
    #[track_caller]
    pub fn rank(self) -> usize {
        self.shape().rank()
    }

    /// A constant of this tensor's shape and element type.
    ///
    /// # Panics
    /// As [`Graph::full`].
    #[track_caller]
    pub fn full_like(self, value: f64) -> Tensor<'g> {
        let ty = self.ty();
        self.graph.full(value, ty.dtype, ty.shape)
    }

    /// A type error of the word `name` at the caller's line if `others` lie in another graph.
    #[track_caller]
    fn beside(self, name: &'static str, others: &[Tensor<'g>]) {
        one_graph(name, self.graph, others, &[self]);
    }

    #[track_caller]
    fn apply(self, op: Op, others: &[Tensor<'g>]) -> Tensor<'g> {
        self.beside(op.name(), others);
        let operands: Vec<NodeId> = std::iter::once(self.id)
            .chain(others.iter().map(|other| other.id))
            .collect();
        build(self.graph, op, &operands)
    }
}

/// A type error of the word `name` at the caller's line if `tensors` lie in another graph than
/// `graph`. The message has the types of `before` and of `tensors`.
#[track_caller]
fn one_graph(name: &'static str, graph: &Graph, tensors: &[Tensor<'_>], before: &[Tensor<'_>]) {
    if tensors
        .iter()
        .all(|tensor| std::ptr::eq(tensor.graph, graph))
    {
        return;
    }
    let types: Vec<Type> = before
        .iter()
        .chain(tensors)
        .map(|tensor| tensor.ty())
        .collect();
    TypeError::of_call(name, &types, "tensors of different graphs")
        .help(ONE_GRAPH)
        .raise()
}

#[track_caller]
fn build<'g>(graph: &'g Graph, op: Op, operands: &[NodeId]) -> Tensor<'g> {
    match graph.add_from(op, operands, Location::caller()) {
        Ok(id) => Tensor { graph, id },
        Err(error) => panic!("{error}"),
    }
}

/// A type error at the caller's line if an element of the type cannot be this number.
#[track_caller]
fn number(value: f64, dtype: DType) {
    if dtype.holds(value) {
        return;
    }
    let help = match dtype {
        DType::Bool => "a bool is 0 or 1: compare, or cast the tensor",
        dtype if dtype.is_float() => "infinity is written f64::INFINITY",
        _ => "cast the tensor to f32 first, or write a number that fits",
    };
    TypeError::of_call("constant", [], format!("{value:?} is no {dtype}"))
        .help(help)
        .raise()
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.ty())
    }
}

/// Leaves.
impl Graph {
    /// A value given by name at every run.
    ///
    /// The name stands for the value: whoever mentions it again, with the same type, gets the same
    /// input. No function has two inputs of one name and of different types: it is refused when
    /// it is compiled, with the lines of both.
    ///
    /// # Panics
    /// If the shape has more than 32 axes or 2^48 elements.
    #[track_caller]
    pub fn input(&self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Tensor<'_> {
        let (name, ty) = (name.to_string(), Type::new(dtype, shape));
        build(self, Op::Input { name, ty }, &[])
    }

    /// An `f32[]` input: a learning rate, a weight of a loss term.
    ///
    /// # Panics
    /// As [`input`](Graph::input).
    #[track_caller]
    pub fn scalar(&self, name: &str) -> Tensor<'_> {
        self.input(name, DType::F32, Shape::scalar())
    }

    /// A value that stays with the program between runs; prefer [`Scope::parameter`].
    ///
    /// # Panics
    /// If there is a parameter of that name already: a name given twice by mistake would share
    /// the weights of two layers. [`known_parameter`](Graph::known_parameter) finds one to share.
    #[track_caller]
    pub fn parameter(&self, name: &str, dtype: DType, shape: impl Into<Shape>) -> Tensor<'_> {
        let (name, ty) = (name.to_string(), Type::new(dtype, shape));
        if let Some(known) = self.parameter_id(&name) {
            self.node(known).named_again(&name, &ty).raise();
        }
        build(self, Op::Parameter { name, ty }, &[])
    }

    /// The parameter of a name, if there is one: to use it a second time.
    pub fn known_parameter(&self, name: &str) -> Option<Tensor<'_>> {
        let id = self.parameter_id(name)?;
        Some(Tensor { graph: self, id })
    }

    /// One value everywhere.
    ///
    /// # Panics
    /// If the type cannot hold the value: a fraction, NaN or infinity as an integer, a number out
    /// of its range, anything but 0 and 1 as a `bool`. Floats round.
    #[track_caller]
    pub fn full(&self, value: f64, dtype: DType, shape: impl Into<Shape>) -> Tensor<'_> {
        number(value, dtype);
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
        if !ty.shape.is_within_limits() || ty.shape.elements() != values.len() {
            let what = format!("{} values for {ty}", values.len());
            TypeError::of_call("constant", [], what).raise();
        }
        let constant = Constant::dense_bytes(ty, bytes);
        build(self, Op::Constant(constant), &[])
    }

    /// Any constant.
    ///
    /// # Panics
    /// If the shape has more than 32 axes or 2^48 elements.
    #[track_caller]
    pub fn constant(&self, constant: Constant) -> Tensor<'_> {
        build(self, Op::Constant(constant), &[])
    }

    /// The index along `axis`.
    ///
    /// # Panics
    /// If an integer type cannot hold the last index. (The op itself wraps, as integers do.)
    #[track_caller]
    pub fn iota(&self, dtype: DType, shape: impl Into<Shape>, axis: usize) -> Tensor<'_> {
        let ty = Type::new(dtype, shape);
        if ty
            .shape
            .get(axis)
            .is_some_and(|&n| n as u64 > dtype.indices())
        {
            let what = format!("axis {axis} of {ty} has more indices than {dtype} holds");
            TypeError::of_call("iota", [], what)
                .help("count in i64")
                .raise();
        }
        build(self, Op::Iota { ty, axis }, &[])
    }

    /// Philox-4x32-10 bits (`u32`), a pure function of key and counter (`u64[]`).
    ///
    /// # Panics
    /// If key or counter is not `u64[]`, or of another graph, or the shape is too large.
    #[track_caller]
    pub fn random_bits<'g>(
        &'g self,
        shape: impl Into<Shape>,
        key: Tensor<'g>,
        counter: Tensor<'g>,
    ) -> Tensor<'g> {
        let shape = shape.into();
        one_graph("random", self, &[key, counter], &[]);
        build(self, Op::Random { shape }, &[key.id, counter.id])
    }
}
