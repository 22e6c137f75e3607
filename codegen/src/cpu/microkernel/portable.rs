//! The portable tile: 4 rows x 1 panel of `f32::mul_add`, which is exactly fused on every CPU.
//!
//! Where the instruction set of the build has a fused multiply-add (AArch64), the compiler
//! vectorises it; elsewhere it is a call into the mathematical library.

use super::blocks::{self, Tile, TileFn, Tiles};
use super::{ContractArgs, PANEL_WIDTH};

struct Portable;

impl Tiles for Portable {
    const ROWS: usize = 4;
    const PANELS: usize = 1;
    const K_BLOCK: usize = 256;

    fn tile(rows: usize, _panels: usize) -> TileFn {
        const TABLE: [TileFn; 4] = [tile::<1>, tile::<2>, tile::<3>, tile::<4>];
        TABLE[rows - 1]
    }
}

/// # Safety
/// Those of [`super::ContractFn`].
pub(super) unsafe extern "C" fn contract(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Portable>(&*args) }
}

/// # Safety
/// Those of [`super::ContractFn`] for a tile of `ROWS` rows and one panel.
unsafe fn tile<const ROWS: usize>(tile: &Tile) {
    let mut sums = [[0.0_f32; PANEL_WIDTH]; ROWS];
    if tile.reload {
        for (row, sums) in sums.iter_mut().enumerate() {
            let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
            // SAFETY: a row of C is `columns` long, at most a panel's width.
            unsafe { std::ptr::copy_nonoverlapping(c, sums.as_mut_ptr(), tile.columns) };
        }
    }

    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.k {
        // SAFETY: a panel is readable over its full width for every k; an array has no more
        // alignment than its elements.
        let b_row = unsafe { &*b.cast::<[f32; PANEL_WIDTH]>() };
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: row < ROWS, and k is in range.
            let a = unsafe { *a.wrapping_offset(row as isize * tile.a_row_stride) };
            for (sum, &b) in sums.iter_mut().zip(b_row) {
                *sum = a.mul_add(b, *sum);
            }
        }
        a = a.wrapping_offset(tile.a_k_stride);
        b = b.wrapping_add(PANEL_WIDTH);
    }

    for (row, sums) in sums.iter().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        // SAFETY: as for the load.
        unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), c, tile.columns) };
    }
}
