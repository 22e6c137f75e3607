//! What tests that cross crates share: models, pictures, hashes that depend on nothing, and
//! programs for GPUs in the interpreter of PTX.

pub mod device_suite;
pub mod gpu;
pub mod programs;

use bsq::config::{Config, LossConfig, TokenizerConfig};
use bsq::losses::{TokenizerLoss, total};
use bsq::tokenizer::Tokenizer;
use bsq_ir::{DType, Graph, Scope};
use bsq_nn::optimizer::{AdamW, Step, adamw};
use bsq_runtime::HostTensor;

/// A tokenizer of 36 bits, 2 + 2 layers of width 48, and 32x24 pixels in patches of 8.
pub const SMALL: &str = r#"
[model]
embed_dim = 36
embed_group_size = 9
l2_norm = true
post_q_l2_norm = true

[model.vitconfig]
image_size = [32, 24]
patch_size = 8
width = 48
layers = 2
heads = 3
mlp_ratio = 4
dim_ffn_output = 96

[loss]
perceptual_weight = 0.0
skip_disc = true
"#;

/// The configuration that [`SMALL`] spells.
pub fn small_config() -> Config {
    Config::from_toml(SMALL).expect("the configuration is valid")
}

/// A training step with average: inputs `image`, `lr` and `codebook_weight`.
pub fn training_step<'g>(
    graph: &'g Graph,
    model: &TokenizerConfig,
    loss: &LossConfig,
    batch: usize,
) -> Step<'g> {
    let tokenizer = Tokenizer::new(model);
    let scope = Scope::root(graph);
    let image = graph.input("image", DType::F32, tokenizer.image_shape(batch));
    let forward = tokenizer.forward(&scope, image);
    let weight = graph.scalar("codebook_weight");
    let value = total(&TokenizerLoss::from_config(loss, weight).terms(&forward, image));
    let rule = AdamW::new(graph.scalar("lr"));
    adamw(value, &tokenizer.trained(&scope), &rule)
        .with_average(0.99)
        .output("reconstruction", forward.decoded.reconstruction)
}

/// A picture of smooth waves and some noise, the same everywhere; `seed` makes others.
pub fn picture(shape: [usize; 4], seed: u32) -> HostTensor {
    let [batch, channels, height, width] = shape;
    let mut pixels = Vec::with_capacity(batch * channels * height * width);
    let mut noise = seed.wrapping_mul(0x9E37_79B9) | 1;
    for plane in 0..batch * channels {
        for y in 0..height {
            for x in 0..width {
                noise = noise.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
                let wave = (3 * x + 5 * y + 17 * plane + seed as usize) % 64;
                let wave = (wave as f32 - 31.5) / 40.0;
                pixels.push(wave + (noise >> 16) as f32 / 400_000.0);
            }
        }
    }
    HostTensor::from_slice(shape.to_vec(), &pixels).expect("as many pixels as the shape says")
}

/// FNV-1a of bytes, 64 bits.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
