//! The AVX2 tile on pairs of 16-bit integers: what bytes are widened to.
//!
//! `vpmaddubsw` would multiply bytes directly, but it saturates its sums of two products to 16
//! bits; `vpmaddwd` on widened bytes is exact, so that this family has the same results as
//! `vpdpbusd`.

use std::arch::x86_64::{
    _mm256_add_epi32, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_set1_epi32, _mm256_setzero_si256,
};
use std::array::from_fn;
use std::hint::black_box;

use super::avx2::{LANES, load, store};
use super::blocks::{self, Layout, Tile, TileFn, Tiles};
use super::{ContractArgs, PANEL_WIDTH};

struct Pairs;

impl Tiles for Pairs {
    const LAYOUT: Layout = Layout {
        terms: 2,
        a_size: size_of::<i16>(),
        b_size: size_of::<i16>(),
    };
    const ROWS: usize = 6;
    const K_BLOCK: usize = 1024;

    fn panels(_rows: usize) -> usize {
        1
    }

    fn tile(rows: usize, _panels: usize) -> TileFn {
        const TABLE: [TileFn; 6] = [
            tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>,
        ];
        TABLE[rows - 1]
    }
}

/// `C[m, n] (+)= A[m, k] * B[k, n]` of 16-bit integers, with pairs of terms side by side in both,
/// and sums of 32 bits. They start from each column's start value, or from C.
///
/// # Safety
/// Those of [`super::ContractFn`] for these types; the CPU has AVX2.
pub(super) unsafe extern "C" fn contract(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Pairs>(&*args) }
}

/// # Safety
/// Those of [`contract`] for a tile of `ROWS` rows and one panel.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const ROWS: usize>(tile: &Tile) {
    /// Bytes of a step of a panel.
    const STEP: usize = 4 * PANEL_WIDTH;
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    for (row, sums) in sums.iter_mut().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        let start = if tile.reload { c } else { tile.own };
        for (half, sum) in sums.iter_mut().enumerate() {
            // SAFETY: only the tile's columns are loaded, of C or of what they have.
            *sum = _mm256_castps_si256(unsafe { load(start, tile.columns, half) });
        }
    }

    // As in the tile on f32.
    let rows: [isize; ROWS] = black_box(from_fn(|row| row as isize * tile.a_row_stride));
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.steps {
        // SAFETY: a panel is readable over its full width for every step.
        let b_row: [_; 2] =
            from_fn(|half| unsafe { _mm256_loadu_si256(b.wrapping_add(half * LANES * 4).cast()) });
        for (&row, sums) in rows.iter().zip(&mut sums) {
            let a = a.wrapping_offset(row).cast::<i32>();
            // SAFETY: the row is one of ROWS, and A is readable to a multiple of a step.
            let a = _mm256_set1_epi32(unsafe { a.read_unaligned() });
            for (sum, &b) in sums.iter_mut().zip(&b_row) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(a, b));
            }
        }
        a = a.wrapping_offset(tile.a_step_stride);
        b = b.wrapping_add(STEP);
    }

    for (row, sums) in sums.iter().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        for (half, &sum) in sums.iter().enumerate() {
            // SAFETY: only columns of C are stored.
            unsafe { store(c, tile.columns, half, _mm256_castsi256_ps(sum)) };
        }
    }
}
