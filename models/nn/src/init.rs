//! How parameters start: pure functions of a seed and of the parameter's name.
//!
//! A parameter's stream of random words is that of Philox-4x32-10 under a key made of the seed and
//! the name, so adding a parameter changes no other. Everything after the words is IEEE arithmetic
//! in a fixed order and software logarithms and cosines: the same bits on every machine.

use bsq_ir::philox::{random_block, random_word};
use bsq_ir::tensor::{Init, ParameterSpec};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;
use std::f64::consts::TAU;

/// Starting values of parameters, by name.
///
/// ```
/// use bsq_nn::init::init;
/// use bsq_ir::{Graph, Scope, tensor::Init};
///
/// let g = Graph::new();
/// let scope = Scope::root(&g);
/// (&scope / "head").parameter("weight", [10, 20], Init::Normal(0.02));
/// let parameters = init(&scope.specs(), 7)?;
/// assert_eq!(parameters["head.weight"].shape(), [10, 20]);
/// # Ok::<(), bsq_runtime::tensor_data::TensorError>(())
/// ```
///
/// # Errors
/// If memory runs out.
pub fn init(
    specs: &[ParameterSpec],
    seed: u64,
) -> Result<BTreeMap<String, HostTensor>, TensorError> {
    let one = |spec: &ParameterSpec| {
        let elements = draw(spec.init, key(seed, &spec.name), spec.ty.shape.elements());
        let tensor = HostTensor::from_slice(spec.ty.shape.to_vec(), &elements)?;
        Ok((spec.name.clone(), tensor))
    };
    specs.iter().map(one).collect()
}

/// The key of a parameter's stream.
fn key(seed: u64, name: &str) -> u64 {
    let [low, high, ..] = random_block(seed, fnv1a(name));
    u64::from(low) | u64::from(high) << 32
}

/// The 64-bit FNV-1a hash.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

fn draw(init: Init, key: u64, count: usize) -> Vec<f32> {
    match init {
        Init::Constant(value) => vec![value; count],
        Init::Uniform(bound) => {
            let element = |index| uniform(random_word(key, 0, index)) * f64::from(bound);
            (0..count as u64)
                .map(|index| element(index) as f32)
                .collect()
        }
        Init::Normal(deviation) => {
            let mut elements = Vec::with_capacity(count + 3);
            for block in 0..count.div_ceil(4) as u64 {
                let [a, b, c, d] = random_block(key, block);
                let draws = [normal_pair(a, b), normal_pair(c, d)];
                let scaled = draws
                    .as_flattened()
                    .iter()
                    .map(|x| x * f64::from(deviation));
                elements.extend(scaled.map(|x| x as f32));
            }
            elements.truncate(count);
            elements
        }
    }
}

/// The middle of one of 2^32 equal parts of -1..1.
fn uniform(word: u32) -> f64 {
    (f64::from(word) + 0.5) * 2.0_f64.powi(-31) - 1.0
}

/// Two independent standard normal numbers, by the method of Box and Muller.
fn normal_pair(radius: u32, angle: u32) -> [f64; 2] {
    const PARTS: f64 = 4_294_967_296.0;
    let radius = (-2.0 * libm::log((f64::from(radius) + 0.5) / PARTS)).sqrt();
    let angle = TAU * (f64::from(angle) / PARTS);
    [radius * libm::cos(angle), radius * libm::sin(angle)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_ir::DType;
    use bsq_ir::shape::Type;

    fn spec(name: &str, count: usize, init: Init) -> ParameterSpec {
        let (name, ty) = (name.to_string(), Type::new(DType::F32, [count]));
        ParameterSpec { name, ty, init }
    }

    fn moments(init: Init) -> (f64, f64, f64) {
        let tensors = super::init(&[spec("x", 100_001, init)], 3).unwrap();
        let x = tensors["x"].as_slice::<f32>().unwrap();
        let mean =
            |power| x.iter().map(|&x| f64::from(x).powi(power)).sum::<f64>() / x.len() as f64;
        (mean(1), mean(2), mean(4))
    }

    #[test]
    fn draws_have_the_moments_of_their_distribution() {
        let (mean, square, fourth) = moments(Init::Normal(0.5));
        assert!(mean.abs() < 0.006, "{mean}");
        assert!((square - 0.25).abs() < 0.005, "{square}");
        assert!((fourth - 3.0 / 16.0).abs() < 0.01, "{fourth}");
        let (mean, square, fourth) = moments(Init::Uniform(0.5));
        assert!(mean.abs() < 0.004, "{mean}");
        assert!((square - 1.0 / 12.0).abs() < 0.001, "{square}");
        assert!((fourth - 1.0 / 80.0).abs() < 0.0003, "{fourth}");
    }

    #[test]
    fn a_parameter_depends_on_seed_and_name_only() {
        let [a, b] = ["a", "b"].map(|name| spec(name, 6, Init::Normal(1.0)));
        let both = init(&[a.clone(), b.clone()], 1).unwrap();
        let alone = init(std::slice::from_ref(&b), 1).unwrap();
        assert_eq!(both["b"], alone["b"]);
        assert_ne!(both["a"], both["b"]);
        assert_ne!(init(&[b], 2).unwrap()["b"], alone["b"]);
        let longer = init(&[spec("a", 9, Init::Normal(1.0))], 1).unwrap();
        assert_eq!(
            longer["a"].as_slice::<f32>().unwrap()[..6],
            *both["a"].as_slice::<f32>().unwrap()
        );
    }

    /// Bits that every machine must reproduce: trained models depend on them.
    #[test]
    fn the_first_draws_never_change() {
        let specs = [
            spec("encoder.conv1.weight", 4, Init::Normal(0.02)),
            spec("quant_embed.bias", 4, Init::Uniform(0.25)),
        ];
        let tensors = init(&specs, 0).unwrap();
        let bits = |name: &str| {
            let elements = tensors[name].as_slice::<f32>().unwrap();
            elements.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        };
        let expected = [3_143_874_179, 960_136_378, 3_128_571_010, 1_016_621_107];
        assert_eq!(bits("encoder.conv1.weight"), expected);
        let expected = [1_034_779_705, 1_025_626_833, 3_183_072_106, 3_188_590_931];
        assert_eq!(bits("quant_embed.bias"), expected);
    }
}
