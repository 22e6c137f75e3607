//! From a scheduled function to Kernel IR: a program of launches over shared buffers.

mod access;
mod assemble;
mod attention;
mod axes;
mod blocks;
mod builder;
mod contraction;
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
use crate::schedule::{Group, Schedule, Widenings, order, schedule};
use access::Blocked;
use axes::Axes;
pub use blocks::{Blocks, Extents};
use bsq_ir::{Function, NodeId, Op, Type};
use builder::{Builder, Shared};
pub use precision::Precision;
use std::collections::BTreeSet;

/// A kernel and the shared arrays that it is launched on.
pub(crate) struct Lowered {
    pub kernel: Kernel,
    pub shared: Vec<Shared>,
    /// Types of arrays that belong to no node.
    pub extras: Vec<(Shared, Type)>,
    pub label: String,
    pub flops: u64,
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

/// Lowers a function, in f32 for a CPU. Every function that verifies can be lowered.
pub fn lower(function: &Function) -> Program {
    lower_with(function, &Options::default())
}

/// Lowers a function.
pub fn lower_with(function: &Function, options: &Options) -> Program {
    let precision = options.precision;
    let function = precision.apply(prepare::prepare(function));
    let narrow = precision != Precision::F32;
    let late = prepare::computed_again(&function);
    let mut forced: BTreeSet<NodeId> = prepare::outputs_to_copy(&function);
    loop {
        let mut schedule = schedule(&function, &forced, narrow);
        let (order, in_place) = order(&function, &schedule, &late);
        let context = Context {
            in_place: &in_place,
            options,
        };
        let mut kernels = Vec::new();
        let mut blocked = BTreeSet::new();
        for &group in &order {
            match lower_group(&function, &mut schedule, group, &context) {
                Ok(lowered) => kernels.extend(lowered),
                Err(node) => {
                    blocked.insert(node);
                }
            }
        }
        if blocked.is_empty() {
            return assemble::assemble(&function, kernels, &in_place);
        }
        let before = forced.len();
        forced.extend(blocked.iter().copied());
        assert!(
            forced.len() > before,
            "no way to lower {}",
            describe(&function, &blocked)
        );
    }
}

/// What lowering a group depends on beside its schedule.
struct Context<'a> {
    /// Values that may take the place of the parameters that they update.
    in_place: &'a BTreeSet<NodeId>,
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
            Err((Blocked::Split { var, inner }, tried)) => axes = tried.split(var, inner),
        }
    }
}

fn describe(function: &Function, nodes: &BTreeSet<NodeId>) -> String {
    let lines = nodes.iter().map(|&id| {
        let node = function.node(id);
        let operands: Vec<String> = node
            .operands
            .iter()
            .map(|&id| {
                format!(
                    "{id} {} {:?}",
                    function.node(id).op.name(),
                    function.node(id).types
                )
            })
            .collect();
        format!("{id} = {:?} of {operands:?}", node.op)
    });
    lines.collect::<Vec<_>>().join("\n")
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
