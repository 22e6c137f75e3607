//! The AVX2 tile: 6 rows x 1 panel in 12 of the 16 registers.

use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_cmpgt_epi32, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setr_epi32, _mm256_setzero_ps, _mm256_storeu_ps,
};
use std::array::from_fn;
use std::hint::black_box;

use super::blocks::{self, Tile, TileFn, Tiles};
use super::{ContractArgs, PANEL_WIDTH};

struct Avx2;

/// Columns in one register.
const LANES: usize = 8;

/// How many terms of k ahead a panel is fetched. So narrow a tile reads its panel from the
/// second-level cache faster than the hardware prefetcher alone delivers (measured on Zen 4:
/// 0.83 of peak without, 0.91 with, at k = 3072).
const PREFETCH: usize = 32;

impl Tiles for Avx2 {
    const ROWS: usize = 6;
    const PANELS: usize = 1;
    const K_BLOCK: usize = 1024;

    fn tile(rows: usize, _panels: usize) -> TileFn {
        const TABLE: [TileFn; 6] = [
            tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>,
        ];
        TABLE[rows - 1]
    }
}

/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX2 and FMA.
pub(super) unsafe extern "C" fn contract(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Avx2>(&*args) }
}

/// # Safety
/// Those of [`super::ContractFn`] for a tile of `ROWS` rows and one panel; the CPU has AVX2 and
/// FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const ROWS: usize>(tile: &Tile) {
    let full = tile.columns == PANEL_WIDTH;
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    if tile.reload {
        for (row, sums) in sums.iter_mut().enumerate() {
            let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
            for (half, sum) in sums.iter_mut().enumerate() {
                // SAFETY: only columns of C are loaded.
                *sum = unsafe { load(c.wrapping_add(half * LANES), full, mask(tile, half)) };
            }
        }
    }

    // Opaque to the compiler, which would otherwise step from row to row by adding the stride: a
    // chain of additions as long as the step's multiply-adds.
    let rows: [isize; ROWS] = black_box(from_fn(|row| row as isize * tile.a_row_stride));
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.k {
        // SAFETY: a panel is readable over its full width for every k.
        let b_row = unsafe { [_mm256_loadu_ps(b), _mm256_loadu_ps(b.wrapping_add(LANES))] };
        // A hint, which may well point beyond the panel.
        _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(PREFETCH * PANEL_WIDTH).cast());
        for (&row, sums) in rows.iter().zip(&mut sums) {
            // SAFETY: the row is one of ROWS, and k is in range.
            let a = _mm256_set1_ps(unsafe { *a.wrapping_offset(row) });
            for (sum, &b) in sums.iter_mut().zip(&b_row) {
                *sum = _mm256_fmadd_ps(a, b, *sum);
            }
        }
        a = a.wrapping_offset(tile.a_k_stride);
        b = b.wrapping_add(PANEL_WIDTH);
    }

    for (row, sums) in sums.iter().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        for (half, &sum) in sums.iter().enumerate() {
            // SAFETY: only columns of C are stored.
            unsafe { store(c.wrapping_add(half * LANES), full, mask(tile, half), sum) };
        }
    }
}

/// All ones in the lanes of a half panel that belong to C.
#[inline]
#[target_feature(enable = "avx2")]
fn mask(tile: &Tile, half: usize) -> __m256i {
    let columns = tile.columns.saturating_sub(half * LANES).min(LANES) as i32;
    _mm256_cmpgt_epi32(
        _mm256_set1_epi32(columns),
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
    )
}

/// Loads the lanes in `mask`, or all if `full`.
///
/// # Safety
/// Those lanes are readable at `c`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(c: *const f32, full: bool, mask: __m256i) -> __m256 {
    // SAFETY: passed on from the caller.
    unsafe {
        if full {
            _mm256_loadu_ps(c)
        } else {
            _mm256_maskload_ps(c, mask)
        }
    }
}

/// Stores the lanes in `mask`, or all if `full`: a masked store is much slower.
///
/// # Safety
/// Those lanes are writable at `c`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store(c: *mut f32, full: bool, mask: __m256i, sum: __m256) {
    // SAFETY: passed on from the caller.
    unsafe {
        if full {
            _mm256_storeu_ps(c, sum)
        } else {
            _mm256_maskstore_ps(c, mask, sum)
        }
    }
}
