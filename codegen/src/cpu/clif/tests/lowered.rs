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
use std::collections::BTreeSet;

/// Pre-norm attention with a causal mask, and a feed-forward layer.
fn block<'g>(x: Tensor<'g>, scope: &Scope<'g>, heads: usize) -> Tensor<'g> {
    let [batch, tokens, width] = *x.shape() else {
        panic!("[batch, tokens, width]");
    };
    let norm = |x: Tensor<'g>, scope: Scope<'g>| {
        let weight = scope.parameter("weight", [width], Init::Constant(1.0));
        let bias = scope.parameter("bias", [width], Init::Constant(0.0));
        x.layer_norm(weight, bias, 1e-5)
    };
    let split = |x: Tensor<'g>| {
        x.reshape([batch, tokens, heads, width / heads])
            .transpose(&[0, 2, 1, 3])
    };
    let qkv = norm(x, scope / "norm_1").linear(&(scope / "qkv"), 3 * width);
    let qkv: Vec<Tensor> = qkv.chunk(3, -1).into_iter().map(split).collect();
    let position = |axis| x.graph().iota(DType::I32, [tokens, tokens], axis);
    let causal = position(0).ge(position(1));
    let attended = qkv[0].attention(qkv[1], qkv[2], 0.5, Some(causal));
    let merged = attended
        .transpose(&[0, 2, 1, 3])
        .reshape([batch, tokens, width]);
    let x = x + merged.linear(&(scope / "out"), width);
    let hidden = norm(x, scope / "norm_2").linear(&(scope / "up"), 2 * width);
    x + hidden.gelu().linear(&(scope / "down"), width)
}

#[test]
fn kernels_of_a_training_step_equal_the_interpreter() {
    let graph = Graph::new();
    let model = Scope::root(&graph);
    let tokens = graph.input("tokens", DType::I64, [2, 11]);
    let table = model.parameter("table", [13, 20], Init::Normal(1.0));
    let x = block(table.gather(0, tokens), &(&model / "block"), 2);
    let loss = x.linear(&(&model / "head"), 13).cross_entropy(tokens);
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
    for (precision, narrow) in [
        (Precision::Bf16, vec![Format::Bf16]),
        (Precision::F16, vec![Format::F16]),
        (Precision::Int8, vec![Format::Bf16, Format::Int8]),
    ] {
        let graph = Graph::new();
        let model = Scope::root(&graph);
        let x = graph.input("x", DType::F32, [2, 14, 6]);
        let x = x.linear(&(&model / "embed"), 24);
        let x = block(x, &(&model / "block"), 2);
        let y = x.linear(&(&model / "head"), 13);
        let function = graph.function([("y", y.id())], []);
        let mut found = BTreeSet::new();
        let options = lower::Options {
            precision,
            ..Default::default()
        };
        for kernel in pipeline::program(&function, false, &options)
            .unwrap()
            .kernels
        {
            formats(&kernel.body, &mut found);
            check_moderate(&kernel, 3).unwrap();
        }
        // The first and the last layer stay in f32; attention is in bf16 where layers are in bytes.
        let mut expected = BTreeSet::from_iter(narrow);
        expected.insert(Format::F32);
        assert_eq!(found, expected, "{precision:?}");
    }
}

#[test]
fn rows_of_functions_and_sums_run_in_wide_loops_where_there_are_wide_vectors() {
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
        let wide = listings.filter(|clif| clif.contains("wide loop")).count();
        assert_eq!(wide > 0, family != Family::Portable, "{family}");
    }
    for kernel in &kernels {
        check(kernel, 5).unwrap();
    }
}
