//! Which updates take their parameter's memory: the hazards of writing over what is still read.

use super::Lowered;
use super::builder::Shared;
use crate::kernel::Place;

/// True if `new` may lie where `old` does: once it is written, no launch reads `old` any more, and
/// the kernel that writes it reads each element of `old` before it writes that element of `new`.
pub(super) fn may_replace(launches: &[Lowered], old: Shared, new: Shared) -> bool {
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
