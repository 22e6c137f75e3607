//! How work is cut for a target: block sizes of contractions and attention.

use crate::kernel::{Format, PANEL};

/// Rows and columns of a contraction's result, and how many results there are.
#[derive(Clone, Copy, Debug)]
pub struct Extents {
    pub batch: usize,
    pub m: usize,
    pub n: usize,
    pub format: Format,
}

/// Block sizes. They decide only when terms are added, never in which order.
#[derive(Clone, Copy, Debug)]
pub struct TilingPolicy {
    /// Most rows and columns of a contraction's block, by its extents.
    pub of_contraction: fn(&Extents) -> (usize, usize),
    /// What blocks' rows are a multiple of.
    pub row_unit: usize,
    /// Results of the largest block.
    pub most_results: usize,
    /// Scores that attention keeps at a time, and the least and most queries that they belong to.
    pub scores: usize,
    pub least_queries: usize,
    pub most_queries: usize,
    /// Whether an lhs whose rows lie side by side is copied block by block, because each
    /// step along a row would touch another cache line.
    pub copies_far_lhs: bool,
    /// Levels of groups of terms, and of rows, in which an lhs that does not step evenly is read where
    /// it is, in a format; one that would need more is copied, or has fewer rows in a block.
    pub lhs_groups: fn(Format) -> [usize; 2],
    /// Whether an lhs may be read backwards.
    pub lhs_backwards: bool,
    /// Whether windows are the lhs of a contraction, also where they are written as the rhs: because
    /// an lhs is read where it is, and a rhs is packed.
    pub windows_as_lhs: bool,
    /// Whether lanes of an epilogue lie along rows where its results do.
    pub lanes_along_rows: bool,
    /// Queries of attention that takes keys block by block and stores no scores, by the format of
    /// its products; `None` for attention by tiles of scores.
    pub online_queries: fn(Format) -> Option<usize>,
    /// Columns of a block of sums down columns, by the terms of each.
    pub columns: fn(usize) -> usize,
    /// Keys and queries of a step of attention's backward pass over blocks of keys; `None` for
    /// one pass over all keys of a point of the batch.
    pub backward_block: Option<usize>,
    /// Rows of a block of attention's backward pass that computes scores where they are used;
    /// `None` for scores in scratch.
    pub backward_tiles: Option<usize>,
}

impl TilingPolicy {
    /// Rows up to which reading the rhs takes all the time.
    pub const FEW_ROWS: usize = 8;

    /// For CPUs.
    pub const CPU: TilingPolicy = TilingPolicy {
        of_contraction: on_cpu,
        row_unit: 24,
        most_results: 96 * 192,
        scores: 65_536,
        least_queries: 8,
        most_queries: 64,
        copies_far_lhs: true,
        lhs_groups: |format| match format {
            Format::F32 | Format::Bf16 => [5; 2],
            _ => [0; 2],
        },
        lhs_backwards: true,
        windows_as_lhs: true,
        lanes_along_rows: true,
        online_queries: |_| None,
        columns: |_| 64,
        backward_block: None,
        backward_tiles: None,
    };

    /// Rows and columns of a contraction's block: of about equal work, whole groups of so many rows.
    pub(super) fn balanced(&self, extents: &Extents, group: usize) -> (usize, usize) {
        let (most, columns) = (self.of_contraction)(extents);
        let rows = match group {
            1 => balanced(extents.m, most, self.row_unit),
            _ => group * balanced(extents.m / group, (most / group).max(1), 1),
        };
        (rows, balanced(extents.n, columns, PANEL))
    }
}

/// A block of the lhs and one of panels fit the second-level cache; rows are a multiple of
/// every microkernel's tile. Few rows take a tile of columns at a time, so that threads share them
/// evenly; a small result, such as one of a single window of a small model, is cut until there is
/// a block for each of some threads.
fn on_cpu(extents: &Extents) -> (usize, usize) {
    const TILE: usize = 48;
    const SOME_BLOCKS: usize = 8;
    // Narrow weights are widened once for all rows of a block.
    let (most_rows, mut columns) = match extents.format {
        Format::Bf16Weights | Format::U8Weights => (192, 2 * TILE),
        _ => (96, 4 * TILE),
    };
    if extents.m <= TilingPolicy::FEW_ROWS {
        return (most_rows, TILE);
    }
    let rows = extents.batch * extents.m.div_ceil(most_rows);
    while columns > TILE && rows * extents.n.div_ceil(columns) < SOME_BLOCKS {
        columns /= 2;
    }
    (most_rows, columns)
}

/// Block sizes of about equal work: a multiple of `unit`, at most `most`.
fn balanced(extent: usize, most: usize, unit: usize) -> usize {
    let blocks = extent.div_ceil(most);
    extent.div_ceil(blocks).next_multiple_of(unit).min(most)
}
