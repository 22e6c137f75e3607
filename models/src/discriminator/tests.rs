//! Sizes that the papers give, how examples of a batch see each other, and checkpoints.

use super::*;
use bsq_ir::autodiff::gradients;
use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_runtime::checkpoint::Source;

fn count(judge: &Discriminator, shape: &[usize]) -> usize {
    let specs = judge.parameters(shape).into_iter();
    let trained = specs.filter(|spec| judge.is_trained(&spec.name));
    trained.map(|spec| spec.ty.shape.elements()).sum()
}

fn patchgan(norm: PatchNorm) -> Discriminator {
    let (channels, layers) = (64, 3);
    Discriminator::PatchGan(PatchGan {
        channels,
        layers,
        norm,
    })
}

#[test]
fn networks_have_as_many_parameters_as_the_references() {
    for (side, base, wanted) in [
        (256, 32768, 28_864_129),
        (256, 16384, 24_001_089),
        (128, 32768, 28_389_121),
    ] {
        let judge = Discriminator::StyleGan(StyleGan::new(side, base));
        assert_eq!(count(&judge, &[1, 3, side, side]), wanted);
    }
    assert_eq!(
        count(&patchgan(PatchNorm::Batch), &[1, 3, 256, 256]),
        1_778_817
    );
    let clips = Discriminator::StyleGan3d(StyleGan3d::default());
    assert_eq!(count(&clips, &[1, 3, 16, 128, 128]), 18_049_025);
}

fn small() -> Discriminator {
    Discriminator::StyleGan(StyleGan {
        most_channels: 8,
        ..StyleGan::new(16, 128)
    })
}

fn pictures(batch: usize, seed: usize) -> Vec<f32> {
    let pixel = |i: usize| ((i * 37 + seed * 101) as f32 * 0.618).fract() * 2.0 - 1.0;
    (0..batch * 3 * 256).map(pixel).collect()
}

fn logits(pixels: &[f32]) -> Vec<f32> {
    let batch = pixels.len() / 768;
    let shape = [batch, 3, 16, 16];
    let g = Graph::new();
    let x = g.input("x", DType::F32, shape);
    let mut memory = BatchMemory::new(BatchUse::Training);
    let y = small().logits(Scope::root(&g), x, &mut memory);
    let function = g.function([("y", y.id())], []);
    let values = small().init(&shape, 3).unwrap().into_iter();
    let values = values.map(|(name, x)| {
        (
            name,
            Value::new(x.shape().to_vec(), x.as_slice::<f32>().unwrap().to_vec()),
        )
    });
    let inputs = Values::from([("x".to_string(), Value::new(shape, pixels.to_vec()))]);
    let run = evaluate(&function, &inputs, &values.collect(), Precision::F32).unwrap();
    run.outputs["y"].as_f32().to_vec()
}

/// Example i of 8 is compared with those of its parity: each half of a batch is a batch.
#[test]
fn groups_of_the_minibatch_deviation_are_strided() {
    let all = pictures(8, 1);
    let half: Vec<f32> = all.chunks(768).step_by(2).flatten().copied().collect();
    let (whole, alone) = (logits(&all), logits(&half));
    for i in 0..4 {
        assert_eq!(whole[2 * i].to_bits(), alone[i].to_bits());
    }
    // Neighbours are no group.
    let first = logits(&all[..4 * 768]);
    assert_ne!(first[0].to_bits(), whole[0].to_bits());
}

#[test]
#[should_panic(expected = "a batch of 6 is no whole groups of 4")]
fn a_batch_must_be_whole_groups() {
    logits(&pictures(6, 1));
}

#[test]
fn filters_and_counters_of_a_checkpoint_are_left_out() {
    let shape = [4, 3, 16, 16];
    let judge = small();
    let own = judge.init(&shape, 1).unwrap();
    let mut checkpoint = Checkpoint {
        tensors: own.clone(),
        source: Source::Safetensors,
        ..Checkpoint::default()
    };
    let filter = HostTensor::from_slice([4, 4], &[0.0_f32; 16]).unwrap();
    checkpoint
        .tensors
        .insert("b16.conv0.resample_filter".into(), filter.clone());
    let counter = HostTensor::scalar(3_i64).unwrap();
    checkpoint
        .tensors
        .insert("network.3.num_batches_tracked".into(), counter);
    assert_eq!(judge.load(&shape, &checkpoint).unwrap(), own);
    checkpoint.tensors.insert("b16.conv2.weight".into(), filter);
    let error = judge.load(&shape, &checkpoint).unwrap_err().to_string();
    assert!(error.contains("b16.conv2.weight"), "{error}");
    checkpoint.tensors.remove("b16.conv2.weight");
    checkpoint.tensors.remove("b4.out.bias");
    let error = judge.load(&shape, &checkpoint).unwrap_err().to_string();
    assert!(error.contains("b4.out.bias"), "{error}");
}

#[test]
fn a_patchgan_starts_as_the_reference_does() {
    let start = patchgan(PatchNorm::Batch).init(&[1, 3, 64, 64], 5).unwrap();
    let mean = |name: &str| {
        let x = start[name].as_slice::<f32>().unwrap();
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        let square = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
        (mean, (square / x.len() as f32).sqrt())
    };
    let (middle, deviation) = mean("network.9.weight");
    assert!((middle - 1.0).abs() < 0.005 && (deviation - 0.02).abs() < 0.003);
    let (middle, deviation) = mean("network.11.weight");
    assert!(middle.abs() < 1e-3 && (deviation - 0.02).abs() < 1e-3);
    assert_eq!(mean("network.9.running_var"), (1.0, 0.0));
    assert_eq!(mean("network.0.bias"), (0.0, 0.0));
}

/// The penalty has a derivative by every parameter, but for biases behind the last part that is no
/// straight line, the minibatch deviation: they move no slope.
#[test]
fn r1_is_a_second_derivative() {
    let shape = [2, 3, 16, 16];
    let g = Graph::new();
    let scope = Scope::root(&g);
    let x = g.input("x", DType::F32, shape);
    let y = small().logits(&scope, x, &mut BatchMemory::new(BatchUse::Training));
    let penalty = crate::losses::adversarial::r1_penalty(y, x);
    let wrt = scope.parameters();
    let derivatives = gradients(penalty, &wrt);
    let names: Vec<String> = scope.specs().into_iter().map(|spec| spec.name).collect();
    let outputs = names
        .iter()
        .zip(&derivatives)
        .map(|(name, d)| (name.as_str(), d.id()));
    let function = g.function(outputs, []);
    let values = small().init(&shape, 3).unwrap().into_iter();
    let values: Values = values
        .map(|(name, x)| {
            (
                name,
                Value::new(x.shape().to_vec(), x.as_slice::<f32>().unwrap().to_vec()),
            )
        })
        .collect();
    let inputs = Values::from([("x".to_string(), Value::new(shape, pictures(2, 4)))]);
    let run = evaluate(&function, &inputs, &values, Precision::F32).unwrap();
    for name in names {
        let is_zero = run.outputs[&name].as_f32().iter().all(|&d| d == 0.0);
        let moves_no_slope = name.starts_with("b4.") && name.ends_with("bias");
        assert_eq!(is_zero, moves_no_slope, "{name}");
    }
}
