//! Starting a training from a classical transform coder instead of from noise.
//!
//! Principal components of the patches, with Lloyd-Max quantizers that share out a token's bits,
//! are a decent codec that no gradient descent is needed for; from random weights it takes a
//! small model hours to become as good. And a transformer of the right form can *be* that codec:
//!
//! | part | computes |
//! |---|---|
//! | patch embedding | coordinates along the principal directions, of unit variance |
//! | first MLP of the encoder | zigzags of each coordinate: the bits of its Gray code are their signs |
//! | quantizer | the signs |
//! | first MLP of the decoder | from each coordinate's bits its quantizer's level |
//! | projection to pixels | the principal directions |
//!
//! Everything else starts at random or at zero output, and training goes on from there. A
//! constant that is large beside the features keeps layer norms linear at the start. All of it is
//! f64 arithmetic in fixed order over the training's own first batches, so the start is a function
//! of the pictures, the configuration and the seed, like everything that follows.

mod gray;
mod least_squares;
pub(super) mod lloyd_max;
pub(super) mod principal;
mod weights;

use super::TrainError;
use crate::config::{Config, ConfigError, QuantizerConfig};
use crate::data::Dataset;
use bsq_runtime::executor::Tensors;
use gray::{Decoder, Zigzag, decoder, encoders};
use lloyd_max::{ScalarQuantizer, share_bits};
use principal::PrincipalComponents;
use weights::{DecoderLayout, EncoderLayout};

/// Patches that the statistics are of, at least.
const PATCHES: usize = 100_000;
/// Principal directions that may get bits.
const CANDIDATES: usize = 40;
/// Bits that one coordinate may get.
const MOST_BITS: usize = 6;
/// Directions that vary less are taken to vary by this, evenly: a fifth of what rounding pixels to
/// whole levels makes of any direction, so photos have none. Without it, pictures of one colour or
/// a ramp of greys would have coordinates that are divided by nothing, or by rounding errors.
const LEAST_VARIANCE: f64 = 1e-6;
/// Numbers that stand for an even distribution.
const EVEN: usize = 4096;
/// The least mean size of a zigzag, in deviations; it is multiplied up to 1.
const LEAST_SIZE: f64 = 1e-3;

/// A transform coder in the form that weights are made from.
struct TransformCoder {
    components: PrincipalComponents,
    coordinates: Vec<Coordinate>,
}

/// A principal direction that gets bits.
struct Coordinate {
    /// A position in the components.
    component: usize,
    /// Its standard deviation; the functions below take and give multiples of it.
    deviation: f64,
    /// One zigzag for each bit, and what it is multiplied by to be 1 on average.
    bits: Vec<(Zigzag, f64)>,
    decoder: Decoder,
}

/// Replaces a model's starting values by a transform coder for the pictures of `dataset`.
///
/// # Errors
/// If the model has not the form for it, or a picture cannot be read.
pub fn start(
    config: &Config,
    dataset: &Dataset,
    parameters: &mut Tensors,
) -> Result<(), TrainError> {
    check(config)?;
    let patch = config.model.encoder.patch_size;
    let features = 3 * patch * patch;
    let mut patches = Vec::new();
    let mut step = 0;
    while patches.len() < PATCHES * features {
        let batch = dataset.batch(step)?;
        let [_, _, height, width] = batch.shape[..] else {
            unreachable!("crops of pictures")
        };
        for image in batch.images.chunks_exact(3 * height * width) {
            append_patches(image, (height, width), patch, &mut patches);
        }
        step += 1;
    }
    let coder = TransformCoder::of(&patches, features, config.model.quantizer.embed_dim());
    let encoder = EncoderLayout::new(&config.model.encoder, &coder)?;
    let decoder = DecoderLayout::new(&config.model.decoder, &coder)?;
    encoder.write(&coder, parameters)?;
    let scale = match &config.model.quantizer {
        QuantizerConfig::Bsq(bsq) if bsq.post_q_l2_norm => (bsq.embed_dim as f64).sqrt(),
        _ => 1.0,
    };
    decoder.write(&coder, scale, parameters)
}

/// Patches as tokens see them: channel, row, column.
fn append_patches(
    image: &[f32],
    (height, width): (usize, usize),
    patch: usize,
    out: &mut Vec<f32>,
) {
    for top in (0..height).step_by(patch) {
        for left in (0..width).step_by(patch) {
            for plane in image.chunks_exact(height * width) {
                for row in plane.chunks_exact(width).skip(top).take(patch) {
                    out.extend_from_slice(&row[left..left + patch]);
                }
            }
        }
    }
}

fn check(config: &Config) -> Result<(), TrainError> {
    let (encoder, decoder) = (&config.model.encoder, &config.model.decoder);
    let fits = [
        (
            matches!(&config.model.quantizer, QuantizerConfig::Bsq(bsq) if bsq.l2_norm),
            "model.quantizer = \"bsq\" with l2_norm",
        ),
        (!config.model.logit_laplace, "model.logit_laplace = false"),
        (!encoder.ln_pre, "model.vitconfig.ln_pre = false"),
        (!decoder.ln_pre, "model.dvitconfig.ln_pre = false"),
        (!decoder.ln_post, "model.dvitconfig.ln_post = false"),
        (
            !decoder.use_ffn_output,
            "model.dvitconfig.use_ffn_output = false",
        ),
        (
            encoder.layers > 0 && decoder.layers > 0,
            "at least one layer each",
        ),
    ];
    match fits.iter().find(|(fits, _)| !fits) {
        None => Ok(()),
        Some((_, need)) => Err(unfit(format!("\"transform-coder\" needs {need}"))),
    }
}

fn unfit(reason: String) -> TrainError {
    ConfigError::invalid("train.init", reason).into()
}

/// An even distribution of the least variance, in ascending order.
fn even() -> Vec<f64> {
    let largest = (3.0 * LEAST_VARIANCE).sqrt();
    let place = |i: usize| (i as f64 + 0.5) / EVEN as f64;
    (0..EVEN)
        .map(|i| largest * (2.0 * place(i) - 1.0))
        .collect()
}

impl TransformCoder {
    fn of(patches: &[f32], features: usize, bits: usize) -> TransformCoder {
        let mut components = PrincipalComponents::of(patches, features);
        let varies: Vec<bool> = components
            .variances
            .iter_mut()
            .map(|variance| {
                let varies = *variance >= LEAST_VARIANCE;
                // Rounding errors make the least ones negative, too.
                *variance = variance.max(LEAST_VARIANCE);
                varies
            })
            .collect();
        let along = |index: usize| {
            if !varies[index] {
                return even();
            }
            let samples = patches.chunks_exact(features);
            let mut along: Vec<f64> = samples.map(|s| components.coordinate(s, index)).collect();
            along.sort_by(f64::total_cmp);
            along
        };
        let samples: Vec<Vec<f64>> = (0..CANDIDATES.min(features)).map(along).collect();
        let quantizers = share_bits(&samples, bits, MOST_BITS);
        let coordinate = |(component, quantizer): (usize, ScalarQuantizer)| {
            let deviation = components.variances[component].sqrt();
            let quantizer = quantizer.scaled(1.0 / deviation);
            let samples = &samples[component];
            let mean_size = |zigzag: &Zigzag| {
                let sizes = samples.iter().map(|x| zigzag.value(x / deviation).abs());
                sizes.sum::<f64>() / samples.len() as f64
            };
            let zigzags = encoders(&quantizer).into_iter();
            let bits = zigzags.map(|z| {
                let gain = 1.0 / mean_size(&z).max(LEAST_SIZE);
                (z, gain)
            });
            Coordinate {
                component,
                deviation,
                bits: bits.collect(),
                decoder: decoder(&quantizer),
            }
        };
        let coordinates = quantizers.into_iter().map(coordinate).collect();
        TransformCoder {
            components,
            coordinates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number of a coder.
    fn numbers(coder: &TransformCoder) -> Vec<f64> {
        let mut numbers = coder.components.mean.clone();
        for coordinate in &coder.coordinates {
            numbers.push(1.0 / coordinate.deviation);
            for (zigzag, gain) in &coordinate.bits {
                numbers.extend([*gain, zigzag.offset]);
                let corners = zigzag.corners.iter();
                numbers.extend(corners.flat_map(|c| [c.at, c.sharpness, c.slope_change]));
            }
            numbers.push(coordinate.decoder.constant);
            numbers.extend(&coordinate.decoder.linear);
            let units = coordinate.decoder.units.iter();
            numbers.extend(units.flat_map(|unit| [unit.bias, unit.scale]));
        }
        numbers
    }

    /// That patches of 12 values give a usable coder at every number of bits.
    fn check(name: &str, patch: impl Fn(usize) -> [f32; 12]) {
        let patches: Vec<f32> = (0..3000).flat_map(patch).collect();
        for bits in [1, 9, 36] {
            let coder = TransformCoder::of(&patches, 12, bits);
            let given: usize = coder.coordinates.iter().map(|c| c.bits.len()).sum();
            assert_eq!(given, bits, "{name}");
            for x in numbers(&coder) {
                assert!(x.is_finite() && x.abs() < 3e4, "{name}, {bits} bits: {x}");
            }
        }
    }

    #[test]
    fn pictures_without_variance_give_a_coder_all_the_same() {
        let level = |x: usize| x as f32 / 127.5 - 1.0;
        check("black", |_| [-1.0; 12]);
        check("white", |_| [1.0; 12]);
        check("one colour", |_| {
            std::array::from_fn(|i| level(50 * (i / 4)))
        });
        check("greys", |n| [level(n % 256); 12]);
        check("a ramp", |n| {
            std::array::from_fn(|i| level(n % 250 + i % 4))
        });
        check("two colours", |n| [level(255 * (n % 2)); 12]);
        check("one white patch", |n| {
            [level(255 * usize::from(n == 7)); 12]
        });
        check("one level off", |n| [level(100 + usize::from(n == 7)); 12]);
        check("three white pixels", |n| {
            std::array::from_fn(|i| level(255 * usize::from(n < 3 && i == n)))
        });
        check("halves", |n| {
            std::array::from_fn(|i| level(200 * ((n + i / 6) % 2)))
        });
    }
}
