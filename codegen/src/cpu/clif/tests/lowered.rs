//! Kernels as the lowering makes them.

use super::super::{Options, explain};
use super::run::{check, check_moderate};
use crate::cpu::microkernel::Family;
use crate::kernel::{Format, Stmt};
use crate::lower::{self, Precision};
use crate::pipeline;
use bsq_ir::autodiff::gradients;
use bsq_ir::tensor::Init;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_nn::layers::{Block, causal};
use std::collections::BTreeSet;

/// A pre-norm block with a causal mask.
fn block<'g>(x: Tensor<'g>, scope: Scope<'g>, heads: usize) -> Tensor<'g> {
    let block = Block::pre_norm(x.shape()[2], heads);
    let mask = causal(x.graph(), x.shape()[1]);
    block.forward(scope, x, &mut |heads| heads.attend(Some(mask)))
}

#[test]
fn kernels_of_a_training_step_equal_the_interpreter() {
    let graph = Graph::new();
    let model = Scope::root(&graph);
    let tokens = graph.input("tokens", DType::I64, [2, 11]);
    let table = model.parameter("table", [13, 20], Init::Normal(1.0));
    let x = block(table.gather(0, tokens), &model / "block", 2);
    let loss = x.linear(&model / "head", 13).cross_entropy(tokens);
    let parameters = model.parameters();
    let mut updates = Vec::new();
    for (parameter, gradient) in parameters.iter().zip(gradients(loss, &parameters)) {
        let updated = *parameter - graph.scalar("rate") * gradient;
        updates.push((parameter.id(), updated.id()));
    }
    let function = graph.function([("loss", loss.id())], updates);
    for kernel in pipeline::lower(&function, &Default::default())
        .unwrap()
        .kernels
    {
        check(&kernel, 3).unwrap();
    }
}

/// The formats of block contractions, each once.
fn formats(body: &[Stmt], found: &mut BTreeSet<Format>) {
    for stmt in body {
        match stmt {
            Stmt::Loop { body, .. } => formats(body, found),
            Stmt::Contract(contract) => drop(found.insert(contract.format)),
            _ => {}
        }
    }
}

#[test]
fn kernels_in_narrow_formats_equal_the_interpreter() {
    for (precision, narrow_activations, narrow) in [
        (Precision::Bf16, true, vec![Format::Bf16]),
        (Precision::Bf16, false, vec![Format::Bf16Weights]),
        (Precision::F16, true, vec![Format::F16]),
        (Precision::Int8, true, vec![Format::Bf16, Format::Int8]),
        (Precision::Int8, false, vec![Format::Int8]),
    ] {
        let graph = Graph::new();
        let model = Scope::root(&graph);
        let x = graph.input("x", DType::F32, [2, 14, 6]);
        let x = x.linear(&model / "embed", 24);
        let x = block(x, &model / "block", 2);
        let y = x.linear(&model / "head", 13);
        let function = graph.function([("y", y.id())], []);
        let mut found = BTreeSet::new();
        let options = lower::Options {
            precision,
            narrow_activations,
            ..Default::default()
        };
        for kernel in pipeline::program(&function, false, &options)
            .unwrap()
            .kernels
        {
            formats(&kernel.body, &mut found);
            check_moderate(&kernel, 3).unwrap();
        }
        // The first and the last layer stay in f32; attention is in bf16 where layers are in bytes, if activations may be.
        let mut expected = BTreeSet::from_iter(narrow);
        expected.insert(Format::F32);
        assert_eq!(found, expected, "{precision:?}, {narrow_activations}");
    }
}

#[test]
fn rows_of_functions_and_sums_run_in_simd_loops_where_there_are_wide_vectors() {
    let graph = Graph::new();
    let x = graph.input("x", DType::F32, [64, 256]);
    let y = x.gelu().sum(-1);
    let function = graph.function([("y", y.id())], []);
    let kernels = pipeline::lower(&function, &Default::default())
        .unwrap()
        .kernels;
    for family in Family::all_supported() {
        let options = Options { family, threads: 1 };
        let listings = kernels.iter().map(|k| explain(k, &options).unwrap().clif);
        let loops = listings.filter(|clif| clif.contains("SIMD loop")).count();
        assert_eq!(loops > 0, family != Family::Portable, "{family}");
    }
    for kernel in &kernels {
        check(kernel, 5).unwrap();
    }
}

/// How many levels of groups the rows and the terms of contractions have at most.
fn levels(body: &[Stmt]) -> [usize; 2] {
    let mut most = [0; 2];
    for stmt in body {
        if let Stmt::Contract(contract) = stmt {
            let found = [contract.a_row_groups.len(), contract.a_groups.len()];
            most = [0, 1].map(|side| most[side].max(found[side]));
        }
    }
    most
}

/// Windows are read where they are: rows of several lines and pictures, blocks that are cut short, and
/// more terms than offsets are made for at a time.
#[test]
fn kernels_of_convolutions_equal_the_interpreter() {
    let mut seen = BTreeSet::new();
    for ([batch, channels, outputs], [height, width], stride) in [
        ([3, 2, 20], [5, 4], 1),
        ([2, 3, 5], [23, 25], 1),
        ([2, 3, 17], [9, 11], 2),
        ([1, 1, 1], [6, 100], 1),
    ] {
        let graph = Graph::new();
        let x = graph.input("x", DType::F32, [batch, channels, height, width]);
        let w = graph.parameter("w", DType::F32, [outputs, channels, 3, 3]);
        let y = x.conv2d(w, stride, 1);
        let cotangent = graph.input("g", DType::F32, y.shape());
        let [by_x, by_w] = gradients((y * cotangent).sum(..), &[x, w])[..] else {
            panic!("two gradients")
        };
        let results = [("y", y), ("by x", by_x), ("by w", by_w)].map(|(name, y)| (name, y.id()));
        let function = graph.function(results, []);
        for kernel in pipeline::lower(&function, &Default::default())
            .unwrap()
            .kernels
        {
            seen.insert(levels(&kernel.body));
            check(&kernel, 5).unwrap();
        }
    }
    assert!(
        seen.iter().any(|levels| levels[0] > 1) && seen.iter().any(|levels| levels[1] > 1),
        "{seen:?}"
    );
}
