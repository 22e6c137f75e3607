//! Parameter counts, published test vectors of the quantizer, its properties, refusals.

use super::*;
use crate::config::{BsqConfig, Config};
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Graph};
use bsq_runtime::executor::{Evaluator, Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;
use proptest::prelude::*;

fn configuration(model: &str, vit: &str) -> Config {
    let text = format!("[model]\n{model}\n[model.vitconfig]\n{vit}\n");
    Config::from_toml(&text).unwrap()
}

fn bsq_config(bits: usize, group_size: usize, entropy: &str, inv_temperature: f64) -> BsqConfig {
    let model = format!(
        "embed_dim = {bits}\nembed_group_size = {group_size}\nl2_norm = true\n\
         post_q_l2_norm = true\npersample_entropy_compute = \"{entropy}\"\n\
         inv_temperature = {inv_temperature:?}\nbeta = 1.0"
    );
    match configuration(&model, SMALL).model.quantizer {
        QuantizerConfig::Bsq(config) => config,
        _ => unreachable!("a binary quantizer was written"),
    }
}

const SMALL: &str = "image_size = [8, 16]\npatch_size = 4\nwidth = 16\nlayers = 1\nheads = 2\n\
                     mlp_ratio = 2\ndim_ffn_output = 8";

/// Runs a graph of one input `u` (`[1, tokens, width]`).
pub(super) fn run<const N: usize>(
    u: &[f32],
    width: usize,
    build: impl for<'g> Fn(Tensor<'g>) -> [Tensor<'g>; N],
) -> [HostTensor; N] {
    let g = Graph::new();
    let shape = [1, u.len() / width, width];
    let results = build(g.input("u", DType::F32, shape));
    let names: Vec<String> = (0..N).map(|index| format!("{index:02}")).collect();
    let outputs = names.iter().zip(results);
    let function = g.function(outputs.map(|(name, t)| (name.as_str(), t.id())), []);
    let u = HostTensor::from_slice(shape, u).unwrap();
    let inputs = Tensors::from([("u".to_string(), u)]);
    let outputs = Evaluator.run(&function, &Tensors::new(), &inputs);
    let outputs: Vec<HostTensor> = outputs.unwrap().outputs.into_values().collect();
    outputs.try_into().expect("all outputs")
}

fn normalised(token: [f32; 4]) -> [f32; 4] {
    let norm = token.iter().map(|x| x * x).sum::<f32>().sqrt();
    token.map(|x| x / norm)
}

fn three_tokens() -> Vec<f32> {
    let tokens = [
        [1.0, -2.0, 3.0, -4.0],
        [0.5, 0.5, -0.25, 1.0],
        [-1.0, 0.0, 2.0, -0.5],
    ];
    tokens.map(normalised).concat()
}

#[test]
fn tokens_of_known_features() {
    let [all, groups] = run(&three_tokens(), 4, |u| {
        [bsq::pack(u), bsq::pack(u.reshape([1, 3, 2, 2]))]
    });
    assert_eq!(all.as_slice::<u64>().unwrap(), [10, 13, 2]);
    assert_eq!(groups.as_slice::<u64>().unwrap(), [2, 2, 3, 1, 0, 2]);
}

#[test]
fn loss_terms_of_known_features() {
    for (a, mode, s, c, difference) in [
        (1.0, "analytical", 2.369_428_87, 2.712_479_66, -0.343_050_79),
        (1.0, "group", 2.369_428_87, 2.694_109_83, -0.324_680_96),
        (
            100.0,
            "analytical",
            0.231_049_02,
            2.602_689_61,
            -0.023_716_41,
        ),
        (100.0, "group", 0.231_049_04, 1.966_175_46, -0.017_351_26),
    ] {
        let config = bsq_config(4, 2, mode, a);
        let results = run(&three_tokens(), 4, |u| {
            let (quantized, terms) = bsq::quantize(&config, u);
            [
                terms.persample_entropy,
                terms.codebook_entropy,
                terms.commitment,
                quantized.loss,
            ]
        });
        let expected = [s, c, 0.282_244_3, difference + 0.282_244_3];
        for (result, expected) in results.iter().zip(expected) {
            let value = f64::from(result.item::<f32>().unwrap());
            let expected: f64 = expected;
            assert!(
                (value - expected).abs() < 2e-6,
                "{a} {mode}: {value} {expected}"
            );
        }
    }
}

#[test]
fn groups_that_hold_all_bits_differ_from_single_bits_in_the_codebook_entropy_only() {
    let terms = |mode: &str| {
        let config = bsq_config(4, 4, mode, 1.0);
        run(&three_tokens(), 4, |u| {
            let terms = bsq::quantize(&config, u).1;
            [terms.persample_entropy, terms.codebook_entropy]
        })
        .map(|term| term.item::<f32>().unwrap())
    };
    let ([s_joint, c_joint], [s, c]) = (terms("group"), terms("analytical"));
    assert!((s_joint - s).abs() < 2e-6, "{s_joint} {s}");
    assert!(c_joint < c - 1e-3, "{c_joint} {c}");
}

/// Tokens of unit length: `[1, tokens, bits]`.
fn features(bits: usize) -> impl Strategy<Value = Vec<f32>> {
    let token = prop::collection::vec(-1.0_f32..1.0, bits).prop_map(|token| {
        let norm = token.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-3);
        token.into_iter().map(|x| x / norm).collect::<Vec<f32>>()
    });
    prop::collection::vec(token, 1..5).prop_map(|tokens| tokens.concat())
}

fn bits_and_features() -> impl Strategy<Value = (usize, Vec<f32>)> {
    (1_usize..=63).prop_flat_map(|bits| (Just(bits), features(bits)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn quantizing_codes_changes_nothing((bits, u) in bits_and_features()) {
        let config = bsq_config(bits, 1, "analytical", 1.0);
        let [once, twice] = run(&u, bits, |u| {
            let once = bsq::quantize(&config, u).0.codes;
            [once, bsq::quantize(&config, once).0.codes]
        });
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn codes_have_unit_length((bits, u) in bits_and_features()) {
        let config = bsq_config(bits, 1, "analytical", 1.0);
        let [codes] = run(&u, bits, |u| [bsq::quantize(&config, u).0.codes]);
        for code in codes.as_slice::<f32>().unwrap().chunks(bits) {
            let norm = code.iter().map(|x| x * x).sum::<f32>().sqrt();
            prop_assert!((norm - 1.0).abs() < 1e-6, "{}", norm);
        }
    }

    #[test]
    fn indices_bits_and_codes_agree_at_every_width((bits, u) in bits_and_features()) {
        let config = bsq_config(bits, 1, "analytical", 1.0);
        let [indices, codes, decoded, again] = run(&u, bits, |u| {
            let indices = bsq::pack(u);
            let decoded = bsq::codes_of(&config, bsq::unpack(indices, bits));
            [indices, bsq::quantize(&config, u).0.codes, decoded, bsq::pack(decoded)]
        });
        prop_assert_eq!(&indices, &again);
        prop_assert_eq!(&codes, &decoded);
        let expected = u.chunks(bits).map(|token| {
            let signs: Vec<bool> = token.iter().map(|&x| x > 0.0).collect();
            bits::index_of(&signs)
        });
        let indices = indices.as_slice::<u64>().unwrap();
        prop_assert_eq!(indices, &expected.collect::<Vec<_>>()[..]);
    }

    #[test]
    fn the_gradient_goes_straight_through_times_the_scale((bits, u) in bits_and_features()) {
        let config = bsq_config(bits, 1, "analytical", 1.0);
        let [weights, gradient] = run(&u, bits, |u| {
            let codes = bsq::quantize(&config, u).0.codes;
            let weights = u.graph().iota(DType::F32, u.shape(), 2) + 1.0;
            [weights, gradients((codes * weights).sum(..), &[u])[0]]
        });
        let scale = (1.0 / (bits as f64).sqrt()) as f32;
        let weights = weights.as_slice::<f32>().unwrap().iter();
        let expected: Vec<f32> = weights.map(|weight| weight * scale).collect();
        prop_assert_eq!(gradient.as_slice::<f32>().unwrap(), &expected[..]);
    }

    #[test]
    fn the_per_sample_entropy_is_the_same_over_bits_and_over_groups(
        (size, groups) in (1_usize..=5, 1_usize..=4),
        seed in any::<u64>(),
        a in 0.5..20.0,
    ) {
        let bits = size * groups;
        let words = (0..3 * bits as u64).map(|i| bsq_ir::philox::random_word(seed, 0, i));
        let u: Vec<f32> = words.map(|word| word as f32 / 2.0_f32.powi(32) - 0.5).collect();
        let entropy = |mode: &str| {
            let config = bsq_config(bits, size, mode, a);
            let [s] = run(&u, bits, |u| [bsq::quantize(&config, u).1.persample_entropy]);
            s.item::<f32>().unwrap()
        };
        let (joint, single) = (entropy("group"), entropy("analytical"));
        prop_assert!((joint - single).abs() < 1e-5 * single.max(1.0), "{} {}", joint, single);
    }
}

#[test]
fn codes_are_exact_whatever_the_length_of_the_features() {
    let config = bsq_config(2, 1, "analytical", 1.0);
    let u = [3.0e7, -1.0e-30, 0.1, 5.5, -0.0, 0.0];
    let [codes] = run(&u, 2, |u| [bsq::quantize(&config, u).0.codes]);
    let one = (1.0 / 2.0_f64.sqrt()) as f32;
    assert_eq!(
        codes.as_slice::<f32>().unwrap(),
        [one, -one, one, one, -one, -one]
    );
}

/// Layers and sizes of the released models.
fn released(pixels: usize) -> String {
    format!(
        "image_size = {pixels}\npatch_size = 8\nwidth = 768\nlayers = 12\nheads = 12\nmlp_ratio = 4"
    )
}

#[test]
fn released_models_have_their_published_numbers_of_parameters() {
    let bsq = |bits, group| {
        format!(
            "embed_dim = {bits}\nembed_group_size = {group}\npersample_entropy_compute = \"analytical\""
        )
    };
    let vq = "quantizer = \"vq\"\nn_embed = 196560\nembed_dim = 24\nl2_norm = true\n\
              predefined_codebook = \"leech\"\nfreeze_codebook = true";
    for (model, pixels, trained, frozen) in [
        (bsq(18, 9), 128, 173_636_562, 0),
        (bsq(18, 1), 256, 174_816_210, 0),
        (bsq(18, 9), 256, 174_816_210, 0),
        (bsq(36, 1), 256, 174_843_876, 0),
        (vq.to_string(), 256, 174_825_432, 4_717_440),
    ] {
        let tokenizer = Tokenizer::new(&configuration(&model, &released(pixels)).model);
        let (mut of_trained, mut of_frozen) = (0, 0);
        for spec in tokenizer.parameters() {
            match tokenizer.is_trained(&spec.name) {
                true => of_trained += spec.ty.shape.elements(),
                false => of_frozen += spec.ty.shape.elements(),
            }
        }
        assert_eq!((of_trained, of_frozen), (trained, frozen), "{model}");
    }
}

/// The video tokenizer of the paper: 16 frames.
#[test]
fn a_model_of_clips_has_two_tables_of_frames_more() {
    let model = "embed_dim = 18\nembed_group_size = 9\npersample_entropy_compute = \"analytical\"";
    let vit = format!("{}\nnum_frames = 16", released(128));
    let specs = Tokenizer::new(&configuration(model, &vit).model).parameters();
    let elements: usize = specs.iter().map(|spec| spec.ty.shape.elements()).sum();
    assert_eq!(elements, 173_661_138);
}

/// Everything of a small model on random weights, by name.
fn small_forward(model: &str, batch: usize) -> (Tokenizer, Tensors) {
    let tokenizer = Tokenizer::new(&configuration(model, SMALL).model);
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let forward = tokenizer.forward(&scope, image);
    let indices = forward.encoded.indices;
    let decoded = tokenizer.decode(&scope, tokenizer.codes(&scope, indices));
    let mut outputs = vec![
        ("u", forward.encoded.u),
        ("indices", indices),
        ("reconstruction", forward.decoded.reconstruction),
        ("from_indices", decoded.reconstruction),
    ];
    if let Some(binary) = forward.encoded.binary {
        let codes = tokenizer.codes_of_groups(binary.group_indices);
        let decoded = tokenizer.decode(&scope, codes);
        outputs.push(("from_groups", decoded.reconstruction));
    }
    let function = g.function(outputs.into_iter().map(|(name, t)| (name, t.id())), []);
    let elements = batch * 3 * 8 * 16;
    let pixels = (0..elements as u64).map(|i| bsq_ir::philox::random_word(5, 0, i));
    let pixels: Vec<f32> = pixels
        .map(|word| word as f32 / 2.0_f32.powi(31) - 1.0)
        .collect();
    let image = HostTensor::from_slice(tokenizer.image_shape(batch), &pixels).unwrap();
    let inputs = Tensors::from([("image".to_string(), image)]);
    let parameters = tokenizer.init(11).unwrap();
    let run = Evaluator.run(&function, &parameters, &inputs).unwrap();
    (tokenizer, run.outputs)
}

#[test]
fn decoding_tokens_gives_the_bits_of_the_whole_pass() {
    let vq = "quantizer = \"vq\"\nn_embed = 50\nembed_dim = 6";
    for model in [
        "embed_dim = 12\nembed_group_size = 3\nl2_norm = true\npost_q_l2_norm = true",
        "embed_dim = 12\nembed_group_size = 3",
        vq,
        &format!("{vq}\nl2_norm = true"),
        "quantizer = \"vq\"\nn_embed = 16\nembed_dim = 6\ncodebooks = 3",
        "quantizer = \"vq\"\nn_embed = 16\nembed_dim = 6\ncodebooks = 3\nl2_norm = true",
        "quantizer = \"fsq\"\nlevels = [4, 2, 8, 4]",
        // Tokens of several words.
        "embed_dim = 130\nembed_group_size = 10\nl2_norm = true\npost_q_l2_norm = true",
        "embed_dim = 512\nembed_group_size = 8",
        "quantizer = \"vq\"\nn_embed = 16\nembed_dim = 40\ncodebooks = 20",
        "quantizer = \"fsq\"\nlevels = [256, 256, 256, 256, 256, 256, 256, 256, 256, 2, 4]",
    ] {
        let (_, results) = small_forward(model, 2);
        assert_eq!(
            results["from_indices"], results["reconstruction"],
            "{model}"
        );
        if let Some(from_groups) = results.get("from_groups") {
            assert_eq!(*from_groups, results["reconstruction"], "{model}");
        }
        let indices = results["indices"].as_slice::<u64>().unwrap();
        assert!(indices.iter().any(|index| *index != indices[0]), "{model}");
    }
}

#[test]
fn a_picture_gives_the_same_bits_alone_and_in_a_batch() {
    let model = "embed_dim = 12\nembed_group_size = 3\nl2_norm = true\npost_q_l2_norm = true";
    let ((_, alone), (_, batch)) = (small_forward(model, 1), small_forward(model, 3));
    for (name, alone) in alone {
        let first = &batch[&name].bytes()[..alone.bytes().len()];
        assert_eq!(alone.bytes(), first, "{name}");
    }
}

#[test]
fn the_leech_lattice_is_a_frozen_table() {
    let model = "quantizer = \"vq\"\nn_embed = 196560\nembed_dim = 24\nl2_norm = true\n\
                 predefined_codebook = \"leech\"\nfreeze_codebook = true";
    let (tokenizer, results) = small_forward(model, 1);
    assert_eq!(results["from_indices"], results["reconstruction"]);
    let table = &tokenizer.init(0).unwrap()["quantize.embedding.weight"];
    let row = &table.as_slice::<f32>().unwrap()[..24];
    assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-6);
    assert!(!tokenizer.is_trained("quantize.embedding.weight"));
    // The nearest of 196,560 directions is never far: the covering radius is 45 degrees.
    let u = results["u"].as_slice::<f32>().unwrap();
    let table = table.as_slice::<f32>().unwrap();
    let indices = results["indices"].as_slice::<u64>().unwrap();
    for (u, &index) in u.chunks(24).zip(indices) {
        let row = &table[index as usize * 24..][..24];
        let cosine: f32 = u.iter().zip(row).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.7, "{cosine}");
    }
}

#[test]
fn features_have_unit_length() {
    let model = "embed_dim = 12\nembed_group_size = 3\nl2_norm = true\npost_q_l2_norm = true";
    let (_, results) = small_forward(model, 2);
    for u in results["u"].as_slice::<f32>().unwrap().chunks(12) {
        let norm = u.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((norm - 1.0).abs() < 1e-6, "{norm}");
    }
}

#[test]
fn a_checkpoint_of_other_groups_is_refused() {
    use bsq_runtime::checkpoint::Checkpoint;
    let model = "embed_dim = 4\nembed_group_size = 2";
    let tokenizer = Tokenizer::new(&configuration(model, SMALL).model);
    let mut checkpoint = Checkpoint {
        tensors: tokenizer.init(0).unwrap(),
        ..Checkpoint::default()
    };
    let mut load = |basis: &[i64]| {
        let basis = HostTensor::from_slice([basis.len()], basis).unwrap();
        let name = "quantize.group_basis".to_string();
        checkpoint.tensors.insert(name, basis);
        tokenizer.load(&checkpoint)
    };
    assert_eq!(load(&[2, 1]).unwrap().len(), tokenizer.parameters().len());
    let error = load(&[8, 4, 2, 1]).unwrap_err().to_string();
    assert!(
        error.starts_with("`quantize.group_basis` of the checkpoint is [8, 4, 2, 1], but"),
        "{error}"
    );
}

/// Residual binary quantization with one sign for each coordinate of a unit vector is BSQ: the
/// same bits, codes and gradients.
#[test]
fn one_sign_of_each_coordinate_is_binary_spherical_quantization() {
    use bsq_nn::quantizers::ResidualBinary;
    let config = bsq_config(4, 4, "analytical", 1.0);
    let weights = [0.7, -1.3, 0.2, 2.0];
    let outputs = run(&three_tokens(), 4, |u| {
        let unit = u.l2_normalize(1e-12);
        let weights = u.graph().constant_f32(&weights, [4]);
        let (spherical, _) = bsq::quantize(&config, unit);
        let residual = ResidualBinary::new(vec![1; 4], 1.0);
        let codes = residual.quantize(unit) * 0.5;
        let (signs, _) = residual.encode(unit);
        let [by_bsq, by_residual] = [spherical.codes, codes].map(|codes| {
            let loss = (codes * weights).square().sum(..);
            gradients(loss, &[u])[0]
        });
        let bits = bsq::unpack(bsq::pack(unit), 4).cast(DType::F32);
        let signs = signs.squeeze(-1).cast(DType::F32);
        [spherical.codes, codes, by_bsq, by_residual, bits, signs]
    });
    for [expected, found] in outputs.as_chunks::<2>().0 {
        let bits = |tensor: &HostTensor| -> Vec<u32> {
            let values = tensor.as_slice::<f32>().unwrap();
            values.iter().map(|x| x.to_bits()).collect()
        };
        assert_eq!(bits(expected), bits(found));
    }
}
