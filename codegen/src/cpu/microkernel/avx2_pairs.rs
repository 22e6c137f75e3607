//! The AVX2 tiles of the formats with several terms side by side: pairs of bf16, unpacked to f32
//! in registers, and groups of four bytes, widened to 16 bits.
//!
//! `vpmaddubsw` would multiply bytes directly, but it saturates its sums of two products to 16
//! bits; `vpmaddwd` on widened bytes is exact, so that this family has the same results as
//! `vpdpbusd`.

use std::arch::x86_64::{
    __m256, _mm_loadu_si128, _mm_set1_epi32, _mm256_add_epi32, _mm256_and_ps, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_fmadd_ps,
    _mm256_hadd_epi32, _mm256_loadu_ps, _mm256_madd_epi16, _mm256_permute4x64_epi64,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi32,
};
use std::array::from_fn;
use std::hint::black_box;

use super::avx2::{LANES, load, store};
use super::blocks::{self, Tile, TileFn, Tiles};
use super::{ContractArgs, PANEL_WIDTH};
use crate::kernel::Format;

struct Bf16;
struct Int8;

/// Bytes of a step of a panel, in both formats.
const STEP: usize = 4 * PANEL_WIDTH;

impl Tiles for Bf16 {
    const FORMAT: Format = Format::Bf16;
    const ROWS: usize = 6;
    const PANELS: usize = 1;
    const K_BLOCK: usize = 1024;

    fn tile(rows: usize, _panels: usize) -> TileFn {
        const TABLE: [TileFn; 6] = [
            tile_bf16::<1>,
            tile_bf16::<2>,
            tile_bf16::<3>,
            tile_bf16::<4>,
            tile_bf16::<5>,
            tile_bf16::<6>,
        ];
        TABLE[rows - 1]
    }
}

impl Tiles for Int8 {
    const FORMAT: Format = Format::Int8;
    const ROWS: usize = 3;
    const PANELS: usize = 1;
    const K_BLOCK: usize = 1024;

    fn tile(rows: usize, _panels: usize) -> TileFn {
        const TABLE: [TileFn; 3] = [tile_int8::<1>, tile_int8::<2>, tile_int8::<3>];
        TABLE[rows - 1]
    }
}

/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX2 and FMA.
pub(super) unsafe extern "C" fn contract_bf16(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Bf16>(&*args) }
}

/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX2 and FMA.
pub(super) unsafe extern "C" fn contract_int8(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Int8>(&*args) }
}

/// # Safety
/// Those of [`super::ContractFn`] for a tile of `ROWS` rows and one panel; the CPU has AVX2 and
/// FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_bf16<const ROWS: usize>(tile: &Tile) {
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    if tile.reload {
        for (row, sums) in sums.iter_mut().enumerate() {
            let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
            for (half, sum) in sums.iter_mut().enumerate() {
                // SAFETY: only columns of C are loaded.
                *sum = unsafe { load(c, tile, half) };
            }
        }
    }

    // As in the tile on f32.
    let rows: [isize; ROWS] = black_box(from_fn(|row| row as isize * tile.a_row_stride));
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.steps {
        // SAFETY: a panel is readable over its full width for every step.
        let b_row = unsafe {
            [
                _mm256_loadu_ps(b.cast()),
                _mm256_loadu_ps(b.wrapping_add(STEP / 2).cast()),
            ]
        };
        for first in [false, true] {
            let b_row = b_row.map(|pairs| term(pairs, first));
            for (&row, sums) in rows.iter().zip(&mut sums) {
                let a = a.wrapping_offset(row).cast::<f32>();
                // SAFETY: the row is one of ROWS, and A is readable to a multiple of a step.
                let a = term(_mm256_set1_ps(unsafe { a.read_unaligned() }), first);
                for (sum, &b) in sums.iter_mut().zip(&b_row) {
                    *sum = _mm256_fmadd_ps(a, b, *sum);
                }
            }
        }
        a = a.wrapping_offset(tile.a_step_stride);
        b = b.wrapping_add(STEP);
    }

    for (row, sums) in sums.iter().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        for (half, &sum) in sums.iter().enumerate() {
            // SAFETY: only columns of C are stored.
            unsafe { store(c, tile, half, sum) };
        }
    }
}

/// One bf16 of each pair as f32.
#[inline]
#[target_feature(enable = "avx2")]
fn term(pairs: __m256, first: bool) -> __m256 {
    if first {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(pairs)))
    } else {
        let high = _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000_u32 as i32));
        _mm256_and_ps(pairs, high)
    }
}

/// # Safety
/// Those of [`super::ContractFn`] for a tile of `ROWS` rows and one panel; the CPU has AVX2.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_int8<const ROWS: usize>(tile: &Tile) {
    // Four columns in a register, of each the sums of the first and of the last two terms.
    let mut sums = [[_mm256_setzero_si256(); 4]; ROWS];
    let (mut a, mut b) = (tile.a, tile.b);
    for _ in 0..tile.steps {
        // SAFETY: a panel is readable over its full width for every step.
        let b_row: [_; 4] = from_fn(|part| unsafe {
            _mm256_cvtepi8_epi16(_mm_loadu_si128(b.wrapping_add(part * STEP / 4).cast()))
        });
        for (row, sums) in sums.iter_mut().enumerate() {
            let a = a.wrapping_offset(row as isize * tile.a_row_stride);
            // SAFETY: row < ROWS, and A is readable to a multiple of a step.
            let a = _mm_set1_epi32(unsafe { a.cast::<i32>().read_unaligned() });
            let a = _mm256_cvtepu8_epi16(a);
            for (sum, &b) in sums.iter_mut().zip(&b_row) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(a, b));
            }
        }
        a = a.wrapping_offset(tile.a_step_stride);
        b = b.wrapping_add(STEP);
    }

    for (row, sums) in sums.iter().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        for half in 0..PANEL_WIDTH / LANES {
            // Columns 0 1 4 5 2 3 6 7, then in order.
            let joined = _mm256_hadd_epi32(sums[2 * half], sums[2 * half + 1]);
            let joined = _mm256_permute4x64_epi64::<0b11_01_10_00>(joined);
            // SAFETY: only the tile's columns are loaded, of C or of what they have, and stored.
            unsafe {
                let start = if tile.reload {
                    load(c, tile, half)
                } else {
                    load(tile.own, tile, half)
                };
                let sum = _mm256_add_epi32(_mm256_castps_si256(start), joined);
                store(c, tile, half, _mm256_castsi256_ps(sum));
            }
        }
    }
}
