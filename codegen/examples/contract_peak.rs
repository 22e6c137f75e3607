//! How much of one core's multiply-add peak the contraction microkernels reach.
//!
//! `cargo run --release -p bsq-codegen --example contract_peak -- [M K N [BLOCK]]`
//!
//! Each family's registers-only peak and its contraction are sampled in turn; medians are
//! compared. As in a compiled program, B is packed once beforehand and A is passed in blocks of
//! rows.

use std::time::Instant;

use bsq_codegen::cpu::microkernel::{ContractArgs, Family, PANEL_WIDTH, fma_peak};
use bsq_codegen::kernel::Format;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .skip(1)
        .map(|size| size.parse().expect("M K N [BLOCK] are numbers"))
        .collect();
    let (m, k, n, block) = match sizes[..] {
        [] => (1024, 768, 768, 128),
        [m, k, n] => (m, k, n, 128),
        [m, k, n, block] => (m, k, n, block),
        _ => panic!("expected: M K N [BLOCK]"),
    };
    println!("{m} x {k} x {n} in blocks of {block} rows, one thread, medians in GFLOP/s");
    for family in Family::all_supported() {
        let samples = if family == Family::Portable { 3 } else { 101 };
        let mut contraction = Contraction::new(m, k, n, block);
        contraction.run(family);
        let (peaks, rates): (Vec<f64>, Vec<f64>) = (0..samples)
            .map(|_| (fma_peak(family, 5e-3), contraction.run(family)))
            .unzip();
        let (peak, rate) = (median(peaks), median(rates));
        println!(
            "{family:>8}: peak {peak:6.1}, contraction {rate:6.1}, ratio {:.3}",
            rate / peak
        );
    }
}

/// Operands of `C[m, n] = A[m, k] * B[k, n]`.
struct Contraction {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    m: usize,
    k: usize,
    n: usize,
    block: usize,
}

impl Contraction {
    fn new(m: usize, k: usize, n: usize, block: usize) -> Self {
        let fill = |length| (0..length).map(|i| (i % 97) as f32 / 97.0 - 0.5).collect();
        Self {
            a: fill(m * k),
            b: fill(n.next_multiple_of(PANEL_WIDTH) * k),
            c: vec![0.0; m * n],
            m,
            k,
            n,
            block,
        }
    }

    /// Computes C once; GFLOP/s.
    fn run(&mut self, family: Family) -> f64 {
        let contract = family.contract(Format::F32);
        let start = Instant::now();
        for row in (0..self.m).step_by(self.block) {
            let args = ContractArgs {
                a: self.a[row * self.k..].as_ptr().cast(),
                a_row_stride: self.k as isize,
                a_k_stride: 1,
                b: self.b.as_ptr().cast(),
                b_panel_stride: (self.k * PANEL_WIDTH) as isize,
                columns: std::ptr::null(),
                c: self.c[row * self.n..].as_mut_ptr().cast(),
                c_row_stride: self.n as isize,
                m: self.block.min(self.m - row),
                n: self.n,
                k: self.k,
                accumulate: 0,
            };
            // SAFETY: the vectors are as long as the sizes and strides say.
            unsafe { contract(&args) };
        }
        2.0 * (self.m * self.k * self.n) as f64 / start.elapsed().as_secs_f64() / 1e9
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
