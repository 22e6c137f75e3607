//! Clips: what comes later changes nothing, and a frame by itself is a picture.

use super::*;
use crate::config::Config;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::HostTensor;
use bsq_runtime::executor::{Evaluator, Executor, Tensors};
use std::collections::BTreeMap;

const FRAMES: usize = 3;

fn tokenizer(mask: &str, frames: usize, transform: &str) -> Tokenizer {
    let text = format!(
        "[model]\nembed_dim = 6\nembed_group_size = 3\nl2_norm = true\npost_q_l2_norm = true\n
         [model.vitconfig]\nimage_size = 8\npatch_size = 4\nwidth = 16\nlayers = 2\nheads = 2\n
         mlp_ratio = 2\nnum_frames = {frames}\nmask_type = \"{mask}\"\n{transform}"
    );
    Tokenizer::new(&Config::from_toml(&text).unwrap().model)
}

/// Random parameters, temporal embeddings too unless they are to be zero.
fn parameters(tokenizer: &Tokenizer, still: bool) -> BTreeMap<String, HostTensor> {
    let mut parameters = tokenizer.init(3).unwrap();
    for (name, tensor) in &mut parameters {
        let random = |i: usize| bsq_ir::philox::random_word(9, name.len() as u64, i as u64);
        let is_temporal = name.contains("temporal");
        for (i, value) in tensor.as_mut_slice::<f32>().unwrap().iter_mut().enumerate() {
            match is_temporal && still {
                true => *value = 0.0,
                false => *value += random(i) as f32 / 2.0_f32.powi(33) - 0.25,
            }
        }
    }
    parameters
}

fn pixels(frames: usize) -> Vec<f32> {
    let words = (0..3 * frames * 64).map(|i| bsq_ir::philox::random_word(5, 0, i as u64));
    words
        .map(|word| word as f32 / 2.0_f32.powi(31) - 1.0)
        .collect()
}

/// Indices and reconstruction of the first frames of a clip, frame by frame.
fn run(
    tokenizer: &Tokenizer,
    parameters: &BTreeMap<String, HostTensor>,
    frames: usize,
) -> [Vec<u64>; 2] {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, tokenizer.clip_shape(1, frames));
    let forward = tokenizer.forward(&scope, image);
    let by_frame = forward.decoded.reconstruction.transpose(&[0, 2, 1, 3, 4]);
    let outputs = [("indices", forward.encoded.indices), ("pixels", by_frame)];
    let function = g.function(outputs.map(|(name, tensor)| (name, tensor.id())), []);
    // Frames are outermost in what is drawn.
    let drawn = pixels(FRAMES);
    let planes =
        |c: usize| (0..frames).flat_map(move |t| (0..64).map(move |i| (t * 3 + c) * 64 + i));
    let clip: Vec<f32> = (0..3).flat_map(planes).map(|at| drawn[at]).collect();
    let clip = HostTensor::from_slice(tokenizer.clip_shape(1, frames), &clip).unwrap();
    let inputs = Tensors::from([("image".to_string(), clip)]);
    let outputs = Evaluator
        .run(&function, parameters, &inputs)
        .unwrap()
        .outputs;
    let bits = |x: &f32| u64::from(x.to_bits());
    let pixels = outputs["pixels"].as_slice::<f32>().unwrap();
    [
        outputs["indices"].as_slice::<u64>().unwrap().to_vec(),
        pixels.iter().map(bits).collect(),
    ]
}

const TRANSFORM: &str = "[model.transform]\nbits = [3, 2, 1]\n";
const DELTA: &str = "[model.transform]\nbits = [3, 2, 1]\nframe_delta = true\n";

#[test]
fn frames_that_follow_change_no_bit_of_those_before() {
    for transform in ["", TRANSFORM, DELTA] {
        let tokenizer = tokenizer("block-causal", FRAMES, transform);
        let parameters = parameters(&tokenizer, false);
        let whole = run(&tokenizer, &parameters, FRAMES);
        for frames in 1..FRAMES {
            let prefix = run(&tokenizer, &parameters, frames);
            for (prefix, whole) in prefix.iter().zip(&whole) {
                assert_eq!(prefix[..], whole[..prefix.len()], "{frames}");
            }
        }
    }
    // The test can fail: without the mask later frames are seen.
    let tokenizer = tokenizer("none", FRAMES, "");
    let parameters = parameters(&tokenizer, false);
    let [whole, prefix] = [FRAMES, 1].map(|frames| run(&tokenizer, &parameters, frames));
    assert_ne!(prefix[1][..], whole[1][..prefix[1].len()]);
}

#[test]
fn a_clip_of_one_frame_is_the_picture_of_the_image_model() {
    let clips = tokenizer("block-causal", FRAMES, "");
    let image = tokenizer("none", 1, "");
    let inflated = parameters(&clips, true);
    let still = inflated
        .iter()
        .filter(|(name, _)| !name.contains("temporal"));
    let still = still
        .map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect();
    assert_eq!(run(&clips, &inflated, 1), run(&image, &still, 1));
}

#[test]
fn tokens_of_a_clip_decode_to_the_pixels_of_the_whole_pass() {
    for transform in ["", TRANSFORM, DELTA] {
        let tokenizer = tokenizer("block-causal", FRAMES, transform);
        let parameters = parameters(&tokenizer, false);
        let [indices, pixels] = run(&tokenizer, &parameters, FRAMES);
        let g = Graph::new();
        let scope = Scope::root(&g);
        let input = g.input("indices", DType::U64, [1, indices.len()]);
        let decoded = tokenizer.decode_clip(&scope, tokenizer.codes(&scope, input));
        let by_frame = decoded.reconstruction.transpose(&[0, 2, 1, 3, 4]);
        let function = g.function([("pixels", by_frame.id())], []);
        let indices = HostTensor::from_slice([1, indices.len()], &indices).unwrap();
        let inputs = Tensors::from([("indices".to_string(), indices)]);
        let outputs = Evaluator
            .run(&function, &parameters, &inputs)
            .unwrap()
            .outputs;
        let found = outputs["pixels"].as_slice::<f32>().unwrap();
        assert!(found.iter().map(|x| u64::from(x.to_bits())).eq(pixels));
    }
}
