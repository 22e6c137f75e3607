//! The end of a program: gradients, outputs, and updates of parameters.

use super::generate::Builder;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Function, NodeId, Op, Tensor, Type};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn finish(builder: &mut Builder) -> Function {
    match builder.choices.below(6) {
        0 | 1 => differentiate(builder, 1),
        2 => differentiate(builder, 2),
        _ => {}
    }
    let mut outputs = outputs(builder);
    let updates = updates(builder, &mut outputs);
    if !updates.is_empty() && builder.choices.once_in(8) {
        outputs.clear();
    }
    let names: Vec<String> = (0..outputs.len()).map(|n| format!("y{n}")).collect();
    let outputs = names.iter().zip(outputs);
    builder
        .graph
        .function(outputs.map(|(name, id)| (name.as_str(), id)), updates)
}

/// Gradients of a scalar by some floats, `order` times.
fn differentiate(builder: &mut Builder, order: usize) {
    for _ in 0..order {
        let Some(x) = builder.pick(|ty| ty.dtype == DType::F32) else {
            return;
        };
        let x = match builder.choices.below(3) {
            0 => x * x,
            1 if x.shape().last().is_some_and(|&width| width > 0) => x * x.softmax(),
            _ => x,
        };
        let loss = x.sum(..);
        let depends = ancestors(builder, loss.id());
        let mut wrt = Vec::new();
        for &tensor in &builder.pool {
            let is_leaf = matches!(
                builder.graph.node(tensor.id()).op,
                Op::Input { .. } | Op::Parameter { .. }
            );
            let wanted = depends.contains(&tensor.id()) && tensor.dtype().is_float();
            if wanted && !wrt.iter().any(|other: &Tensor| other.id() == tensor.id()) {
                let kept = builder.choices.below(4);
                if (is_leaf && kept < 3) || kept == 3 {
                    wrt.push(tensor);
                }
            }
        }
        if wrt.is_empty() || builder.graph.len() > builder.limits.nodes {
            return;
        }
        for gradient in gradients(loss, &wrt) {
            builder.keep(gradient);
        }
    }
}

/// A node and all that it is computed from.
fn ancestors(builder: &Builder, id: NodeId) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::from([id]);
    for index in (0..=id.index()).rev() {
        let id = NodeId::new(index);
        if found.contains(&id) {
            found.extend(builder.graph.node(id).operands);
        }
    }
    found
}

/// Some of the pool, mostly late ones; one value may leave by several names.
fn outputs(builder: &mut Builder) -> Vec<NodeId> {
    let mut outputs = Vec::new();
    for _ in 0..1 + builder.choices.below(4) {
        let late = builder.pool.len().saturating_sub(8);
        let from = match builder.choices.below(3) {
            0 => 0,
            _ => late,
        };
        let place = from + builder.choices.below(builder.pool.len() - from);
        outputs.push(builder.pool[place].id());
    }
    outputs
}

/// New values for some parameters: whatever has their type, also other parameters and outputs. Some
/// of the new are compared with the old.
fn updates(builder: &mut Builder, outputs: &mut Vec<NodeId>) -> Vec<(NodeId, NodeId)> {
    let is_parameter = |builder: &Builder, tensor: &Tensor| {
        matches!(builder.graph.node(tensor.id()).op, Op::Parameter { .. })
    };
    let all = builder.pool.clone().into_iter();
    let parameters: Vec<Tensor> = all.filter(|tensor| is_parameter(builder, tensor)).collect();
    let mut updates = BTreeMap::new();
    for parameter in parameters {
        if builder.choices.below(3) == 0 {
            continue;
        }
        let value = new_value(builder, parameter);
        updates.insert(parameter.id(), value.id());
        if builder.choices.once_in(4) && parameter.dtype().is_arithmetic() {
            outputs.push((value - parameter).id());
        }
    }
    updates.into_iter().collect()
}

/// A value of the parameter's type, the parameter with some of it replaced, or a step away from it.
fn new_value<'g>(builder: &mut Builder<'g, '_, '_>, parameter: Tensor<'g>) -> Tensor<'g> {
    let (ty, shape) = (parameter.ty(), parameter.shape());
    match builder.choices.below(4) {
        0 => builder.of(&ty),
        1 if shape.rank() > 0 => {
            let axis = builder.choices.below(shape.rank());
            let size = builder.choices.below(shape[axis] + 1);
            let update = builder.of(&Type::new(ty.dtype, shape.splice(axis, &[size])));
            let start = builder.of(&Type::scalar(DType::I32));
            let cache = Op::DynamicUpdateSlice { axis };
            let cache = builder.add(cache, &[parameter, update, start]);
            cache.unwrap_or(parameter)
        }
        2 if ty.dtype.is_arithmetic() => {
            let step = builder.of(&ty);
            parameter - step * 3.0
        }
        _ => builder
            .pick(|other| *other == ty)
            .expect("the parameter itself"),
    }
}
