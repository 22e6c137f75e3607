//! An update that ranks share: each computes the new values of some parameters, and keeps the optimizer's
//! state of those alone.

use super::Halves;
use bsq_ir::graph::Function;
use bsq_ir::{Graph, NodeId, Op};
use std::collections::BTreeMap;

/// The share of one rank in the update of a step.
#[derive(Clone, Debug)]
pub struct Shard {
    /// Like [`Halves::update`], but of what the rank owns and of what all ranks update alike.
    pub update: Function,
    /// Who owns what: parameters, their averages and the optimizer's state of them. What is not here all
    /// ranks have.
    pub owners: BTreeMap<String, usize>,
}

impl Halves {
    /// The share of `rank` of `size` ranks. What belongs to one parameter has one owner, and owners have
    /// about the same number of elements.
    pub fn shard(&self, rank: usize, size: usize) -> Shard {
        let updates = self.update.updates().iter();
        let updates = updates.map(|&(old, _)| (parameter_name(&self.update, old), old));
        let mut elements: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, old) in updates {
            if let Some(parameter) = self.serves.get(name) {
                let count: usize = self.update.node(old).shape().iter().product();
                *elements.entry(parameter).or_default() += count;
            }
        }
        let of_parameters = owners(elements, size);
        let owner = |(name, parameter): (&String, &String)| {
            let owner = of_parameters.get(parameter.as_str())?;
            Some((name.clone(), *owner))
        };
        let owners: BTreeMap<String, usize> = self.serves.iter().filter_map(owner).collect();
        let is_here = |name: &str| owners.get(name).is_none_or(|&owner| owner == rank);
        Shard {
            update: some_updates(&self.update, is_here),
            owners,
        }
    }
}

/// Who has which parameter: the largest first, each to whoever has least.
fn owners(elements: BTreeMap<&str, usize>, size: usize) -> BTreeMap<&str, usize> {
    let mut largest_first: Vec<(&str, usize)> = elements.into_iter().collect();
    largest_first.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let mut loads = vec![0; size];
    let give = |(name, count)| {
        let ranks = loads.iter_mut().enumerate();
        let (rank, load) = ranks
            .min_by_key(|(rank, load)| (**load, *rank))
            .expect("a rank");
        *load += count;
        (name, rank)
    };
    largest_first.into_iter().map(give).collect()
}

/// The function with its outputs and those of its updates that are of chosen parameters.
fn some_updates(function: &Function, is_chosen: impl Fn(&str) -> bool) -> Function {
    let graph = Graph::new();
    let mut new: Vec<NodeId> = Vec::with_capacity(function.nodes().len());
    for (_, node) in function.iter() {
        let operands: Vec<NodeId> = node.operands.iter().map(|id| new[id.index()]).collect();
        let added = graph.add_like(node.op.clone(), &operands, node);
        new.push(added.expect("a node of a function"));
    }
    let updates = function.updates().iter();
    let chosen = updates.filter(|(old, _)| is_chosen(parameter_name(function, *old)));
    let chosen: Vec<_> = chosen
        .map(|&(old, value)| (new[old.index()], new[value.index()]))
        .collect();
    let outputs = function.outputs().iter();
    graph.function(
        outputs.map(|(name, id)| (name.as_str(), new[id.index()])),
        chosen,
    )
}

fn parameter_name(function: &Function, id: NodeId) -> &str {
    match &function.node(id).op {
        Op::Parameter { name, .. } => name,
        op => panic!(
            "an update is of a parameter, not of the result of {}",
            op.name()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizer::{AdamW, adamw};
    use bsq_ir::{DType, Scope};

    fn names(function: &Function) -> Vec<&str> {
        let updates = function.updates().iter();
        updates
            .map(|&(old, _)| parameter_name(function, old))
            .collect()
    }

    #[test]
    fn every_tensor_has_one_owner_and_owners_have_equal_loads() {
        let g = Graph::new();
        let scope = Scope::root(&g);
        let x = g.input("x", DType::F32, [4, 6]);
        let loss = x
            .linear(&scope / "a", 5)
            .linear(&scope / "b", 4)
            .square()
            .mean(..);
        let step = adamw(loss, &scope.parameters(), &AdamW::new(g.scalar("lr"))).with_average(0.9);
        let halves = step.halves();
        let all = names(&halves.update);
        let shards: Vec<Shard> = (0..2).map(|rank| halves.shard(rank, 2)).collect();
        for name in &all {
            let having = (0..2).filter(|&rank| names(&shards[rank].update).contains(name));
            let having: Vec<usize> = having.collect();
            match shards[0].owners.get(*name) {
                Some(owner) => assert_eq!(having, [*owner], "{name}"),
                None => assert_eq!(having, [0, 1], "{name}"),
            }
        }
        // A parameter, its average, and two tensors of AdamW go together: 30 and 5 elements of each, 20
        // and 4.
        let of = |name: &str| shards[0].owners[name];
        for name in ["a.weight", "a.bias", "b.weight", "b.bias"] {
            for prefix in ["ema", "adamw.exp_avg", "adamw.exp_avg_sq"] {
                assert_eq!(of(&format!("{prefix}.{name}")), of(name));
            }
        }
        assert_eq!(of("a.weight"), 0);
        assert!(["b.weight", "a.bias"].iter().all(|name| of(name) == 1));
        // What all parameters share is everybody's.
        assert!(all.iter().any(|name| !shards[0].owners.contains_key(*name)));
        assert!(halves.shard(0, 1).update == halves.update);
    }
}
