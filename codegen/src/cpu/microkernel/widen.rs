//! Rows of A and panels of B of narrow formats, widened to what a tile multiplies, with AVX2; bf16 and weights
//! in one byte with AVX-512, too.

use std::arch::x86_64::{
    __m256, __m256i, __m512i, _mm_loadu_si128, _mm256_and_si256, _mm256_castps_si256,
    _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cvtepi8_epi16, _mm256_cvtepu8_epi16,
    _mm256_cvtepu16_epi32, _mm256_cvtph_ps, _mm256_extracti128_si256, _mm256_loadu_si256,
    _mm256_packus_epi32, _mm256_permute_ps, _mm256_permute4x64_epi64, _mm256_set1_epi32,
    _mm256_shuffle_ps, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_ps, _mm256_storeu_si256,
    _mm512_and_si512, _mm512_castsi512_ps, _mm512_cvtepu16_epi32, _mm512_loadu_si512,
    _mm512_permute_ps, _mm512_set1_epi32, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_storeu_si512,
};

use super::avx2::{self, LANES};
use super::widened::WIDEST;
use super::{BF16, F16, INT8, PANEL_WIDTH, format};

/// Bytes of a row of 16 `f32`, and of half of it.
const ROW: usize = PANEL_WIDTH * WIDEST;
const HALF: usize = ROW / 2;

/// Widens a row of A; the second of two bf16 comes first.
///
/// # Safety
/// `terms` elements of the format can be read and as many wide ones written; the CPU has AVX2,
/// and F16C for `F16`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn row<const FORMAT: u8>(from: *const u8, to: *mut u8, terms: usize) {
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
pub(super) unsafe fn panel<const FORMAT: u8>(
    from: *const u8,
    own: *const f32,
    columns: usize,
    to: *mut u8,
    terms: usize,
) {
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
/// Those of [`row`] for `F16`.
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
/// Those of [`panel`] for `F16`.
#[target_feature(enable = "avx2,f16c")]
unsafe fn widen_panel_of_f16(from: *const u8, to: *mut u8, terms: usize) {
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

/// [`row`] of bf16, with AVX-512.
///
/// # Safety
/// Those of [`row`]; the CPU has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn row_of_bf16(from: *const u8, to: *mut u8, terms: usize) {
    let whole = terms / PANEL_WIDTH * PANEL_WIDTH;
    for at in (0..whole).step_by(PANEL_WIDTH) {
        // SAFETY: 16 elements below `terms`.
        unsafe {
            let bits = _mm256_loadu_si256(from.wrapping_add(2 * at).cast());
            let wide = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits));
            let swapped = _mm512_permute_ps::<0b10_11_00_01>(_mm512_castsi512_ps(wide));
            _mm512_storeu_ps(to.wrapping_add(WIDEST * at).cast(), swapped);
        }
    }
    let (from, to) = (
        from.wrapping_add(2 * whole),
        to.wrapping_add(WIDEST * whole),
    );
    // SAFETY: what is left of the row.
    unsafe { row::<BF16>(from, to, terms - whole) };
}

/// [`panel`] of bf16, with AVX-512.
///
/// # Safety
/// Those of [`panel`]; the CPU has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn panel_of_bf16(from: *const u8, to: *mut u8, terms: usize) {
    let high = _mm512_set1_epi32(0xffff_0000_u32 as i32);
    for step in 0..terms / 2 {
        let to = to.wrapping_add(2 * step * ROW);
        // SAFETY: a step of a panel is a row of 16 pairs.
        unsafe {
            let pairs: __m512i = _mm512_loadu_si512(from.wrapping_add(step * ROW).cast());
            _mm512_storeu_si512(to.cast(), _mm512_and_si512(pairs, high));
            _mm512_storeu_si512(to.wrapping_add(ROW).cast(), _mm512_slli_epi32::<16>(pairs));
        }
    }
}
