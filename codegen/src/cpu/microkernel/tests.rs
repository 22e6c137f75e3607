//! Every family against the definition of a contraction, bit for bit.

use std::ops::Range;

use proptest::prelude::*;

use super::{ContractArgs, Family, PANEL_WIDTH};

/// What surrounds C in memory: a NaN that no sum of finite terms can be.
const GUARD: u32 = 0x7fc0_1234;

/// A contraction of random shape, strides and values.
#[derive(Debug, Clone)]
struct Problem {
    m: usize,
    n: usize,
    k: usize,
    /// A is stored as its transpose.
    transposed: bool,
    /// Extra elements between the rows of A, the panels of B and the rows of C.
    gaps: [usize; 3],
    /// Elements between two neighbours within a row of A.
    spread: usize,
    /// The rows of A and C lie in memory in descending order.
    reversed: bool,
    accumulate: bool,
    seed: u64,
}

fn problem(m: usize, n: usize, k: usize) -> impl Strategy<Value = Problem> {
    let layout = (
        any::<bool>(),
        prop::array::uniform3(0..20_usize),
        1..4_usize,
        any::<bool>(),
    );
    (1..=m, 1..=n, 0..=k, layout, any::<bool>(), any::<u64>()).prop_map(
        |(m, n, k, (transposed, gaps, spread, reversed), accumulate, seed)| Problem {
            m,
            n,
            k,
            transposed,
            gaps,
            spread,
            reversed,
            accumulate,
            seed,
        },
    )
}

/// The operands of a [`Problem`] in memory.
struct Operands {
    /// Exactly as long as what a contraction may read.
    a: Vec<f32>,
    a_strides: (isize, isize),
    a_first: usize,
    b: Vec<f32>,
    b_panel_stride: usize,
    /// With guards before, between and after its rows.
    c: Vec<f32>,
    c_row_stride: isize,
    c_first: usize,
}

impl Problem {
    fn operands(&self) -> Operands {
        let &Problem {
            m,
            n,
            k,
            spread,
            gaps: [a_gap, b_gap, c_gap],
            ..
        } = self;
        let mut values = values(self.seed);
        let (outer, inner) = if self.transposed { (k, m) } else { (m, k) };
        let outer_stride = inner * spread + a_gap;
        let last = outer.saturating_sub(1) * outer_stride + inner.saturating_sub(1) * spread;
        let a = (0..if k == 0 { 0 } else { last + 1 })
            .map(|_| values())
            .collect();
        let (mut row_stride, k_stride) = if self.transposed {
            (spread, outer_stride)
        } else {
            (outer_stride, spread)
        };
        if k == 0 {
            row_stride = 0;
        }
        let panels = n.div_ceil(PANEL_WIDTH);
        let b_panel_stride = k * PANEL_WIDTH + b_gap;
        let b = (0..panels * b_panel_stride - b_gap)
            .map(|_| values())
            .collect();
        let c_row_stride = n + c_gap;
        let mut c = vec![f32::from_bits(GUARD); m * c_row_stride + 64];
        for row in 0..m {
            c[32 + row * c_row_stride..][..n].fill_with(&mut values);
        }
        let sign = if self.reversed { -1 } else { 1 };
        let first = |stride| if self.reversed { (m - 1) * stride } else { 0 };
        Operands {
            a,
            a_strides: (sign * row_stride as isize, k_stride as isize),
            a_first: first(row_stride),
            b,
            b_panel_stride,
            c,
            c_row_stride: sign * c_row_stride as isize,
            c_first: 32 + first(c_row_stride),
        }
    }
}

impl Operands {
    fn a(&self, row: usize, k: usize) -> f32 {
        self.a[self
            .a_first
            .strict_add_signed(row as isize * self.a_strides.0 + k as isize * self.a_strides.1)]
    }

    fn b(&self, k: usize, column: usize) -> f32 {
        self.b[column / PANEL_WIDTH * self.b_panel_stride + k * PANEL_WIDTH + column % PANEL_WIDTH]
    }

    fn c_index(&self, row: usize, column: usize) -> usize {
        self.c_first
            .strict_add_signed(row as isize * self.c_row_stride)
            + column
    }

    /// The definition: ascending k, one fused multiply-add per term.
    fn expected(&self, problem: &Problem) -> Vec<u32> {
        let mut c = self.c.clone();
        for row in 0..problem.m {
            for column in 0..problem.n {
                let c = &mut c[self.c_index(row, column)];
                let start = if problem.accumulate { *c } else { 0.0 };
                *c = (0..problem.k).fold(start, |sum, k| {
                    self.a(row, k).mul_add(self.b(k, column), sum)
                });
            }
        }
        bits(&c)
    }

    /// One contraction over the given rows and terms of k into `c`.
    fn contract(
        &self,
        family: Family,
        problem: &Problem,
        c: &mut [f32],
        rows: Range<usize>,
        ks: Range<usize>,
        accumulate: bool,
    ) {
        if rows.is_empty() {
            return;
        }
        let a = self.a_first as isize
            + rows.start as isize * self.a_strides.0
            + ks.start as isize * self.a_strides.1;
        let args = ContractArgs {
            a: self.a.as_ptr().wrapping_offset(a),
            a_row_stride: self.a_strides.0,
            a_k_stride: self.a_strides.1,
            b: self.b.as_ptr().wrapping_add(ks.start * PANEL_WIDTH),
            b_panel_stride: self.b_panel_stride as isize,
            c: c.as_mut_ptr().wrapping_add(self.c_index(rows.start, 0)),
            c_row_stride: self.c_row_stride,
            m: rows.len(),
            n: problem.n,
            k: ks.len(),
            accumulate: usize::from(accumulate),
        };
        // SAFETY: `operands` allocates all of A, B and C for these strides; `c` is a copy of C.
        unsafe { family.contract()(&args) };
    }
}

/// Values of both signs over many binades (some subnormal, some zero), so that any change of order
/// or any second rounding shows in the bits.
fn values(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mantissa = (state >> 40) as f32 / 4096.0 - 2048.0;
        match state & 63 {
            0 => 0.0,
            1 => -0.0,
            2 => mantissa * 1e-42,
            s => mantissa * ((s % 8) as f32 - 4.0).exp2(),
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Runs every family in one call and cut in two along k and along m.
fn check(problem: &Problem, cut: usize) {
    let &Problem {
        m, k, accumulate, ..
    } = problem;
    let operands = problem.operands();
    let expected = operands.expected(problem);
    for family in Family::all_supported() {
        let mut c = operands.c.clone();
        operands.contract(family, problem, &mut c, 0..m, 0..k, accumulate);
        assert!(bits(&c) == expected, "{family}, one call");

        let cut_k = cut % (k + 1);
        let mut c = operands.c.clone();
        operands.contract(family, problem, &mut c, 0..m, 0..cut_k, accumulate);
        operands.contract(family, problem, &mut c, 0..m, cut_k..k, true);
        assert!(bits(&c) == expected, "{family}, cut at k = {cut_k}");

        let cut_m = cut % (m + 1);
        let mut c = operands.c.clone();
        operands.contract(family, problem, &mut c, 0..cut_m, 0..k, accumulate);
        operands.contract(family, problem, &mut c, cut_m..m, 0..k, accumulate);
        assert!(bits(&c) == expected, "{family}, cut at row {cut_m}");
    }
}

proptest! {
    #[test]
    fn families_equal_the_definition(problem in problem(33, 130, 70), cut in any::<usize>()) {
        check(&problem, cut);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn families_equal_the_definition_over_long_sums(problem in problem(19, 40, 3000), cut in any::<usize>()) {
        check(&problem, cut);
    }
}

#[test]
fn an_overflow_and_a_cancelled_infinity_are_the_same_everywhere() {
    // Every step rounds to f32: max * 2 stays infinite, though max * 2 - max * 2 is 0.
    let a = [f32::MAX, f32::MAX, f32::INFINITY, f32::INFINITY];
    let mut b = [0.0; 32];
    (b[0], b[16]) = (1.0, -1.0);
    (b[1], b[17]) = (2.0, -2.0);
    for family in Family::all_supported() {
        let mut c = [0.0; 4];
        let args = ContractArgs {
            a: a.as_ptr(),
            a_row_stride: 2,
            a_k_stride: 1,
            b: b.as_ptr(),
            b_panel_stride: 32,
            c: c.as_mut_ptr(),
            c_row_stride: 2,
            m: 2,
            n: 2,
            k: 2,
            accumulate: 0,
        };
        // SAFETY: the arrays are as large as the strides say.
        unsafe { family.contract()(&args) };
        assert_eq!(c[0], 0.0, "{family}");
        assert_eq!(c[1], f32::INFINITY, "{family}");
        assert!(c[2].is_nan() && c[3].is_nan(), "{family}: {c:?}");
    }
}
