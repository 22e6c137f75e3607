//! Folds and their inverse, the start at a transform coder, gradients, and equal bits both ways.

use super::*;
use crate::config::Config;
use crate::tokenizer::Tokenizer;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph};
use bsq_runtime::executor::{Evaluator, Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;
use proptest::prelude::*;

/// 16 x 32 pixels in patches of 4.
fn tokenizer(bits: &[usize]) -> Tokenizer {
    let sum: usize = bits.iter().sum();
    let text = format!(
        "[model]\nembed_dim = {sum}\nembed_group_size = 1\nl2_norm = true\npost_q_l2_norm = true\n\
         [model.transform]\nbits = {bits:?}\n\
         [model.vitconfig]\nimage_size = [16, 32]\npatch_size = 4\nwidth = 16\nlayers = 1\n\
         heads = 2\nmlp_ratio = 2\nln_pre = false\nuse_ffn_output = false\n"
    );
    Tokenizer::new(&Config::from_toml(&text).unwrap().model)
}

fn path(bits: &[usize]) -> TransformPath {
    tokenizer(bits).transform_path().unwrap()
}

/// Outputs of a graph of one input `y`, `[1, 1, coordinates]`.
fn run(y: &[f32], build: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Vec<f32> {
    let graph = Graph::new();
    let input = graph.input("y", DType::F32, [1, 1, y.len()]);
    let function = graph.function([("out", build(input).id())], []);
    let y = HostTensor::from_slice([1, 1, y.len()], y).unwrap();
    let inputs = Tensors::from([("y".to_string(), y)]);
    let results = Evaluator.run(&function, &Tensors::new(), &inputs).unwrap();
    results.outputs["out"].as_slice::<f32>().unwrap().to_vec()
}

const BITS: [usize; 4] = [5, 3, 1, 1];

proptest! {
    #[test]
    fn a_cell_s_middle_is_within_half_a_cell(
        y in proptest::collection::vec(-1.0_f32..1.0, 4)
    ) {
        let path = path(&BITS);
        let middles = run(&y, |y| path.unfold(sign(path.fold(y))));
        for ((y, middle), bits) in y.iter().zip(middles).zip(BITS) {
            let half_cell = 0.5_f32.powi(bits as i32);
            prop_assert!((y - middle).abs() <= half_cell * 1.0001, "{y} {middle} {bits}");
        }
    }

    /// Neighbouring cells differ in one sign.
    #[test]
    fn folds_are_a_gray_code(cell in 1_i32..32) {
        let path = path(&BITS);
        let border = f64::from(cell) / 16.0 - 1.0;
        let signs = |y: f64| run(&[y as f32, 0.3, 0.3, 0.3], |y| sign(path.fold(y)));
        let (below, above) = (signs(border - 0.01), signs(border + 0.01));
        let differ = below.iter().zip(&above).filter(|(a, b)| a != b).count();
        prop_assert_eq!(differ, 1);
    }
}

fn parameters(tokenizer: &Tokenizer) -> Tensors {
    let mut parameters = tokenizer.init(3).unwrap();
    // Orthogonal directions: the first coordinates are single samples of the filtered patch.
    let features = 48;
    let unit = |rows: usize, columns: usize| -> Vec<f32> {
        let place = |i: usize| {
            if i / columns == i % columns {
                32.0
            } else {
                0.0
            }
        };
        (0..rows * columns).map(place).collect()
    };
    let coordinates = tokenizer.config().transform.as_ref().unwrap().coordinates();
    let matrix = HostTensor::from_slice([features, features], &unit(features, features));
    parameters.insert("transform.analysis".into(), matrix.unwrap());
    let matrix = HostTensor::from_slice([coordinates, features], &unit(coordinates, features));
    parameters.insert("transform.synthesis".into(), matrix.unwrap());
    parameters
}

fn picture() -> HostTensor {
    let values: Vec<f32> = (0..3 * 16 * 32)
        .map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * 0.9)
        .collect();
    HostTensor::from_slice([1, 3, 16, 32], &values).unwrap()
}

#[test]
fn decoding_tokens_gives_the_bits_of_the_whole_pass() {
    let tokenizer = tokenizer(&[3, 2, 2, 1]);
    let parameters = parameters(&tokenizer);
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let image = graph.input("image", DType::F32, [1, 3, 16, 32]);
    let forward = tokenizer.forward(&scope, image);
    let codes = tokenizer.codes(&scope, forward.encoded.indices);
    let decoded = tokenizer.decode(&scope, codes);
    let outputs = [
        ("whole", forward.decoded.reconstruction.id()),
        ("decoded", decoded.reconstruction.id()),
    ];
    let function = graph.function(outputs, []);
    let inputs = Tensors::from([("image".to_string(), picture())]);
    let results = Evaluator.run(&function, &parameters, &inputs).unwrap();
    let whole = results.outputs["whole"].as_slice::<f32>().unwrap();
    let decoded = results.outputs["decoded"].as_slice::<f32>().unwrap();
    assert_eq!(whole, decoded);
}

/// All coordinates at many bits, transformers at zero: what comes back is the picture.
#[test]
fn before_training_the_model_is_a_transform_coder() {
    let tokenizer = tokenizer(&[1; 48]);
    let deep = TransformPath {
        config: TransformPathConfig {
            bits: vec![12; 48],
            steepness: 1.3,
            frame_delta: false,
        },
        ..tokenizer.transform_path().unwrap()
    };
    let parameters = parameters(&tokenizer);
    let graph = Graph::new();
    let scope = Scope::root(&graph).sharing();
    let image = graph.input("image", DType::F32, [1, 3, 16, 32]);
    let (place, offset) = (&scope / "transform", &scope / "quant_embed");
    let coordinates = deep.analyse(&place, image);
    let features = graph.full(0.5, DType::F32, [1, 32, 16]);
    let y = deep.compand(&place, &offset, coordinates, features);
    let middles = deep.unfold(sign(deep.fold(y)));
    let back = deep.synthesise(&place, middles, graph.full(0.0, DType::F32, [1, 32, 48]));
    let function = graph.function([("back", back.id())], []);
    let inputs = Tensors::from([("image".to_string(), picture())]);
    let results = Evaluator.run(&function, &parameters, &inputs).unwrap();
    let (back, picture) = (&results.outputs["back"], picture());
    let pairs = back
        .as_slice::<f32>()
        .unwrap()
        .iter()
        .zip(picture.as_slice::<f32>().unwrap());
    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 0.01, "{worst}");
}

/// Of a cell's middle by the companded value: 1 in every coordinate, whatever the folds' slopes.
#[test]
fn gradients_go_straight_through_to_the_coordinates() {
    let tokenizer = tokenizer(&[3, 2, 2, 1]);
    let parameters = parameters(&tokenizer);
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let image = graph.input("image", DType::F32, [1, 3, 16, 32]);
    let forward = tokenizer.forward(&scope, image);
    let y = forward.encoded.companded.unwrap();
    let path = tokenizer.transform_path().unwrap();
    let signs = sign(path.fold(y.stop_gradient()));
    let middles = path.unfold(signs);
    let by_y = gradients(forward.decoded.raw.square().sum(..), &[y])[0];
    // The same function of the middles themselves, which is smooth.
    let again = tokenizer.decode_companded(&scope, &path, (signs, middles), None);
    let by_middles = gradients(again.raw.square().sum(..), &[middles])[0];
    let function = graph.function([("y", by_y.id()), ("middles", by_middles.id())], []);
    let inputs = Tensors::from([("image".to_string(), picture())]);
    let results = Evaluator.run(&function, &parameters, &inputs).unwrap();
    let of = |name: &str| results.outputs[name].as_slice::<f32>().unwrap().to_vec();
    assert!(of("y").iter().any(|&x| x != 0.0));
    assert_eq!(of("y"), of("middles"));
}

#[test]
fn bits_that_do_not_fit_are_refused_with_the_key() {
    let model = |embed_dim: usize, bits: &str| {
        Config::from_toml(&format!(
            "[model]\nembed_dim = {embed_dim}\nembed_group_size = 1\nl2_norm = true\n\
             [model.transform]\nbits = {bits}\n[model.vitconfig]\nimage_size = 16\npatch_size = 4\n\
             width = 16\nlayers = 1\nheads = 2\nmlp_ratio = 2\n"
        ))
    };
    assert!(model(4, "[2, 1, 1]").is_ok());
    for (embed_dim, bits, expected) in [
        (5, "[2, 1, 1]", "are 4 together, but embed_dim is 5"),
        (4, "[1, 2, 1]", "must not ascend"),
        (4, "[2, 2, 0]", "at least 1"),
        (13, "[13]", "model.transform.bits"),
    ] {
        let error = model(embed_dim, bits).unwrap_err().to_string();
        assert!(error.contains("model.transform.bits"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}
