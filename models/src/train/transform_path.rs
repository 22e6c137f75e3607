//! What a tokenizer with a linear path is before its first step: a transform coder for the training
//! pictures. Principal components of filtered patches, and for each coordinate that has bits the
//! compander whose cells have the least squared error.

use super::TrainError;
use super::samples::samples;
use super::transform_coding::lloyd_max::share_bits;
use super::transform_coding::principal::PrincipalComponents;
use crate::config::{Config, TransformPathConfig};
use crate::data::Dataset;
use crate::lapped::MATRIX_SCALE;
use crate::tokenizer::{Tokenizer, TransformPath};
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;

/// Patches that the statistics are of, at least.
const PATCHES: usize = 100_000;
/// Samples of a coordinate that its compander is chosen on.
const SAMPLES: usize = 4096;
/// Principal directions that bits are shared out among, beyond those that get some.
const CANDIDATES: usize = 64;
/// Least deviation of a coordinate; pixels are from -1 to 1.
const LEAST_DEVIATION: f64 = 1e-3;
/// Companders that are tried: spreads in deviations (the first, and the ratio to the next), and what
/// gains are above 1.
const SPREADS: (f64, f64, i32) = (0.15, 1.1, 60);
const EXCESS_GAINS: [f64; 10] = [0.003, 0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 6.0, 20.0];
/// Spreads between two of those that are tried around the best.
const FINER: i32 = 12;

/// Writes the linear path of a model's starting values; the bits that pictures alone would give
/// their coordinates, if they are not the configuration's.
///
/// # Errors
/// If a picture cannot be read.
pub(super) fn start(
    config: &Config,
    tokenizer: &Tokenizer,
    path: &TransformPath,
    dataset: &Dataset,
    parameters: &mut Tensors,
) -> Result<Option<Vec<usize>>, TrainError> {
    let Some(TransformPathConfig { bits, .. }) = &config.model.transform else {
        return Ok(None);
    };
    let shape = tokenizer.image_shape(config.data.batch_size);
    let patches = samples(shape, dataset, parameters, PATCHES, |_, image| {
        path.transform.filtered_patches(image)
    })?;
    let features = path.transform.features();
    let found = PrincipalComponents::of(&patches, features);
    let candidates = features.min(bits.len().max(CANDIDATES));
    let sorted: Vec<Vec<f64>> = (0..candidates)
        .map(|index| along(&found, &patches, features, index))
        .collect();
    let total = bits.iter().sum();
    let mut shares: Vec<(usize, usize)> = (0..candidates).map(|index| (0, index)).collect();
    for (index, quantizer) in share_bits(&sorted, total, bits[0].max(8)) {
        shares[index].0 = quantizer.bits;
    }
    shares.sort_by_key(|&(bits, index)| (std::cmp::Reverse(bits), index));
    let suited: Vec<usize> = shares.iter().map(|s| s.0).take_while(|&b| b > 0).collect();
    let order: Vec<usize> = shares
        .iter()
        .map(|&(_, index)| index)
        .chain(candidates..features)
        .collect();

    let deviation = |index: usize| found.variances[index].max(0.0).sqrt().max(LEAST_DEVIATION);
    let mut spreads: Vec<f64> = order.iter().map(|&index| deviation(index)).collect();
    let mut excess = Vec::new();
    for (place, &bits) in bits.iter().enumerate() {
        let best = Compander::of(&sorted[order[place]], spreads[place], bits);
        spreads[place] = best.spread;
        excess.push(best.excess_gain);
    }
    let scaled = |x: f64| (x * MATRIX_SCALE) as f32;
    let direction = |&index: &usize| found.directions[index].iter().map(|&x| scaled(x));
    let synthesis: Vec<f32> = order.iter().take(bits.len()).flat_map(direction).collect();
    let analysis: Vec<f32> = (0..features)
        .flat_map(|i| order.iter().map(move |&index| (index, i)))
        .map(|(index, i)| scaled(found.directions[index][i]))
        .collect();
    let mean = order.iter().map(|&index| {
        let terms = found.directions[index].iter().zip(&found.mean);
        terms.map(|(d, m)| d * m).sum::<f64>() as f32
    });
    let mean: Vec<f32> = mean.collect();
    let logs =
        |values: &[f64]| -> Vec<f32> { values.iter().map(|&x| libm::log(x) as f32).collect() };
    let mut put = |name: &str, shape: &[usize], values: &[f32]| -> Result<(), TrainError> {
        let tensor = HostTensor::from_slice(shape, values)?;
        let old = parameters.insert(format!("transform.{name}"), tensor);
        debug_assert!(old.is_some_and(|old| old.shape() == shape), "{name}");
        Ok(())
    };
    put("analysis", &[features, features], &analysis)?;
    put("synthesis", &[bits.len(), features], &synthesis)?;
    put("mean", &[features], &mean)?;
    put("log_spread", &[features], &logs(&spreads))?;
    put("log_excess_gain", &[bits.len()], &logs(&excess))?;
    path.start_delta(parameters)?;
    Ok((suited != *bits).then_some(suited))
}

/// Coordinates along one direction, ascending.
fn along(found: &PrincipalComponents, patches: &[f32], features: usize, index: usize) -> Vec<f64> {
    let samples = patches.chunks_exact(features);
    let mut along: Vec<f64> = samples.map(|s| found.coordinate(s, index)).collect();
    along.sort_by(f64::total_cmp);
    along
}

/// `gain (1 - exp(-|x| / spread))` cut into equal cells, and its mean squared error.
#[derive(Clone, Copy, Debug)]
struct Compander {
    spread: f64,
    excess_gain: f64,
    error: f64,
}

impl Compander {
    /// The best one for samples, which ascend.
    fn of(sorted: &[f64], deviation: f64, bits: usize) -> Compander {
        let stride = sorted.len().div_ceil(SAMPLES);
        let few: Vec<f64> = sorted.iter().copied().step_by(stride).collect();
        let tried = |spread: f64, excess_gain: f64| Compander {
            spread,
            excess_gain,
            error: mean_error(&few, spread, excess_gain, bits),
        };
        let (first, ratio, count) = SPREADS;
        let spreads = (0..count).map(|i| deviation * first * libm::pow(ratio, f64::from(i)));
        let coarse = spreads.flat_map(|spread| EXCESS_GAINS.map(|excess| tried(spread, excess)));
        let least = |a: &Compander, b: &Compander| a.error.total_cmp(&b.error);
        let coarse = coarse.min_by(least).expect("companders are tried");
        let between = (-FINER..=FINER).map(|i| libm::pow(ratio, f64::from(i) / f64::from(FINER)));
        let fine = between.map(|factor| tried(coarse.spread * factor, coarse.excess_gain));
        fine.min_by(least).expect("companders are tried")
    }
}

fn mean_error(samples: &[f64], spread: f64, excess_gain: f64, bits: usize) -> f64 {
    let (gain, half) = (1.0 + excess_gain, (1_u64 << (bits - 1)) as f64);
    let error = |&x: &f64| {
        let y = (gain * (1.0 - libm::exp(-x.abs() / spread))).min(1.0);
        let middle = ((y * half).floor().min(half - 1.0) + 0.5) / half;
        let size = -spread * libm::log(1.0 - middle / gain);
        (x.abs() - size) * (x.abs() - size)
    };
    samples.iter().map(error).sum::<f64>() / samples.len() as f64
}

#[cfg(test)]
mod tests {
    use super::super::transform_coding::lloyd_max::ScalarQuantizer;
    use super::*;

    /// Quantiles of a distribution, from those of its positive half.
    fn quantiles(positive: impl Fn(f64) -> f64) -> Vec<f64> {
        let half: Vec<f64> = (0..4000)
            .map(|i| positive((f64::from(i) + 0.5) / 4000.0))
            .collect();
        let negative = half.iter().rev().map(|x| -x);
        negative.chain(half.iter().copied()).collect()
    }

    /// Lloyd and Max's quantizer is the least error there is; the compander's cells come near.
    #[test]
    fn companders_come_close_to_the_least_error() {
        let laplace = quantiles(|p| -libm::log(1.0 - p));
        let uniform = quantiles(|p| p);
        for (name, samples) in [("laplace", laplace), ("uniform", uniform)] {
            let squares = samples.iter().map(|x| x * x).sum::<f64>();
            let deviation = (squares / samples.len() as f64).sqrt();
            for bits in 1..=6 {
                let least = ScalarQuantizer::of(&samples, bits).error;
                let found = Compander::of(&samples, deviation, bits).error;
                assert!(
                    found < 1.12 * least,
                    "{name}, {bits} bits: {found}, least {least}"
                );
            }
        }
    }
}
