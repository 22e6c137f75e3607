//! The AVX-512 tile: 8 rows x 3 panels in 24 of the 32 registers.

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use super::blocks::{self, Tile, TileFn, Tiles};
use super::{ContractArgs, PANEL_WIDTH};

struct Avx512;

impl Tiles for Avx512 {
    const ROWS: usize = 8;
    const PANELS: usize = 3;
    const K_BLOCK: usize = 1024;

    fn tile(rows: usize, panels: usize) -> TileFn {
        const TABLE: [[TileFn; 3]; 8] = [
            [tile::<1, 1>, tile::<1, 2>, tile::<1, 3>],
            [tile::<2, 1>, tile::<2, 2>, tile::<2, 3>],
            [tile::<3, 1>, tile::<3, 2>, tile::<3, 3>],
            [tile::<4, 1>, tile::<4, 2>, tile::<4, 3>],
            [tile::<5, 1>, tile::<5, 2>, tile::<5, 3>],
            [tile::<6, 1>, tile::<6, 2>, tile::<6, 3>],
            [tile::<7, 1>, tile::<7, 2>, tile::<7, 3>],
            [tile::<8, 1>, tile::<8, 2>, tile::<8, 3>],
        ];
        TABLE[rows - 1][panels - 1]
    }
}

/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX-512F.
pub(super) unsafe extern "C" fn contract(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Avx512>(&*args) }
}

/// # Safety
/// Those of [`super::ContractFn`] for a tile of `ROWS` rows and `PANELS` panels; the CPU has
/// AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const ROWS: usize, const PANELS: usize>(tile: &Tile) {
    let mut sums = [[_mm512_setzero_ps(); PANELS]; ROWS];
    if tile.reload {
        for (row, sums) in sums.iter_mut().enumerate() {
            let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
            for (panel, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the mask leaves out what is not a column of C.
                *sum = unsafe {
                    _mm512_maskz_loadu_ps(mask(tile, panel), c.wrapping_add(panel * PANEL_WIDTH))
                };
            }
        }
    }

    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.k {
        let mut b_row = [_mm512_setzero_ps(); PANELS];
        for (panel, b_row) in b_row.iter_mut().enumerate() {
            // SAFETY: panels are readable over their full width for every k.
            *b_row =
                unsafe { _mm512_loadu_ps(b.wrapping_offset(panel as isize * tile.b_panel_stride)) };
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: row < ROWS, and k is in range.
            let a = _mm512_set1_ps(unsafe { *a.wrapping_offset(row as isize * tile.a_row_stride) });
            for (sum, &b) in sums.iter_mut().zip(&b_row) {
                *sum = _mm512_fmadd_ps(a, b, *sum);
            }
        }
        a = a.wrapping_offset(tile.a_k_stride);
        b = b.wrapping_add(PANEL_WIDTH);
    }

    for (row, sums) in sums.iter().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        for (panel, &sum) in sums.iter().enumerate() {
            let c = c.wrapping_add(panel * PANEL_WIDTH);
            // SAFETY: the mask leaves out what is not a column of C.
            unsafe { store(c, mask(tile, panel), sum) };
        }
    }
}

/// The columns of a panel that belong to C.
fn mask(tile: &Tile, panel: usize) -> __mmask16 {
    let columns = (tile.columns - panel * PANEL_WIDTH).min(PANEL_WIDTH);
    __mmask16::MAX >> (PANEL_WIDTH - columns)
}

/// Stores the columns in `mask`. A full store is kept apart from a masked one, which is slower.
///
/// # Safety
/// The columns in `mask` are writable at `c`.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(c: *mut f32, mask: __mmask16, sum: __m512) {
    // SAFETY: passed on from the caller.
    unsafe {
        if mask == __mmask16::MAX {
            _mm512_storeu_ps(c, sum)
        } else {
            _mm512_mask_storeu_ps(c, mask, sum)
        }
    }
}
