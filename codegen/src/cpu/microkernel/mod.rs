//! Contraction microkernels: the register tiles that generated code calls for a matrix product.
//!
//! Cranelift's vectors are 128 bits wide and its fused multiply-adds move their accumulators, so
//! the innermost part of a contraction is written here with `std::arch`, once per [`Family`] of
//! CPUs. The generated code makes one call per block with a [`ContractArgs`]; the loops over
//! register tiles are inside (`blocks`).
//!
//! **Formats.** What the operands are stored as, and the arithmetic that follows, is a
//! [`Format`]. The rest of this page is about those on f32, on widened
//! weights, and in f16.
//!
//! **Order of accumulation.** Every element of C is accumulated in ascending k, with exactly one
//! fused multiply-add per term, from +0.0 or from the C that is already there. Tiles and cache
//! blocks decide only *when* a term is added. So the result has the same bits for every family,
//! tile, block size and way of cutting m, n or k over several calls. (A NaN is a NaN everywhere;
//! its payload is not promised.)
//!
//! | file | what is in it |
//! |---|---|
//! | `family` | which families there are, which one this CPU gets, `BSQ_CPU` |
//! | `blocks` | the loops over cache blocks and tiles, shared by all families |
//! | `avx512`, `avx2`, `portable` | one register tile each, on f32 and on widened weights |
//! | `gathered` | A whose rows and terms do not step evenly: a convolution's windows |
//! | `avx512_columns` | such an A and few columns: a gradient by pictures of three channels |
//! | `fused`, `doubles` | multiply-adds of `portable`, also where the build has no instruction for them |
//! | `avx512_pairs` | the tiles of `bf16` and `int8` |
//! | `widened`, `widen`, `avx2_pairs` | blocks of narrow sides, widened once; how; the tile for widened bytes |
//! | `microarchitecture` | what CPUs of one family differ in: the table that blocking comes from |
//! | `peak` | the multiply-add rate of one thread, to compare with |

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx2_pairs;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_columns;
#[cfg(target_arch = "x86_64")]
mod avx512_pairs;
mod blocks;
#[cfg(any(test, not(any(target_feature = "fma", target_arch = "aarch64"))))]
mod doubles;
mod family;
mod fused;
mod gathered;
mod microarchitecture;
mod peak;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod widen;
#[cfg(target_arch = "x86_64")]
mod widened;

pub use family::{Family, FamilyError, detect, selected};
pub use gathered::{GatheredArgs, GatheredFn, LEVELS, Level};
pub use peak::fma_peak;

use crate::kernel::Format;

/// Whether this CPU takes terms in bf16 faster than in f32.
pub fn multiplies_bf16_fast() -> bool {
    microarchitecture::Microarchitecture::this().pairs_of_bf16_pay
}

/// Columns in one panel of a packed B: what microkernels have in registers.
pub const PANEL_WIDTH: usize = 16;

// Kernel IR packs panels of as many.
const _: () = assert!(PANEL_WIDTH == crate::kernel::PANEL);

/// Operands of one contraction block, `C[m, n] (+)= A[m, k] * B[k, n]`; types, and how a panel is
/// laid out, depend on the [`Format`].
///
/// Strides count elements, not bytes, and may be negative.
///
/// B is packed in panels of [`PANEL_WIDTH`] columns: panel `j` holds `B[.., 16 j .. 16 j + 16]` as
/// `[k, 16]`, contiguous, and the last panel is padded to its full width (with zeros, by
/// convention; what the padding holds does not reach C). Nothing needs alignment.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ContractArgs {
    /// First element of A.
    pub a: *const u8,
    /// From one row of A to the next.
    pub a_row_stride: isize,
    /// From one k of A to the next; 1 for a row-major A.
    pub a_k_stride: isize,
    /// First panel of B.
    pub b: *const u8,
    /// From one panel of B to the next.
    pub b_panel_stride: isize,
    /// Per-column values (scales or start values), where the format has them.
    pub columns: *const u8,
    /// First element of C, row-major with unit column stride.
    pub c: *mut u8,
    /// From one row of C to the next.
    pub c_row_stride: isize,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of C; need not be a multiple of [`PANEL_WIDTH`].
    pub n: usize,
    /// Terms of each sum; with 0, C is set to its start or left as it is.
    pub k: usize,
    /// 0: sums start from +0.0. Otherwise they start from what C holds.
    pub accumulate: usize,
}

/// A family's contraction, called through a pointer by generated code.
///
/// # Safety
/// - The CPU has the family's instructions ([`Family::contract`] checks this).
/// - Every `A[i, l]` and every row of every panel of B (all 16 columns) can be read, with k rounded
///   up to the format's terms, and the value of each of the n columns.
/// - Every `C[i, j]` with `i < m`, `j < n` can be written (and read, if `accumulate` is set), its
///   rows do not overlap each other, and no part of C overlaps A or B.
///
/// Nothing outside of those elements is read or written.
pub type ContractFn = unsafe extern "C" fn(*const ContractArgs);

/// Formats as parameters of tiles.
const F32: u8 = Format::F32 as u8;
const BF16_WEIGHTS: u8 = Format::Bf16Weights as u8;
const U8_WEIGHTS: u8 = Format::U8Weights as u8;
const BF16: u8 = Format::Bf16 as u8;
const F16: u8 = Format::F16 as u8;
const INT8: u8 = Format::Int8 as u8;

/// The format of a tile's parameter.
const fn format(parameter: u8) -> Format {
    Format::ALL[parameter as usize]
}

/// The format of a parameter of tiles on f32 and on widened weights.
const fn one_term(parameter: u8) -> Format {
    assert!(parameter <= U8_WEIGHTS, "a format with one term at a time");
    format(parameter)
}
