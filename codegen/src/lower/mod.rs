//! From a scheduled function to Kernel IR: a program of launches over shared buffers.

mod access;
mod assemble;
mod attention;
mod axes;
mod blocks;
mod builder;
mod contraction;
mod empty;
mod error;
mod in_place;
mod left;
pub(crate) mod loops;
mod moves;
mod nest;
mod pack;
mod precision;
mod prepare;
mod rows;
mod sides;

use crate::kernel::Kernel;
use crate::program::Program;
use crate::schedule::{Group, Role, Schedule, Widenings, order, role, schedule};
use access::Blocked;
use axes::Axes;
pub use blocks::{Blocks, Extents};
use bsq_ir::verify::verify;
use bsq_ir::{Function, NodeId, Op, Type};
use builder::{Builder, Shared};
pub use error::LowerError;
pub use precision::Precision;
use std::collections::{BTreeMap, BTreeSet};

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

/// How to lower.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The format of contractions and attention.
    pub precision: Precision,
    pub blocks: Blocks,
}

impl Default for Options {
    /// In f32, for a CPU.
    fn default() -> Self {
        Options {
            precision: Precision::F32,
            blocks: Blocks::CPU,
        }
    }
}

/// Lowers a function, in f32 for a CPU.
///
/// # Errors
/// Those of [`lower_with`].
pub fn lower(function: &Function) -> Result<Program, LowerError> {
    lower_with(function, &Options::default())
}

/// Lowers a function.
///
/// Nodes are fused where their loops suit. Where they turn out not to, nodes get buffers of their
/// own and lowering starts over; in the end each node is a kernel of its own that reads stored
/// operands, and for that there is always a loop.
///
/// # Errors
/// If the function is not well formed; or if there is no loop after all, a mistake of this crate.
pub fn lower_with(function: &Function, options: &Options) -> Result<Program, LowerError> {
    verify(function)?;
    let precision = options.precision;
    let function = empty::without_empty_operands(prepare::prepare(function));
    let function = precision.apply(function);
    let narrow = precision != Precision::F32;
    let late = prepare::computed_again(&function);
    let mut forced: BTreeSet<NodeId> = prepare::outputs_to_copy(&function);
    let mut apart = BTreeSet::new();
    loop {
        let mut schedule = schedule(&function, &forced, narrow);
        let (order, in_place) = order(&function, &schedule, &late, &apart);
        let context = Context {
            in_place: &in_place,
            options,
        };
        let mut kernels = Vec::new();
        let mut blocked = Vec::new();
        for &group in &order {
            if empty::stores_nothing(&function, &schedule.groups[group]) {
                continue;
            }
            match lower_group(&function, &mut schedule, group, &context) {
                Ok(lowered) => kernels.extend(lowered),
                Err(node) => blocked.push((group, node)),
            }
        }
        if blocked.is_empty() {
            match assemble::assemble(&function, kernels, &in_place) {
                Ok(program) => {
                    program.check();
                    return Ok(program);
                }
                Err(values) => apart.extend(values),
            }
            continue;
        }
        let before = forced.len();
        forced.extend(blocked.iter().map(|&(_, node)| node));
        if forced.len() == before {
            let groups = blocked.iter().map(|&(group, _)| &schedule.groups[group]);
            groups.for_each(|group| forced.extend(taken_apart(&function, group)));
        }
        if forced.len() == before {
            return Err(LowerError::no_kernel(&function, blocked[0].1));
        }
    }
}

/// What to store so that each member of a group is a kernel of its own with stored operands.
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

/// The kernels of one group, or the node that needs a buffer of its own first.
fn lower_group(
    function: &Function,
    schedule: &mut Schedule,
    index: usize,
    context: &Context,
) -> Result<Vec<Lowered>, NodeId> {
    let group = schedule.groups[index].clone();
    // Inside its own kernel a node is computed, not loaded.
    for member in &group.stored {
        schedule.stored[member.index()] = false;
    }
    let result = lower_members(
        function,
        &schedule.stored,
        &group,
        &schedule.widened,
        context,
    );
    for member in &group.stored {
        schedule.stored[member.index()] = true;
    }
    result
}

fn lower_members(
    function: &Function,
    stored: &[bool],
    group: &Group,
    widened: &Widenings,
    context: &Context,
) -> Result<Vec<Lowered>, NodeId> {
    let mut axes = Axes::default();
    loop {
        let builder = Builder::new(function, stored, axes.clone());
        let attempt = match group.anchor.map(|anchor| &function.node(anchor).op) {
            None => rows::lower(builder, function, group, &context.options.blocks),
            Some(Op::DotGeneral(_)) => {
                contraction::lower(builder, function, group, widened, &context.options.blocks)
            }
            Some(Op::Attention { .. } | Op::AttentionBackward { .. }) => {
                attention::lower(builder, function, group, context.options)
            }
            Some(_) => moves::lower(builder, function, group, context.in_place),
        };
        match attempt {
            Ok(lowered) => return Ok(lowered),
            Err((Blocked::Store(node), _)) => return Err(node),
            Err((Blocked::Split { var, inner }, tried)) if tried.is_axis(var) => {
                axes = tried.split(var, inner);
            }
            // What counts something else stays whole: the group is taken apart.
            Err((Blocked::Split { .. }, _)) => return Err(group.members[0]),
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

/// What an attempt to lower a group gives: on failure also the axes it used, for the next one.
type Attempt = Result<Vec<Lowered>, (Blocked, Axes)>;
