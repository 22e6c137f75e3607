//! Operands of contractions that are stored in a narrower format than the f32 they mean.
//!
//! `cast(w: bf16 -> f32)`, `cast(w: f16 -> f32)` and `(cast(w: u8 -> f32) - 128) * scale` are
//! spelled out in the graph.
//! Where only contractions read them, nothing computes them: the contraction packs what is stored
//! and widens it in registers. To the scheduler such a value is a view of what is stored. In programs in narrow
//! formats so is every value that is but widened, whoever reads it: a load and a cast cost less than memory.

use super::role;
use crate::kernel::Format;
use bsq_ir::{DType, Function, Node, NodeId, Op};
use std::collections::{BTreeMap, BTreeSet};

/// A value in f32 and what it is widened from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widening {
    /// The `bf16`, `f16` or `u8` node, of the same shape.
    pub narrow: NodeId,
    /// For `u8`: the factor, of the same shape.
    pub scale: Option<NodeId>,
}

/// A widened value, and the nodes that spell it.
type Found = (NodeId, Widening, Vec<NodeId>);

/// The widened operands of a function's contractions.
#[derive(Clone, Debug, Default)]
pub struct Widenings {
    values: BTreeMap<NodeId, Widening>,
    /// Nodes between a value and what it is widened from; each is a view of the latter.
    inner: BTreeMap<NodeId, NodeId>,
    /// Nodes with buffers of their own: what is a view of one is read from there.
    requested: BTreeSet<NodeId>,
}

impl Widenings {
    /// Finds the operands that may stay narrow. Nodes in `requested` get buffers. An lhs stays
    /// narrow only if `both` says so, and then only together with the rhs; an rhs in `f16` only
    /// together with the lhs.
    pub fn find(function: &Function, requested: &BTreeSet<NodeId>, both: bool) -> Self {
        let users = function.users();
        let leaves: BTreeSet<NodeId> = function.roots().collect();
        let mut found = Widenings {
            requested: requested.clone(),
            ..Widenings::default()
        };
        let value = |operand: NodeId| {
            let (root, views) = behind_views(function, operand, requested);
            let (widening, inner) = widening(function, root)?;
            let hidden: BTreeSet<NodeId> = views.into_iter().chain(inner.iter().copied()).collect();
            let needed = |id: &NodeId| leaves.contains(id) || requested.contains(id);
            let only_inside = |id: &NodeId| {
                let mut readers = users[id.index()].iter();
                readers.all(|reader| hidden.contains(reader) || is_contraction(function, *reader))
            };
            let is_cast = both && inner.len() == 1;
            let free = |id: &NodeId| !needed(id) && (is_cast || only_inside(id));
            hidden.iter().all(free).then_some((root, widening, inner))
        };
        for (id, node) in function.iter() {
            if !is_contraction(function, id) {
                continue;
            }
            let narrow = |found: &Found| function.node(found.1.narrow).dtype();
            let rhs = value(node.operands[1]);
            if let Some(rhs) = rhs {
                let lhs = value(node.operands[0]).filter(|_| both);
                if let Some(lhs) = lhs.filter(|lhs| narrow(lhs) == narrow(&rhs)) {
                    found.add(lhs);
                }
                found.add(rhs);
            }
        }
        found.drop_alone(function, both);
        if both {
            found.add_casts(function, &leaves);
            found.add_packed(function, &leaves, &users);
        }
        found
    }

    /// Values that no contraction takes as they are stored, but are widened by a cast alone.
    fn add_casts(&mut self, function: &Function, leaves: &BTreeSet<NodeId>) {
        for (id, _) in function.iter() {
            let is_needed = leaves.contains(&id) || self.requested.contains(&id);
            match widening(function, id) {
                Some((widening, inner)) if inner.len() == 1 && !is_needed => {
                    self.inner.insert(id, widening.narrow);
                }
                _ => {}
            }
        }
    }

    /// Parameters that are rounded for right sides of contractions alone: those are packed anyway, and rounded when
    /// they are.
    fn add_packed(
        &mut self,
        function: &Function,
        leaves: &BTreeSet<NodeId>,
        users: &[Vec<NodeId>],
    ) {
        for (id, node) in function.iter() {
            let is_cast = node.op == Op::Cast(DType::BF16);
            if !is_cast || leaves.contains(&id) || self.requested.contains(&id) {
                continue;
            }
            let (from, _) = behind_views(function, node.operands[0], &self.requested);
            let is_parameter = matches!(function.node(from).op, Op::Parameter { .. });
            if is_parameter && self.only_packed(function, id, users) {
                self.inner.insert(id, node.operands[0]);
            }
        }
    }

    /// Whether all that reads a narrow value are contractions, on their right.
    fn only_packed(&self, function: &Function, id: NodeId, users: &[Vec<NodeId>]) -> bool {
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            for &reader in &users[id.index()] {
                let operands = &function.node(reader).operands;
                let is_view = role(&function.node(reader).op) == super::Role::View;
                match is_contraction(function, reader) {
                    true if operands[0] != id && self.of(function, id).is_some() => {}
                    false if self.inner.contains_key(&reader) => pending.push(reader),
                    false if is_view && !self.requested.contains(&reader) => pending.push(reader),
                    _ => return false,
                }
            }
        }
        true
    }

    fn add(&mut self, (root, widening, inner): Found) {
        self.values.insert(root, widening);
        let links = inner.into_iter().map(|id| (id, widening.narrow));
        self.inner.extend(links);
    }

    /// A value that some contraction reads on its left, with a rhs in another format, has
    /// to be computed after all; so has one on an lhs that does not stay narrow, which may be
    /// the rhs too; and one in `f16` on its right, with an lhs in another.
    fn drop_alone(&mut self, function: &Function, both: bool) {
        let contractions = || {
            function
                .iter()
                .filter(|(id, _)| is_contraction(function, *id))
        };
        loop {
            let format = |operand: NodeId| {
                let narrow = self.of(function, operand)?.narrow;
                Some(function.node(narrow).dtype())
            };
            let alone = contractions().find_map(|(_, node)| {
                let (lhs, rhs) = (node.operands[0], node.operands[1]);
                match (format(lhs), format(rhs)) {
                    (None, None) => None,
                    (Some(dtype), other) => {
                        let stays = both && other == Some(dtype) && is_whole(function, node, dtype);
                        (!stays).then_some(lhs)
                    }
                    (None, Some(DType::F16)) => Some(rhs),
                    _ => None,
                }
            });
            let Some(operand) = alone else {
                return;
            };
            let (root, _) = behind_views(function, operand, &self.requested);
            self.values.remove(&root);
            for id in widening(function, root).map_or(Vec::new(), |found| found.1) {
                self.inner.remove(&id);
            }
        }
    }

    /// What a node is a view of, if it is one only because of its readers.
    pub fn view_of(&self, node: NodeId) -> Option<NodeId> {
        self.inner.get(&node).copied()
    }

    /// What an operand of a contraction is widened from, views aside.
    pub fn of(&self, function: &Function, operand: NodeId) -> Option<Widening> {
        let (root, _) = behind_views(function, operand, &self.requested);
        self.values.get(&root).copied()
    }

    /// The value of which an element is computed, if it is widened from something narrow.
    pub fn value(&self, node: NodeId) -> Option<Widening> {
        self.values.get(&node).copied()
    }

    /// What is stored of a value that is not, or is a step nearer to it.
    pub fn narrow(&self, node: NodeId) -> Option<NodeId> {
        let of_contraction = self.value(node).map(|widening| widening.narrow);
        of_contraction.or_else(|| self.view_of(node))
    }

    /// What a contraction reads beside its operands: the factors of widened values.
    pub fn factors<'a>(
        &'a self,
        function: &'a Function,
        anchor: NodeId,
    ) -> impl Iterator<Item = NodeId> + 'a {
        let operands = match is_contraction(function, anchor) {
            true => &function.node(anchor).operands[..],
            false => &[],
        };
        let scales = operands.iter().map(|&operand| self.of(function, operand));
        scales.flatten().filter_map(|widening| widening.scale)
    }
}

/// Whether a contraction has a multiple of the terms that an lhs of this type takes together.
fn is_whole(function: &Function, contraction: &Node, dtype: DType) -> bool {
    let Op::DotGeneral(axes) = &contraction.op else {
        return false;
    };
    let shape = function.node(contraction.operands[0]).shape();
    let terms: usize = axes.contract.iter().map(|pair| shape[pair.0]).product();
    let format = match dtype {
        DType::U8 => Format::Int8,
        DType::F16 => Format::F16,
        _ => Format::Bf16,
    };
    terms.is_multiple_of(format.terms())
}

fn is_contraction(function: &Function, id: NodeId) -> bool {
    matches!(function.node(id).op, Op::DotGeneral(_))
}

/// The first node behind views that have no buffer, and the views.
fn behind_views(
    function: &Function,
    mut id: NodeId,
    requested: &BTreeSet<NodeId>,
) -> (NodeId, Vec<NodeId>) {
    let mut views = Vec::new();
    while role(&function.node(id).op) == super::Role::View && !requested.contains(&id) {
        views.push(id);
        id = function.node(id).operands[0];
    }
    (id, views)
}

/// The pattern that ends in `root`, and its nodes.
fn widening(function: &Function, root: NodeId) -> Option<(Widening, Vec<NodeId>)> {
    let node = function.node(root);
    match node.op {
        Op::Cast(DType::F32) => {
            let narrow = node.operands[0];
            let half = matches!(function.node(narrow).dtype(), DType::BF16 | DType::F16);
            let scale = None;
            half.then(|| (Widening { narrow, scale }, vec![root]))
        }
        Op::Mul => {
            let [x, y] = node.operands[..] else {
                return None;
            };
            [(x, y), (y, x)].into_iter().find_map(|(centred, scale)| {
                let (cast, narrow) = centred_bytes(function, centred)?;
                let scale = Some(scale);
                Some((Widening { narrow, scale }, vec![root, centred, cast]))
            })
        }
        _ => None,
    }
}

/// The cast and the bytes of `cast(bytes) - 128`, also where it is spelled `+ -128`.
fn centred_bytes(function: &Function, id: NodeId) -> Option<(NodeId, NodeId)> {
    let node = function.node(id);
    let (cast, by) = match (&node.op, &node.operands[..]) {
        (Op::Sub, &[x, y]) => (x, (y, 128.0)),
        (Op::Add, &[x, y]) if splat(function, y).is_some() => (x, (y, -128.0)),
        (Op::Add, &[x, y]) => (y, (x, -128.0)),
        _ => return None,
    };
    let definition = function.node(cast);
    let is_cast = definition.op == Op::Cast(DType::F32);
    let narrow = *definition.operands.first()?;
    let bytes = is_cast && function.node(narrow).dtype() == DType::U8;
    (bytes && splat(function, by.0) == Some(by.1)).then_some((cast, narrow))
}

/// The value of every element of a constant.
fn splat(function: &Function, mut id: NodeId) -> Option<f32> {
    while let Op::Broadcast { .. } = function.node(id).op {
        id = function.node(id).operands[0];
    }
    let Op::Constant(constant) = &function.node(id).op else {
        return None;
    };
    let bytes = constant.splat_element()?.try_into().ok()?;
    (function.node(id).dtype() == DType::F32).then(|| f32::from_le_bytes(bytes))
}
