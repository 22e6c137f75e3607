//! Every family against the definition of a contraction, bit for bit, in every format.

use std::ops::Range;

use proptest::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::{BF16, GatheredArgs, GatheredFn, INT8, LEVELS, Level, avx512_pairs, widened};
use super::{ContractArgs, ContractFn, Family, PANEL_WIDTH};
use crate::kernel::Format;
use bsq_ir::DType;

/// What surrounds C in memory: a NaN that no sum of finite terms can be.
const GUARD: u32 = 0x7fc0_1234;

/// A contraction of random shape, strides and values.
#[derive(Debug, Clone)]
struct Problem {
    format: Format,
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
        0..Format::ALL.len(),
        any::<bool>(),
        prop::array::uniform3(0..20_usize),
        1..4_usize,
        any::<bool>(),
    );
    (1..=m, 1..=n, 0..=k, layout, any::<bool>(), any::<u64>()).prop_map(
        |(m, n, k, (format, transposed, gaps, spread, reversed), accumulate, seed)| {
            let format = Format::ALL[format];
            // Terms that lie side by side in panels do so in A.
            let plain = format.terms() > 1;
            Problem {
                format,
                m,
                n,
                k,
                transposed: transposed && !plain,
                gaps,
                spread: if plain { 1 } else { spread },
                reversed,
                accumulate,
                seed,
            }
        },
    )
}

/// The operands of a [`Problem`] in memory, as bytes.
struct Operands {
    /// Exactly as long as what a contraction may read.
    a: Vec<u8>,
    a_strides: (isize, isize),
    a_first: usize,
    b: Vec<u8>,
    b_panel_stride: usize,
    columns: Vec<u8>,
    /// With guards before, between and after its rows.
    c: Vec<u32>,
    c_row_stride: isize,
    c_first: usize,
}

/// An element of a type from a number.
fn bytes_of(dtype: DType, value: f32) -> Vec<u8> {
    match dtype {
        DType::F32 => value.to_le_bytes().to_vec(),
        DType::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
        // Subnormal where the number is.
        DType::F16 if value.is_subnormal() => ((value.to_bits() >> 16 & 0x8000) as u16
            | (value.to_bits() & 0x3ff) as u16)
            .to_le_bytes()
            .to_vec(),
        DType::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
        DType::U8 => vec![value.to_bits().wrapping_mul(0x9E37_79B9).to_be_bytes()[0]],
        DType::I32 => ((value.to_bits() as i32) >> 8).to_le_bytes().to_vec(),
        other => panic!("no operand is {other}"),
    }
}

impl Problem {
    fn operands(&self) -> Operands {
        let &Problem {
            format,
            m,
            n,
            k,
            spread,
            gaps: [a_gap, b_gap, c_gap],
            ..
        } = self;
        let mut values = values(self.seed, format == Format::Bf16);
        // What rounds k up counts zero, in A as in B.
        let whole = k.next_multiple_of(format.terms());
        let (outer, inner) = if self.transposed {
            (whole, m)
        } else {
            (m, whole)
        };
        let outer_stride = inner * spread + a_gap;
        let last = outer.saturating_sub(1) * outer_stride + inner.saturating_sub(1) * spread;
        let a = (0..if k == 0 { 0 } else { last + 1 })
            .flat_map(|_| bytes_of(format.a(), values()))
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
        let b_panel_stride = whole * PANEL_WIDTH + b_gap;
        let width = PANEL_WIDTH * format.terms();
        let b = (0..panels * b_panel_stride - b_gap).flat_map(|at| {
            let at = at % b_panel_stride;
            let (step, within) = (at / width, at % width);
            let padding = step * format.terms() + within % format.terms() >= k;
            match (padding, format) {
                (true, _) => vec![0; format.b().size()],
                (false, _) => bytes_of(format.b(), values()),
            }
        });
        let b = b.collect();
        let columns = match format.columns() {
            Some(dtype) => (0..n).flat_map(|_| bytes_of(dtype, values())).collect(),
            None => Vec::new(),
        };
        let c_row_stride = n + c_gap;
        let mut c = vec![GUARD; m * c_row_stride + 64];
        for row in 0..m {
            c[32 + row * c_row_stride..][..n].fill_with(|| values().to_bits());
        }
        let sign = if self.reversed { -1 } else { 1 };
        let first = |stride| if self.reversed { (m - 1) * stride } else { 0 };
        Operands {
            a,
            a_strides: (sign * row_stride as isize, k_stride as isize),
            a_first: first(row_stride),
            b,
            b_panel_stride,
            columns,
            c,
            c_row_stride: sign * c_row_stride as isize,
            c_first: 32 + first(c_row_stride),
        }
    }
}

impl Operands {
    /// Element of A, as bits.
    fn a(&self, format: Format, row: usize, k: usize) -> u32 {
        let at = row as isize * self.a_strides.0 + k as isize * self.a_strides.1;
        element(&self.a, format.a(), self.a_first.strict_add_signed(at))
    }

    /// Element of B, as bits.
    fn b(&self, format: Format, k: usize, column: usize) -> u32 {
        let (panel, lane, terms) = (column / PANEL_WIDTH, column % PANEL_WIDTH, format.terms());
        let at = (k / terms * PANEL_WIDTH + lane) * terms + k % terms;
        element(&self.b, format.b(), panel * self.b_panel_stride + at)
    }

    fn c_index(&self, row: usize, column: usize) -> usize {
        self.c_first
            .strict_add_signed(row as isize * self.c_row_stride)
            + column
    }

    /// The definition: ascending k, one fused multiply-add per term; of a pair of bf16 the second
    /// term first; bytes exactly.
    fn expected(&self, problem: &Problem) -> Vec<u32> {
        let (format, k) = (problem.format, problem.k);
        let float = f32::from_bits;
        let half = |bits: u32| float(bits << 16);
        let f16 = |bits: u32| half::f16::from_bits(bits as u16).to_f32();
        let mut c = self.c.clone();
        for row in 0..problem.m {
            for column in 0..problem.n {
                let own = format
                    .columns()
                    .map_or(0, |_| element(&self.columns, DType::F32, column));
                let c = &mut c[self.c_index(row, column)];
                let a = |k| self.a(format, row, k);
                let b = |k| self.b(format, k, column);
                let start = if problem.accumulate { float(*c) } else { 0.0 };
                let sum = match format {
                    Format::F32 => {
                        (0..k).fold(start, |sum, k| float(a(k)).mul_add(float(b(k)), sum))
                    }
                    Format::Bf16Weights => {
                        (0..k).fold(start, |sum, k| float(a(k)).mul_add(half(b(k)), sum))
                    }
                    Format::U8Weights => (0..k).fold(start, |sum, k| {
                        let wide = (b(k) as f32 - 128.0) * float(own);
                        float(a(k)).mul_add(wide, sum)
                    }),
                    Format::Bf16 => (0..k).step_by(2).fold(start, |sum, k| {
                        let sum = half(a(k + 1)).mul_add(half(b(k + 1)), sum);
                        half(a(k)).mul_add(half(b(k)), sum)
                    }),
                    Format::F16 => (0..k.next_multiple_of(2))
                        .fold(start, |sum, k| f16(a(k)).mul_add(f16(b(k)), sum)),
                    Format::Int8 => {
                        let start = if problem.accumulate { *c } else { own };
                        let terms = (0..k).map(|k| a(k) as i32 * i32::from(b(k) as u8 as i8));
                        let sum = terms.fold(start as i32, i32::wrapping_add);
                        float(sum as u32)
                    }
                };
                *c = sum.to_bits();
            }
        }
        c
    }

    /// One contraction over the given rows and terms of k into `c`.
    fn contract(
        &self,
        contraction: ContractFn,
        problem: &Problem,
        c: &mut [u32],
        rows: Range<usize>,
        ks: Range<usize>,
        accumulate: bool,
    ) {
        if rows.is_empty() {
            return;
        }
        let format = problem.format;
        let a = self.a_first as isize
            + rows.start as isize * self.a_strides.0
            + ks.start as isize * self.a_strides.1;
        let a = self
            .a
            .as_ptr()
            .wrapping_offset(a * format.a().size() as isize);
        let b = ks.start * PANEL_WIDTH * format.b().size();
        let args = ContractArgs {
            a,
            a_row_stride: self.a_strides.0,
            a_k_stride: self.a_strides.1,
            b: self.b.as_ptr().wrapping_add(b),
            b_panel_stride: self.b_panel_stride as isize,
            columns: self.columns.as_ptr(),
            c: c.as_mut_ptr()
                .wrapping_add(self.c_index(rows.start, 0))
                .cast(),
            c_row_stride: self.c_row_stride,
            m: rows.len(),
            n: problem.n,
            k: ks.len(),
            accumulate: usize::from(accumulate),
        };
        // SAFETY: `operands` allocates all of A, B and C for these strides; `c` is a copy of C.
        unsafe { contraction(&args) };
    }
}

/// An element of an array in bytes, as bits.
fn element(bytes: &[u8], dtype: DType, at: usize) -> u32 {
    let size = dtype.size();
    let mut bits = [0; 4];
    bits[..size].copy_from_slice(&bytes[at * size..][..size]);
    u32::from_le_bytes(bits)
}

/// Values of both signs over many binades (some subnormal unless `normal`, some zero), so that any
/// change of order or any second rounding shows in the bits.
fn values(seed: u64, normal: bool) -> impl FnMut() -> f32 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mantissa = (state >> 40) as f32 / 4096.0 - 2048.0;
        match state & 63 {
            0 => 0.0,
            1 => -0.0,
            2 if !normal => mantissa * 1e-42,
            s => mantissa * ((s % 8) as f32 - 4.0).exp2(),
        }
    }
}

/// Each family's contraction in a format, and those that this CPU could run and does not take.
fn contractions(format: Format) -> Vec<(String, ContractFn)> {
    let families = Family::all_supported().into_iter();
    let taken = families.map(|family| (family.to_string(), family.contract(format)));
    let mut found: Vec<_> = taken.collect();
    #[cfg(target_arch = "x86_64")]
    if Family::Avx512.is_supported() {
        let mut also = |name: &str, contraction| found.push((name.to_string(), contraction));
        match format {
            Format::Bf16 => also("avx512, widened", widened::contract::<BF16, true>),
            Format::Int8 => also("avx512, widened", widened::contract::<INT8, true>),
            _ => {}
        }
        if format == Format::Bf16 && is_x86_feature_detected!("avx512bf16") {
            also("avx512, pairs", avx512_pairs::contract_bf16);
        }
    }
    found
}

/// Runs every contraction in one call and cut in two along k and along m.
fn check(problem: &Problem, cut: usize) {
    let &Problem {
        format,
        m,
        k,
        accumulate,
        ..
    } = problem;
    let operands = problem.operands();
    let expected = operands.expected(problem);
    for (family, contraction) in contractions(format) {
        let mut c = operands.c.clone();
        operands.contract(contraction, problem, &mut c, 0..m, 0..k, accumulate);
        assert!(c == expected, "{family}, {format:?}, one call");

        // Between steps.
        let cut_k = cut % (k + 1) / format.terms() * format.terms();
        let mut c = operands.c.clone();
        operands.contract(contraction, problem, &mut c, 0..m, 0..cut_k, accumulate);
        operands.contract(contraction, problem, &mut c, 0..m, cut_k..k, true);
        assert!(c == expected, "{family}, {format:?}, cut at k = {cut_k}");

        let cut_m = cut % (m + 1);
        let mut c = operands.c.clone();
        operands.contract(contraction, problem, &mut c, 0..cut_m, 0..k, accumulate);
        operands.contract(contraction, problem, &mut c, cut_m..m, 0..k, accumulate);
        assert!(c == expected, "{family}, {format:?}, cut at row {cut_m}");
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

    #[test]
    fn families_equal_the_definition_over_many_rows(problem in problem(210, 20, 40), cut in any::<usize>()) {
        check(&problem, cut);
    }
}

#[test]
fn an_overflow_and_a_cancelled_infinity_are_the_same_everywhere() {
    // Every step rounds to f32: max * 2 stays infinite, though max * 2 - max * 2 is 0.
    let a: [f32; 4] = [f32::MAX, f32::MAX, f32::INFINITY, f32::INFINITY];
    let mut b = [0.0_f32; 32];
    (b[0], b[16]) = (1.0, -1.0);
    (b[1], b[17]) = (2.0, -2.0);
    for family in Family::all_supported() {
        let mut c = [0.0_f32; 4];
        let args = ContractArgs {
            a: a.as_ptr().cast(),
            a_row_stride: 2,
            a_k_stride: 1,
            b: b.as_ptr().cast(),
            b_panel_stride: 32,
            columns: std::ptr::null(),
            c: c.as_mut_ptr().cast(),
            c_row_stride: 2,
            m: 2,
            n: 2,
            k: 2,
            accumulate: 0,
        };
        // SAFETY: the arrays are as large as the strides say.
        unsafe { family.contract(Format::F32)(&args) };
        assert_eq!(c[0], 0.0, "{family}");
        assert_eq!(c[1], f32::INFINITY, "{family}");
        assert!(c[2].is_nan() && c[3].is_nan(), "{family}: {c:?}");
    }
}

/// Whichever of the two this CPU takes, the other one is tried, too.
#[cfg(target_arch = "x86_64")]
#[test]
fn gathered_pairs_are_those_of_widened_blocks() {
    if !(Family::Avx512.is_supported() && is_x86_feature_detected!("avx512bf16")) {
        eprintln!("skipped: this CPU has no pairs of bf16");
        return;
    }
    let mut values = values(7, true);
    for (across, down, channels, n) in [(5, 3, 4, 3_usize), (13, 2, 70, 48), (9, 9, 64, 70)] {
        let [wide, high] = [across + 2, down + 2];
        let (m, k) = (across * down, 9 * channels);
        let mut numbers = |count: usize| {
            let all = (0..count).flat_map(|_| bytes_of(DType::BF16, values()));
            all.collect::<Vec<u8>>()
        };
        let a = numbers(wide * high * channels);
        let b = numbers(n.next_multiple_of(PANEL_WIDTH) * k);
        let level = |count, stride: usize| Level {
            count,
            stride: stride as isize,
        };
        let last = |stride: usize| Level::last(stride as isize);
        let (mut rows, mut terms) = ([Level::last(0); LEVELS], [Level::last(0); LEVELS]);
        rows[..2].copy_from_slice(&[level(across, channels), last(wide * channels)]);
        let of_terms = [
            level(channels / 2, 2),
            level(3, channels),
            last(wide * channels),
        ];
        terms[..3].copy_from_slice(&of_terms);
        let results = [
            avx512_pairs::gathered as GatheredFn,
            widened::gathered::<true>,
        ]
        .map(|gathered| {
            let mut c = vec![GUARD; m * n];
            let args = ContractArgs {
                a: a.as_ptr(),
                a_row_stride: 0,
                a_k_stride: 0,
                b: b.as_ptr(),
                b_panel_stride: (k * PANEL_WIDTH) as isize,
                columns: std::ptr::null(),
                c: c.as_mut_ptr().cast(),
                c_row_stride: n as isize,
                m,
                n,
                k,
                accumulate: 0,
            };
            // SAFETY: the arrays are as large as the levels say.
            unsafe { gathered(&GatheredArgs { args, rows, terms }) };
            c
        });
        assert!(!results[0].contains(&GUARD));
        assert!(results[0] == results[1], "{across} {down} {channels} {n}");
    }
}
