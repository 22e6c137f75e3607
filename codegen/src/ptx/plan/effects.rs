//! What statements touch, by the threads that do: where others must be waited for.
//!
//! Which lane touches what depends on how this target gives iterations to lanes, and on how many it
//! takes together; so this is no part of Kernel IR.

use super::aliases::Aliases;
use super::vector_access::VectorAccess;
use crate::kernel::{Affine, Element, LoopKind, Place, Stmt, Var, for_each_access};
use std::collections::BTreeSet;

/// Which statements give an index to a lane by its remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneMapping {
    vector_loops: bool,
    reductions: bool,
    /// Other loops are run by all lanes in step.
    in_step: bool,
}

impl LaneMapping {
    pub const NONE: LaneMapping = LaneMapping {
        vector_loops: false,
        reductions: false,
        in_step: false,
    };
    /// A block: its other loops may be spread in other ways.
    pub const BLOCK: LaneMapping = LaneMapping {
        vector_loops: true,
        ..LaneMapping::NONE
    };
    /// A group that never waits.
    pub const LOOPS: LaneMapping = LaneMapping {
        vector_loops: true,
        reductions: false,
        in_step: true,
    };
    /// A tile of a warp.
    pub const TILE: LaneMapping = LaneMapping {
        vector_loops: true,
        reductions: true,
        in_step: true,
    };
}

/// An array, and the element that a lane touches of it, the lane's index being [`LANE`], with how
/// many neighbouring indices a lane takes; `None` if any lane may touch any element.
type Effect = (Place, Option<(Affine, usize)>);

const LANE: Var = Var(u32::MAX);

/// The memory where contractions stage their operands, and where a block's reductions leave partial
/// results.
pub const STAGE: Place = Place::Scratch(u32::MAX);
pub const PARTIALS: Place = Place::Scratch(u32::MAX - 1);

/// Arrays that statements read and write. Arrays that the kernel never writes are left out.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    reads: BTreeSet<Effect>,
    writes: BTreeSet<Effect>,
}

impl Effects {
    pub fn of(aliases: &Aliases, stmts: &[Stmt], lanes: LaneMapping) -> Effects {
        let mut effects = Effects::default();
        for stmt in stmts {
            effects.add(aliases, stmt, lanes);
        }
        effects
    }

    fn add(&mut self, aliases: &Aliases, stmt: &Stmt, lanes: LaneMapping) {
        let (var, elements, body) = match stmt {
            Stmt::Loop {
                kind: LoopKind::Vector,
                var,
                body,
                ..
            } if lanes.vector_loops => {
                let elements = VectorAccess::elements(VectorAccess::of(stmt), *var);
                (*var, elements, &body[..])
            }
            Stmt::Reduce(reduce) if lanes.reductions => (reduce.var, 1, &reduce.body[..]),
            Stmt::Loop {
                kind: LoopKind::Serial | LoopKind::Parallel,
                body,
                ..
            } if lanes.in_step => {
                return body.iter().for_each(|stmt| self.add(aliases, stmt, lanes));
            }
            _ => {
                let visit = &mut |element: &Element, access: crate::kernel::Access| {
                    self.add_element(aliases, element.place, None, access.written);
                };
                return for_each_access(std::slice::from_ref(stmt), visit);
            }
        };
        for_each_access(body, &mut |element, access| {
            let own = element.dynamic.is_none() && element.at.coefficient(var) != 0;
            let at = || element.at.substitute(var, &Affine::var(LANE));
            let at = own.then(|| (at(), elements));
            self.add_element(aliases, element.place, at, access.written);
        });
    }

    fn add_element(
        &mut self,
        aliases: &Aliases,
        place: Place,
        at: Option<(Affine, usize)>,
        written: bool,
    ) {
        if aliases.is_written(place) {
            let place = aliases.memory(place);
            match written {
                true => self.writes.insert((place, at)),
                false => self.reads.insert((place, at)),
            };
        }
    }

    /// With memory that is no array of the kernel, read and written.
    pub fn with(mut self, place: Place) -> Effects {
        self.writes.insert((place, None));
        self
    }

    pub fn touches(&self, place: Place) -> bool {
        let mut all = self.reads.iter().chain(&self.writes);
        all.any(|effect| effect.0 == place)
    }

    pub fn include(&mut self, other: &Effects) {
        self.reads.extend(other.reads.iter().cloned());
        self.writes.extend(other.writes.iter().cloned());
    }

    /// True if running `later` must wait for this: not where each lane comes back to its own
    /// elements.
    pub fn conflicts(&self, later: &Effects) -> bool {
        self.meets(later, |x, y| x.0 == y.0 && (x.1 != y.1 || x.1.is_none()))
    }

    /// As [`conflicts`](Self::conflicts), for `later` in the next iteration of a loop around.
    pub fn conflicts_again(&self, later: &Effects) -> bool {
        self.meets(later, |x, y| x.0 == y.0)
    }

    fn meets(&self, later: &Effects, same: impl Fn(&Effect, &Effect) -> bool) -> bool {
        let meet = |earlier: &BTreeSet<Effect>, later: &BTreeSet<Effect>| {
            earlier.iter().any(|x| later.iter().any(|y| same(x, y)))
        };
        meet(&self.writes, &later.reads)
            || meet(&self.writes, &later.writes)
            || meet(&self.reads, &later.writes)
    }
}
