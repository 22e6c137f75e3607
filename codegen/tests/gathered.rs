//! Contractions of windows that are read where they are: every family against the definition, bit for bit.

use bsq_codegen::cpu::microkernel::{
    ContractArgs, Family, GatheredArgs, LEVELS, Level, PANEL_WIDTH,
};
use bsq_codegen::kernel::Format;
use half::bf16;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn families_equal_the_definition(
        (across, down) in (1..41usize, 1..5usize),
        channels in prop_oneof![1..6usize, 110..120usize],
        (n, kernel) in (prop_oneof![1..5usize, 5..70usize], 1..4usize),
        stride in 1..3usize,
        accumulate in any::<bool>(),
    ) {
        // Positions beside each other and below each other, and a picture of each channel.
        let [wide, high] = [across, down].map(|positions| (positions - 1) * stride + kernel);
        let (m, k) = (across * down, channels * kernel * kernel);
        let number = |i: usize| ((i * 7919 % 1013) as f32 - 500.0) * (1.0 + (i % 5) as f32).exp2();
        let a: Vec<f32> = (0..channels * high * wide).map(number).collect();
        let b: Vec<f32> = (0..n.next_multiple_of(PANEL_WIDTH) * k).map(|i| number(i + 1)).collect();
        let start: Vec<f32> = (0..m * n).map(|i| number(i + 2)).collect();
        let place = |index: usize, extents: [usize; 2], strides: [usize; 3]| {
            let [inner, middle] = extents;
            index % inner * strides[0] + index / inner % middle * strides[1]
                + index / (inner * middle) * strides[2]
        };
        let mut expected = start.clone();
        for (i, sum) in expected.iter_mut().enumerate() {
            let (row, column) = (i / n, i % n);
            *sum = if accumulate { *sum } else { 0.0 };
            let first = place(row, [across, down], [stride, stride * wide, 0]);
            for term in 0..k {
                let a = a[first + place(term, [kernel; 2], [1, wide, wide * high])];
                let panel = column / PANEL_WIDTH * PANEL_WIDTH * k;
                *sum = a.mul_add(b[panel + term * PANEL_WIDTH + column % PANEL_WIDTH], *sum);
            }
        }
        let level = |count: usize, stride: usize| Level { count, stride: stride as isize };
        let mut levels = [[Level::last(0); LEVELS]; 2];
        levels[0][..2].copy_from_slice(&[level(across, stride), Level::last((stride * wide) as isize)]);
        levels[1][..3].copy_from_slice(&[
            level(kernel, 1), level(kernel, wide), Level::last((wide * high) as isize),
        ]);
        let sides = (a.as_ptr().cast(), b.as_ptr().cast());
        for (family, c) in results(Format::F32, sides, &start, ([m, n, k], accumulate), levels) {
            prop_assert!(c == expected, "{family}");
        }
    }

    /// Channels lie side by side, and terms are taken in pairs of them, the second first.
    #[test]
    fn families_equal_the_definition_of_pairs(
        (across, down) in (1..41usize, 1..5usize),
        pairs in prop_oneof![1..9usize, 60..70usize],
        (n, kernel) in (prop_oneof![1..5usize, 5..70usize], 1..4usize),
        stride in 1..3usize,
        accumulate in any::<bool>(),
    ) {
        let channels = 2 * pairs;
        let [wide, high] = [across, down].map(|positions| (positions - 1) * stride + kernel);
        let (m, k) = (across * down, kernel * kernel * channels);
        let number = |i: usize| ((i * 7919 % 1013) as f32 - 500.0) * (1.0 + (i % 5) as f32).exp2();
        let narrow = |i: usize| bf16::from_f32(number(i));
        let a: Vec<bf16> = (0..high * wide * channels).map(narrow).collect();
        let b: Vec<bf16> = (1..=n.next_multiple_of(PANEL_WIDTH) * k).map(narrow).collect();
        let start: Vec<f32> = (0..m * n).map(|i| number(i + 2)).collect();
        let mut expected = start.clone();
        for (i, sum) in expected.iter_mut().enumerate() {
            let (row, column) = (i / n, i % n);
            *sum = if accumulate { *sum } else { 0.0 };
            let first = (row / across * wide + row % across) * stride * channels;
            let panel = column / PANEL_WIDTH * PANEL_WIDTH * k + 2 * (column % PANEL_WIDTH);
            for term in (0..k).map(|term| term ^ 1) {
                let (element, channel) = (term / channels, term % channels);
                let at = (element / kernel * wide + element % kernel) * channels + channel;
                let b = b[panel + term / 2 * 2 * PANEL_WIDTH + term % 2];
                *sum = a[first + at].to_f32().mul_add(b.to_f32(), *sum);
            }
        }
        let level = |count: usize, stride: usize| Level { count, stride: stride as isize };
        let last = |stride: usize| Level::last(stride as isize);
        let mut levels = [[Level::last(0); LEVELS]; 2];
        let (position, line) = (stride * channels, wide * channels);
        levels[0][..2].copy_from_slice(&[level(across, position), last(stride * line)]);
        levels[1][..3].copy_from_slice(&[level(pairs, 2), level(kernel, channels), last(line)]);
        let sides = (a.as_ptr().cast(), b.as_ptr().cast());
        for (family, c) in results(Format::Bf16, sides, &start, ([m, n, k], accumulate), levels) {
            prop_assert!(c == expected, "{family}");
        }
    }
}

/// What every family makes of `start` with an A that steps by levels of rows and of terms.
fn results(
    format: Format,
    (a, b): (*const u8, *const u8),
    start: &[f32],
    ([m, n, k], accumulate): ([usize; 3], bool),
    [rows, terms]: [[Level; LEVELS]; 2],
) -> Vec<(Family, Vec<f32>)> {
    let run = |family: Family| {
        let mut c = start.to_vec();
        let args = ContractArgs {
            a,
            a_row_stride: 0,
            a_k_stride: 0,
            b,
            b_panel_stride: (k * PANEL_WIDTH) as isize,
            columns: std::ptr::null(),
            c: c.as_mut_ptr().cast(),
            c_row_stride: n as isize,
            m,
            n,
            k,
            accumulate: accumulate.into(),
        };
        // SAFETY: the arrays are as large as the levels say.
        unsafe { family.gathered(format)(&GatheredArgs { args, rows, terms }) };
        (family, c)
    };
    Family::all_supported().into_iter().map(run).collect()
}
