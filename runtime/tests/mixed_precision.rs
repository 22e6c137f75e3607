//! Training steps in bf16: near to f32, with less memory, and the same on every family and within every budget.

use bsq_codegen::cpu::microkernel::Family;
use bsq_codegen::pipeline::PipelineError;
use bsq_ir::autodiff::gradients;
use bsq_ir::{DType, Function, Graph, Scope, Tensor, Type};
use bsq_runtime::{CompileOptions, Executable, HostTensor, Precision, ProgramError, compile};
use std::collections::BTreeMap;

const BATCH: usize = 2;
const TOKENS: usize = 64;
const WIDTH: usize = 32;

/// A transformer's block of two heads.
fn block<'g>(x: Tensor<'g>, scope: &Scope<'g>) -> Tensor<'g> {
    let normed = x.layer_norm(scope / "norm1", 1e-5);
    let qkv = normed.linear(scope / "qkv", 3 * WIDTH);
    let qkv = qkv.reshape([BATCH, TOKENS, 3, 2, WIDTH / 2]);
    let qkv = qkv.transpose(&[2, 0, 3, 1, 4]);
    let head = |which: usize| qkv.slice(0, which..which + 1).squeeze(0);
    let [query, key, value] = [0, 1, 2].map(head);
    let scores = query.matmul(key.transpose(&[0, 1, 3, 2])) * 0.3;
    let seen = scores.softmax().matmul(value);
    let seen = seen
        .transpose(&[0, 2, 1, 3])
        .reshape([BATCH, TOKENS, WIDTH]);
    let x = x + seen.linear(scope / "out", WIDTH);
    let hidden = x.layer_norm(scope / "norm2", 1e-5);
    let hidden = hidden.linear(scope / "up", 4 * WIDTH).gelu();
    x + hidden.linear(scope / "down", WIDTH)
}

/// The loss of some blocks and its gradients by their parameters, by name.
fn gradients_of(blocks: usize) -> Function {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [BATCH, TOKENS, WIDTH]);
    let y = (0..blocks).fold(x, |x, number| block(x, &(&model / "blocks" / number)));
    let loss = (y - x).square().mean(..);
    let parameters = model.parameters();
    let found = gradients(loss, &parameters);
    let specs = model.specs();
    let named = specs.iter().zip(&found);
    let outputs = named.map(|(spec, gradient)| (spec.name.as_str(), gradient.id()));
    g.function(outputs.chain([("loss", loss.id())]), [])
}

/// Small numbers of both signs; gains of norms near 1.
fn fill(name: &str, ty: &Type) -> HostTensor {
    let seed = name
        .bytes()
        .fold(17_u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    let (middle, width) = match name {
        "x" => (0.0, 1.0),
        _ if name.contains("norm") && name.ends_with("weight") => (1.0, 0.1),
        _ => (0.0, 0.3),
    };
    let value = |i: usize| {
        let mut h = seed ^ (i as u32).wrapping_mul(0x9E37_79B9);
        h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
        h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
        middle + width * ((h ^ (h >> 16)) as f32 / 2f32.powi(31) - 1.0)
    };
    let values: Vec<f32> = (0..ty.shape.elements()).map(value).collect();
    HostTensor::from_slice(ty.shape.to_vec(), &values).unwrap()
}

fn options(precision: Precision) -> CompileOptions {
    CompileOptions {
        exact: false,
        precision,
        ..Default::default()
    }
}

fn compiled(function: &Function, precision: Precision) -> Executable {
    compile(function, &options(precision)).unwrap()
}

fn run(function: &Function, executable: &Executable) -> BTreeMap<String, HostTensor> {
    let parameters = function.parameters();
    let bound = parameters.map(|(_, name, ty)| (name.to_string(), fill(name, ty)));
    let mut session = executable.bind(bound.collect()).unwrap();
    let x = fill("x", &Type::new(DType::F32, [BATCH, TOKENS, WIDTH]));
    session.run(&[("x", &x)]).unwrap().into_iter().collect()
}

fn length(values: impl Iterator<Item = f32>) -> f64 {
    values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn gradients_are_near_those_of_f32() {
    let function = gradients_of(6);
    let [exact, narrow] = [Precision::F32, Precision::Bf16Training]
        .map(|precision| run(&function, &compiled(&function, precision)));
    let (mut most, mut least) = (0.0_f64, f64::INFINITY);
    for (name, wanted) in &exact {
        let [wanted, found] = [wanted, &narrow[name]].map(|x| x.as_slice::<f32>().unwrap());
        let off = length(wanted.iter().zip(found).map(|(a, b)| a - b));
        let off = off / length(wanted.iter().copied());
        // Biases of keys have none but rounding: a score's row does not change with them.
        if name != "loss" {
            (most, least) = (most.max(off), least.min(off));
        }
    }
    println!("off by {least:.5} to {most:.5} of their lengths");
    // 8 bits of each operand, over six blocks there and back.
    assert!(most < 0.03, "{most}");
    assert!(least > 1e-4, "nothing was rounded: {least}");
}

#[test]
fn contractions_of_both_passes_are_in_bf16_and_activations_take_less() {
    let function = gradients_of(8);
    let [exact, narrow] =
        [Precision::F32, Precision::Bf16Training].map(|precision| compiled(&function, precision));
    let kernels = |executable: &Executable, what: &str| -> usize {
        let kernels = executable.program().kernels.iter();
        kernels
            .filter(|kernel| kernel.to_string().contains(what))
            .count()
    };
    assert_eq!(kernels(&exact, "contract bf16"), 0);
    // Attention's backward pass is in f32.
    let (all, wide) = (
        kernels(&narrow, "contract bf16"),
        kernels(&narrow, "contract f32"),
    );
    assert!(all > 10 && wide <= 1, "{all} in bf16, {wide} in f32");
    let activations = |executable: &Executable| {
        executable.report().peak_bytes - executable.program().resident_bytes()
    };
    let (more, less) = (activations(&exact), activations(&narrow));
    println!("{less} of {more} bytes");
    assert!(4 * less < 3 * more, "{less} of {more} bytes");
}

#[test]
fn bits_depend_neither_on_threads_nor_on_families_nor_on_a_budget() {
    let function = gradients_of(6);
    let options = options(Precision::Bf16Training);
    let whole = compile(&function, &options).unwrap();
    let bits = run(&function, &whole);
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
    let within = |memory| {
        let memory = Some(memory);
        compile(
            &function,
            &CompileOptions {
                memory,
                ..options.clone()
            },
        )
    };
    let Err(ProgramError::Pipeline(PipelineError::Memory { smallest, .. })) = within(1000) else {
        panic!("a step in a thousand bytes");
    };
    assert!(smallest < whole.report().peak_bytes);
    assert!(
        run(&function, &within(smallest).unwrap()) == bits,
        "a budget"
    );
}
