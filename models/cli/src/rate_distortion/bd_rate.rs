//! Bjøntegaard's delta rate: how many more bits one codec takes than another at equal quality.
//!
//! The logarithm of the rate is interpolated over the quality, monotonically (Fritsch and Carlson 1980), as
//! today's recommendations do instead of the single cubic of VCEG-M33, and averaged over the
//! qualities that both curves have. MS-SSIM counts as `-10 log10(1 - MS-SSIM)`, as is usual.

use super::{Comparison, Figures, Measured};
use std::fmt::Write;

/// Points that a curve needs.
const POINTS: usize = 4;

/// Our rate over another codec's at equal PSNR and at equal MS-SSIM, less one: -0.2 is a fifth fewer
/// bits. Means over pictures; `None` where a picture's curves have too few points or no quality in
/// common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BdRate {
    pub psnr: Option<f64>,
    pub ms_ssim: Option<f64>,
}

impl Comparison {
    /// Ours beside the codec at a position, along its own settings.
    pub fn bd_rate(&self, codec: usize) -> BdRate {
        let (ours, other) = (&self.codecs[0], &self.codecs[codec]);
        let mean = |quality: fn(&Measured) -> Option<f64>| {
            let of_picture = |picture: usize| {
                let [ours, other] = [ours, other].map(|figures| {
                    let points = curve(figures, picture).into_iter();
                    let point = |one: Measured| Some((quality(&one)?, one.bits_per_pixel));
                    points.filter_map(point).collect::<Vec<_>>()
                });
                bd_rate(&other, &ours)
            };
            let all: Option<Vec<f64>> = (0..self.pictures.len()).map(of_picture).collect();
            let all = all.filter(|all| !all.is_empty())?;
            Some(all.iter().sum::<f64>() / all.len() as f64)
        };
        BdRate {
            psnr: mean(|one| one.psnr.is_finite().then_some(one.psnr)),
            ms_ssim: mean(|one| {
                let loss = 1.0 - one.ms_ssim?;
                (loss > 0.0).then(|| -10.0 * loss.log10())
            }),
        }
    }
}

/// A line for each other codec.
pub fn bd_rate_table(comparison: &Comparison) -> String {
    let mut text =
        "| bits of ours at equal quality, beside | PSNR | MS-SSIM |\n|---|---|---|\n".to_string();
    for (position, codec) in comparison.codecs.iter().enumerate().skip(1) {
        let BdRate { psnr, ms_ssim } = comparison.bd_rate(position);
        let [psnr, ms_ssim] = [psnr, ms_ssim].map(|rate| match rate {
            Some(rate) => format!("{:+.1}%", 100.0 * rate),
            None => "-".to_string(),
        });
        writeln!(text, "| {} | {psnr} | {ms_ssim} |", codec.name).expect("a String takes all");
    }
    text
}

/// A picture's files along the codec's own settings; ours along the ladder.
fn curve(figures: &Figures, picture: usize) -> Vec<Measured> {
    match figures.sweep.is_empty() {
        true => {
            let rungs = figures.rungs.iter();
            rungs.filter_map(|rung| *rung.get(picture)?).collect()
        }
        false => {
            let settings = figures.sweep.iter();
            settings
                .filter_map(|(_, all)| all.get(picture).copied())
                .collect()
        }
    }
}

/// The rate of `test` over that of `anchor` at equal quality, less one; both are (quality, rate).
fn bd_rate(anchor: &[(f64, f64)], test: &[(f64, f64)]) -> Option<f64> {
    let (anchor, test) = (Curve::of(anchor)?, Curve::of(test)?);
    let low = anchor.qualities[0].max(test.qualities[0]);
    let high = anchor.last().min(test.last());
    if low >= high {
        return None;
    }
    let difference = test.integral(low, high) - anchor.integral(low, high);
    Some((difference / (high - low)).exp() - 1.0)
}

/// The logarithm of the rate over the quality: cubics that rise and fall only where the points do.
struct Curve {
    qualities: Vec<f64>,
    rates: Vec<f64>,
    slopes: Vec<f64>,
}

impl Curve {
    fn of(points: &[(f64, f64)]) -> Option<Curve> {
        let mut points = points.to_vec();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|a, b| a.0 == b.0);
        if points.len() < POINTS {
            return None;
        }
        let qualities: Vec<f64> = points.iter().map(|point| point.0).collect();
        let rates: Vec<f64> = points.iter().map(|point| point.1.ln()).collect();
        let steps: Vec<f64> = qualities.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let rises = rates.windows(2).zip(&steps);
        let rises: Vec<f64> = rises
            .map(|(pair, step)| (pair[1] - pair[0]) / step)
            .collect();
        let last = rises.len() - 1;
        let mut slopes = vec![end_slope([steps[0], steps[1]], [rises[0], rises[1]])];
        for i in 1..rises.len() {
            slopes.push(inner_slope(
                [steps[i - 1], steps[i]],
                [rises[i - 1], rises[i]],
            ));
        }
        slopes.push(end_slope(
            [steps[last], steps[last - 1]],
            [rises[last], rises[last - 1]],
        ));
        Some(Curve {
            qualities,
            rates,
            slopes,
        })
    }

    fn last(&self) -> f64 {
        self.qualities[self.qualities.len() - 1]
    }

    /// The integral over qualities inside the curve's.
    fn integral(&self, low: f64, high: f64) -> f64 {
        let pieces = 0..self.qualities.len() - 1;
        let piece = |i: usize| {
            let (a, b) = (self.qualities[i].max(low), self.qualities[i + 1].min(high));
            if a >= b {
                return 0.0;
            }
            // Simpson's rule is exact for cubics.
            let middle = self.at(i, a.midpoint(b));
            (b - a) / 6.0 * (self.at(i, a) + 4.0 * middle + self.at(i, b))
        };
        pieces.map(piece).sum()
    }

    /// The value of piece `i`.
    fn at(&self, i: usize, quality: f64) -> f64 {
        let step = self.qualities[i + 1] - self.qualities[i];
        let t = (quality - self.qualities[i]) / step;
        let (from, to) = (self.rates[i], self.rates[i + 1]);
        let (start, end) = (self.slopes[i] * step, self.slopes[i + 1] * step);
        let (t2, t3) = (t * t, t * t * t);
        (2.0 * t3 - 3.0 * t2 + 1.0) * from
            + (t3 - 2.0 * t2 + t) * start
            + (3.0 * t2 - 2.0 * t3) * to
            + (t3 - t2) * end
    }
}

/// The weighted harmonic mean of two pieces' rises, 0 where they differ in sign.
fn inner_slope([before, after]: [f64; 2], [a, b]: [f64; 2]) -> f64 {
    if a * b <= 0.0 {
        return 0.0;
    }
    let (first, second) = (2.0 * after + before, after + 2.0 * before);
    (first + second) / (first / a + second / b)
}

/// The slope at an end, from the two pieces beside it, held to the first's sign and to three times it.
fn end_slope([near, far]: [f64; 2], [a, b]: [f64; 2]) -> f64 {
    let slope = ((2.0 * near + far) * a - near * b) / (near + far);
    match slope * a <= 0.0 {
        true => 0.0,
        false if a * b <= 0.0 && slope.abs() > 3.0 * a.abs() => 3.0 * a,
        false => slope,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANCHOR: [(f64, f64); 5] = [
        (30.0, 0.1),
        (32.0, 0.17),
        (34.5, 0.33),
        (36.0, 0.5),
        (38.0, 0.9),
    ];

    #[test]
    fn equal_curves_differ_by_nothing_and_half_the_bits_by_half() {
        let scaled = |factor: f64| ANCHOR.map(|(quality, rate)| (quality, factor * rate));
        for factor in [1.0, 0.5, 1.3] {
            let found = bd_rate(&ANCHOR, &scaled(factor)).unwrap();
            assert!((found - (factor - 1.0)).abs() < 1e-12, "{found} {factor}");
        }
    }

    /// Of straight lines in the logarithm any interpolation gives the same: here ours is 10% below at
    /// 30 dB and 10% above at 34 dB, in logarithms.
    #[test]
    fn only_qualities_of_both_count() {
        let line = |offset: f64, slope: f64, from: f64| -> Vec<(f64, f64)> {
            let point = |i: usize| {
                let quality = from + i as f64;
                (quality, (offset + slope * (quality - 32.0)).exp())
            };
            (0..5).map(point).collect()
        };
        let (anchor, test) = (line(0.0, 0.2, 30.0), line(0.0, 0.25, 30.0));
        let found = bd_rate(&anchor, &test).unwrap();
        assert!(found.abs() < 1e-12, "{found}");
        // From 32 on alone: 0 at 32, 0.1 at 34, 0.05 on average.
        let found = bd_rate(&anchor, &line(0.0, 0.25, 32.0)).unwrap();
        assert!((found - (0.05_f64.exp() - 1.0)).abs() < 1e-12, "{found}");
        assert_eq!(bd_rate(&anchor, &line(0.0, 0.2, 40.0)), None);
        assert_eq!(bd_rate(&anchor[..3], &test), None);
    }

    /// The interpolation does not overshoot: a curve between two others is between them.
    #[test]
    fn curves_do_not_overshoot() {
        let step = [
            (30.0, 0.1),
            (31.0, 0.1),
            (32.0, 0.1),
            (33.0, 0.8),
            (34.0, 0.8),
        ];
        let curve = Curve::of(&step).unwrap();
        for i in 0..=400 {
            let quality = 30.0 + f64::from(i) / 100.0;
            let piece = ((quality - 30.0) as usize).min(3);
            let rate = curve.at(piece, quality).exp();
            assert!(
                (0.1 - 1e-12..=0.8 + 1e-12).contains(&rate),
                "{quality} {rate}"
            );
        }
    }
}
