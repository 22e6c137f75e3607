//! The AVX-512 tile: 8 rows x 3 panels in 24 of the 32 registers, on f32 and on widened weights.

use std::arch::asm;
use std::arch::x86_64::{
    __m512, __mmask16, _MM_HINT_T0, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm_set1_epi8,
    _mm_xor_si128, _mm256_loadu_si256, _mm512_castsi512_ps, _mm512_cvtepi8_epi32,
    _mm512_cvtepi32_ps, _mm512_cvtepu16_epi32, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_slli_epi32, _mm512_storeu_ps,
};
use std::array::from_fn;

use super::avx512_columns;
use super::blocks::{self, After, Layout, Tile, TileFn, Tiles};
use super::{
    BF16, BF16_WEIGHTS, ContractArgs, F32, GatheredArgs, PANEL_WIDTH, U8_WEIGHTS, one_term,
};

/// Rows up to which a tile is bound by memory, not by arithmetic: those fetch ahead.
const FEW_ROWS: usize = 4;

/// Bytes of a panel to fetch ahead.
const PREFETCH: usize = 2048;

/// Rows of a full tile.
pub(super) const ROWS: usize = 8;

/// For tiles that keep what they widen to themselves.
const LEAVES_NOTHING: bool = false;

/// Tiles of an A that is gathered or not.
struct Avx512<const FORMAT: u8, const GATHERED: bool>;

/// Every size of a tile up to 8 x 3, by rows and panels.
macro_rules! sizes {
    ($tile:ident $(, $parameter:ident)*) => {
        $crate::cpu::microkernel::avx512::sizes!(@rows $tile [$($parameter,)*] 1 2 3 4 5 6 7 8)
    };
    (@rows $tile:ident $parameters:tt $($rows:literal)*) => {
        [$($crate::cpu::microkernel::avx512::sizes!(@row $tile $parameters $rows)),*]
    };
    (@row $tile:ident [$($parameter:ident,)*] $rows:literal) => {
        [
            $tile::<$($parameter,)* $rows, 1>,
            $tile::<$($parameter,)* $rows, 2>,
            $tile::<$($parameter,)* $rows, 3>,
        ]
    };
}
pub(super) use sizes;

impl<const FORMAT: u8, const GATHERED: bool> Avx512<FORMAT, GATHERED> {
    const TABLE: [[TileFn; 3]; 8] = sizes!(tile, FORMAT, GATHERED, LEAVES_NOTHING);
}

impl<const FORMAT: u8, const GATHERED: bool> Tiles for Avx512<FORMAT, GATHERED> {
    const LAYOUT: Layout = Layout::of(one_term(FORMAT));
    const ROWS: usize = ROWS;
    const K_BLOCK: usize = 1024;

    fn panels(_rows: usize) -> usize {
        3
    }

    fn tile(rows: usize, panels: usize) -> TileFn {
        Self::TABLE[rows - 1][panels - 1]
    }
}

/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX-512F.
pub(super) unsafe extern "C" fn contract<const FORMAT: u8>(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Avx512<FORMAT, false>>(&*args) }
}

/// B lies in a near cache, and behind it nothing that is read next.
///
/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX-512F.
pub(super) unsafe fn contract_near(args: &ContractArgs, after: After) {
    // SAFETY: passed on from the caller.
    unsafe { blocks::contract_before::<Avx512<F32, false>>(args, after) }
}

/// A full tile on widened weights, which it leaves at `widened`: for tiles of further rows. Widening waits for
/// stores, and costs little beside multiply-adds.
///
/// # Safety
/// Those of [`super::ContractFn`], for [`ROWS`] rows and at most three panels; the panels' `k` rows of 16 `f32` can
/// be written. The CPU has AVX-512F.
pub(super) unsafe fn contract_widening<const FORMAT: u8>(args: &ContractArgs, widened: *mut f32) {
    let panels = args.n.div_ceil(PANEL_WIDTH);
    debug_assert!(args.m == ROWS && (1..=3).contains(&panels));
    let Layout { a_size, b_size, .. } = Layout::of(one_term(FORMAT));
    let widening = Tile {
        a: args.a,
        a_row_stride: args.a_row_stride * a_size as isize,
        a_step_stride: args.a_k_stride * a_size as isize,
        a_rows: std::ptr::null(),
        a_steps: std::ptr::null(),
        b: args.b,
        b_panel_stride: args.b_panel_stride * b_size as isize,
        own: args.columns.cast(),
        c: args.c.cast(),
        c_row_stride: args.c_row_stride,
        columns: args.n,
        steps: args.k,
        reload: args.accumulate != 0,
        fetch: args.b,
        fetch_step: 0,
        widened,
    };
    // SAFETY: passed on from the caller.
    unsafe {
        match panels {
            1 => tile::<FORMAT, false, true, ROWS, 1>(&widening),
            2 => tile::<FORMAT, false, true, ROWS, 2>(&widening),
            _ => tile::<FORMAT, false, true, ROWS, 3>(&widening),
        }
    }
}

/// # Safety
/// Those of [`super::GatheredFn`]; the CPU has AVX-512F.
pub(super) unsafe extern "C" fn gathered(args: *const GatheredArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe {
        match avx512_columns::fits(&*args) {
            true => avx512_columns::contract(&*args),
            false => blocks::gathered::<Avx512<F32, true>>(&*args),
        }
    }
}

/// # Safety
/// Those of [`super::ContractFn`], or [`super::GatheredFn`], for a tile of `ROWS` rows and `PANELS`
/// panels; if it `LEAVES` what it widens, there is room for that. The CPU has AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn tile<
    const FORMAT: u8,
    const GATHERED: bool,
    const LEAVES: bool,
    const ROWS: usize,
    const PANELS: usize,
>(
    tile: &Tile,
) {
    let mut sums = [[_mm512_setzero_ps(); PANELS]; ROWS];
    if tile.reload {
        for (row, sums) in sums.iter_mut().enumerate() {
            let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
            for (panel, sum) in sums.iter_mut().enumerate() {
                // SAFETY: only columns of C are loaded.
                *sum = unsafe { load(c, tile, panel) };
            }
        }
    }
    let mut scales = [_mm512_setzero_ps(); PANELS];
    if FORMAT == U8_WEIGHTS {
        for (panel, scale) in scales.iter_mut().enumerate() {
            // SAFETY: each of the tile's columns has a scale.
            *scale = unsafe { load(tile.own, tile, panel) };
        }
    }

    let step = PANEL_WIDTH * one_term(FORMAT).b().size();
    // The end of a panel is followed by the next one, which is being read already: there the first
    // panel of the next tile is fetched instead.
    let last = (PREFETCH / step).min(tile.steps);
    let next = PREFETCH as isize + (PANELS as isize - 1) * tile.b_panel_stride;
    let gathered_rows: [*const u8; ROWS] = from_fn(|row| match GATHERED {
        // SAFETY: gathered rows have offsets.
        true => tile.a.wrapping_offset(unsafe { *tile.a_rows.add(row) }),
        false => tile.a,
    });
    let mut steps_of_a = tile.a_steps;
    let (mut a, mut b, mut fetch, mut widened) = (tile.a, tile.b, tile.fetch, tile.widened);
    for (steps, ahead) in [(tile.steps - last, PREFETCH as isize), (last, next)] {
        for _ in 0..steps {
            let mut b_row = [_mm512_setzero_ps(); PANELS];
            for (panel, b_row) in b_row.iter_mut().enumerate() {
                let b = b.wrapping_offset(panel as isize * tile.b_panel_stride);
                if ROWS <= FEW_ROWS {
                    // A hint, which may well point beyond everything.
                    _mm_prefetch::<_MM_HINT_T0>(b.wrapping_offset(ahead).cast());
                }
                // SAFETY: panels are readable over their full width for every k.
                *b_row = unsafe { widen::<FORMAT>(b, scales[panel]) };
                if LEAVES {
                    let to = widened.wrapping_add(panel * tile.steps * PANEL_WIDTH);
                    // SAFETY: there is a row for each step of each panel.
                    unsafe { _mm512_storeu_ps(to, *b_row) };
                }
            }
            if LEAVES {
                widened = widened.wrapping_add(PANEL_WIDTH);
            }
            let of_step = match GATHERED {
                // SAFETY: gathered steps have offsets.
                true => unsafe { *steps_of_a },
                false => 0,
            };
            for (row, sums) in sums.iter_mut().enumerate() {
                if GATHERED {
                    // SAFETY: row < ROWS, and k is in range.
                    unsafe { add_row::<F32, PANELS>(gathered_rows[row], of_step, &b_row, sums) };
                    continue;
                }
                let a = a.wrapping_offset(row as isize * tile.a_row_stride);
                // SAFETY: row < ROWS, and k is in range.
                let a = _mm512_set1_ps(unsafe { a.cast::<f32>().read_unaligned() });
                for (sum, &b) in sums.iter_mut().zip(&b_row) {
                    *sum = _mm512_fmadd_ps(a, b, *sum);
                }
            }
            if ROWS > FEW_ROWS {
                _mm_prefetch::<_MM_HINT_T1>(fetch.cast());
                fetch = fetch.wrapping_add(tile.fetch_step);
            }
            match GATHERED {
                true => steps_of_a = steps_of_a.wrapping_add(1),
                false => a = a.wrapping_offset(tile.a_step_stride),
            }
            b = b.wrapping_add(step);
        }
    }

    for (row, sums) in sums.iter().enumerate() {
        let c = tile.c.wrapping_offset(row as isize * tile.c_row_stride);
        for (panel, &sum) in sums.iter().enumerate() {
            // SAFETY: only columns of C are stored.
            unsafe { store(c, tile, panel, sum) };
        }
    }
}

/// Adds a row's element, or its pair of `BF16`, times a row of each panel to the row's sums.
///
/// Instructions as they are written: left to the compiler, the elements of all rows are loaded before
/// the first is needed, and sums move to the stack.
///
/// # Safety
/// Four bytes are readable `of_step` bytes behind `row`; the CPU has the format's instruction.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn add_row<const FORMAT: u8, const PANELS: usize>(
    row: *const u8,
    of_step: isize,
    b: &[__m512; PANELS],
    sums: &mut [__m512; PANELS],
) {
    // Panels that a tile does not have are not reached, but have to be named.
    macro_rules! add {
        ($instruction:literal: $($b:ident $sum:ident $panel:literal),*) => {
            asm!(
                "vbroadcastss {a}, dword ptr [{row} + {of_step}]",
                $(concat!($instruction, " {", stringify!($sum), "}, {", stringify!($b), "}, {a}"),)*
                a = out(zmm_reg) _,
                row = in(reg) row,
                of_step = in(reg) of_step,
                $($b = in(zmm_reg) b[$panel % PANELS], $sum = inout(zmm_reg) sums[$panel % PANELS],)*
                options(readonly, nostack, preserves_flags)
            )
        };
    }
    // SAFETY: it loads what the caller says is readable.
    unsafe {
        match (FORMAT, PANELS) {
            (BF16, 1) => add!("vdpbf16ps": b0 sum0 0),
            (BF16, 2) => add!("vdpbf16ps": b0 sum0 0, b1 sum1 1),
            (BF16, _) => add!("vdpbf16ps": b0 sum0 0, b1 sum1 1, b2 sum2 2),
            (_, 1) => add!("vfmadd231ps": b0 sum0 0),
            (_, 2) => add!("vfmadd231ps": b0 sum0 0, b1 sum1 1),
            (_, _) => add!("vfmadd231ps": b0 sum0 0, b1 sum1 1, b2 sum2 2),
        }
    }
}

/// One row of a panel as f32.
///
/// # Safety
/// 16 elements of the format are readable at `b`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn widen<const FORMAT: u8>(b: *const u8, scale: __m512) -> __m512 {
    // SAFETY: passed on from the caller.
    unsafe {
        match FORMAT {
            F32 => _mm512_loadu_ps(b.cast()),
            BF16_WEIGHTS => {
                let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(b.cast()));
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
            }
            _ => {
                // With its highest bit turned over, a byte is itself less 128 in two's complement.
                let signed = _mm_xor_si128(_mm_loadu_si128(b.cast()), _mm_set1_epi8(i8::MIN));
                _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(signed)), scale)
            }
        }
    }
}

/// The columns of a panel that belong to C.
fn mask(tile: &Tile, panel: usize) -> __mmask16 {
    let columns = (tile.columns - panel * PANEL_WIDTH).min(PANEL_WIDTH);
    __mmask16::MAX >> (PANEL_WIDTH - columns)
}

/// Loads a panel's columns of a row; zero in the others.
///
/// # Safety
/// The tile's columns are readable at `row`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn load(row: *const f32, tile: &Tile, panel: usize) -> __m512 {
    // SAFETY: the mask leaves out what is not a column of the tile.
    unsafe { _mm512_maskz_loadu_ps(mask(tile, panel), row.wrapping_add(panel * PANEL_WIDTH)) }
}

/// Stores a panel's columns of a row. A full store is kept apart from a masked one, which is
/// slower.
///
/// # Safety
/// The tile's columns are writable at `row`.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn store(row: *mut f32, tile: &Tile, panel: usize, sum: __m512) {
    let (mask, row) = (mask(tile, panel), row.wrapping_add(panel * PANEL_WIDTH));
    // SAFETY: passed on from the caller.
    unsafe {
        if mask == __mmask16::MAX {
            _mm512_storeu_ps(row, sum)
        } else {
            _mm512_mask_storeu_ps(row, mask, sum)
        }
    }
}
