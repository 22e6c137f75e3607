//! Convolutions in trainings in bf16: gradients near those of f32, and the same bits on every family, with less
//! memory.

use bsq_codegen::cpu::microkernel::Family;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Function, Graph};
use bsq_runtime::{CompileOptions, Executable, HostTensor, Precision, compile};
use std::collections::BTreeMap;

const BATCH: usize = 4;

/// The loss of a network of convolutions and its gradients by their weights and by the pictures, by name: strides
/// of 1 and 2, windows of one and of nine places, and an input of an odd number of channels.
fn gradients_of(side: usize) -> Function {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [BATCH, 3, side, side]);
    let weight = |name: &str, outputs: usize, inputs: usize, size: usize| {
        g.parameter(name, DType::F32, [outputs, inputs, size, size])
    };
    let layers = [
        (weight("first", 16, 3, 3), 1, 1),
        (weight("halving", 32, 16, 3), 2, 1),
        (weight("wide", 48, 32, 3), 1, 1),
        (weight("unpadded", 16, 48, 2), 2, 0),
        (weight("point", 8, 16, 1), 1, 0),
    ];
    let y = layers.iter().fold(x, |x, &(weight, stride, padding)| {
        x.conv2d(weight, stride, padding).gelu()
    });
    let loss = y.square().mean(..);
    let by = [&[x][..], &layers.map(|layer| layer.0)].concat();
    let names = ["by x", "first", "halving", "wide", "unpadded", "point"];
    let found = gradients(loss, &by);
    let outputs = names.into_iter().zip(found.iter().map(|found| found.id()));
    g.function(outputs.chain([("loss", loss.id())]), [])
}

/// Small numbers of both signs.
fn fill(name: &str, shape: &[usize]) -> HostTensor {
    let seed = name
        .bytes()
        .fold(17_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    let value = |i: usize| {
        let mut h = seed ^ (i as u32).wrapping_mul(0x9E37_79B9);
        h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
        h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
        (h ^ (h >> 16)) as f32 / 2f32.powi(31) - 1.0
    };
    // Weights keep the deviation of what they read.
    let scale = match shape {
        [_, rest @ ..] if name != "x" => (3.0 / rest.iter().product::<usize>() as f32).sqrt(),
        _ => 1.0,
    };
    let elements = shape.iter().product();
    let values: Vec<f32> = (0..elements).map(|i| scale * value(i)).collect();
    HostTensor::from_slice(shape.to_vec(), &values).unwrap()
}

fn options(precision: Precision) -> CompileOptions {
    CompileOptions {
        exact: false,
        precision,
        ..Default::default()
    }
}

fn run(function: &Function, executable: &Executable) -> BTreeMap<String, HostTensor> {
    let parameters = function.parameters();
    let bound = parameters.map(|(_, name, ty)| (name.to_string(), fill(name, &ty.shape)));
    let mut session = executable.bind(bound.collect()).unwrap();
    let (_, _, ty) = function.inputs().next().expect("pictures");
    let x = fill("x", &ty.shape);
    session.run(&[("x", &x)]).unwrap().into_iter().collect()
}

fn length(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// Contractions of a program in a format.
fn contractions(executable: &Executable, format: &str) -> usize {
    let kernels = executable.program().kernels.iter();
    let what = format!("contract {format}");
    let texts = kernels.map(|kernel| kernel.to_string());
    texts.filter(|text| text.contains(&what)).count()
}

#[test]
fn gradients_of_convolutions_are_near_those_of_f32() {
    let function = gradients_of(12);
    let [exact, narrow] = [Precision::F32, Precision::Bf16Training]
        .map(|precision| compile(&function, &options(precision)).unwrap());
    // The first convolution, of three channels, stays in f32, and so does its gradient by the pictures.
    assert_eq!(contractions(&exact, "bf16"), 0);
    let all = contractions(&narrow, "bf16");
    let wide = contractions(&narrow, "f32");
    assert!(all >= 12 && wide <= 2, "{all} in bf16, {wide} in f32");
    let [exact, narrow] = [exact, narrow].map(|executable| run(&function, &executable));
    for (name, wanted) in &exact {
        let [wanted, found] = [wanted, &narrow[name]].map(|x| x.as_slice::<f32>().unwrap());
        let off = length(wanted.iter().zip(found).map(|(a, b)| a - b));
        let off = off / length(wanted.iter().copied());
        println!("{name}: off by {off:.5} of its length");
        // 8 bits of each operand, over five layers there and back.
        assert!(off < 0.03, "{name}: {off}");
        assert!(off > 1e-5, "{name}: nothing was rounded");
    }
}

#[test]
fn bits_of_convolutions_depend_neither_on_threads_nor_on_families() {
    let function = gradients_of(10);
    let options = options(Precision::Bf16Training);
    let bits = run(&function, &compile(&function, &options).unwrap());
    for family in Family::all_supported() {
        for threads in [1, 2] {
            let options = CompileOptions {
                family: Some(family),
                threads,
                ..options.clone()
            };
            let executable = compile(&function, &options).unwrap();
            assert!(
                run(&function, &executable) == bits,
                "{family:?}, {threads} threads"
            );
        }
    }
}
