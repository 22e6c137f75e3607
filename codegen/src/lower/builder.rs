//! Emits the body of a kernel: values by (node, index), each in the outermost loop that can hold it.

use super::access::{Addressing, Obstacle, Source};
use super::axes::Axes;
use crate::kernel::{Affine, Array, Element, Inst, Place, Stmt, Value, Var};
use crate::schedule::{Role, role};
use bsq_ir::op::Family;
use bsq_ir::{DType, Function, NodeId, Op, Type};
use std::collections::HashMap;
use std::fmt;

/// An array that kernels of a program share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shared {
    /// A result of a node.
    Result(NodeId, usize),
    /// Something that a node's lowering needs beside its results, such as a packed operand.
    Extra(NodeId, usize),
}

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shared::Result(node, 0) => write!(f, "{node}"),
            Shared::Result(node, result) => write!(f, "{node}.{result}"),
            Shared::Extra(node, number) => write!(f, "extra {number} of {node}"),
        }
    }
}

/// Where a node's value is stored.
pub(super) fn shared_of(function: &Function, id: NodeId) -> Shared {
    let node = function.node(id);
    match node.op {
        Op::Projection(result) => Shared::Result(node.operands[0], result),
        _ => Shared::Result(id, 0),
    }
}

/// Statements under some loop variables, and the values that they define.
#[derive(Default)]
struct Scope {
    vars: Vec<Var>,
    stmts: Vec<Stmt>,
    nodes: HashMap<(NodeId, Vec<Affine>), Value>,
    loads: HashMap<(Place, Affine), Value>,
}

/// A kernel's body under construction.
pub struct KernelBuilder<'a> {
    function: &'a Function,
    materialized: &'a [bool],
    pub axes: Axes,
    pub shared: Vec<Shared>,
    pub buffers: Vec<Array>,
    pub scratch: Vec<Array>,
    scopes: Vec<Scope>,
    /// The scope of each value.
    depth: Vec<usize>,
    /// Values that come from somewhere else than their definition.
    given: HashMap<(NodeId, Vec<Affine>), Element>,
}

impl<'a> KernelBuilder<'a> {
    pub fn new(function: &'a Function, materialized: &'a [bool], axes: Axes) -> Self {
        KernelBuilder {
            function,
            materialized,
            axes,
            shared: Vec::new(),
            buffers: Vec::new(),
            scratch: Vec::new(),
            scopes: vec![Scope::default()],
            depth: Vec::new(),
            given: HashMap::new(),
        }
    }

    /// Which nodes are materialized.
    pub fn materialized(&self) -> &'a [bool] {
        self.materialized
    }

    /// An empty builder whose loops are split where this one's had to be.
    pub fn restart(self, var: Var, inner: usize) -> Self {
        KernelBuilder::new(
            self.function,
            self.materialized,
            self.axes.split(var, inner),
        )
    }

    pub fn addressing(&self) -> Addressing<'_> {
        Addressing {
            function: self.function,
            materialized: self.materialized,
            extents: self.axes.extents(),
        }
    }

    /// The kernel's buffer for a shared array.
    pub fn buffer(&mut self, shared: Shared, ty: &Type, written: bool) -> Place {
        let index = match self.shared.iter().position(|known| *known == shared) {
            Some(index) => index,
            None => {
                self.shared.push(shared);
                self.buffers.push(Array::read(ty));
                self.shared.len() - 1
            }
        };
        self.buffers[index].written |= written;
        Place::Buffer(index as u32)
    }

    /// The kernel's buffer for a materialized node.
    pub fn node_buffer(&mut self, node: NodeId, written: bool) -> Place {
        let definition = self.function.node(node);
        let shared = match definition.op {
            Op::Projection(result) => Shared::Result(definition.operands[0], result),
            _ => Shared::Result(node, 0),
        };
        let ty = definition.ty().clone();
        self.buffer(shared, &ty, written)
    }

    pub fn scratch(&mut self, dtype: DType, elements: usize) -> Place {
        self.scratch.push(Array::written(dtype, elements));
        Place::Scratch(self.scratch.len() as u32 - 1)
    }

    /// Opens a loop body over `vars`.
    pub fn open(&mut self, vars: &[Var]) {
        self.scopes.push(Scope {
            vars: vars.to_vec(),
            ..Scope::default()
        });
    }

    /// Closes the innermost body.
    pub fn close(&mut self) -> Vec<Stmt> {
        self.scopes.pop().expect("an open scope").stmts
    }

    pub fn push(&mut self, stmt: Stmt) {
        self.scopes
            .last_mut()
            .expect("an open scope")
            .stmts
            .push(stmt);
    }

    /// A value for the result of a statement that the caller pushes into the innermost body.
    pub fn fresh(&mut self) -> Value {
        self.depth.push(self.scopes.len() - 1);
        Value(self.depth.len() as u32 - 1)
    }

    /// Element `index` of `node` is what the innermost body calls `value`.
    pub fn define(&mut self, node: NodeId, index: Vec<Affine>, value: Value) {
        let scope = self.scopes.last_mut().expect("an open scope");
        scope.nodes.insert((node, index), value);
    }

    /// Element `index` of `node` is found in an array from now on.
    pub fn give(&mut self, node: NodeId, index: Vec<Affine>, element: Element) {
        self.given.insert((node, index), element);
    }

    fn depth_of_index(&self, index: &Affine) -> usize {
        let under = |depth: &usize| {
            let vars = &self.scopes[*depth].vars;
            index.terms.iter().any(|term| vars.contains(&term.0))
        };
        (1..self.scopes.len()).rev().find(under).unwrap_or(0)
    }

    fn let_at(&mut self, depth: usize, dtype: DType, inst: Inst) -> Value {
        let value = Value(self.depth.len() as u32);
        self.depth.push(depth);
        self.scopes[depth]
            .stmts
            .push(Stmt::Let { value, dtype, inst });
        value
    }

    pub fn constant(&mut self, dtype: DType, bits: u64) -> Value {
        self.let_at(0, dtype, Inst::Constant(bits))
    }

    pub fn index(&mut self, dtype: DType, index: &Affine) -> Value {
        let depth = self.depth_of_index(index);
        self.let_at(depth, dtype, Inst::Index(index.clone()))
    }

    pub fn map(&mut self, op: Op, dtype: DType, operands: &[Value]) -> Value {
        let depth = operands
            .iter()
            .map(|value| self.depth[value.0 as usize])
            .max();
        self.let_at(depth.unwrap_or(0), dtype, Inst::Map(op, operands.to_vec()))
    }

    /// Loads where the address allows it, once.
    pub fn load(
        &mut self,
        place: Place,
        at: Affine,
        dynamic: Option<Value>,
        dtype: DType,
    ) -> Value {
        let mut depth = self.depth_of_index(&at);
        if let Some(value) = dynamic {
            depth = depth.max(self.depth[value.0 as usize]);
        } else if let Some(&value) = self.scopes[depth].loads.get(&(place, at.clone())) {
            return value;
        }
        let from = Element {
            place,
            at: at.clone(),
            dynamic,
        };
        let value = self.let_at(depth, dtype, Inst::Load(from));
        if dynamic.is_none() {
            self.scopes[depth].loads.insert((place, at), value);
        }
        value
    }

    /// Loads in the innermost body, always: for arrays that the kernel itself changes.
    pub fn load_here(&mut self, from: Element, dtype: DType) -> Value {
        self.let_at(self.scopes.len() - 1, dtype, Inst::Load(from))
    }

    pub fn store(&mut self, place: Place, at: Affine, value: Value) {
        self.push(Stmt::store(Element::new(place, at), value));
    }

    /// Element `index` of `node`.
    pub fn value(&mut self, node: NodeId, index: Vec<Affine>) -> Result<Value, Obstacle> {
        match self.addressing().locate(node, index)? {
            Source::Materialized(node, at) => {
                let place = self.node_buffer(node, false);
                Ok(self.load(place, at, None, self.function.node(node).dtype()))
            }
            Source::Computed(node, index) => {
                let key = (node, index);
                if let Some(value) = self.known(&key) {
                    return Ok(value);
                }
                if let Some(element) = self.given.get(&key) {
                    let element = element.clone();
                    let dtype = self.function.node(node).dtype();
                    return Ok(self.load(element.place, element.at, element.dynamic, dtype));
                }
                let value = self.compute(node, &key.1)?;
                let depth = self.depth[value.0 as usize];
                self.scopes[depth].nodes.insert(key, value);
                Ok(value)
            }
        }
    }

    fn known(&self, key: &(NodeId, Vec<Affine>)) -> Option<Value> {
        self.scopes
            .iter()
            .rev()
            .find_map(|scope| scope.nodes.get(key))
            .copied()
    }

    fn compute(&mut self, id: NodeId, index: &[Affine]) -> Result<Value, Obstacle> {
        let function = self.function;
        let node = function.node(id);
        let dtype = node.dtype();
        match &node.op {
            Op::Constant(constant) => {
                let element = constant.splat_element().ok_or(Obstacle::Materialize(id))?;
                let mut bits = [0; 8];
                bits[..element.len()].copy_from_slice(element);
                Ok(self.constant(dtype, u64::from_le_bytes(bits)))
            }
            Op::Iota { axis, .. } => {
                if matches!(dtype, DType::I32 | DType::I64) {
                    return Ok(self.index(dtype, &index[*axis]));
                }
                let position = self.index(DType::I64, &index[*axis]);
                Ok(self.map(Op::Cast(dtype), dtype, &[position]))
            }
            Op::Gather { axis } => {
                let indices = function.node(node.operands[1]).shape().rank();
                let inner = index[*axis..axis + indices].to_vec();
                let position = self.value(node.operands[1], inner)?;
                let outer = [
                    &index[..*axis],
                    &[Affine::default()],
                    &index[axis + indices..],
                ]
                .concat();
                let last = function.node(node.operands[0]).shape()[*axis] - 1;
                self.load_dynamic(
                    node.operands[0],
                    outer,
                    *axis,
                    position,
                    node.operands[1],
                    last,
                )
            }
            Op::DynamicSlice { axis, size } => {
                let start = self.value(node.operands[1], Vec::new())?;
                let last = function.node(node.operands[0]).shape()[*axis] - size;
                let index = index.to_vec();
                self.load_dynamic(
                    node.operands[0],
                    index,
                    *axis,
                    start,
                    node.operands[1],
                    last,
                )
            }
            op if op.family() == Family::Elementwise => {
                let mut operands = Vec::with_capacity(node.operands.len());
                for &operand in &node.operands {
                    operands.push(self.value(operand, index.to_vec())?);
                }
                Ok(self.map(op.clone(), dtype, &operands))
            }
            _ => Err(Obstacle::Materialize(id)),
        }
    }

    /// Element `index` of a materialized node, moved along `axis` by `position` clamped to `0..=last`.
    fn load_dynamic(
        &mut self,
        node: NodeId,
        index: Vec<Affine>,
        axis: usize,
        position: Value,
        position_node: NodeId,
        last: usize,
    ) -> Result<Value, Obstacle> {
        let extent = self.function.node(node).shape()[axis];
        let probe = self.axes.var(extent);
        let mut probed = index.clone();
        probed[axis] = Affine::var(probe);
        let stride = match self.addressing().locate(node, probed) {
            Ok(Source::Materialized(_, at)) => at.coefficient(probe),
            // A leaf has no buffer: the view of it gets one.
            Ok(Source::Computed(leaf, _)) if role(&self.function.node(leaf).op) == Role::Leaf => {
                return Err(Obstacle::Materialize(node));
            }
            Ok(Source::Computed(node, _)) => return Err(Obstacle::Materialize(node)),
            // A position that is not known yet cannot be cut in two.
            Err(Obstacle::Split { var, .. }) if var == probe => {
                return Err(Obstacle::Materialize(node));
            }
            Err(obstacle) => return Err(obstacle),
        };
        let Source::Materialized(materialized, at) = self.addressing().locate(node, index)? else {
            return Err(Obstacle::Materialize(node));
        };
        let from = self.function.node(position_node).dtype();
        let offset = self.clamped(position, from, last);
        let offset = self.scaled(offset, stride);
        let place = self.node_buffer(materialized, false);
        Ok(self.load(
            place,
            at,
            Some(offset),
            self.function.node(materialized).dtype(),
        ))
    }

    /// An integer as `i64`, clamped to `0..=last`. A `u64` above the range of `i64` is large.
    pub fn clamped(&mut self, value: Value, from: DType, last: usize) -> Value {
        let last_bits = last as u64;
        if from == DType::U64 {
            let last = self.constant(DType::U64, last_bits);
            let clamped = self.map(Op::Min, DType::U64, &[value, last]);
            return self.map(Op::Cast(DType::I64), DType::I64, &[clamped]);
        }
        let wide = match from {
            DType::I64 => value,
            _ => self.map(Op::Cast(DType::I64), DType::I64, &[value]),
        };
        let (zero, last) = (
            self.constant(DType::I64, 0),
            self.constant(DType::I64, last_bits),
        );
        let low = self.map(Op::Max, DType::I64, &[wide, zero]);
        self.map(Op::Min, DType::I64, &[low, last])
    }

    pub fn scaled(&mut self, value: Value, factor: i64) -> Value {
        if factor == 1 {
            return value;
        }
        let factor = self.constant(DType::I64, factor as u64);
        self.map(Op::Mul, DType::I64, &[value, factor])
    }
}
