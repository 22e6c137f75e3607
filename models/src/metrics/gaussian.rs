//! Planes of one channel, and the 11-tap Gaussian that SSIM looks at them through.

use std::sync::LazyLock;

/// Taps of the window.
const TAPS: usize = 11;
const SIGMA: f32 = 1.5;

/// The window, built and normalised in f32: the reference does, and a window of f64 precision
/// moves SSIM by up to 4.5e-6.
static WINDOW: LazyLock<[f64; TAPS]> = LazyLock::new(|| {
    let weights: [f32; TAPS] = std::array::from_fn(|tap| {
        let x = tap as f32 - (TAPS / 2) as f32;
        libm::expf(-(x * x) / (2.0 * SIGMA * SIGMA))
    });
    // The total correctly rounded: adding in f32 from left to right would be off by one unit.
    let total = weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() as f32;
    weights.map(|weight| f64::from(weight / total))
});

/// The window along an axis of the given length. An axis shorter than the window is not blurred
/// at all, as in pytorch-msssim: its window is a single 1.
pub(super) fn window_along(length: usize) -> &'static [f64] {
    if length < TAPS { &[1.0] } else { window() }
}

/// The window along a longer axis.
pub(crate) fn window() -> &'static [f64; TAPS] {
    &WINDOW
}

/// A plane of f64 values, row by row.
pub(super) struct Plane {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f64>,
}

impl Plane {
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    /// Means of 2x2 blocks. An odd side has one row or column of zeros put before it, which the
    /// means count: average pooling with padding (side mod 2).
    pub fn halved(&self) -> Plane {
        let (pad_x, pad_y) = (self.width % 2, self.height % 2);
        let (width, height) = (self.width.div_ceil(2), self.height.div_ceil(2));
        let at = |x: usize, y: usize| {
            if x < pad_x || y < pad_y {
                0.0
            } else {
                self.values[(y - pad_y) * self.width + (x - pad_x)]
            }
        };
        let mut values = Vec::with_capacity(width * height);
        for y in 0..height {
            values.extend((0..width).map(|x| {
                let (x, y) = (2 * x, 2 * y);
                (at(x, y) + at(x + 1, y) + at(x, y + 1) + at(x + 1, y + 1)) / 4.0
            }));
        }
        Plane {
            width,
            height,
            values,
        }
    }
}
