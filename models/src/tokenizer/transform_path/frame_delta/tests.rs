//! Predicted patches: what stands still becomes finer, what changes starts anew, and a picture stays what it is.

use crate::config::Config;
use crate::tokenizer::Tokenizer;
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::Checkpoint;
use bsq_runtime::executor::{Evaluator, Executor, Tensors};

const SIDE: usize = 16;
const TOKENS: usize = 4;
const FRAMES: usize = 6;

/// 16 x 16 pixels in patches of 8; bits of 8 coordinates.
fn tokenizer(frames: usize, frame_delta: bool) -> Tokenizer {
    let mask = match frames {
        1 => String::new(),
        _ => format!("num_frames = {frames}\nmask_type = \"block-causal\"\n"),
    };
    let text = format!(
        "[model]\nembed_dim = 17\nembed_group_size = 1\nl2_norm = true\npost_q_l2_norm = true\n\
         [model.transform]\nbits = [5, 3, 2, 2, 2, 1, 1, 1]\nframe_delta = {frame_delta}\n\
         [model.vitconfig]\nimage_size = {SIDE}\npatch_size = 8\nwidth = 16\nlayers = 1\nheads = 2\n\
         mlp_ratio = 2\nln_pre = false\nuse_ffn_output = false\n{mask}"
    );
    Tokenizer::new(&Config::from_toml(&text).unwrap().model)
}

/// Parameters of the image model, whose transform is one of cosines: no training, and no transformers.
fn image_parameters() -> Checkpoint {
    let mut tensors = tokenizer(1, false).init(7).unwrap();
    let cosine = |k: usize, i: usize| {
        let first = if k == 0 { 0.5_f64.sqrt() } else { 1.0 };
        first * 0.5 * (std::f64::consts::PI * k as f64 * (2 * i + 1) as f64 / 16.0).cos()
    };
    // Coordinates by frequency, colour after colour.
    let mut order: Vec<[usize; 3]> = Vec::new();
    for colour in 0..3 {
        order.extend((0..64).map(|k| [colour, k / 8, k % 8]));
    }
    order.sort_by_key(|[_, down, across]| down + across);
    let analysis = tensors.get_mut("transform.analysis").unwrap();
    for (i, value) in analysis
        .as_mut_slice::<f32>()
        .unwrap()
        .iter_mut()
        .enumerate()
    {
        let (feature, [colour, down, across]) = (i / 192, order[i % 192]);
        let (own, y, x) = (feature / 64, feature / 8 % 8, feature % 8);
        let value_of = cosine(down, y) * cosine(across, x) * crate::lapped::MATRIX_SCALE;
        *value = if own == colour { value_of as f32 } else { 0.0 };
    }
    let analysis = analysis.as_slice::<f32>().unwrap().to_vec();
    let synthesis = tensors.get_mut("transform.synthesis").unwrap();
    for (i, value) in synthesis
        .as_mut_slice::<f32>()
        .unwrap()
        .iter_mut()
        .enumerate()
    {
        *value = analysis[i % 192 * 192 + i / 192];
    }
    Checkpoint {
        tensors,
        ..Checkpoint::default()
    }
}

/// A smooth pattern; `change` moves the lower right patch.
fn pixel(colour: usize, row: usize, column: usize, change: f64) -> f32 {
    let moved = if row >= 8 && column >= 8 { change } else { 0.0 };
    let wave = (row as f64 * 0.35 + moved + colour as f64).sin() + (column as f64 * 0.27).cos();
    (wave * 0.4) as f32
}

/// Bits of tokens, and each frame's mean squared error by patch.
fn run(
    tokenizer: &Tokenizer,
    parameters: &Tensors,
    changes: &[f64],
) -> (Vec<bool>, Vec<[f64; TOKENS]>) {
    let g = Graph::new();
    let frames = changes.len();
    let image = g.input("image", DType::F32, tokenizer.clip_shape(1, frames));
    let forward = tokenizer.forward(&Scope::root(&g), image);
    let bits = forward.encoded.binary.unwrap().bits;
    let error = (forward.decoded.raw - image).square();
    let outputs = [("bits", bits.id()), ("error", error.id())];
    let function = g.function(outputs, []);
    let mut clip = Vec::new();
    for colour in 0..3 {
        for &change in changes {
            let at = |i: usize| pixel(colour, i / SIDE, i % SIDE, change);
            clip.extend((0..SIDE * SIDE).map(at));
        }
    }
    let clip = HostTensor::from_slice(tokenizer.clip_shape(1, frames), &clip).unwrap();
    let inputs = Tensors::from([("image".to_string(), clip)]);
    let outputs = Evaluator
        .run(&function, parameters, &inputs)
        .unwrap()
        .outputs;
    let mut errors = vec![[0.0; TOKENS]; frames];
    for (i, &error) in outputs["error"]
        .as_slice::<f32>()
        .unwrap()
        .iter()
        .enumerate()
    {
        let (row, column) = (i / SIDE % SIDE, i % SIDE);
        errors[i / (SIDE * SIDE) % frames][row / 8 * 2 + column / 8] += f64::from(error) / 192.0;
    }
    (outputs["bits"].as_slice::<bool>().unwrap().to_vec(), errors)
}

/// Of each frame after the first, which patches are predicted: the bit of the last coordinate says so.
fn predicted(bits: &[bool], frame: usize) -> [bool; TOKENS] {
    std::array::from_fn(|token| bits[(frame * TOKENS + token) * 17 + 7])
}

#[test]
fn what_stands_still_becomes_finer_and_what_changes_starts_anew() {
    let clips = tokenizer(FRAMES, true);
    let parameters = clips.inflated(&image_parameters()).unwrap();
    // The lower right patch changes with the fourth frame.
    let (bits, errors) = run(&clips, &parameters, &[0.0, 0.0, 0.0, 2.5, 2.5, 2.5]);
    for frame in 1..FRAMES {
        let still = predicted(&bits, frame);
        assert_eq!(still[..3], [true; 3], "frame {frame}");
        assert_eq!(still[3], frame != 3, "frame {frame}");
    }
    let [first, .., last] = &errors[..] else {
        unreachable!("several frames");
    };
    for (first, last) in first.iter().zip(last).take(3) {
        assert!(last < &(0.25 * first), "{first} -> {last}");
    }
    // Without prediction nothing becomes finer.
    let plain = tokenizer(FRAMES, false);
    let (_, errors) = run(
        &plain,
        &plain.inflated(&image_parameters()).unwrap(),
        &[0.0; FRAMES],
    );
    assert_eq!(errors[0], errors[FRAMES - 1]);
}

#[test]
fn the_first_frame_is_the_picture_of_the_image_model() {
    let [clips, image] =
        [(FRAMES, true), (1, false)].map(|(frames, delta)| tokenizer(frames, delta));
    let checkpoint = image_parameters();
    let first = run(&clips, &clips.inflated(&checkpoint).unwrap(), &[0.3]);
    let whole = run(&clips, &clips.inflated(&checkpoint).unwrap(), &[0.3, 0.3]);
    let plain = tokenizer(2, false);
    let picture = run(&plain, &plain.inflated(&checkpoint).unwrap(), &[0.3]);
    assert_eq!(first, picture);
    assert_eq!(first.0[..], whole.0[..TOKENS * 17]);
    assert_eq!(image.load(&checkpoint).unwrap(), checkpoint.tensors);
}
