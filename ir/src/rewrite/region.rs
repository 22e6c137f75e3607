//! Regions: the parts of a function that are rewritten by themselves.
//!
//! A region holds all nodes with one tag, such as a transformer block and its backward pass. What
//! it reads from elsewhere are its inputs, what others read of it its outputs. Two regions that
//! are equal once their nodes are numbered alike are one problem with one solution. Values that
//! depend on no input, such as masks, are copied into every region that reads them, so that rules
//! see what they are.

use crate::graph::{Function, NodeId};
use crate::op::{Constant, Family, Op};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};

/// Constants of more bytes are inputs of a region: rules may look at them, nothing copies them.
const LARGE_CONSTANT: usize = 4096;

/// The numbered form of a region: equal problems have equal solutions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// Ops with the places of their operands in this list. Inputs are [`Op::Input`], named by
    /// their number.
    pub nodes: Vec<(Op, SmallVec<[usize; 3]>)>,
    /// Inputs that are constants: number and node of the function.
    pub constants: Vec<(usize, NodeId)>,
    /// Places of the nodes that others read.
    pub outputs: Vec<usize>,
}

/// A problem, and where it occurs.
#[derive(Clone, Debug)]
pub struct Region {
    pub problem: Problem,
    /// For each place: the node of the function.
    pub origins: Vec<NodeId>,
    /// For each input: the node of the function.
    pub inputs: Vec<NodeId>,
}

/// A function in regions.
pub struct Partition {
    pub regions: Vec<Region>,
    /// For each node that is the output of a region: the region, and which output.
    pub outputs: HashMap<NodeId, (usize, usize)>,
}

/// A value that depends on nothing but constants.
pub fn fixed_nodes(function: &Function) -> Vec<bool> {
    let mut fixed: Vec<bool> = Vec::with_capacity(function.nodes().len());
    for node in function.nodes() {
        let leaf = matches!(node.op, Op::Constant(_) | Op::Iota { .. });
        let plain = !matches!(node.op.family(), Family::Fused | Family::Projection);
        let below = plain && !node.operands.is_empty();
        fixed.push(leaf || (below && node.operands.iter().all(|id| fixed[id.index()])));
    }
    fixed
}

pub fn is_large(constant: &Constant) -> bool {
    constant
        .dense_elements()
        .is_some_and(|bytes| bytes.len() > LARGE_CONSTANT)
}

fn is_leaf(function: &Function, id: NodeId) -> bool {
    let op = &function.node(id).op;
    matches!(op, Op::Input { .. } | Op::Parameter { .. })
}

impl Partition {
    pub fn new(function: &Function, fixed: &[bool]) -> Self {
        let nodes = function.nodes();
        let mut tags = vec![0; nodes.len()];
        let mut members: BTreeMap<u32, Vec<NodeId>> = BTreeMap::new();
        let mut is_output = vec![false; nodes.len()];
        for root in function.roots() {
            is_output[root.index()] = true;
        }
        for (id, node) in function.iter() {
            // Results stay with their op.
            let inner = |id: &NodeId| !is_leaf(function, *id) && !fixed[id.index()];
            let of = |id: &NodeId| tags[id.index()];
            tags[id.index()] = match (&node.op, &node.operands[..]) {
                // Results stay with their op.
                (Op::Projection(_), [tuple]) => of(tuple),
                // A gradient is added up in the region that makes the value, but its terms, which
                // rules look at together, come from the one that reads the value.
                (Op::Add | Op::Sub, [x, y]) if inner(x) && inner(y) && of(x) == of(y) => of(x),
                _ => node.region.0,
            };
            for operand in &node.operands {
                let inside = tags[operand.index()] == tags[id.index()];
                is_output[operand.index()] |= !inside;
            }
            if !is_leaf(function, id) && !fixed[id.index()] {
                members.entry(tags[id.index()]).or_default().push(id);
            }
        }
        let mut partition = Partition {
            regions: Vec::with_capacity(members.len()),
            outputs: HashMap::new(),
        };
        for members in members.values() {
            let mut loader = Loader::new(function, fixed);
            for &id in members {
                loader.place(id);
            }
            for &id in members.iter().filter(|id| is_output[id.index()]) {
                let output = loader.region.problem.outputs.len();
                loader.region.problem.outputs.push(loader.places[&id]);
                partition
                    .outputs
                    .insert(id, (partition.regions.len(), output));
            }
            partition.regions.push(loader.region);
        }
        partition
    }
}

struct Loader<'f> {
    function: &'f Function,
    fixed: &'f [bool],
    places: HashMap<NodeId, usize>,
    region: Region,
}

impl<'f> Loader<'f> {
    fn new(function: &'f Function, fixed: &'f [bool]) -> Self {
        let problem = Problem {
            nodes: Vec::new(),
            constants: Vec::new(),
            outputs: Vec::new(),
        };
        Loader {
            function,
            fixed,
            places: HashMap::new(),
            region: Region {
                problem,
                origins: Vec::new(),
                inputs: Vec::new(),
            },
        }
    }

    /// Adds a member of the region; its operands become members already placed, copies of fixed
    /// values, or inputs.
    fn place(&mut self, id: NodeId) {
        let node = self.function.node(id);
        let mut operands: SmallVec<[usize; 3]> = SmallVec::new();
        for &operand in &node.operands {
            operands.push(self.operand(operand));
        }
        self.push(id, node.op.clone(), operands);
    }

    fn operand(&mut self, id: NodeId) -> usize {
        if let Some(&place) = self.places.get(&id) {
            return place;
        }
        let node = self.function.node(id);
        let constant = match &node.op {
            Op::Constant(constant) => is_large(constant),
            _ => false,
        };
        if self.fixed[id.index()] && !constant {
            self.place(id);
        } else {
            let number = self.region.inputs.len();
            self.region.inputs.push(id);
            if constant {
                self.region.problem.constants.push((number, id));
            }
            let (name, ty) = (number.to_string(), node.ty().clone());
            self.push(id, Op::Input { name, ty }, SmallVec::new());
        }
        self.places[&id]
    }

    fn push(&mut self, id: NodeId, op: Op, operands: SmallVec<[usize; 3]>) {
        self.places.insert(id, self.region.origins.len());
        self.region.problem.nodes.push((op, operands));
        self.region.origins.push(id);
    }
}
