//! The 11-tap Gaussian of SSIM, as a separable convolution without padding.

use std::sync::LazyLock;

/// Taps of the window.
pub(super) const TAPS: usize = 11;
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

/// A plane of f64 values, row by row.
#[derive(Clone)]
pub(super) struct Plane {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f64>,
}

impl Plane {
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    /// The values of two planes combined one by one.
    pub fn zip(&self, other: &Plane, combine: impl Fn(f64, f64) -> f64) -> Plane {
        let pairs = self.values.iter().zip(&other.values);
        Plane {
            values: pairs.map(|(&a, &b)| combine(a, b)).collect(),
            ..*self
        }
    }

    /// The plane blurred along both axes; an axis of n values keeps n - 10.
    ///
    /// An axis shorter than the window is not blurred at all, as pytorch-msssim does.
    pub fn blurred(&self) -> Plane {
        self.blurred_along_rows().blurred_along_columns()
    }

    fn blurred_along_rows(&self) -> Plane {
        if self.width < TAPS {
            return self.clone();
        }
        let width = self.width - TAPS + 1;
        let mut values = vec![0.0; width * self.height];
        for (row, blurred) in self.rows().zip(values.chunks_exact_mut(width)) {
            for (tap, weight) in WINDOW.iter().enumerate() {
                add_scaled(blurred, &row[tap..tap + width], *weight);
            }
        }
        Plane {
            width,
            height: self.height,
            values,
        }
    }

    fn blurred_along_columns(&self) -> Plane {
        if self.height < TAPS {
            return self.clone();
        }
        let height = self.height - TAPS + 1;
        let mut values = vec![0.0; self.width * height];
        for (y, blurred) in values.chunks_exact_mut(self.width).enumerate() {
            for (row, weight) in self.rows().skip(y).zip(WINDOW.iter()) {
                add_scaled(blurred, row, *weight);
            }
        }
        Plane {
            width: self.width,
            height,
            values,
        }
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

fn add_scaled(sums: &mut [f64], values: &[f64], scale: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += scale * value;
    }
}
