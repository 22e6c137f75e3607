//! What statements touch, by the threads that do: where others must be waited for.

use super::arrays::Arrays;
use super::wide::Wide;
use crate::kernel::{Affine, Element, Place, Stmt, Var, for_each_access};
use std::collections::BTreeSet;

/// Which statements give an index to a lane by its remainder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    vector_loops: bool,
    reductions: bool,
    /// Other loops are run by all lanes in step.
    in_step: bool,
}

impl Lanes {
    pub const NONE: Lanes = Lanes {
        vector_loops: false,
        reductions: false,
        in_step: false,
    };
    /// A block: its other loops may be spread in other ways.
    pub const BLOCK: Lanes = Lanes {
        vector_loops: true,
        ..Lanes::NONE
    };
    /// A group that never waits.
    pub const LOOPS: Lanes = Lanes {
        vector_loops: true,
        reductions: false,
        in_step: true,
    };
    /// A tile of a warp.
    pub const TILE: Lanes = Lanes {
        vector_loops: true,
        reductions: true,
        in_step: true,
    };
}

/// An array, and the element that a lane touches of it, the lane's index being [`LANE`], with how
/// many neighbouring indices a lane takes; `None` if any lane may touch any element.
type Touch = (Place, Option<(Affine, usize)>);

const LANE: Var = Var(u32::MAX);

/// The memory where contractions stage their sides, and where a block's reductions leave partial
/// results.
pub const STAGE: Place = Place::Scratch(u32::MAX);
pub const PARTIALS: Place = Place::Scratch(u32::MAX - 1);

/// Arrays that statements read and write. Arrays that the kernel never writes are left out.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    reads: BTreeSet<Touch>,
    writes: BTreeSet<Touch>,
}

impl Touched {
    pub fn of(arrays: &Arrays, stmts: &[Stmt], lanes: Lanes) -> Touched {
        let mut touched = Touched::default();
        for stmt in stmts {
            touched.add(arrays, stmt, lanes);
        }
        touched
    }

    fn add(&mut self, arrays: &Arrays, stmt: &Stmt, lanes: Lanes) {
        let (var, elements, body) = match stmt {
            Stmt::Loop {
                vector: true,
                var,
                body,
                ..
            } if lanes.vector_loops => {
                let elements = Wide::elements(Wide::of(stmt), *var);
                (*var, elements, &body[..])
            }
            Stmt::Reduce(reduce) if lanes.reductions => (reduce.var, 1, &reduce.body[..]),
            Stmt::Loop {
                vector: false,
                body,
                ..
            } if lanes.in_step => {
                return body.iter().for_each(|stmt| self.add(arrays, stmt, lanes));
            }
            _ => {
                let visit = &mut |element: &Element, access: crate::kernel::Access| {
                    self.touch(arrays, element.place, None, access.written);
                };
                return for_each_access(std::slice::from_ref(stmt), visit);
            }
        };
        for_each_access(body, &mut |element, access| {
            let own = element.dynamic.is_none() && element.at.coefficient(var) != 0;
            let at = || element.at.substitute(var, &Affine::var(LANE));
            let at = own.then(|| (at(), elements));
            self.touch(arrays, element.place, at, access.written);
        });
    }

    fn touch(&mut self, arrays: &Arrays, place: Place, at: Option<(Affine, usize)>, written: bool) {
        if arrays.is_written(place) {
            let place = arrays.memory(place);
            match written {
                true => self.writes.insert((place, at)),
                false => self.reads.insert((place, at)),
            };
        }
    }

    /// With memory that is no array of the kernel, read and written.
    pub fn with(mut self, place: Place) -> Touched {
        self.writes.insert((place, None));
        self
    }

    pub fn written(&self) -> impl Iterator<Item = Place> {
        self.writes.iter().map(|touch| touch.0)
    }

    pub fn touches(&self, place: Place) -> bool {
        let mut all = self.reads.iter().chain(&self.writes);
        all.any(|touch| touch.0 == place)
    }

    pub fn include(&mut self, other: &Touched) {
        self.reads.extend(other.reads.iter().cloned());
        self.writes.extend(other.writes.iter().cloned());
    }

    /// True if running `later` must wait for this: not where each lane comes back to its own
    /// elements.
    pub fn conflicts(&self, later: &Touched) -> bool {
        self.meets(later, |x, y| x.0 == y.0 && (x.1 != y.1 || x.1.is_none()))
    }

    /// As [`conflicts`](Self::conflicts), for `later` in the next iteration of a loop around.
    pub fn conflicts_again(&self, later: &Touched) -> bool {
        self.meets(later, |x, y| x.0 == y.0)
    }

    fn meets(&self, later: &Touched, same: impl Fn(&Touch, &Touch) -> bool) -> bool {
        let meet = |earlier: &BTreeSet<Touch>, later: &BTreeSet<Touch>| {
            earlier.iter().any(|x| later.iter().any(|y| same(x, y)))
        };
        meet(&self.writes, &later.reads)
            || meet(&self.writes, &later.writes)
            || meet(&self.reads, &later.writes)
    }
}
