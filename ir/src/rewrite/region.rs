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

/// A region of more nodes is cut into parts, in the order of the function: a search takes time
/// and memory that grow faster than what it searches. A model of so many nodes is better built in
/// regions, which keep a block's forward and backward pass together.
const MOST_NODES: usize = 8192;

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

/// Larger expressions of constants are not copied into the regions that read them.
const MOST_FIXED: usize = 1024;

/// Values that depend on nothing but constants, and not on many.
pub fn fixed_nodes(function: &Function) -> Vec<bool> {
    // The size of each node's expression, written out; one that is too large stays so.
    let mut sizes: Vec<usize> = Vec::with_capacity(function.nodes().len());
    for node in function.nodes() {
        let leaf = matches!(node.op, Op::Constant(_) | Op::Iota { .. });
        let plain = !matches!(node.op.family(), Family::Fused | Family::Projection);
        let operands = node.operands.iter().map(|id| sizes[id.index()]);
        sizes.push(match plain && !node.operands.is_empty() {
            true => operands.fold(1, usize::saturating_add),
            false if leaf => 1,
            false => usize::MAX,
        });
    }
    sizes.into_iter().map(|size| size <= MOST_FIXED).collect()
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
            if !is_leaf(function, id) && !fixed[id.index()] {
                members.entry(tags[id.index()]).or_default().push(id);
            }
        }
        let (parts, part_of) = parts(function, members.values());
        for (id, node) in function.iter() {
            for operand in &node.operands {
                is_output[operand.index()] |= part_of[operand.index()] != part_of[id.index()];
            }
        }
        let mut partition = Partition {
            regions: Vec::with_capacity(parts.len()),
            outputs: HashMap::new(),
        };
        for members in &parts {
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

/// Regions in parts of at most [`MOST_NODES`], to which the results of their ops are added, and
/// the part of each node; leaves and fixed values have none.
fn parts<'m>(
    function: &Function,
    regions: impl Iterator<Item = &'m Vec<NodeId>>,
) -> (Vec<Vec<NodeId>>, Vec<usize>) {
    let mut parts: Vec<Vec<NodeId>> = Vec::new();
    let mut part_of = vec![usize::MAX; function.nodes().len()];
    for members in regions {
        parts.push(Vec::new());
        for &id in members {
            let node = function.node(id);
            let last = parts.len() - 1;
            let part = match node.op {
                Op::Projection(_) => part_of[node.operands[0].index()],
                _ if parts[last].len() < MOST_NODES => last,
                _ => {
                    parts.push(Vec::new());
                    last + 1
                }
            };
            part_of[id.index()] = part;
            parts[part].push(id);
        }
    }
    (parts, part_of)
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
        // Nodes that wait for their operands, with the number of operands that are placed.
        let mut waiting = vec![(id, 0)];
        while let Some((id, placed)) = waiting.pop() {
            let node = self.function.node(id);
            match node.operands.get(placed) {
                Some(&operand) => {
                    waiting.push((id, placed + 1));
                    if self.places.contains_key(&operand) {
                        continue;
                    }
                    match self.is_copied(operand) {
                        true => waiting.push((operand, 0)),
                        false => self.input(operand),
                    }
                }
                None => {
                    let operands = node.operands.iter().map(|operand| self.places[operand]);
                    let operands = operands.collect();
                    self.push(id, node.op.clone(), operands);
                }
            }
        }
    }

    fn is_copied(&self, id: NodeId) -> bool {
        let large =
            matches!(&self.function.node(id).op, Op::Constant(constant) if is_large(constant));
        self.fixed[id.index()] && !large
    }

    fn input(&mut self, id: NodeId) {
        let node = self.function.node(id);
        let number = self.region.inputs.len();
        self.region.inputs.push(id);
        if self.fixed[id.index()] {
            self.region.problem.constants.push((number, id));
        }
        let (name, ty) = (number.to_string(), node.ty().clone());
        self.push(id, Op::Input { name, ty }, SmallVec::new());
    }

    fn push(&mut self, id: NodeId, op: Op, operands: SmallVec<[usize; 3]>) {
        self.places.insert(id, self.region.origins.len());
        self.region.problem.nodes.push((op, operands));
        self.region.origins.push(id);
    }
}
