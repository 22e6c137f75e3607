//! A schedule as text: the function's nodes by group.

use super::{Group, Order, Schedule};
use bsq_ir::text::print_node;
use bsq_ir::{Function, NodeId};
use std::collections::BTreeMap;
use std::fmt;

/// A function's nodes in groups, and the order of the groups if that is known.
pub struct Groups<'f> {
    pub function: &'f Function,
    pub schedule: Schedule,
    pub order: Order,
}

impl<'f> Groups<'f> {
    /// Not in order: results first, as they are found.
    pub fn new(function: &'f Function, schedule: Schedule) -> Self {
        let order = Order {
            groups: (0..schedule.groups.len()).collect(),
            in_place: BTreeMap::new(),
        };
        Groups {
            function,
            schedule,
            order,
        }
    }

    /// In the order that `order` finds.
    pub fn ordered(self, order: impl FnOnce(&Function, &Schedule) -> Order) -> Self {
        let order = order(self.function, &self.schedule);
        Groups { order, ..self }
    }

    fn group(&self, f: &mut fmt::Formatter<'_>, position: usize) -> fmt::Result {
        let Group {
            members,
            anchor,
            materialized,
        } = &self.schedule.groups[position];
        match anchor {
            Some(anchor) => writeln!(f, "group {position}, the loops of {anchor}")?,
            None => writeln!(f, "group {position}")?,
        }
        for &id in members {
            writeln!(f, "  {}", print_node(id, self.function.node(id)))?;
        }
        let materialized: Vec<String> = materialized.iter().map(NodeId::to_string).collect();
        match materialized.is_empty() {
            true => Ok(()),
            false => writeln!(f, "  stores {}", materialized.join(", ")),
        }
    }
}

/// What no group computes, then the groups in order:
///
/// ```text
/// %0 = input "x" : f32[4,8]
/// %1 = parameter "w" : f32[8,8]
/// group 0, the loops of %2
///   %2 = dot_general %0, %1 batch=[] contract=[(1,0)] : f32[4,8]
///   %3 = tanh %2 : f32[4,8]
///   stores %3
/// ```
impl fmt::Display for Groups<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grouped = vec![false; self.function.nodes().len()];
        let members = self.schedule.groups.iter().flat_map(|group| &group.members);
        members.for_each(|id| grouped[id.index()] = true);
        let others = self.function.iter();
        for (id, node) in others.filter(|(id, _)| !grouped[id.index()]) {
            write!(f, "{}", print_node(id, node))?;
            match self.schedule.widened.view_of(id) {
                Some(narrow) => writeln!(f, "  # read as {narrow}")?,
                None => writeln!(f)?,
            }
        }
        let mut groups = self.order.groups.iter();
        groups.try_for_each(|&position| self.group(f, position))?;
        let mut replaced = self.order.in_place.iter();
        replaced.try_for_each(|(value, parameter)| writeln!(f, "{value} may replace {parameter}"))
    }
}
