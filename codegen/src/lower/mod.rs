//! From a scheduled function to Kernel IR: a program of launches over shared buffers.

mod access;
mod assemble;
mod attention;
mod axes;
mod builder;
mod contraction;
mod data_movement;
mod empty;
mod error;
mod in_place;
mod lhs;
mod loop_nest;
pub(crate) mod loops;
mod mixed;
mod operand_formats;
mod pack;
mod precision;
mod prepare;
mod recompute;
mod stored;
mod tiling;
mod windows;

use crate::kernel::Kernel;
use crate::kernel::dependence::mark_parallel;
use crate::schedule::{Group, Groups, Role, Widenings, role};
use access::Obstacle;
pub(crate) use assemble::assemble;
use axes::Axes;
use bsq_ir::{Function, NodeId, Op, Type};
use builder::{KernelBuilder, Shared};
pub(crate) use empty::without_empty_operands;
pub use error::LowerError;
pub(crate) use in_place::{Apart, in_place};
pub use precision::Precision;
pub(crate) use prepare::{prepare, rematerialized};
pub(crate) use recompute::{Part, parts, recompute};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
pub(crate) use stored::stored;
pub use tiling::{Extents, TilingPolicy};

/// A kernel and the shared arrays that it is launched on.
pub(crate) struct Lowered {
    pub kernel: Kernel,
    pub shared: Vec<Shared>,
    /// Types of arrays that belong to no node.
    pub extras: Vec<(Shared, Type)>,
    pub label: String,
    pub flops: u64,
    /// What must be in the result's place before: the kernel writes a part of it only.
    pub rest: Option<Shared>,
}

/// The arrays' names are a comment: what follows it parses as Kernel IR.
impl fmt::Display for Lowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}", self.label)?;
        for (index, shared) in self.shared.iter().enumerate() {
            let separator = if index == 0 { "# on" } else { "," };
            write!(f, "{separator} b{index} = {shared}")?;
        }
        if let Some(rest) = self.rest {
            write!(f, "; the rest of the result is {rest}")?;
        }
        write!(f, "\n{}", self.kernel)
    }
}

impl fmt::Display for Lowering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kernels = self.0.iter();
        kernels.try_for_each(|kernel| writeln!(f, "{kernel}"))
    }
}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut obstacles = self.0.iter();
        obstacles.try_for_each(|(group, node)| {
            writeln!(f, "# group {group} needs {node} materialized: start over")
        })
    }
}

/// How to lower.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The format of contractions and attention.
    pub precision: Precision,
    /// Whether the target multiplies pairs of bf16 faster than f32: if not, only weights are in bf16 where that is
    /// asked for, and attention is in f32. Trainings in bf16 save memory with it, and are as they are.
    pub narrow_activations: bool,
    pub tiling: TilingPolicy,
    /// The most bytes that the program may need: activations are computed again instead of being kept where
    /// it would need more.
    pub memory: Option<usize>,
}

impl Default for Options {
    /// In f32, for a CPU.
    fn default() -> Self {
        Options {
            precision: Precision::F32,
            narrow_activations: true,
            tiling: TilingPolicy::CPU,
            memory: None,
        }
    }
}

/// What attempts at lowering have found out; the next one starts with it. In the end each node is
/// a separate kernel that reads materialized operands, and for that there is always a loop.
pub(crate) struct Findings {
    /// Nodes that get buffers whatever the scheduler's rules say.
    pub materialized: BTreeSet<NodeId>,
    /// Values that do not take their parameter's place.
    pub apart: BTreeSet<NodeId>,
}

/// Groups, by their positions in the schedule, and the node of each that needs a buffer first.
pub(crate) struct Obstacles(Vec<(usize, NodeId)>);

/// Kernels in the order in which they are launched.
pub(crate) struct Lowering(pub Vec<Lowered>);

impl Findings {
    pub fn new(function: &Function) -> Self {
        let mut materialized = prepare::outputs_to_copy(function);
        materialized.extend(stored::for_later(function));
        Findings {
            materialized,
            apart: BTreeSet::new(),
        }
    }

    /// Materializes the nodes in the way; where they are already, takes their groups apart.
    ///
    /// # Errors
    /// If all of that has been done before: there is no kernel for the first of the nodes.
    pub fn store(&mut self, groups: &Groups, obstacles: &Obstacles) -> Result<(), LowerError> {
        let Groups {
            function, schedule, ..
        } = groups;
        let before = self.materialized.len();
        self.materialized
            .extend(obstacles.0.iter().map(|&(_, node)| node));
        if self.materialized.len() == before {
            let groups = obstacles.0.iter().map(|&(at, _)| &schedule.groups[at]);
            groups.for_each(|group| self.materialized.extend(taken_apart(function, group)));
        }
        match self.materialized.len() == before {
            true => Err(LowerError::no_kernel(function, obstacles.0[0].1)),
            false => Ok(()),
        }
    }

    /// Values that are not to take their parameter's place.
    pub fn keep_apart(&mut self, values: Apart) {
        self.apart.extend(values.0);
    }
}

/// The kernels of all groups, in order, or what is in the way of some.
pub(crate) fn lower(groups: &Groups, options: &Options) -> Result<Lowering, Obstacles> {
    let Groups {
        function,
        schedule,
        order,
    } = groups;
    let context = Context {
        in_place: &order.in_place,
        options,
    };
    let mut materialized = schedule.materialized.clone();
    let mut kernels = Vec::new();
    let mut obstacles = Vec::new();
    for &index in &order.groups {
        let group = &schedule.groups[index];
        if empty::stores_nothing(function, group) {
            continue;
        }
        // Inside its own kernel a node is computed, not loaded.
        group
            .materialized
            .iter()
            .for_each(|id| materialized[id.index()] = false);
        match lower_group(function, &materialized, group, &schedule.widened, &context) {
            Ok(mut lowered) => {
                let new = lowered.iter_mut().map(|lowered| &mut lowered.kernel);
                new.for_each(mark_parallel);
                kernels.extend(lowered);
            }
            Err(node) => obstacles.push((index, node)),
        }
        group
            .materialized
            .iter()
            .for_each(|id| materialized[id.index()] = true);
    }
    match obstacles.is_empty() {
        true => Ok(Lowering(kernels)),
        false => Err(Obstacles(obstacles)),
    }
}

/// What to materialize so that each member of a group is a kernel whose operands are in memory.
fn taken_apart(function: &Function, group: &Group) -> Vec<NodeId> {
    let members = group.members.iter();
    let nodes = members.flat_map(|&id| function.node(id).operands.iter().copied().chain([id]));
    nodes
        .filter(|&id| !matches!(role(&function.node(id).op), Role::Leaf | Role::Projection))
        .collect()
}

/// What lowering a group depends on beside its schedule.
struct Context<'a> {
    /// Values that may take the place of parameters, and which.
    in_place: &'a BTreeMap<NodeId, NodeId>,
    options: &'a Options,
}

/// The kernels of one group, or the node that has to be materialized first.
fn lower_group(
    function: &Function,
    materialized: &[bool],
    group: &Group,
    widened: &Widenings,
    context: &Context,
) -> Result<Vec<Lowered>, NodeId> {
    let mut axes = Axes::default();
    loop {
        let builder = KernelBuilder::new(function, materialized, axes.clone());
        let attempt = match group.anchor.map(|anchor| &function.node(anchor).op) {
            None => loop_nest::lower(builder, function, group, &context.options.tiling),
            Some(Op::DotGeneral(_)) => {
                contraction::lower(builder, function, group, widened, &context.options.tiling)
            }
            Some(Op::Attention { .. } | Op::AttentionBackward { .. }) => {
                attention::lower(builder, function, group, widened, context.options)
            }
            Some(_) => data_movement::lower(builder, function, group, context.in_place),
        };
        match attempt {
            Ok(lowered) => return Ok(lowered),
            Err((Obstacle::Materialize(node), _)) => return Err(node),
            Err((Obstacle::Split { var, inner }, tried)) if tried.is_axis(var) => {
                axes = tried.split(var, inner);
            }
            // What counts something else stays whole: the group is taken apart.
            Err((Obstacle::Split { .. }, _)) => return Err(group.members[0]),
        }
    }
}

/// What a kernel computes, for reports: the ops of its nodes, the root last.
fn label(function: &Function, members: &[NodeId]) -> String {
    let names: Vec<&str> = members
        .iter()
        .map(|&id| function.node(id).op.name())
        .collect();
    let shown = match names.len() {
        0..=6 => names.join(" "),
        count => format!(
            "{} .. {} ({count} ops)",
            names[..3].join(" "),
            names[count - 1]
        ),
    };
    let root = members.last().expect("a group has members");
    format!("{root} {shown}")
}

/// What an attempt at lowering gives: on failure also the axes it used, for the next one.
type Attempt<T = Vec<Lowered>> = Result<T, (Obstacle, Axes)>;
