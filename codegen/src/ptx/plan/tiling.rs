//! The shape of a contraction's tile, chosen by what it costs.

use super::super::Options;
use crate::kernel::{Contract, Format, PANEL};
use std::fmt;

/// Threads of a block that contracts, and of one with a large tile on the tensor cores.
const THREADS: u32 = 128;
const MANY_THREADS: u32 = 256;
/// Least rows and columns of a contraction whose block has many threads.
const LARGE: usize = 128;
/// Bytes of a row of the lhs in one slab on the tensor cores: two steps of 32.
pub const TENSOR_ROW: usize = 64;
/// Bytes between rows of 64: an odd number of 16-byte words, so that eight rows fall into
/// different banks.
pub const PADDED_ROW: usize = TENSOR_ROW + 16;
/// Words between rows of a staged panel on the tensor cores: 8 more than a multiple of 32 after
/// three rows, so that the four rows of a fragment fall into different banks.
pub const TENSOR_PANEL_ROW: usize = 24;

/// Terms of a slab for few rows.
const LONG_SLAB: usize = 64;

/// What multiplies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A thread has `tm x tn` results; `ty x tx` threads.
    Ffma {
        ty: usize,
        tx: usize,
        tm: usize,
        tn: usize,
        slab: usize,
    },
    /// A warp has `mt x nt` fragments of 16 x 16; `wy x wx` warps.
    Tensor {
        wy: usize,
        wx: usize,
        mt: usize,
        nt: usize,
    },
}

/// A tile of the result and the slabs it is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    pub format: Format,
    pub unit: Unit,
    /// Buffers of staged slabs.
    pub stages: usize,
}

impl Tiling {
    /// The tile for a block of so many threads.
    pub fn new(contract: &Contract, options: &Options, threads: u32) -> Tiling {
        let tensor = on_tensor_cores(contract, options);
        let (m, n) = (contract.m.largest(), contract.n.largest());
        Tiling::of(contract.format, tensor, (m, n), threads)
    }

    /// The tile for a block of `m` rows and `n` columns.
    pub fn of(format: Format, tensor: bool, (m, n): (usize, usize), threads: u32) -> Tiling {
        let (m, n) = (m.max(1), n.max(1));
        let candidates = match (tensor, threads) {
            (true, MANY_THREADS) => vec![LARGE_TENSOR],
            (true, _) => tensor_units(),
            (false, _) => ffma_units(),
        };
        let tiling = |unit: Unit| Tiling {
            format,
            stages: stages(&unit),
            unit,
        };
        let cost = |tiling: &Tiling| {
            let tiles = m.div_ceil(tiling.rows()) * n.div_ceil(tiling.columns());
            tiles * tiling.work()
        };
        let best = candidates.into_iter().map(tiling).min_by_key(cost);
        best.expect("there are tilings")
    }

    /// Threads of a block that runs these contractions.
    pub fn threads(contracts: &[&Contract], options: &Options) -> u32 {
        match contracts {
            [contract] if on_tensor_cores(contract, options) => {
                Tiling::threads_of(true, (contract.m.largest(), contract.n.largest()))
            }
            _ => THREADS,
        }
    }

    /// Threads of a block with one contraction.
    pub fn threads_of(tensor: bool, (m, n): (usize, usize)) -> u32 {
        match tensor && m >= LARGE && n >= LARGE {
            true => MANY_THREADS,
            false => THREADS,
        }
    }

    pub fn rows(&self) -> usize {
        match self.unit {
            Unit::Ffma { ty, tm, .. } => ty * tm,
            Unit::Tensor { wy, mt, .. } => wy * mt * 16,
        }
    }

    pub fn columns(&self) -> usize {
        match self.unit {
            Unit::Ffma { tx, tn, .. } => tx * tn,
            Unit::Tensor { wx, nt, .. } => wx * nt * 16,
        }
    }

    /// Instructions of a thread for a step of one term, or of 32 bytes on the tensor cores, whose
    /// instructions take 16 cycles each: about.
    pub fn work(&self) -> usize {
        match self.unit {
            // Per term: multiplications, and loads from shared memory at a quarter of their rate.
            Unit::Ffma { tm, tn, .. } => tm * tn + 2 * (tm + tn),
            Unit::Tensor { mt, nt, .. } => 32 * mt * nt + 2 * (mt + nt),
        }
    }

    /// Terms of a slab.
    pub fn slab(&self) -> usize {
        match self.unit {
            Unit::Ffma { slab, .. } => slab,
            Unit::Tensor { .. } => TENSOR_ROW / self.format.a().size(),
        }
    }

    /// Bytes from one staged row of the lhs to the next.
    pub fn a_pitch(&self) -> usize {
        match self.unit {
            Unit::Ffma { slab, .. } => 4 * slab + 16,
            Unit::Tensor { .. } => PADDED_ROW,
        }
    }

    /// Rows of a staged panel, bytes of one in memory, bytes to the next row and the next panel.
    pub fn panel(&self) -> (usize, usize, usize, usize) {
        let size = self.format.b().size();
        match self.unit {
            Unit::Ffma { slab, .. } => {
                let row = PANEL * size;
                (slab, row, row, slab * row + row)
            }
            Unit::Tensor { .. } => {
                let (rows, pitch) = (TENSOR_ROW / 4, 4 * TENSOR_PANEL_ROW);
                (rows, 4 * PANEL, pitch, rows * pitch)
            }
        }
    }

    pub fn panels(&self) -> usize {
        self.columns().div_ceil(PANEL)
    }

    pub fn a_bytes(&self) -> usize {
        (self.rows() * self.a_pitch()).next_multiple_of(64)
    }

    /// Bytes of one buffer, and of all.
    pub fn buffer_bytes(&self) -> usize {
        (self.a_bytes() + self.panels() * self.panel().3).next_multiple_of(64)
    }

    pub fn stage_bytes(&self) -> usize {
        self.stages * self.buffer_bytes()
    }
}

/// Buffers: more where a block is by itself on its multiprocessor, or waits for memory only.
fn stages(unit: &Unit) -> usize {
    match unit {
        Unit::Ffma {
            slab: LONG_SLAB, ..
        } => 3,
        unit if *unit == LARGE_TENSOR => 3,
        _ => 2,
    }
}

fn on_tensor_cores(contract: &Contract, options: &Options) -> bool {
    match contract.format {
        Format::Bf16 | Format::F16 | Format::Int8 => true,
        // The tensor cores round the operands to 10 bits of mantissa.
        Format::F32 => options.tf32 && !contract.accumulate,
        Format::Bf16Weights | Format::U8Weights => false,
    }
}

/// 128 x 128.
const LARGE_TENSOR: Unit = Unit::Tensor {
    wy: 2,
    wx: 4,
    mt: 4,
    nt: 2,
};

fn ffma_units() -> Vec<Unit> {
    let unit = |(ty, tx, tm, tn, slab)| Unit::Ffma {
        ty,
        tx,
        tm,
        tn,
        slab,
    };
    let shapes = [
        (8, 16, 8, 8, 16),
        (8, 16, 8, 4, 16),
        // Few rows read the rhs once: long slabs keep much of it on its way.
        (8, 16, 1, 1, LONG_SLAB),
        (16, 8, 8, 8, 16),
        (4, 32, 8, 4, 16),
        (4, 32, 4, 8, 8),
        (8, 16, 2, 4, 16),
        (4, 32, 2, 4, 16),
        (1, 128, 8, 1, 16),
        (1, 128, 4, 1, 16),
        (1, 128, 1, 1, 16),
        (4, 32, 2, 1, 16),
        (16, 8, 4, 4, 16),
        (32, 4, 2, 4, 16),
        (16, 8, 1, 4, 16),
    ];
    shapes.map(unit).into()
}

fn tensor_units() -> Vec<Unit> {
    let unit = |(wy, wx, mt, nt)| Unit::Tensor { wy, wx, mt, nt };
    let shapes = [
        (2, 2, 2, 4),
        (2, 2, 2, 2),
        (4, 1, 2, 4),
        (2, 2, 1, 4),
        (1, 4, 1, 4),
        (1, 4, 1, 2),
        (1, 4, 1, 1),
        (4, 1, 1, 2),
    ];
    shapes.map(unit).into()
}

impl fmt::Display for Tiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, columns, slab) = (self.rows(), self.columns(), self.slab());
        write!(f, "{rows} x {columns}, slabs of {slab}, ")?;
        match self.unit {
            Unit::Ffma { tm, tn, .. } => write!(f, "{tm} x {tn} results a thread"),
            Unit::Tensor { mt, nt, .. } => write!(f, "{} x {} results a warp", 16 * mt, 16 * nt),
        }
    }
}
