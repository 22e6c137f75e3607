//! The AVX2 tiles: 6 rows x 1 panel, or few rows x up to 4 panels, in 12 of the 16 registers, on f32
//! and on widened weights.

use std::arch::asm;
use std::arch::x86_64::{
    __m256, __m256i, _MM_HINT_T0, _MM_HINT_T1, _mm_loadl_epi64, _mm_loadu_si128, _mm_prefetch,
    _mm_set1_epi8, _mm_xor_si128, _mm256_castsi256_ps, _mm256_cmpgt_epi32, _mm256_cvtepi8_epi32,
    _mm256_cvtepi32_ps, _mm256_cvtepu16_epi32, _mm256_fmadd_ps, _mm256_loadu_ps,
    _mm256_loadu_si256, _mm256_maskload_ps, _mm256_maskstore_ps, _mm256_mul_ps,
    _mm256_permute2f128_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32,
    _mm256_setzero_ps, _mm256_setzero_si256, _mm256_slli_epi32, _mm256_storeu_ps,
    _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};
use std::array::from_fn;
use std::hint::black_box;

use super::blocks::{self, Layout, Tile, TileFn, Tiles};
use super::{BF16_WEIGHTS, ContractArgs, F32, GatheredArgs, PANEL_WIDTH, U8_WEIGHTS, one_term};

/// Tiles that share each panel with others, of an A that is gathered or not.
struct Avx2<const FORMAT: u8, const GATHERED: bool>;

/// Tiles without hints. Those of few rows are the only ones of their columns, and read each panel
/// once, and from memory: several panels at a time are streams that the hardware fetches ahead side
/// by side.
struct Plain<const FORMAT: u8>;

/// Columns in one register.
pub(super) const LANES: usize = 8;

/// How many bytes ahead a panel is fetched. So narrow a tile reads its panel from the
/// second-level cache faster than the hardware prefetcher alone delivers (measured on Zen 4:
/// 0.83 of peak without, 0.91 with, at k = 3072).
const PREFETCH: usize = 2048;

impl<const FORMAT: u8, const GATHERED: bool> Avx2<FORMAT, GATHERED> {
    const TABLE: [TileFn; ROWS] = [
        tile::<FORMAT, 1, 1, true, GATHERED>,
        tile::<FORMAT, 2, 1, true, GATHERED>,
        tile::<FORMAT, 3, 1, true, GATHERED>,
        tile::<FORMAT, 4, 1, true, GATHERED>,
        tile::<FORMAT, 5, 1, true, GATHERED>,
        tile::<FORMAT, 6, 1, true, GATHERED>,
    ];
}

/// Rows of a full tile, and terms for which a panel stays in a near cache.
const ROWS: usize = 6;
const K_BLOCK: usize = 1024;

impl<const FORMAT: u8> Tiles for Plain<FORMAT> {
    const LAYOUT: Layout = Layout::of(one_term(FORMAT));
    const ROWS: usize = ROWS;
    const K_BLOCK: usize = K_BLOCK;

    fn panels(rows: usize) -> usize {
        // Two registers for each row's sums of a panel, and two for the scales of its columns.
        let scales = usize::from(FORMAT == U8_WEIGHTS);
        (6 / (rows + scales)).clamp(1, 4)
    }

    fn tile(rows: usize, panels: usize) -> TileFn {
        match (rows, panels) {
            (1, 1) => tile::<FORMAT, 1, 1, false, false>,
            (1, 2) => tile::<FORMAT, 1, 2, false, false>,
            (1, 3) => tile::<FORMAT, 1, 3, false, false>,
            (1, 4) => tile::<FORMAT, 1, 4, false, false>,
            (2, 1) => tile::<FORMAT, 2, 1, false, false>,
            (2, 2) => tile::<FORMAT, 2, 2, false, false>,
            (2, 3) => tile::<FORMAT, 2, 3, false, false>,
            (3, 1) => tile::<FORMAT, 3, 1, false, false>,
            (3, 2) => tile::<FORMAT, 3, 2, false, false>,
            (4, 1) => tile::<FORMAT, 4, 1, false, false>,
            (5, 1) => tile::<FORMAT, 5, 1, false, false>,
            _ => tile::<FORMAT, 6, 1, false, false>,
        }
    }
}

impl<const FORMAT: u8, const GATHERED: bool> Tiles for Avx2<FORMAT, GATHERED> {
    const LAYOUT: Layout = Layout::of(one_term(FORMAT));
    const ROWS: usize = ROWS;
    const K_BLOCK: usize = K_BLOCK;

    fn panels(_rows: usize) -> usize {
        1
    }

    fn tile(rows: usize, _panels: usize) -> TileFn {
        Self::TABLE[rows - 1]
    }
}

/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX2 and FMA.
pub(super) unsafe extern "C" fn contract<const FORMAT: u8>(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe {
        match (*args).m <= ROWS {
            true => blocks::contract::<Plain<FORMAT>>(&*args),
            false => blocks::contract::<Avx2<FORMAT, false>>(&*args),
        }
    }
}

/// B lies in a near cache, and nothing behind it: there may not even be memory, and hints that lead
/// there cost more than the tile.
///
/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX2 and FMA.
pub(super) unsafe extern "C" fn contract_near(args: *const ContractArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::contract::<Plain<F32>>(&*args) }
}

/// # Safety
/// Those of [`super::GatheredFn`]; the CPU has AVX2 and FMA.
pub(super) unsafe extern "C" fn gathered(args: *const GatheredArgs) {
    // SAFETY: the caller vouches for the pointer and for what it describes.
    unsafe { blocks::gathered::<Avx2<F32, true>>(&*args) }
}

/// # Safety
/// Those of [`super::ContractFn`], or [`super::GatheredFn`], for a tile of `ROWS` rows and `PANELS`
/// panels; the CPU has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<
    const FORMAT: u8,
    const ROWS: usize,
    const PANELS: usize,
    const HINTS: bool,
    const GATHERED: bool,
>(
    tile: &Tile,
) {
    // Columns of each panel.
    let columns: [usize; PANELS] = from_fn(|panel| tile.columns - panel * PANEL_WIDTH);
    let c = |row: usize, panel: usize| {
        tile.c
            .wrapping_offset(row as isize * tile.c_row_stride)
            .wrapping_add(panel * PANEL_WIDTH)
    };
    let mut sums = [[[_mm256_setzero_ps(); 2]; PANELS]; ROWS];
    let mut scales = [[_mm256_setzero_ps(); 2]; PANELS];
    for panel in 0..PANELS {
        for (row, sums) in sums.iter_mut().enumerate().filter(|_| tile.reload) {
            // SAFETY: only columns of C are loaded.
            let halves = [0, 1].map(|half| unsafe { load(c(row, panel), columns[panel], half) });
            sums[panel] = in_order::<FORMAT>(halves);
        }
        let own = tile.own.wrapping_add(panel * PANEL_WIDTH);
        // SAFETY: each of the tile's columns has a scale where the format says so.
        scales[panel] = unsafe { self::scales::<FORMAT>(own, columns[panel]) };
    }

    // Opaque to the compiler, which would otherwise step from row to row by adding the stride: a
    // chain of additions as long as the step's multiply-adds.
    let rows: [isize; ROWS] = black_box(from_fn(|row| row as isize * tile.a_row_stride));
    let gathered_rows: [*const u8; ROWS] = from_fn(|row| match GATHERED {
        // SAFETY: gathered rows have offsets.
        true => tile.a.wrapping_offset(unsafe { *tile.a_rows.add(row) }),
        false => tile.a,
    });
    let panels: [isize; PANELS] = from_fn(|panel| panel as isize * tile.b_panel_stride);
    let size = one_term(FORMAT).b().size();
    let (mut a, mut b, mut fetch) = (tile.a, tile.b, tile.fetch);
    for step in 0..tile.steps {
        let of_step = match GATHERED {
            // SAFETY: gathered steps have offsets.
            true => unsafe { *tile.a_steps.add(step) },
            false => 0,
        };
        if HINTS {
            // Hints, which may well point beyond the panel.
            _mm_prefetch::<_MM_HINT_T1>(fetch.cast());
            fetch = fetch.wrapping_add(tile.fetch_step);
            _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(PREFETCH).cast());
        }
        for (panel, scales) in scales.iter().enumerate() {
            let b = b.wrapping_offset(panels[panel]);
            // SAFETY: a panel is readable over its full width for every k.
            let b_row = unsafe { widen_row::<FORMAT>(b, scales) };
            for (row, sums) in sums.iter_mut().enumerate() {
                let sums = &mut sums[panel];
                if GATHERED {
                    // SAFETY: the row is one of ROWS, and k is in range.
                    unsafe { add_row(gathered_rows[row], of_step, &b_row, sums) };
                    continue;
                }
                let row = rows[row];
                let a = a.wrapping_offset(row).cast::<f32>();
                // SAFETY: the row is one of ROWS, and k is in range.
                let a = _mm256_set1_ps(unsafe { a.read_unaligned() });
                for (sum, &b) in sums.iter_mut().zip(&b_row) {
                    *sum = _mm256_fmadd_ps(a, b, *sum);
                }
            }
        }
        a = a.wrapping_offset(tile.a_step_stride);
        b = b.wrapping_add(PANEL_WIDTH * size);
    }

    for (row, sums) in sums.iter().enumerate() {
        for (panel, &sums) in sums.iter().enumerate() {
            for (half, sum) in in_order::<FORMAT>(sums).into_iter().enumerate() {
                // SAFETY: only columns of C are stored.
                unsafe { store(c(row, panel), columns[panel], half, sum) };
            }
        }
    }
}

/// Adds a row's element times a row of a panel to the row's sums.
///
/// Instructions as they are written: left to the compiler, the elements of all rows are loaded before
/// the first is needed, and sums move to the stack.
///
/// # Safety
/// An `f32` is readable `of_step` bytes behind `row`.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn add_row(row: *const u8, of_step: isize, b: &[__m256; 2], sums: &mut [__m256; 2]) {
    let [first, second] = sums;
    // SAFETY: it loads what the caller says is readable.
    unsafe {
        asm!(
            "vbroadcastss {a}, dword ptr [{row} + {of_step}]",
            "vfmadd231ps {first}, {b0}, {a}",
            "vfmadd231ps {second}, {b1}, {a}",
            a = out(ymm_reg) _,
            row = in(reg) row,
            of_step = in(reg) of_step,
            b0 = in(ymm_reg) b[0],
            b1 = in(ymm_reg) b[1],
            first = inout(ymm_reg) *first,
            second = inout(ymm_reg) *second,
            options(readonly, nostack, preserves_flags)
        );
    }
}

/// The scales of a panel's columns, where the format has some.
///
/// # Safety
/// Then `columns` scales are readable at `own`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn scales<const FORMAT: u8>(own: *const f32, columns: usize) -> [__m256; 2] {
    match FORMAT {
        // SAFETY: passed on from the caller.
        U8_WEIGHTS => [0, 1].map(|half| unsafe { load(own, columns, half) }),
        _ => [_mm256_setzero_ps(); 2],
    }
}

/// A row of a panel as f32, its columns in the order of [`in_order`].
///
/// # Safety
/// 16 elements of the format are readable at `b`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn widen_row<const FORMAT: u8>(b: *const u8, scales: &[__m256; 2]) -> [__m256; 2] {
    // SAFETY: passed on from the caller.
    unsafe {
        if FORMAT == BF16_WEIGHTS {
            let (row, zero) = (_mm256_loadu_si256(b.cast()), _mm256_setzero_si256());
            // Above 16 zeros a bf16 is the f32 that it stands for.
            [
                _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, row)),
                _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, row)),
            ]
        } else {
            let second = b.wrapping_add(LANES * one_term(FORMAT).b().size());
            [
                widen::<FORMAT>(b, scales[0]),
                widen::<FORMAT>(second, scales[1]),
            ]
        }
    }
}

/// Both halves of a row as the tile of the format has them, and back. With weights in bf16 the
/// second and the third quarter change places: instructions unpack each 128 bits by themselves.
#[inline]
#[target_feature(enable = "avx2")]
fn in_order<const FORMAT: u8>([first, second]: [__m256; 2]) -> [__m256; 2] {
    match FORMAT {
        BF16_WEIGHTS => [
            _mm256_permute2f128_ps::<0x20>(first, second),
            _mm256_permute2f128_ps::<0x31>(first, second),
        ],
        _ => [first, second],
    }
}

/// Half a row of a panel as f32.
///
/// # Safety
/// 8 elements of the format are readable at `b`.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn widen<const FORMAT: u8>(b: *const u8, scale: __m256) -> __m256 {
    // SAFETY: passed on from the caller.
    unsafe {
        match FORMAT {
            F32 => _mm256_loadu_ps(b.cast()),
            BF16_WEIGHTS => {
                let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(b.cast()));
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
            }
            _ => {
                // With its highest bit turned over, a byte is itself less 128 in two's complement.
                let signed = _mm_xor_si128(_mm_loadl_epi64(b.cast()), _mm_set1_epi8(i8::MIN));
                _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(signed)), scale)
            }
        }
    }
}

/// All ones in the lanes of a half panel that belong to C.
#[inline]
#[target_feature(enable = "avx2")]
fn mask(columns: usize, half: usize) -> __m256i {
    let columns = columns.saturating_sub(half * LANES).min(LANES) as i32;
    _mm256_cmpgt_epi32(
        _mm256_set1_epi32(columns),
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
    )
}

/// Loads half a panel's columns of a row; zero in those that are beyond `columns`.
///
/// # Safety
/// `columns` elements are readable at `row`, at most a panel's.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn load(row: *const f32, columns: usize, half: usize) -> __m256 {
    let row = row.wrapping_add(half * LANES);
    // SAFETY: passed on from the caller.
    unsafe {
        if columns >= PANEL_WIDTH {
            _mm256_loadu_ps(row)
        } else {
            _mm256_maskload_ps(row, mask(columns, half))
        }
    }
}

/// Stores half a panel's columns of a row. A masked store is much slower than a full one.
///
/// # Safety
/// `columns` elements are writable at `row`, at most a panel's.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) unsafe fn store(row: *mut f32, columns: usize, half: usize, sum: __m256) {
    let row = row.wrapping_add(half * LANES);
    // SAFETY: passed on from the caller.
    unsafe {
        if columns >= PANEL_WIDTH {
            _mm256_storeu_ps(row, sum)
        } else {
            _mm256_maskstore_ps(row, mask(columns, half), sum)
        }
    }
}
