//! The AVX-512 tile of a gathered contraction to few columns: rows in lanes, up to 6 x 16 of them.
//!
//! With columns in lanes, most lanes of a gradient by pictures of three channels would hold nothing.
//! Windows beside each other begin beside each other, so an element of A for each of 16 rows is one
//! load from the picture.

use std::arch::x86_64::{
    __m512, __mmask16, _mm512_fmadd_ps, _mm512_mask_i32gather_ps, _mm512_mask_i32scatter_ps,
    _mm512_maskz_loadu_ps, _mm512_mullo_epi32, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setr_epi32, _mm512_setzero_ps,
};

use super::PANEL_WIDTH;
use super::blocks::pieces;
use super::gathered::{GatheredArgs, Level, offsets};

/// Columns for which rows in lanes pay.
const MOST_COLUMNS: usize = 3;

/// Lanes of a register.
const LANES: usize = 16;

/// Registers of rows in a tile: with their sums, and B, no more than there are.
const VECTORS: usize = 6;

/// Steps of A whose offsets are made at a time.
const STEPS: usize = 1024;

/// Rows side by side.
#[derive(Clone, Copy, Default)]
struct Rows {
    /// Bytes to the first one's elements in A, and elements to its sums in C.
    a: isize,
    c: isize,
    lanes: __mmask16,
}

/// Whether rows lie side by side, enough of them, and there are few columns.
pub(super) fn fits(gather: &GatheredArgs) -> bool {
    let Level { count, stride } = gather.rows[0];
    let row = gather.args.c_row_stride;
    (1..=MOST_COLUMNS).contains(&gather.args.n)
        && stride == 1
        && count.min(gather.args.m) >= LANES
        && row.abs() < i32::MAX as isize / LANES as isize
}

/// The contraction of operands that [`fits`] is true of.
///
/// # Safety
/// Those of [`super::GatheredFn`]; the CPU has AVX-512F.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn contract(gather: &GatheredArgs) {
    const TABLE: [[TileFn; MOST_COLUMNS]; VECTORS] = {
        macro_rules! sizes {
            ($($vectors:literal)*) => {
                [$([tile::<$vectors, 1>, tile::<$vectors, 2>, tile::<$vectors, 3>]),*]
            };
        }
        sizes!(1 2 3 4 5 6)
    };
    let args = &gather.args;
    let run = gather.rows[0].count.min(args.m);
    let mut steps = [0; STEPS];
    let mut done = 0;
    // Runs once for k = 0, which has to set C.
    loop {
        let count = (args.k - done).min(STEPS);
        offsets(&gather.terms, size_of::<f32>(), done, &mut steps[..count]);
        let tile = Part {
            gather,
            steps: &steps[..count],
            done,
        };
        let (mut rows, mut used) = ([Rows::default(); VECTORS], 0);
        // Rows side by side end where the first level does.
        for (start, length) in (0..args.m).step_by(run).flat_map(|start| {
            let end = (start + run).min(args.m);
            pieces(end - start, LANES).map(move |(first, length)| (start + first, length))
        }) {
            let mut at = [0];
            offsets(&gather.rows, size_of::<f32>(), start, &mut at);
            rows[used] = Rows {
                a: at[0],
                c: start as isize * args.c_row_stride,
                lanes: __mmask16::MAX >> (LANES - length),
            };
            used += 1;
            if used == VECTORS || start + length == args.m {
                // SAFETY: passed on from the caller for these rows and terms; the table has the
                // function for as many vectors and columns.
                unsafe { TABLE[used - 1][args.n - 1](&tile, &rows) };
                used = 0;
            }
        }
        done += count;
        if done >= args.k {
            break;
        }
    }
}

/// Terms of a contraction.
struct Part<'a> {
    gather: &'a GatheredArgs,
    /// Bytes to the elements of each step.
    steps: &'a [isize],
    /// Steps before these.
    done: usize,
}

type TileFn = unsafe fn(&Part<'_>, &[Rows; VECTORS]);

/// # Safety
/// Those of [`super::GatheredFn`] for the first `V` of `rows` and `N` columns; the CPU has AVX-512F.
#[target_feature(enable = "avx512f")]
unsafe fn tile<const V: usize, const N: usize>(part: &Part<'_>, rows: &[Rows; VECTORS]) {
    let args = &part.gather.args;
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let places = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(args.c_row_stride as i32));
    let c = |vector: usize, column: usize| {
        let c = args.c.cast::<f32>();
        c.wrapping_offset(rows[vector].c).wrapping_add(column)
    };
    let mut sums: [[__m512; N]; V] = [[_mm512_setzero_ps(); N]; V];
    if args.accumulate != 0 || part.done != 0 {
        for (vector, sums) in sums.iter_mut().enumerate() {
            for (column, sum) in sums.iter_mut().enumerate() {
                let from = c(vector, column);
                // SAFETY: the lanes are rows of C.
                *sum = unsafe {
                    _mm512_mask_i32gather_ps::<4>(*sum, rows[vector].lanes, places, from.cast())
                };
            }
        }
    }
    let mut b = args.b.cast::<f32>().wrapping_add(part.done * PANEL_WIDTH);
    for &step in part.steps {
        // SAFETY: a panel is readable over its full width for every k.
        let b_row: [__m512; N] =
            std::array::from_fn(|column| _mm512_set1_ps(unsafe { *b.add(column) }));
        for (rows, sums) in rows.iter().zip(&mut sums) {
            let a = args.a.wrapping_offset(rows.a).wrapping_offset(step);
            // SAFETY: the lanes are rows of A, side by side.
            let a = unsafe { _mm512_maskz_loadu_ps(rows.lanes, a.cast()) };
            for (sum, &b) in sums.iter_mut().zip(&b_row) {
                *sum = _mm512_fmadd_ps(a, b, *sum);
            }
        }
        b = b.wrapping_add(PANEL_WIDTH);
    }
    for (vector, sums) in sums.iter().enumerate() {
        for (column, &sum) in sums.iter().enumerate() {
            let to = c(vector, column);
            // SAFETY: the lanes are rows of C.
            unsafe { _mm512_mask_i32scatter_ps::<4>(to.cast(), rows[vector].lanes, places, sum) };
        }
    }
}
