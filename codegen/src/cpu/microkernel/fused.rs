//! Multiply-adds on the lanes of a panel: the instruction where the build has one that the compiler
//! can use, `doubles` elsewhere.

use super::PANEL_WIDTH;

/// What elements of the rhs are kept as.
#[cfg(any(target_feature = "fma", target_arch = "aarch64"))]
pub(super) type Factor = f32;
#[cfg(not(any(target_feature = "fma", target_arch = "aarch64")))]
pub(super) type Factor = f64;

/// Adds `a * b` to the sum of every lane, rounded once.
#[inline(always)]
pub(super) fn multiply_add(a: f32, b: &[Factor; PANEL_WIDTH], sums: &mut [f32; PANEL_WIDTH]) {
    #[cfg(any(target_feature = "fma", target_arch = "aarch64"))]
    for (sum, &b) in sums.iter_mut().zip(b) {
        *sum = a.mul_add(b, *sum);
    }
    #[cfg(not(any(target_feature = "fma", target_arch = "aarch64")))]
    super::doubles::multiply_add(a, b, sums);
}
