//! What lowering does not want to see, spelled in other primitives: exact, graph to graph.

use super::tiling::TilingPolicy;
use crate::schedule::{Role, role};
use bsq_ir::fused::expand;
use bsq_ir::op::Family;
use bsq_ir::{Constant, DType, DotAxes, Function, Graph, Node, NodeId, Op, Shape, Tensor, Type};
use std::collections::{BTreeSet, HashMap};

/// Reductions are cut into this many elements; the length of a chunk in the fixed order of sums.
const CHUNK: usize = bsq_ir::order::CHUNK;

/// Nodes between a result and a reader from which on it may be computed again: more than between two
/// ops of one block that follow each other, so that all but a backward pass reads what is there.
pub(super) const FAR: usize = 64;

/// Expands fused ops but attention, random bits, and reductions that have no single index.
/// Leaves that are results, or that need to be in memory, stand behind a view.
pub(crate) fn prepare(function: &Function, tiling: &TilingPolicy) -> Function {
    let graph = Graph::new();
    let mut several: HashMap<NodeId, Vec<NodeId>> = HashMap::new();
    let mut new: Vec<NodeId> = Vec::with_capacity(function.nodes().len());
    let mut again: HashMap<NodeId, NodeId> = HashMap::new();
    for (reader, node) in function.iter() {
        let operands = node.operands.iter().map(|&id| {
            let distance = reader.index() - id.index();
            match distance > FAR && is_rematerialized(function, id) {
                true => *again
                    .entry(id)
                    .or_insert_with(|| rematerialize(&graph, function, id, &new, &several)),
                false => new[id.index()],
            }
        });
        let operands: Vec<NodeId> = match role(&node.op) {
            Role::Anchor => operands.map(|id| viewed(&graph, id)).collect(),
            _ if reads_by_position(&node.op) => {
                let operands = operands.enumerate();
                let read = operands.map(|(operand, id)| match operand {
                    0 => viewed(&graph, id),
                    _ => id,
                });
                read.collect()
            }
            _ => operands.collect(),
        };
        let build = || rebuild(&graph, node, &operands, &mut several, tiling);
        new.push(graph.in_place_of(node, build));
    }
    let result = |id: NodeId| viewed(&graph, new[id.index()]);
    let outputs = function
        .outputs()
        .iter()
        .map(|(name, id)| (name.as_str(), result(*id)));
    let outputs: Vec<_> = outputs.collect();
    let updates = function
        .updates()
        .iter()
        .map(|&(p, value)| (new[p.index()], result(value)));
    let updates: Vec<_> = updates.collect();
    graph.function(outputs, updates)
}

/// True for ops that read their first operand at positions known only when they run: it must be in
/// memory, also where it is a constant.
fn reads_by_position(op: &Op) -> bool {
    matches!(op, Op::Gather { .. } | Op::DynamicSlice { .. })
}

/// True for what is computed again where it is needed far from where it was first: keeping it would
/// take more memory than its operands, which are kept anyway, and time to write and to read it.
fn is_rematerialized(function: &Function, id: NodeId) -> bool {
    let node = function.node(id);
    match node.op {
        Op::Gelu => true,
        Op::Projection(0) => {
            let source = &function.node(node.operands[0]).op;
            matches!(source, Op::LayerNorm { .. })
        }
        _ => false,
    }
}

/// The value of such a node from its operands and, for a layer norm, from the statistics of its
/// rows. Its nodes are none of those that the first computation has.
fn rematerialize(
    graph: &Graph,
    function: &Function,
    id: NodeId,
    new: &[NodeId],
    several: &HashMap<NodeId, Vec<NodeId>>,
) -> NodeId {
    let node = function.node(id);
    let behind = |id: NodeId| Tensor::new(graph, id).optimization_barrier();
    graph.in_place_of(node, || match node.op {
        Op::Gelu => behind(new[node.operands[0].index()]).gelu().id(),
        _ => {
            let norm = node.operands[0];
            let operands = &function.node(norm).operands;
            let [x, weight, bias] = [0, 1, 2].map(|index| behind(new[operands[index].index()]));
            let results = &several[&new[norm.index()]];
            normalised(x, [1, 2].map(|index| behind(results[index])), weight, bias).id()
        }
    })
}

/// A layer norm's rows from the statistics of `x`'s, the mean and the reciprocal of the deviation.
pub(super) fn normalised<'g>(
    x: Tensor<'g>,
    statistics: [Tensor<'g>; 2],
    weight: Tensor<'g>,
    bias: Tensor<'g>,
) -> Tensor<'g> {
    let shape = x.shape();
    let [mean, rstd] = statistics.map(|of_row| of_row.expand_axes(-1, &shape));
    (x - mean) * rstd * weight + bias
}

/// Where computing again begins: the nodes that read behind a barrier.
pub(crate) fn rematerialized(function: &Function) -> BTreeSet<NodeId> {
    let is_barrier = |id: NodeId| function.node(id).op == Op::OptimizationBarrier;
    let nodes = function.iter();
    let nodes = nodes.filter(|(_, node)| node.operands.iter().any(|&id| is_barrier(id)));
    nodes.map(|(id, _)| id).collect()
}

/// A leaf behind a view, which can be materialized if need be.
fn viewed(graph: &Graph, id: NodeId) -> NodeId {
    match graph.node(id).op.family() {
        Family::Leaf => Tensor::new(graph, id).stop_gradient().id(),
        _ => id,
    }
}

fn rebuild(
    graph: &Graph,
    node: &Node,
    operands: &[NodeId],
    several: &mut HashMap<NodeId, Vec<NodeId>>,
    tiling: &TilingPolicy,
) -> NodeId {
    let mut tensors: Vec<Tensor> = operands.iter().map(|&id| Tensor::new(graph, id)).collect();
    // Behind views, what these compute is no node that another part of the program computes too: a
    // backward pass computes it again, instead of keeping what the forward pass had.
    if matches!(
        node.op,
        Op::GeluBackward | Op::LayerNorm { .. } | Op::LayerNormBackward
    ) {
        tensors.iter_mut().for_each(|x| *x = x.stop_gradient());
    }
    match &node.op {
        Op::Projection(index) => match several.get(&operands[0]) {
            Some(results) => results[*index],
            None => keep(graph, node, operands),
        },
        Op::Attention { .. } | Op::AttentionBackward { .. } if !any_empty(&tensors) => {
            keep(graph, node, operands)
        }
        op if op.family() == Family::Fused => {
            let results: Vec<NodeId> = expand(graph, op, &tensors)
                .into_iter()
                .map(Tensor::id)
                .collect();
            let first = results[0];
            if results.len() > 1 {
                several.insert(first, results);
            }
            first
        }
        Op::Random { shape } => random(tensors[0], tensors[1], shape).id(),
        // A sum starts from +0, also that of one element.
        Op::Sum(axes) if axes.is_empty() => (tensors[0] + 0.0).id(),
        Op::ReduceMax(axes) if axes.is_empty() => operands[0],
        Op::Sum(axes) | Op::ReduceMax(axes) => {
            reduction(tensors[0], axes, matches!(node.op, Op::Sum(_))).id()
        }
        Op::DotGeneral(axes)
            if tiling.windows_as_lhs && are_windows(tensors[1]) && !are_windows(tensors[0]) =>
        {
            exchanged(tensors[0], tensors[1], axes).id()
        }
        Op::DotGeneral(axes) => dot_general(tensors[0], tensors[1], axes).id(),
        _ => keep(graph, node, operands),
    }
}

fn any_empty(tensors: &[Tensor]) -> bool {
    tensors.iter().any(|x| x.shape().elements() == 0)
}

/// Whether a tensor of f32 is a view of windows.
fn are_windows(x: Tensor) -> bool {
    let graph = x.graph();
    let mut node = graph.node(x.id());
    while role(&node.op) == Role::View {
        if matches!(node.op, Op::Window { .. }) {
            return x.dtype() == DType::F32;
        }
        node = graph.node(node.operands[0]);
    }
    false
}

/// A contraction with its sides exchanged: the same products in the same order.
fn exchanged<'g>(lhs: Tensor<'g>, rhs: Tensor<'g>, axes: &DotAxes) -> Tensor<'g> {
    let turned = |pairs: &[(usize, usize)]| pairs.iter().map(|&(l, r)| (r, l)).collect();
    let turned = DotAxes {
        batch: turned(&axes.batch),
        contract: turned(&axes.contract),
    };
    let batch = axes.batch.len();
    let rows = axes.free(lhs.rank(), true).len();
    let columns = axes.free(rhs.rank(), false).len();
    let order: Vec<usize> = (0..batch)
        .chain(batch + columns..batch + columns + rows)
        .chain(batch..batch + columns)
        .collect();
    dot_general(rhs, lhs, &turned).transpose(&order)
}

/// A contraction whose result has one axis for the columns of the rhs.
fn dot_general<'g>(lhs: Tensor<'g>, rhs: Tensor<'g>, axes: &DotAxes) -> Tensor<'g> {
    let shape = rhs.shape();
    let free = axes.free(shape.rank(), false);
    if free.len() == 1 {
        return lhs.dot_general(rhs, &axes.batch, &axes.contract);
    }
    let fixed: Vec<usize> = axes
        .batch
        .iter()
        .chain(&axes.contract)
        .map(|pair| pair.1)
        .collect();
    let order = [&fixed[..], &free[..]].concat();
    let extents = |axes: &[usize]| -> Vec<usize> { axes.iter().map(|&a| shape[a]).collect() };
    let columns = extents(&free).iter().product();
    let matrix = rhs
        .transpose(&order)
        .reshape([extents(&fixed), vec![columns]].concat());
    let pairs = |pairs: &[(usize, usize)], first: usize| -> Vec<(usize, usize)> {
        pairs
            .iter()
            .enumerate()
            .map(|(at, &(l, _))| (l, first + at))
            .collect()
    };
    let batch = pairs(&axes.batch, 0);
    let contract = pairs(&axes.contract, axes.batch.len());
    let flat = lhs.dot_general(matrix, &batch, &contract);
    let kept = flat.shape();
    let (_, rows) = kept.split_last().expect("columns are an axis");
    flat.reshape([rows, &extents(&free)].concat())
}

pub(super) fn keep(graph: &Graph, node: &Node, operands: &[NodeId]) -> NodeId {
    graph
        .add_like(node.op.clone(), operands, node)
        .expect("the node was valid before")
}

/// A reduction over neighbouring axes, and over all elements in chunks.
fn reduction<'g>(x: Tensor<'g>, axes: &[usize], sum: bool) -> Tensor<'g> {
    let shape = x.shape();
    let adjacent = axes.windows(2).all(|pair| pair[1] == pair[0] + 1);
    if !adjacent {
        let kept = (0..shape.rank()).filter(|axis| !axes.contains(axis));
        let order: Vec<usize> = kept.chain(axes.iter().copied()).collect();
        let last: Vec<usize> = (shape.rank() - axes.len()..shape.rank()).collect();
        return reduction(x.transpose(&order), &last, sum);
    }
    let reduce = |x: Tensor<'g>, axes: &[usize]| {
        let axes: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
        if sum {
            x.sum(&axes[..])
        } else {
            x.max(&axes[..])
        }
    };
    let any_order = !sum || !x.dtype().is_float();
    if let ([rest @ .., last], true) = (axes, any_order && counts(x))
        && !rest.is_empty()
    {
        return reduction(reduce(x, &[*last]), rest, sum);
    }
    let elements = shape.elements();
    let results = elements
        / axes
            .iter()
            .map(|&axis| shape[axis])
            .product::<usize>()
            .max(1);
    if results == 1 && elements > CHUNK && elements.is_multiple_of(CHUNK) {
        // The same bits: a sum of chunks is how the whole sum is defined.
        let chunks = reduce(x.reshape([elements / CHUNK, CHUNK]), &[1]);
        let last = reduction(chunks, &[0], sum);
        return last.reshape(shape.without(axes));
    }
    reduce(x, axes)
}

/// True if elements are computed from their position: one index does not count over several axes
/// of those, so that they would have to be materialized first.
fn counts(x: Tensor) -> bool {
    const NODES: usize = 64;
    let graph = x.graph();
    let (mut pending, mut seen) = (vec![x.id()], 0);
    while let Some(id) = pending.pop() {
        let node = graph.node(id);
        seen += 1;
        match role(&node.op) {
            Role::Leaf if matches!(node.op, Op::Iota { .. }) => return true,
            Role::Map | Role::View if seen < NODES => pending.extend(&node.operands),
            _ => {}
        }
    }
    false
}

/// Philox-4x32-10 in integer ops: every element computes its block and picks its word.
fn random<'g>(key: Tensor<'g>, counter: Tensor<'g>, shape: &Shape) -> Tensor<'g> {
    let g = key.graph();
    let count = shape.elements();
    let flat = [count];
    let wide = |value: u64| {
        let ty = Type::new(DType::U64, Shape::scalar());
        g.constant(Constant::splat_bytes(ty, &value.to_le_bytes()))
            .broadcast_to(flat)
    };
    let low_word = wide(0xffff_ffff);
    let position = g.iota(DType::U64, flat, 0);
    let block = position.shift_right(wide(2)) + counter.broadcast_to(flat);
    let zero = wide(0);
    let (mut c0, mut c1, mut c2, mut c3) =
        (block.and(low_word), block.shift_right(wide(32)), zero, zero);
    let key = key.broadcast_to(flat);
    let (mut k0, mut k1) = (key.and(low_word), key.shift_right(wide(32)));
    for round in 0..10 {
        if round > 0 {
            k0 = (k0 + wide(0x9E37_79B9)).and(low_word);
            k1 = (k1 + wide(0xBB67_AE85)).and(low_word);
        }
        let (p0, p1) = (c0 * wide(0xD251_1F53), c2 * wide(0xCD9E_8D57));
        let high = |p: Tensor<'g>| p.shift_right(wide(32));
        (c0, c1, c2, c3) = (
            high(p1).xor(c1).xor(k0),
            p1.and(low_word),
            high(p0).xor(c3).xor(k1),
            p0.and(low_word),
        );
    }
    let word = position.and(wide(3));
    let pick = |a: Tensor<'g>, b: Tensor<'g>, at: u64| a.where_(word.eq(wide(at)), b);
    let bits = pick(c0, pick(c1, pick(c2, c3, 2), 1), 0);
    bits.cast(DType::U32).reshape(shape)
}

/// Results that are views: they need a buffer to be read from.
pub(super) fn outputs_to_copy(function: &Function) -> BTreeSet<NodeId> {
    let copied = |id: &NodeId| role(&function.node(*id).op) == Role::View;
    function.roots().filter(copied).collect()
}
