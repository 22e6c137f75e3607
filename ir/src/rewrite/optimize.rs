//! The whole pass: canonical form, regions, saturation, extraction, and one function again.

use super::canonical::{Builder, canonicalise};
use super::cost::CostModel;
use super::egraph::{Classes, ENode, Facts};
use super::extract::{Extraction, extract};
use super::region::{Partition, Problem, Region, fixed_nodes};
use super::report::Report;
use super::saturate::{Budget, Compiled, RULES, saturate};
use crate::graph::{Function, Graph, NodeId};
use crate::op::{Constant, Family, Op};
use crate::shape::Type;
use crate::verify;
use egg::Id;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

/// How to rewrite.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Use only rules that keep every bit, so that the result equals the reference evaluator's
    /// of the original function. Otherwise sums and products may be reassociated as well, which
    /// [rounds differently](crate::rewrite#what-a-reassociating-rule-may-change), and loses
    /// neither NaN nor infinities.
    pub exact: bool,
    pub budget: Budget,
    pub costs: CostModel,
}

impl Options {
    /// Rules that keep every bit, and no others.
    pub fn exact() -> Self {
        Options {
            exact: true,
            ..Options::default()
        }
    }
}

/// Rewrites a function into an equal one that costs less to run.
///
/// The result depends on the function and the options alone, not on the machine or on time.
pub fn optimize(function: &Function, options: &Options) -> (Function, Report) {
    optimize_with(function, options, &RULES)
}

pub(super) fn optimize_with(
    function: &Function,
    options: &Options,
    rules: &[Compiled],
) -> (Function, Report) {
    let mut report = Report {
        exact: options.exact,
        nodes_before: function.nodes().len(),
        cost_before: cost(function, &options.costs),
        ..Report::default()
    };
    let start = Instant::now();
    let canonical = canonicalise(function);
    verify::check("canonicalise", &canonical);
    report.nodes_canonical = canonical.nodes().len();
    report.times.canonicalise = start.elapsed();

    let now = Instant::now();
    let fixed = fixed_nodes(&canonical);
    let partition = Partition::new(&canonical, &fixed);
    report.regions = partition.regions.len();
    report.times.partition = now.elapsed();

    let mut solved: HashMap<&Problem, Rc<Solution>> = HashMap::new();
    let mut solutions = Vec::with_capacity(partition.regions.len());
    for region in &partition.regions {
        if let Some(solution) = solved.get(&region.problem) {
            report.regions_reused += 1;
            solutions.push(Rc::clone(solution));
            continue;
        }
        let solution = solve(&canonical, &region.problem, options, rules, &mut report);
        let solution = Rc::new(solution);
        solved.insert(&region.problem, Rc::clone(&solution));
        solutions.push(solution);
    }

    let now = Instant::now();
    let stitched = loop {
        match stitch(&canonical, &fixed, &partition, &solutions) {
            Ok(function) => break function,
            Err(region) => {
                let warning = "the results of regions wait for each other: one is left as it was";
                report.warnings.push(warning.to_string());
                let problem = &partition.regions[region].problem;
                solutions[region] = Rc::new(Solution::unchanged(problem));
            }
        }
    };
    verify::check("optimize", &stitched);
    report.times.stitch = now.elapsed();

    report.nodes_after = stitched.nodes().len();
    report.cost_after = cost(&stitched, &options.costs);
    for node in stitched.nodes() {
        if node.op.family() == Family::Fused {
            *report.found.entry(node.op.name()).or_default() += 1;
        }
    }
    report.times.total = start.elapsed();
    (stitched, report)
}

/// Seconds for a whole function.
pub fn cost(function: &Function, costs: &CostModel) -> f64 {
    let of = |node: &crate::graph::Node| {
        let types = |id: &NodeId| &function.node(*id).types[..];
        let operands: Vec<&[Type]> = node.operands.iter().map(types).collect();
        costs.of(&node.op, &operands, &node.types)
    };
    function.nodes().iter().map(of).sum()
}

/// What replaces the nodes of a region.
struct Solution {
    /// Place (in the problem) of the node that each one stands for, op, operands in this list.
    nodes: Vec<(usize, Op, Vec<usize>)>,
    outputs: Vec<usize>,
}

impl Solution {
    fn unchanged(problem: &Problem) -> Self {
        let nodes = problem.nodes.iter().enumerate();
        let nodes = nodes.map(|(place, (op, operands))| (place, op.clone(), operands.to_vec()));
        Solution {
            nodes: nodes.collect(),
            outputs: problem.outputs.clone(),
        }
    }

    /// Nodes that rules made take their place from what reads them.
    fn new(extraction: Extraction, places: &HashMap<Id, usize>) -> Self {
        let mut origin = vec![usize::MAX; extraction.nodes.len()];
        for (index, (class, _, operands)) in extraction.nodes.iter().enumerate().rev() {
            if let Some(&place) = places.get(class) {
                origin[index] = place;
            }
            for &operand in operands {
                origin[operand] = origin[operand].min(origin[index]);
            }
        }
        let outputs = extraction.roots;
        let nodes = extraction.nodes.into_iter().zip(origin);
        let nodes = nodes.map(|((_, op, operands), place)| (place, op, operands));
        Solution {
            nodes: nodes.collect(),
            outputs,
        }
    }
}

/// The e-graph of a problem, and the class of each of its nodes.
pub(super) fn load(function: &Function, problem: &Problem) -> (Classes, Vec<Id>) {
    let constant = |&(number, id): &(usize, NodeId)| match &function.node(id).op {
        Op::Constant(constant) => (number.to_string(), constant.clone()),
        op => unreachable!("{} is no constant", op.name()),
    };
    let constants: HashMap<String, Constant> = problem.constants.iter().map(constant).collect();
    let mut classes = Classes::new(Facts {
        constants,
        ..Facts::default()
    });
    let mut ids: Vec<Id> = Vec::with_capacity(problem.nodes.len());
    for (op, operands) in &problem.nodes {
        let operands: Vec<Id> = operands.iter().map(|&place| ids[place]).collect();
        ids.push(classes.add(ENode::new(op.clone(), &operands)));
    }
    classes.rebuild();
    (classes, ids)
}

fn solve(
    function: &Function,
    problem: &Problem,
    options: &Options,
    rules: &[Compiled],
    report: &mut Report,
) -> Solution {
    let now = Instant::now();
    let (mut classes, ids) = load(function, problem);
    let done = saturate(&mut classes, rules, options.exact, &options.budget);
    report.times.saturate += now.elapsed();
    for (name, count) in done.fired {
        *report.fired.entry(name).or_default() += count;
    }
    report.e_nodes += done.nodes;
    report.rounds = report.rounds.max(done.rounds);
    if !done.complete {
        report.warnings.push(format!(
            "a region of {} nodes spent its budget after {} rounds and {} e-nodes: more may be found",
            problem.nodes.len(),
            done.rounds,
            done.nodes
        ));
    }
    let now = Instant::now();
    let order: Vec<Id> = ids.iter().map(|&id| classes.find(id)).collect();
    let roots: Vec<Id> = problem.outputs.iter().map(|&place| order[place]).collect();
    let extraction = extract(&classes, &roots, &order, &options.costs);
    report.times.extract += now.elapsed();
    let mut places: HashMap<Id, usize> = HashMap::new();
    for (place, &id) in order.iter().enumerate() {
        places.entry(id).or_insert(place);
    }
    Solution::new(extraction, &places)
}

/// A value that is asked for: a node of the function, or one of a region's solution.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Value {
    Original(NodeId),
    Solved(usize, usize),
}

struct Stitcher<'a> {
    function: &'a Function,
    fixed: &'a [bool],
    partition: &'a Partition,
    solutions: &'a [Rc<Solution>],
    graph: Graph,
    /// Values so far; `None` while what they need is being made.
    made: HashMap<Value, Option<NodeId>>,
}

/// One function of all solutions, node by node: regions read each other's results in turn. `Err`
/// is a region whose results need themselves.
fn stitch(
    function: &Function,
    fixed: &[bool],
    partition: &Partition,
    solutions: &[Rc<Solution>],
) -> Result<Function, usize> {
    let mut stitcher = Stitcher {
        function,
        fixed,
        partition,
        solutions,
        graph: Graph::new(),
        made: HashMap::new(),
    };
    // In the order of the function, which keeps what is made near to what needs it.
    let mut new: HashMap<NodeId, NodeId> = HashMap::new();
    for (id, node) in function.iter() {
        let leaf = matches!(node.op, Op::Input { .. } | Op::Parameter { .. });
        if leaf || partition.outputs.contains_key(&id) {
            new.insert(id, stitcher.make(Value::Original(id))?);
        }
    }
    for root in function.roots() {
        new.insert(root, stitcher.make(Value::Original(root))?);
    }
    let outputs = function
        .outputs()
        .iter()
        .map(|(name, id)| (name.as_str(), new[id]));
    let updates = function
        .updates()
        .iter()
        .map(|(to, from)| (new[to], new[from]));
    Ok(stitcher.graph.function(outputs, updates))
}

impl Stitcher<'_> {
    fn make(&mut self, value: Value) -> Result<NodeId, usize> {
        let mut stack = vec![value];
        while let Some(&value) = stack.last() {
            if let Some(Some(_)) = self.made.get(&value) {
                stack.pop();
                continue;
            }
            let needs = self.needs(value);
            let missing: Vec<Value> = needs
                .iter()
                .copied()
                .filter(|need| !matches!(self.made.get(need), Some(Some(_))))
                .collect();
            if missing.is_empty() {
                let operands: Vec<NodeId> = needs
                    .iter()
                    .map(|need| self.made[need].expect("nothing is missing"))
                    .collect();
                let id = self.build(value, &operands);
                self.made.insert(value, Some(id));
                stack.pop();
                continue;
            }
            self.made.insert(value, None);
            for &need in missing.iter().rev() {
                if self.made.contains_key(&need) {
                    return Err(self.region_of(need));
                }
                stack.push(need);
            }
        }
        Ok(self.made[&value].expect("made above"))
    }

    fn region_of(&self, value: Value) -> usize {
        match value {
            Value::Original(id) => self.partition.outputs[&id].0,
            Value::Solved(region, _) => region,
        }
    }

    fn needs(&self, value: Value) -> Vec<Value> {
        match value {
            Value::Original(id) => match self.partition.outputs.get(&id) {
                Some(&(region, output)) => {
                    vec![Value::Solved(
                        region,
                        self.solutions[region].outputs[output],
                    )]
                }
                None => {
                    let operands = &self.function.node(id).operands;
                    operands.iter().map(|&id| Value::Original(id)).collect()
                }
            },
            Value::Solved(region, place) => {
                let (_, op, operands) = &self.solutions[region].nodes[place];
                match self.input(region, op) {
                    Some(id) => vec![Value::Original(id)],
                    None => operands
                        .iter()
                        .map(|&place| Value::Solved(region, place))
                        .collect(),
                }
            }
        }
    }

    /// The node behind an input of a region.
    fn input(&self, region: usize, op: &Op) -> Option<NodeId> {
        let Op::Input { name, .. } = op else {
            return None;
        };
        let number: usize = name.parse().expect("inputs of regions are numbered");
        Some(self.partition.regions[region].inputs[number])
    }

    fn build(&self, value: Value, operands: &[NodeId]) -> NodeId {
        let (origin, op) = match value {
            Value::Original(id) => {
                if self.partition.outputs.contains_key(&id) {
                    return operands[0];
                }
                let node = self.function.node(id);
                let leaf = matches!(node.op, Op::Input { .. } | Op::Parameter { .. });
                debug_assert!(
                    leaf || self.fixed[id.index()],
                    "{} has no region",
                    node.op.name()
                );
                (node, &node.op)
            }
            Value::Solved(region, place) => {
                let (origin, op, _) = &self.solutions[region].nodes[place];
                if self.input(region, op).is_some() {
                    return operands[0];
                }
                let region: &Region = &self.partition.regions[region];
                (self.function.node(region.origins[*origin]), op)
            }
        };
        let graph = &self.graph;
        Builder { graph, origin }.build(op, operands)
    }
}
