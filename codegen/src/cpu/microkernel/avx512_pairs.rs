//! The AVX-512 tiles whose instructions take several terms at once: pairs of bf16 (`vdpbf16ps`)
//! and groups of four bytes (`vpdpbusd`). 8 rows x 3 panels, as in f32; pairs also of an A that is gathered.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, _MM_HINT_T1, _mm_prefetch, _mm512_castps_si512, _mm512_castsi512_ps,
    _mm512_dpbf16_ps, _mm512_dpbusd_epi32, _mm512_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
};
use std::array::from_fn;

use super::avx512::{add_row, load, sizes, store};
use super::blocks::{self, Layout, Tile, TileFn, Tiles};
use super::{BF16, ContractArgs, GatheredArgs, PANEL_WIDTH};
use crate::kernel::Format;

/// Bytes of a step of a panel, in both formats.
const STEP: usize = 4 * PANEL_WIDTH;

/// Defines a format's tile and its contraction.
macro_rules! pairs {
    ($tiles:ident, $format:expr, $contract:ident, $tile:ident, $features:literal, $step:ident) => {
        struct $tiles<const GATHERED: bool>;

        impl<const GATHERED: bool> $tiles<GATHERED> {
            const TABLE: [[TileFn; 3]; 8] = sizes!($tile, GATHERED);
        }

        impl<const GATHERED: bool> Tiles for $tiles<GATHERED> {
            const LAYOUT: Layout = Layout::of($format);
            const ROWS: usize = 8;
            const K_BLOCK: usize = 1024;

            fn panels(_rows: usize) -> usize {
                3
            }

            fn tile(rows: usize, panels: usize) -> TileFn {
                Self::TABLE[rows - 1][panels - 1]
            }
        }

        /// # Safety
        /// Those of [`super::ContractFn`]; the CPU has the tile's instructions.
        pub(super) unsafe extern "C" fn $contract(args: *const ContractArgs) {
            // SAFETY: the caller vouches for the pointer and for what it describes.
            unsafe { blocks::contract::<$tiles<false>>(&*args) }
        }

        /// # Safety
        /// Those of [`super::ContractFn`], or [`super::GatheredFn`], for a tile of `ROWS` rows and
        /// `PANELS` panels; the CPU has the tile's instructions.
        #[target_feature(enable = $features)]
        unsafe fn $tile<const GATHERED: bool, const ROWS: usize, const PANELS: usize>(tile: &Tile) {
            let mut sums = [[_mm512_setzero_ps(); PANELS]; ROWS];
            for (row, sums) in sums.iter_mut().enumerate() {
                let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
                for (panel, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: only the tile's columns are loaded, of C or of what they have.
                    unsafe {
                        if tile.reload {
                            *sum = load(c, tile, panel);
                        } else if $format.columns().is_some() {
                            *sum = load(tile.own, tile, panel);
                        }
                    }
                }
            }

            let gathered_rows: [*const u8; ROWS] = from_fn(|row| match GATHERED {
                // SAFETY: gathered rows have offsets.
                true => tile.a.wrapping_offset(unsafe { *tile.a_rows.add(row) }),
                false => tile.a,
            });
            let (mut a, mut b, mut fetch) = (tile.a, tile.b, tile.fetch);
            for step in 0..tile.steps {
                _mm_prefetch::<_MM_HINT_T1>(fetch.cast());
                fetch = fetch.wrapping_add(tile.fetch_step);
                let mut b_row = [_mm512_setzero_ps(); PANELS];
                for (panel, b_row) in b_row.iter_mut().enumerate() {
                    let b = b.wrapping_offset(panel as isize * tile.b_panel_stride);
                    // SAFETY: panels are readable over their full width for every step.
                    *b_row = unsafe { _mm512_loadu_ps(b.cast()) };
                }
                let of_step = match GATHERED {
                    // SAFETY: gathered steps have offsets.
                    true => unsafe { *tile.a_steps.add(step) },
                    false => 0,
                };
                for (row, sums) in sums.iter_mut().enumerate() {
                    if GATHERED {
                        // SAFETY: row < ROWS, and A is readable to a multiple of a step.
                        unsafe {
                            add_row::<BF16, PANELS>(gathered_rows[row], of_step, &b_row, sums)
                        };
                        continue;
                    }
                    let a = a.wrapping_offset(row as isize * tile.a_row_stride);
                    // SAFETY: row < ROWS, and A is readable to a multiple of a step.
                    let a = _mm512_set1_epi32(unsafe { a.cast::<i32>().read_unaligned() });
                    for (sum, &b) in sums.iter_mut().zip(&b_row) {
                        *sum = $step(*sum, a, _mm512_castps_si512(b));
                    }
                }
                a = a.wrapping_offset(tile.a_step_stride);
                b = b.wrapping_add(STEP);
            }

            for (row, sums) in sums.iter().enumerate() {
                let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
                for (panel, &sum) in sums.iter().enumerate() {
                    // SAFETY: only columns of C are stored.
                    unsafe { store(c, tile, panel, sum) };
                }
            }
        }
    };
}

pairs!(
    Bf16,
    Format::Bf16,
    contract_bf16,
    tile_bf16,
    "avx512f,avx512bf16",
    add_pair
);
pairs!(
    Int8,
    Format::Int8,
    contract_int8,
    tile_int8,
    "avx512f,avx512vnni",
    add_four
);

/// # Safety
/// Those of [`super::GatheredFn`]; the CPU has the tile's instructions.
pub(super) unsafe extern "C" fn gathered(args: *const GatheredArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::gathered::<Bf16<true>>(&*args) }
}

/// Adds the second term of each pair, then the first.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn add_pair(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
    // SAFETY: both types are 64 bytes of any content.
    let [a, b] = [a, b].map(|x| unsafe { std::mem::transmute::<__m512i, __m512bh>(x) });
    _mm512_dpbf16_ps(sum, a, b)
}

/// Adds four products of an unsigned and a signed byte to an i32.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn add_four(sum: __m512, a: __m512i, b: __m512i) -> __m512 {
    _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(sum), a, b))
}
