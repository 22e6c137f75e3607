//! The portable tile: 4 rows x 1 panel of multiply-adds that are fused on every CPU.

use super::blocks::{self, Layout, Tile, TileFn, Tiles};
use super::fused::{self, Factor};
use super::{
    BF16, BF16_WEIGHTS, ContractArgs, F16, F32, GatheredArgs, INT8, PANEL_WIDTH, U8_WEIGHTS, format,
};

struct Portable<const FORMAT: u8, const GATHERED: bool>;

impl<const FORMAT: u8, const GATHERED: bool> Portable<FORMAT, GATHERED> {
    const TABLE: [TileFn; 4] = match FORMAT {
        INT8 => [
            tile_int8::<1>,
            tile_int8::<2>,
            tile_int8::<3>,
            tile_int8::<4>,
        ],
        _ => [
            tile::<FORMAT, GATHERED, 1>,
            tile::<FORMAT, GATHERED, 2>,
            tile::<FORMAT, GATHERED, 3>,
            tile::<FORMAT, GATHERED, 4>,
        ],
    };
}

impl<const FORMAT: u8, const GATHERED: bool> Tiles for Portable<FORMAT, GATHERED> {
    const LAYOUT: Layout = Layout::of(format(FORMAT));
    const ROWS: usize = 4;
    const K_BLOCK: usize = 256;

    fn panels(_rows: usize) -> usize {
        1
    }

    fn tile(rows: usize, _panels: usize) -> TileFn {
        Self::TABLE[rows - 1]
    }
}

/// # Safety
/// Those of [`super::ContractFn`].
pub(super) unsafe extern "C" fn contract<const FORMAT: u8>(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Portable<FORMAT, false>>(&*args) }
}

/// # Safety
/// Those of [`super::GatheredFn`].
pub(super) unsafe extern "C" fn gathered<const FORMAT: u8>(args: *const GatheredArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::gathered::<Portable<FORMAT, true>>(&*args) }
}

/// # Safety
/// Those of [`super::ContractFn`], or [`super::GatheredFn`], for a tile of `ROWS` rows and one panel.
unsafe fn tile<const FORMAT: u8, const GATHERED: bool, const ROWS: usize>(tile: &Tile) {
    let mut sums = [[0.0_f32; PANEL_WIDTH]; ROWS];
    if tile.reload {
        for (row, sums) in sums.iter_mut().enumerate() {
            let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
            // SAFETY: a row of C is `columns` long, at most a panel's width.
            unsafe { std::ptr::copy_nonoverlapping(c, sums.as_mut_ptr(), tile.columns) };
        }
    }
    let mut scales = [0.0_f32; PANEL_WIDTH];
    if FORMAT == U8_WEIGHTS {
        // SAFETY: each of the tile's columns has a scale.
        unsafe { std::ptr::copy_nonoverlapping(tile.own, scales.as_mut_ptr(), tile.columns) };
    }

    let (terms, size) = (format(FORMAT).terms(), format(FORMAT).b().size());
    let (mut a, mut b) = (tile.a, tile.b);
    for step in 0..tile.steps {
        if GATHERED {
            // SAFETY: gathered steps have offsets.
            a = tile.a.wrapping_offset(unsafe { *tile.a_steps.add(step) });
        }
        for number in 0..terms {
            let term = format(FORMAT).term(number);
            // SAFETY: a panel is readable over its full width for every k.
            let b_row: [Factor; PANEL_WIDTH] = std::array::from_fn(|column| unsafe {
                let b = b.wrapping_add((column * terms + term) * size);
                Factor::from(widen::<FORMAT>(b, scales[column]))
            });
            for (row, sums) in sums.iter_mut().enumerate() {
                let down = match GATHERED {
                    // SAFETY: gathered rows have offsets.
                    true => unsafe { *tile.a_rows.add(row) },
                    false => row as isize * tile.a_row_stride,
                };
                let a = a.wrapping_offset(down);
                // SAFETY: row < ROWS, and k is in range.
                let a = unsafe {
                    match FORMAT {
                        BF16 => bf16(a.wrapping_add(2 * term)),
                        F16 => f16(a.wrapping_add(2 * term)),
                        _ => a.cast::<f32>().read_unaligned(),
                    }
                };
                fused::multiply_add(a, &b_row, sums);
            }
        }
        if !GATHERED {
            a = a.wrapping_offset(tile.a_step_stride);
        }
        b = b.wrapping_add(PANEL_WIDTH * terms * size);
    }

    for (row, sums) in sums.iter().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        // SAFETY: as for the load.
        unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), c, tile.columns) };
    }
}

/// An element of B as f32.
///
/// # Safety
/// An element of the format is readable at `b`.
unsafe fn widen<const FORMAT: u8>(b: *const u8, scale: f32) -> f32 {
    // SAFETY: passed on from the caller.
    unsafe {
        match FORMAT {
            F32 => b.cast::<f32>().read_unaligned(),
            BF16_WEIGHTS | BF16 => bf16(b),
            F16 => f16(b),
            _ => (f32::from(*b) - 128.0) * scale,
        }
    }
}

/// # Safety
/// Two bytes are readable at `at`.
unsafe fn bf16(at: *const u8) -> f32 {
    // SAFETY: passed on from the caller.
    let bits = unsafe { at.cast::<u16>().read_unaligned() };
    f32::from_bits(u32::from(bits) << 16)
}

/// # Safety
/// Two bytes are readable at `at`.
unsafe fn f16(at: *const u8) -> f32 {
    // SAFETY: passed on from the caller.
    let bits = unsafe { at.cast::<u16>().read_unaligned() };
    half::f16::from_bits(bits).to_f32()
}

/// # Safety
/// Those of [`super::ContractFn`] for a tile of `ROWS` rows and one panel.
unsafe fn tile_int8<const ROWS: usize>(tile: &Tile) {
    for row in 0..ROWS {
        let a = tile.a.wrapping_offset(row as isize * tile.a_row_stride);
        let c = tile
            .c
            .wrapping_offset(row as isize * tile.c_row_stride)
            .cast::<i32>();
        let mut sums = [0_i32; PANEL_WIDTH];
        let start = if tile.reload {
            c.cast_const()
        } else {
            tile.own.cast()
        };
        // SAFETY: a row of C and what columns have are `columns` long, at most a panel's width.
        unsafe { std::ptr::copy_nonoverlapping(start, sums.as_mut_ptr(), tile.columns) };
        for term in 0..4 * tile.steps {
            // SAFETY: A and the panel are readable to a multiple of a step.
            unsafe {
                let a = i32::from(*a.wrapping_add(term));
                let b = tile.b.wrapping_add(term / 4 * 4 * PANEL_WIDTH + term % 4);
                for (column, sum) in sums.iter_mut().enumerate() {
                    let b = b.wrapping_add(4 * column).cast::<i8>();
                    *sum = sum.wrapping_add(a * i32::from(*b));
                }
            }
        }
        // SAFETY: as for the load.
        unsafe { std::ptr::copy_nonoverlapping(sums.as_ptr(), c, tile.columns) };
    }
}
