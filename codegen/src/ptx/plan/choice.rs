//! Which block size a contraction gets: the one that a multiprocessor should be through first.
//!
//! The busiest multiprocessor has `ceil(blocks / multiprocessors)` blocks. A block costs the
//! instructions of its tile, or the reading of its operands from the second-level cache; where
//! registers and shared memory leave room for few blocks at a time, waiting for copies and barriers is
//! hidden less. The device is a constant, so that every machine builds the same program.

use super::super::devices::{A5000, REGISTERS_PER_SM};
use super::tiling::{Tiling, Unit};
use crate::kernel::Format;
use crate::lower::{Extents, TilingPolicy};

const MULTIPROCESSORS: usize = A5000.multiprocessors as usize;
const REGISTERS: usize = REGISTERS_PER_SM as usize;
const SHARED: usize = A5000.shared_per_sm as usize;
const THREADS: usize = A5000.threads_per_sm as usize;
/// Bytes that a multiprocessor gets from the second-level cache in a cycle if all read at once, and
/// lanes for which it starts an instruction.
const CACHE_BYTES: usize = 18;
const LANES: usize = 128;
/// What waiting adds to a block's time if it runs alone, in parts of 16.
const WAITING: usize = 6;

/// Rows and columns to choose from.
const SIZES: [(usize, usize); 5] = [(128, 128), (64, 128), (128, 64), (64, 64), (32, 128)];
/// Columns of a block of few rows: many blocks, as reading the rhs takes all the time.
const FEW_ROWS: (usize, usize) = (16, 16);

/// The block size on the FMA units for f32, on the tensor cores for what is narrower.
pub fn block(extents: &Extents) -> (usize, usize) {
    choose(
        extents,
        matches!(extents.format, Format::Bf16 | Format::F16 | Format::Int8),
    )
}

/// The block size where f32 is rounded to tf32.
pub fn block_tf32(extents: &Extents) -> (usize, usize) {
    let widened = matches!(extents.format, Format::Bf16Weights | Format::U8Weights);
    choose(extents, !widened)
}

fn choose(extents: &Extents, tensor: bool) -> (usize, usize) {
    if extents.m <= TilingPolicy::FEW_ROWS {
        return FEW_ROWS;
    }
    // The FMA units have no tile that is worth a block of 128 x 128.
    let sizes = SIZES
        .into_iter()
        .filter(|size| tensor || size.0 * size.1 < 128 * 128);
    let best = sizes.min_by_key(|&size| time(extents, tensor, size));
    best.expect("there are sizes")
}

/// The time of the busiest multiprocessor, in units that only compare.
fn time(extents: &Extents, tensor: bool, (rows, columns): (usize, usize)) -> usize {
    let (m, n) = (extents.m.min(rows), extents.n.min(columns));
    let threads = Tiling::threads_of(tensor, (m, n));
    let tiling = Tiling::of(extents.format, tensor, (m, n), threads);
    let blocks = extents.batch * extents.m.div_ceil(rows) * extents.n.div_ceil(columns);
    let busiest = blocks.div_ceil(MULTIPROCESSORS);
    let together = resident(&tiling, (m, n), threads as usize).min(busiest);
    let tiles = m.div_ceil(tiling.rows()) * n.div_ceil(tiling.columns());
    let reads = (tiling.rows() + tiling.columns()) * tiling.step_bytes() * LANES / CACHE_BYTES;
    let work = (tiling.work() * threads as usize).max(reads);
    busiest * tiles * work * (16 + WAITING.div_ceil(together)) / 16
}

/// Blocks that a multiprocessor runs at a time.
fn resident(tiling: &Tiling, (m, n): (usize, usize), threads: usize) -> usize {
    let shared = tiling.stage_bytes().max(4 * m * n) + 1024;
    let of_registers = REGISTERS / (tiling.registers() * threads);
    of_registers
        .min(SHARED / shared)
        .min(THREADS / threads)
        .max(1)
}

impl Tiling {
    /// Bytes of a row or a column that a step takes.
    fn step_bytes(&self) -> usize {
        match self.unit {
            Unit::Ffma { .. } => self.format.a().size(),
            Unit::Tensor { .. } => 32,
        }
    }

    /// Registers of a thread: sums, what a step loads, and addresses.
    fn registers(&self) -> usize {
        match self.unit {
            Unit::Ffma { tm, tn, .. } => tm * tn + 4 * tm + tn + 48,
            Unit::Tensor { mt, nt, .. } => 8 * mt * nt + 4 * mt + 4 * nt + 48,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extents(batch: usize, m: usize, n: usize, format: Format) -> Extents {
        Extents {
            batch,
            m,
            n,
            format,
        }
    }

    #[test]
    fn large_contractions_get_large_tiles() {
        assert_eq!(block(&extents(1, 8192, 3072, Format::Bf16)), (128, 128));
        let (rows, columns) = block(&extents(1, 8192, 3072, Format::F32));
        assert_eq!(rows * columns, 64 * 128);
    }

    #[test]
    fn few_blocks_are_made_smaller_until_all_multiprocessors_work() {
        let small = extents(1, 256, 768, Format::Bf16);
        let (rows, columns) = block(&small);
        assert!(rows * columns < 128 * 128, "{rows} x {columns}");
        assert_eq!(block(&extents(1, 1, 768, Format::F32)), FEW_ROWS);
    }
}
