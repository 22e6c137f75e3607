//! Which updates take their parameter's memory: the hazards of writing over what is still read.

use super::builder::{Shared, shared_of};
use super::{Lowered, Lowering};
use crate::kernel::Place;
use bsq_ir::{Function, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Values that lie where a parameter does, and that parameter.
pub(crate) struct InPlace(pub BTreeMap<NodeId, NodeId>);

/// Values that a kernel took for updates in place and that are not.
pub(crate) struct Apart(pub BTreeSet<NodeId>);

/// Of the `candidates` (values, and the parameters that they replace) those that may lie where the
/// parameter does.
pub(crate) fn in_place(
    function: &Function,
    kernels: &Lowering,
    candidates: &BTreeMap<NodeId, NodeId>,
) -> Result<InPlace, Apart> {
    let mut proven = BTreeMap::new();
    let mut apart = BTreeSet::new();
    for (&value, &parameter) in candidates {
        let (old, new) = (Shared::Result(parameter, 0), shared_of(function, value));
        if may_replace(&kernels.0, old, new) {
            proven.insert(value, parameter);
        } else if kernels.0.iter().any(|launch| launch.rest == Some(old)) {
            apart.insert(value);
        }
    }
    match apart.is_empty() {
        true => Ok(InPlace(proven)),
        false => Err(Apart(apart)),
    }
}

impl fmt::Display for InPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = self.0.iter();
        values.try_for_each(|(value, parameter)| writeln!(f, "{value} replaces {parameter}"))
    }
}

impl fmt::Display for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = self.0.iter();
        values.try_for_each(|value| writeln!(f, "# {value} is not in place: start over"))
    }
}

/// True if `new` may lie where `old` does: once it is written, no launch reads `old` any more, and
/// the kernel that writes it reads each element of `old` before it writes that element of `new`.
fn may_replace(launches: &[Lowered], old: Shared, new: Shared) -> bool {
    let Some(first) = launches.iter().position(|launch| launch.writes(new)) else {
        return false;
    };
    let mut later = launches[first + 1..].iter();
    !later.any(|launch| launch.place(old).is_some()) && reads_first(&launches[first], old, new)
}

/// True if a kernel reads an element of `old` only where it writes the same of `new`, and before.
fn reads_first(lowered: &Lowered, old: Shared, new: Shared) -> bool {
    match (lowered.place(old), lowered.place(new)) {
        (None, _) => true,
        (Some(old), Some(new)) => crate::kernel::reads_first(&lowered.kernel, old, new),
        (Some(_), None) => false,
    }
}

impl Lowered {
    /// Where the kernel finds a shared array.
    fn place(&self, shared: Shared) -> Option<Place> {
        let position = self.shared.iter().position(|&known| known == shared);
        position.map(|position| Place::Buffer(position as u32))
    }

    fn writes(&self, shared: Shared) -> bool {
        let place = self.place(shared);
        place.is_some_and(|place| self.kernel.array(place).written)
    }
}
