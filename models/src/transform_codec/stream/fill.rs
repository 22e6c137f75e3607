//! What a damaged strip is filled with: the colours of the nearest row of the strip beside it.

use super::strips::Strips;
use crate::transform_codec::{Part, PartKind, PartLevels};
use std::ops::Range;

/// A row of the coarsest part, which has the colours, beside a strip that is lost.
pub(super) struct Neighbour(PartLevels);

impl Neighbour {
    /// The last row of a strip, for those below it.
    pub fn last_of(levels: &[PartLevels]) -> Neighbour {
        let rows = levels[0].rows;
        Neighbour::of(levels, rows - 1..rows)
    }

    /// The first row of a strip, for those above it.
    pub fn first_of(levels: &[PartLevels]) -> Neighbour {
        Neighbour::of(levels, 0..1)
    }

    fn of(levels: &[PartLevels], row: Range<usize>) -> Neighbour {
        Neighbour(levels[0].rows_range(row))
    }
}

/// Levels of a strip: the neighbour's row again and again, and nothing finer; all zero without one.
pub(super) fn filled(
    parts: &[Part],
    strips: &Strips,
    strip: usize,
    neighbour: Option<&Neighbour>,
) -> Vec<PartLevels> {
    let of_part = |part: &Part| {
        let patch = part.kind.patch();
        let rows = strips.rows(strip).len() / patch;
        PartLevels::zeros(rows, strips.padded[1] / patch, part.context.coordinates)
    };
    let mut levels: Vec<PartLevels> = parts.iter().map(of_part).collect();
    if let (Some(Neighbour(row)), PartKind::Coarse) = (neighbour, parts[0].kind) {
        for own in levels[0].levels.chunks_exact_mut(row.levels.len()) {
            own.copy_from_slice(&row.levels);
        }
    }
    levels
}
