//! Contractions whose sides are widened before they are multiplied.
//!
//! A tile that unpacks its operands in registers does so again for every few rows. Here a block of
//! each narrow side is widened once, into a buffer in a near cache, and the family's tile for the
//! wide type runs on that: `f32`, or pairs of 16-bit integers for bytes. Terms keep their order
//! and their rounding, so the results have the bits of [`Format`]'s definition.
//!
//! With so few rows that nothing of B is read twice, weights are widened in registers after all.

use std::arch::x86_64::{
    __m256, __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_castps_si256, _mm256_castsi256_ps,
    _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16, _mm256_cvtepu16_epi32,
    _mm256_cvtph_ps, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_packus_epi32,
    _mm256_permute_ps, _mm256_permute4x64_epi64, _mm256_set1_epi32, _mm256_shuffle_ps,
    _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256,
};
use std::mem::MaybeUninit;

use super::avx2::{self, LANES};
use super::avx2_pairs;
use super::avx512;
use super::gathered::{Level, offsets};
use super::{
    BF16, BF16_WEIGHTS, ContractArgs, ContractFn, F16, GatheredArgs, INT8, LEVELS, PANEL_WIDTH,
    U8_WEIGHTS, format,
};
use crate::kernel::Format;

/// Rows, terms and panels of a block. That of A takes 96 KB, a panel of B 16 KB.
const ROWS: usize = 96;
const TERMS: usize = 256;
const PANELS: usize = 3;

/// Bytes of the widest element.
const WIDEST: usize = size_of::<f32>();

#[repr(align(64))]
struct Buffer<const BYTES: usize>([MaybeUninit<u8>; BYTES]);

impl<const BYTES: usize> Buffer<BYTES> {
    const fn new() -> Self {
        Buffer([const { MaybeUninit::uninit() }; BYTES])
    }

    fn at(&mut self, byte: usize) -> *mut u8 {
        debug_assert!(byte < BYTES);
        self.0.as_mut_ptr().wrapping_add(byte).cast()
    }
}

/// Bytes of a widened element.
const fn wide_size(format: Format) -> usize {
    match format {
        Format::Int8 => size_of::<i16>(),
        _ => WIDEST,
    }
}

/// What multiplies the widened blocks.
fn wide<const FORMAT: u8, const AVX512: bool>() -> ContractFn {
    match (FORMAT, AVX512) {
        (INT8, _) => avx2_pairs::contract,
        (_, true) => avx512::contract_near,
        (_, false) => avx2::contract_near,
    }
}

/// What widens weights in registers, and up to how many rows.
fn narrow<const FORMAT: u8, const AVX512: bool>() -> (usize, ContractFn) {
    match (FORMAT, AVX512) {
        (BF16_WEIGHTS, true) => (8, avx512::contract::<BF16_WEIGHTS>),
        (U8_WEIGHTS, true) => (8, avx512::contract::<U8_WEIGHTS>),
        (U8_WEIGHTS, false) => (6, avx2::contract::<U8_WEIGHTS>),
        _ => (0, wide::<FORMAT, AVX512>()),
    }
}

/// A contraction of any format but `F32`, for CPUs with AVX2 or, if `AVX512`, AVX-512F.
///
/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX2 and FMA, AVX-512F if `AVX512`, and F16C for
/// `F16`.
pub(super) unsafe extern "C" fn contract<const FORMAT: u8, const AVX512: bool>(
    args: *const ContractArgs,
) {
    // SAFETY: the caller vouches for the pointer.
    let args = unsafe { &*args };
    let (rows, few) = narrow::<FORMAT, AVX512>();
    if args.m <= rows {
        // SAFETY: passed on from the caller.
        unsafe { few(args) };
        return;
    }
    for row in (0..args.m).step_by(ROWS) {
        let rows = ROWS.min(args.m - row);
        let size = format(FORMAT).a().size() as isize;
        let own = ContractArgs {
            a: args
                .a
                .wrapping_offset(row as isize * args.a_row_stride * size),
            c: args.c.wrapping_offset(row as isize * args.c_row_stride * 4),
            m: rows,
            ..*args
        };
        // SAFETY: some rows of what the caller vouches for.
        unsafe { rows_of::<FORMAT, AVX512>(&own, None) };
    }
}

/// A contraction of pairs of bf16 whose A steps by levels.
///
/// # Safety
/// Those of [`super::GatheredFn`]; the CPU has AVX2 and FMA, AVX-512F if `AVX512`.
pub(super) unsafe extern "C" fn gathered<const AVX512: bool>(gather: *const GatheredArgs) {
    // SAFETY: the caller vouches for the pointer.
    let gather = unsafe { &*gather };
    let mut offsets_of_rows = [0; ROWS];
    for row in (0..gather.args.m).step_by(ROWS) {
        let rows = ROWS.min(gather.args.m - row);
        offsets(&gather.rows, BF16_SIZE, row, &mut offsets_of_rows[..rows]);
        let down = row as isize * gather.args.c_row_stride * 4;
        let own = ContractArgs {
            c: gather.args.c.wrapping_offset(down),
            m: rows,
            ..gather.args
        };
        let found = Found {
            rows: &offsets_of_rows[..rows],
            levels: &gather.terms,
        };
        // SAFETY: some rows of what the caller vouches for.
        unsafe { rows_of::<BF16, AVX512>(&own, Some(found)) };
    }
}

/// Bytes of a bf16.
const BF16_SIZE: usize = format(BF16).a().size();

/// Where A is gathered: offsets of rows in bytes, and the levels of pairs of terms.
struct Found<'t> {
    rows: &'t [isize],
    levels: &'t [Level; LEVELS],
}

impl Found<'_> {
    /// Widens `count` terms of each row, those behind the first `done`, to rows of a block.
    ///
    /// # Safety
    /// The levels lead to elements that can be read; the block has as many rows of as many `f32`; the CPU has AVX2.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn widen(&self, a: *const u8, done: usize, count: usize, to: *mut f32) {
        let mut steps = [0; TERMS / 2];
        let (first, steps) = (done / 2, &mut steps[..count / 2]);
        offsets(self.levels, BF16_SIZE, first, steps);
        // Pairs that lie side by side are widened together.
        let run = match self.levels[0].stride {
            2 => self.levels[0].count,
            _ => 1,
        };
        for (row, &of_row) in self.rows.iter().enumerate() {
            let (a, to) = (a.wrapping_offset(of_row), to.wrapping_add(row * count));
            let mut at = 0;
            while at < steps.len() {
                let length = (run - (first + at) % run).min(steps.len() - at);
                let from = a.wrapping_offset(steps[at]);
                // SAFETY: passed on from the caller.
                unsafe { widen_a::<BF16>(from, to.wrapping_add(2 * at).cast(), 2 * length) };
                at += length;
            }
        }
    }
}

/// At most [`ROWS`] rows.
///
/// # Safety
/// Those of [`contract`], or [`gathered`].
#[target_feature(enable = "avx2,fma")]
unsafe fn rows_of<const FORMAT: u8, const AVX512: bool>(
    args: &ContractArgs,
    found: Option<Found<'_>>,
) {
    let (narrow, size) = (format(FORMAT), wide_size(format(FORMAT)));
    let widens_a = matches!(FORMAT, BF16 | F16 | INT8);
    let mut a_block = Buffer::<{ ROWS * TERMS * WIDEST }>::new();
    let mut b_block = Buffer::<{ PANELS * PANEL_WIDTH * TERMS * WIDEST }>::new();
    let terms = args.k.next_multiple_of(narrow.terms());
    let mut done = 0;
    // Runs once for k = 0, which has to set C.
    loop {
        let count = TERMS.min(terms - done);
        let mut block = ContractArgs {
            a: args
                .a
                .wrapping_offset(done as isize * args.a_k_stride * narrow.a().size() as isize),
            b: b_block.at(0),
            b_panel_stride: (PANEL_WIDTH * count) as isize,
            k: count,
            accumulate: usize::from(args.accumulate != 0 || done != 0),
            ..*args
        };
        if let Some(found) = &found {
            // SAFETY: passed on from the caller; the buffer has ROWS rows of TERMS elements.
            unsafe { found.widen(args.a, done, count, a_block.at(0).cast()) };
        }
        if widens_a {
            for row in (0..args.m).filter(|_| found.is_none()) {
                let from = row as isize * args.a_row_stride * narrow.a().size() as isize;
                let from = block.a.wrapping_offset(from);
                // SAFETY: the row is one of A, readable to a multiple of a step; the buffer has
                // ROWS rows of TERMS elements.
                unsafe { widen_a::<FORMAT>(from, a_block.at(row * count * size), count) };
            }
            block.a = a_block.at(0);
            (block.a_row_stride, block.a_k_stride) = (count as isize, 1);
        }
        for column in (0..args.n).step_by(PANELS * PANEL_WIDTH) {
            let columns = (PANELS * PANEL_WIDTH).min(args.n - column);
            block.n = columns;
            block.c = args.c.wrapping_add(column * 4);
            block.columns = args.columns.wrapping_add(column * 4);
            for panel in 0..columns.div_ceil(PANEL_WIDTH) {
                let from = (column / PANEL_WIDTH + panel) as isize * args.b_panel_stride
                    + (done * PANEL_WIDTH) as isize;
                let from = args.b.wrapping_offset(from * narrow.b().size() as isize);
                let own = block.columns.wrapping_add(panel * PANEL_WIDTH * 4).cast();
                let own_columns = columns - panel * PANEL_WIDTH;
                let to = b_block.at(panel * PANEL_WIDTH * count * size);
                // SAFETY: the panel is one of B, readable over its full width; the columns are C's.
                unsafe { widen_b::<FORMAT>(from, own, own_columns, to, count) };
            }
            // SAFETY: the blocks are as large as `block` says, and C is what it was.
            unsafe { wide::<FORMAT, AVX512>()(&block) };
        }
        done += count;
        if done >= terms {
            break;
        }
    }
}

/// Widens a row of A; the second of two bf16 comes first.
///
/// # Safety
/// `terms` elements of the format can be read and as many wide ones written; the CPU has AVX2,
/// and F16C for `F16`.
#[target_feature(enable = "avx2,fma")]
unsafe fn widen_a<const FORMAT: u8>(from: *const u8, to: *mut u8, terms: usize) {
    let mut at = 0;
    // SAFETY: whole vectors below `terms`, then single elements.
    unsafe {
        if FORMAT == F16 {
            widen_row_of_f16(from.cast(), to.cast(), terms);
        } else if FORMAT == INT8 {
            let to: *mut i16 = to.cast();
            while at + 16 <= terms {
                let wide = _mm256_cvtepu8_epi16(_mm_loadu_si128(from.wrapping_add(at).cast()));
                _mm256_storeu_si256(to.wrapping_add(at).cast(), wide);
                at += 16;
            }
            for at in at..terms {
                to.wrapping_add(at).write(i16::from(*from.wrapping_add(at)));
            }
        } else {
            let (from, to): (*const u16, *mut f32) = (from.cast(), to.cast());
            while at + LANES <= terms {
                let bits = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.wrapping_add(at).cast()));
                let wide = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(bits));
                let swapped = _mm256_permute_ps::<0b10_11_00_01>(wide);
                _mm256_storeu_ps(to.wrapping_add(at), swapped);
                at += LANES;
            }
            for at in at..terms {
                let bits = u32::from(from.wrapping_add(at).read_unaligned()) << 16;
                to.wrapping_add(at ^ 1).write(f32::from_bits(bits));
            }
        }
    }
}

/// Widens a panel of B: to rows of 16 `f32`, or to rows of 16 pairs of 16-bit integers. `own` is
/// the value of each of the `columns` columns.
///
/// # Safety
/// `terms` terms of the panel can be read and as many wide ones written; the CPU has AVX2, and
/// F16C for `F16`.
#[target_feature(enable = "avx2,fma")]
unsafe fn widen_b<const FORMAT: u8>(
    from: *const u8,
    own: *const f32,
    columns: usize,
    to: *mut u8,
    terms: usize,
) {
    /// Bytes of a row of 16 `f32`, and of half of it.
    const ROW: usize = PANEL_WIDTH * WIDEST;
    const HALF: usize = ROW / 2;
    // SAFETY: passed on from the caller.
    unsafe {
        match FORMAT {
            BF16 => {
                let high = _mm256_set1_epi32(0xffff_0000_u32 as i32);
                for step in 0..terms / 2 {
                    for half in 0..2 {
                        let at = step * ROW + half * HALF;
                        let pairs = _mm256_loadu_si256(from.wrapping_add(at).cast());
                        let to = to.wrapping_add(2 * step * ROW + half * HALF);
                        let second = _mm256_and_si256(pairs, high);
                        _mm256_storeu_si256(to.cast(), second);
                        let first = _mm256_slli_epi32::<16>(pairs);
                        _mm256_storeu_si256(to.wrapping_add(ROW).cast(), first);
                    }
                }
            }
            F16 => widen_panel_of_f16(from, to, terms),
            INT8 => {
                for step in 0..terms / 4 {
                    for half in 0..2 {
                        let from = from.wrapping_add(step * ROW + half * HALF);
                        let (first, second) = pairs_of_bytes(from);
                        let to = to.wrapping_add(2 * step * ROW + half * HALF);
                        _mm256_storeu_si256(to.cast(), first);
                        _mm256_storeu_si256(to.wrapping_add(ROW).cast(), second);
                    }
                }
            }
            _ => {
                let scales: [__m256; 2] = avx2::scales::<FORMAT>(own, columns);
                let size = format(FORMAT).b().size();
                for (half, &scale) in scales.iter().enumerate() {
                    for term in 0..terms {
                        let from = from.wrapping_add((term * PANEL_WIDTH + half * LANES) * size);
                        let wide = avx2::widen::<FORMAT>(from, scale);
                        _mm256_storeu_ps(to.wrapping_add(term * ROW + half * HALF).cast(), wide);
                    }
                }
            }
        }
    }
}

/// # Safety
/// Those of [`widen_a`] for `F16`.
#[target_feature(enable = "avx2,f16c")]
unsafe fn widen_row_of_f16(from: *const u16, to: *mut f32, terms: usize) {
    let mut at = 0;
    // SAFETY: whole vectors below `terms`, then single elements.
    unsafe {
        while at + LANES <= terms {
            let halves = _mm_loadu_si128(from.wrapping_add(at).cast());
            _mm256_storeu_ps(to.wrapping_add(at), _mm256_cvtph_ps(halves));
            at += LANES;
        }
        for at in at..terms {
            let half = half::f16::from_bits(from.wrapping_add(at).read_unaligned());
            to.wrapping_add(at).write(half.to_f32());
        }
    }
}

/// # Safety
/// Those of [`widen_b`] for `F16`.
#[target_feature(enable = "avx2,f16c")]
unsafe fn widen_panel_of_f16(from: *const u8, to: *mut u8, terms: usize) {
    const HALF: usize = PANEL_WIDTH * WIDEST / 2;
    let low = _mm256_set1_epi32(0xffff);
    for half in 0..terms {
        let at = half * HALF;
        // SAFETY: half a step of a panel is as many bytes as half a row of each of its two terms.
        unsafe {
            let pairs = _mm256_loadu_si256(from.wrapping_add(at).cast());
            let (first, second) = (_mm256_and_si256(pairs, low), _mm256_srli_epi32::<16>(pairs));
            // Columns 0 to 3 of both, 4 to 7 of both; then those of the first, of the second.
            let halves = _mm256_packus_epi32(first, second);
            let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(halves);
            let first = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
            let second = _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(halves));
            let to = to.wrapping_add(half / 2 * 4 * HALF + half % 2 * HALF);
            _mm256_storeu_ps(to.cast(), first);
            _mm256_storeu_ps(to.wrapping_add(2 * HALF).cast(), second);
        }
    }
}

/// The first two and the last two of four signed bytes of each of eight columns, as 16 bits.
///
/// # Safety
/// 32 bytes can be read; the CPU has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pairs_of_bytes(from: *const u8) -> (__m256i, __m256i) {
    // SAFETY: passed on from the caller.
    let [low, high] = [0, 16].map(|at| unsafe {
        let bytes = _mm_loadu_si128(from.wrapping_add(at).cast());
        _mm256_castsi256_ps(_mm256_cvtepi8_epi16(bytes))
    });
    // Columns 0 1 4 5 2 3 6 7, then in order.
    let in_order = |x| _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_castps_si256(x));
    (
        in_order(_mm256_shuffle_ps::<0b10_00_10_00>(low, high)),
        in_order(_mm256_shuffle_ps::<0b11_01_11_01>(low, high)),
    )
}
