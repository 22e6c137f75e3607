//! How often a loop runs.

use super::{Affine, Var};
use std::fmt;

/// The number of iterations of a loop.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    Static(usize),
    /// `min(size, limit - start)`: the rest of a blocked axis. `start < limit` always holds.
    Block {
        size: usize,
        start: Affine,
        limit: usize,
    },
    /// The part of such a block of keys that the query `at` sees under a block-causal mask: `min(size,
    /// limit - start, end - start)` where `end = (at / mask_block + 1) * mask_block`, or 0 where the
    /// block starts at `end` or behind it. `at` is not negative.
    Visible {
        at: Affine,
        mask_block: usize,
        size: usize,
        start: Affine,
        limit: usize,
    },
}

impl Extent {
    /// Of one of the blocks of `size` that an axis of `limit` is cut into, from `start` on.
    pub fn block(size: usize, start: Affine, limit: usize) -> Extent {
        match limit.is_multiple_of(size) {
            true => Extent::Static(size),
            false => Extent::Block { size, start, limit },
        }
    }

    /// What the query `at` sees of such a block of keys.
    pub fn visible(
        (at, mask_block): (Affine, usize),
        size: usize,
        start: Affine,
        limit: usize,
    ) -> Extent {
        if mask_block >= limit {
            return Extent::block(size, start, limit);
        }
        Extent::Visible {
            at,
            mask_block,
            size,
            start,
            limit,
        }
    }

    /// The most iterations there can be.
    pub fn largest(&self) -> usize {
        match self {
            Extent::Static(extent) => *extent,
            Extent::Block { size, limit, .. } | Extent::Visible { size, limit, .. } => {
                *size.min(limit)
            }
        }
    }

    /// Whether there may be no iteration.
    pub fn may_be_empty(&self) -> bool {
        match self {
            // Every query sees the first key.
            Extent::Visible { start, .. } if *start != Affine::default() => true,
            extent => extent.largest() == 0,
        }
    }

    /// A number that divides the number of iterations, whatever it is; 0 if there are none.
    pub fn divisor(&self) -> usize {
        let (size, start, limit) = match self {
            Extent::Static(extent) => return *extent,
            Extent::Block { size, start, limit } => (*size, start, *limit),
            Extent::Visible {
                mask_block,
                size,
                start,
                limit,
                ..
            } => (gcd(*size, *mask_block), start, *limit),
        };
        let factors = start.terms.iter().map(|term| term.1);
        let factors = factors.chain([start.constant]);
        let factors = factors.map(|factor| factor.unsigned_abs() as usize);
        factors.chain([limit]).fold(size, gcd)
    }

    /// The same without a mask: never fewer iterations.
    pub fn unmasked(&self) -> Extent {
        match self.clone() {
            Extent::Visible {
                size, start, limit, ..
            } => Extent::block(size, start, limit),
            extent => extent,
        }
    }

    /// The number of iterations where each variable has the value that `at` gives.
    pub fn evaluate(&self, value: impl Fn(Var) -> i64) -> usize {
        let block = |size: usize, start: &Affine, limit: usize| {
            (size as i64).min(limit as i64 - start.evaluate(&value))
        };
        match self {
            Extent::Static(extent) => *extent,
            Extent::Block { size, start, limit } => block(*size, start, *limit) as usize,
            Extent::Visible {
                at,
                mask_block,
                size,
                start,
                limit,
            } => {
                let mask_block = *mask_block as i64;
                let end = (at.evaluate(&value) / mask_block + 1) * mask_block;
                let seen = end - start.evaluate(&value);
                block(*size, start, *limit).min(seen).max(0) as usize
            }
        }
    }

    /// The index expressions in it.
    pub fn indices(&self) -> impl Iterator<Item = &Affine> {
        let (first, second) = match self {
            Extent::Static(_) => (None, None),
            Extent::Block { start, .. } => (Some(start), None),
            Extent::Visible { at, start, .. } => (Some(at), Some(start)),
        };
        first.into_iter().chain(second)
    }

    pub fn indices_mut(&mut self) -> impl Iterator<Item = &mut Affine> {
        let (first, second) = match self {
            Extent::Static(_) => (None, None),
            Extent::Block { start, .. } => (Some(start), None),
            Extent::Visible { at, start, .. } => (Some(at), Some(start)),
        };
        first.into_iter().chain(second)
    }
}

pub(crate) fn gcd(x: usize, y: usize) -> usize {
    if y == 0 { x } else { gcd(y, x % y) }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Extent::Static(extent) => write!(f, "{extent}"),
            Extent::Block { size, start, limit } => write!(f, "min({size}, {limit} - ({start}))"),
            Extent::Visible {
                at,
                mask_block,
                size,
                start,
                limit,
            } => write!(
                f,
                "visible({at}, {mask_block}, min({size}, {limit} - ({start})))"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries of tiles of 4 and keys in blocks of 6, of 20 in all, under a mask of blocks of 8.
    fn visible() -> Extent {
        let at = Affine::var(Var(0)).scale(4);
        Extent::visible((at, 8), 6, Affine::var(Var(1)).scale(6), 20)
    }

    #[test]
    fn a_query_sees_a_block_of_keys_up_to_the_end_of_its_own_block() {
        let of = |tile, block| visible().evaluate(|var| [tile, block][var.0 as usize]);
        let seen = |tile| [0, 1, 2, 3].map(|block| of(tile, block));
        assert_eq!(seen(0), [6, 2, 0, 0]);
        assert_eq!(seen(1), seen(0));
        assert_eq!(seen(2), [6, 6, 4, 0]);
        assert_eq!(seen(4), [6, 6, 6, 2], "up to the last key");
    }

    #[test]
    fn what_is_known_of_all_iterations() {
        let seen = visible();
        assert_eq!((seen.largest(), seen.divisor()), (6, 2));
        assert!(seen.may_be_empty());
        assert_eq!(
            seen.unmasked(),
            Extent::block(6, Affine::var(Var(1)).scale(6), 20)
        );
        let whole = Extent::visible((Affine::var(Var(0)), 16), 48, Affine::default(), 48);
        assert_eq!(whole.divisor(), 16);
        assert!(!whole.may_be_empty());
        let none = Extent::visible((Affine::var(Var(0)), 48), 48, Affine::default(), 48);
        assert_eq!(none, Extent::Static(48), "one block is no mask");
    }
}
