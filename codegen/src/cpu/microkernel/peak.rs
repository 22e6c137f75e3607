//! The multiply-add rate of one thread with all operands in registers: what a microkernel's speed
//! is compared with.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::{Family, PANEL_WIDTH, fused};

/// Steps of a loop between two looks at the clock: some tens of microseconds.
const STEPS: usize = 10_000;

/// Measures for about `seconds` how many GFLOP/s one thread reaches with a family's fused
/// multiply-adds on registers alone (one multiply-add counts as two).
///
/// Neighbours and clock frequency move it, so compare it only with samples taken in turn with it,
/// and by medians.
///
/// # Panics
/// If this CPU lacks the family's instructions.
pub fn fma_peak(family: Family, seconds: f64) -> f64 {
    assert!(
        family.is_supported(),
        "this CPU cannot run the family {family}"
    );
    let limit = Duration::from_secs_f64(seconds);
    let start = Instant::now();
    let mut flops = 0;
    loop {
        flops += steps(family);
        let elapsed = start.elapsed();
        if elapsed >= limit {
            return flops as f64 / elapsed.as_secs_f64() / 1e9;
        }
    }
}

/// Runs the family's loop and returns its floating-point operations; the family is supported.
fn steps(family: Family) -> usize {
    match family {
        Family::Portable => portable(STEPS / 16),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the family is supported.
        Family::Avx2 => unsafe { avx2(STEPS) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the family is supported.
        Family::Avx512 => unsafe { avx512(STEPS) },
        #[cfg(not(target_arch = "x86_64"))]
        Family::Avx2 | Family::Avx512 => unreachable!("supported on x86-64 only"),
    }
}

/// The factor and the addend of every step: `x` converges to 1, so that no operand becomes
/// subnormal or infinite.
fn operands() -> (f32, f32) {
    black_box((0.5, 0.5))
}

/// Defines a loop of independent multiply-adds on a family's registers.
macro_rules! register_loop {
    ($(#[$attribute:meta])* $name:ident: $sums:literal x $lanes:literal, $broadcast:path, $fma:path) => {
        $(#[$attribute])*
        fn $name(steps: usize) -> usize {
            let (factor, addend) = operands();
            let (factor, addend) = ($broadcast(factor), $broadcast(addend));
            let mut sums = [$broadcast(0.0); $sums];
            for _ in 0..steps {
                for sum in &mut sums {
                    *sum = $fma(*sum, factor, addend);
                }
            }
            black_box(sums);
            2 * $sums * $lanes * steps
        }
    };
}

fn portable(steps: usize) -> usize {
    let (factor, addend) = operands();
    let addends = [fused::Factor::from(addend); PANEL_WIDTH];
    let mut sums = [[0.0; PANEL_WIDTH]; 2];
    for _ in 0..steps {
        for sums in &mut sums {
            fused::multiply_add(factor, &addends, sums);
        }
    }
    black_box(sums);
    2 * 2 * PANEL_WIDTH * steps
}

#[cfg(target_arch = "x86_64")]
register_loop!(
    #[target_feature(enable = "avx2,fma")]
    avx2: 12 x 8, std::arch::x86_64::_mm256_set1_ps, std::arch::x86_64::_mm256_fmadd_ps
);

#[cfg(target_arch = "x86_64")]
register_loop!(
    #[target_feature(enable = "avx512f")]
    avx512: 24 x 16, std::arch::x86_64::_mm512_set1_ps, std::arch::x86_64::_mm512_fmadd_ps
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_supported_family_has_a_peak() {
        for family in Family::all_supported() {
            let peak = fma_peak(family, 1e-3);
            assert!(peak.is_finite() && peak > 0.0, "{family}: {peak}");
        }
    }
}
