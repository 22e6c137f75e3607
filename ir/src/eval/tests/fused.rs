//! Fused ops against straightforward scalar computations in `f64`.

use super::*;
use crate::op::{Float, Mask};

/// Asserts that every element is within `1e-5` of what was computed in `f64`.
#[track_caller]
fn close(got: &Value, wanted: &[f64]) {
    let got = got.to_f64();
    assert_eq!(got.len(), wanted.len());
    for (i, (x, y)) in got.iter().zip(wanted).enumerate() {
        let tolerance = 1e-5 * y.abs().max(1.0);
        assert!((x - y).abs() <= tolerance, "element {i}: {x}, not {y}");
    }
}

fn of(op: Op, operands: &[Value]) -> Vec<Value> {
    results(op, operands, Precision::F32)
}

fn softmax(x: &[f64]) -> Vec<f64> {
    let largest = x.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
    let exp: Vec<f64> = x.iter().map(|x| (x - largest).exp()).collect();
    let sum: f64 = exp.iter().sum();
    exp.iter().map(|e| e / sum).collect()
}

fn inner(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[test]
fn softmax_and_its_backward() {
    let (x, g) = (noise(1, [3, 7]), noise(2, [3, 7]));
    let rows = x.to_f64();
    let p: Vec<f64> = rows.chunks(7).flat_map(softmax).collect();
    close(&of(Op::Softmax, &[x])[0], &p);
    let p = Value::new([3, 7], p.iter().map(|&p| p as f32).collect::<Vec<_>>());
    let (ps, gs) = (p.to_f64(), g.to_f64());
    let backward = |(p, g): (&[f64], &[f64])| {
        let along = inner(p, g);
        p.iter()
            .zip(g)
            .map(|(p, g)| p * (g - along))
            .collect::<Vec<_>>()
    };
    let wanted: Vec<f64> = ps.chunks(7).zip(gs.chunks(7)).flat_map(backward).collect();
    close(&of(Op::SoftmaxBackward, &[p, g])[0], &wanted);
}

#[test]
fn layer_norm_and_its_backward() {
    let (x, g) = (noise(3, [4, 6]), noise(4, [4, 6]));
    let (weight, bias) = (noise(5, [6]), noise(6, [6]));
    let epsilon = 1e-5;
    let forward = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / 6.0;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 6.0;
        let rstd = 1.0 / (variance + epsilon).sqrt();
        let (w, b) = (weight.to_f64(), bias.to_f64());
        let y: Vec<f64> = (0..6).map(|i| (x[i] - mean) * rstd * w[i] + b[i]).collect();
        (y, mean, rstd)
    };
    let op = Op::LayerNorm {
        epsilon: Float::new(epsilon as f32),
    };
    let got = of(op, &[x.clone(), weight.clone(), bias.clone()]);
    let xs = x.to_f64();
    let rows: Vec<_> = xs.chunks(6).map(forward).collect();
    close(
        &got[0],
        &rows
            .iter()
            .flat_map(|row| row.0.clone())
            .collect::<Vec<_>>(),
    );
    close(&got[1], &rows.iter().map(|row| row.1).collect::<Vec<_>>());
    close(&got[2], &rows.iter().map(|row| row.2).collect::<Vec<_>>());
    let operands = [
        x.clone(),
        weight.clone(),
        got[1].clone(),
        got[2].clone(),
        g.clone(),
    ];
    let backward = of(Op::LayerNormBackward, &operands);
    let gs = g.to_f64();
    let loss = |row: usize, x: &[f64]| inner(&forward(x).0, &gs[row * 6..][..6]);
    close(&backward[0], &differences(&xs, 6, loss));
}

/// Central differences of a function of each row.
fn differences(x: &[f64], width: usize, loss: impl Fn(usize, &[f64]) -> f64) -> Vec<f64> {
    let step = 1e-5;
    let at = |i: usize, by: f64| {
        let row = i / width;
        let mut moved = x[row * width..][..width].to_vec();
        moved[i % width] += by;
        loss(row, &moved)
    };
    let slope = |i| (at(i, step) - at(i, -step)) / (2.0 * step);
    (0..x.len()).map(slope).collect()
}

#[test]
fn gelu_and_its_backward() {
    let (x, g) = (noise(7, [40]), noise(8, [40]));
    let gelu = |x: f64| x / 2.0 * (1.0 + libm::erf(x / 2f64.sqrt()));
    let (xs, gs) = (x.to_f64(), g.to_f64());
    let wanted: Vec<f64> = xs.iter().map(|&x| gelu(x)).collect();
    close(&of(Op::Gelu, std::slice::from_ref(&x))[0], &wanted);
    let wanted = differences(&xs, 1, |row, x| gs[row] * gelu(x[0]));
    close(&of(Op::GeluBackward, &[x, g])[0], &wanted);
}

const QUERIES: usize = 5;
const KEYS: usize = 6;
const SCALE: f64 = 0.75;

/// One head: q `[5, 3]`, k `[6, 3]`, v `[6, 2]`; output, maxima, sums.
fn attention(q: &[f64], k: &[f64], v: &[f64], mask: impl Fn(usize, usize) -> f64) -> [Vec<f64>; 3] {
    let mut results = [const { Vec::new() }; 3];
    for i in 0..QUERIES {
        let score = |j: usize| inner(&q[i * 3..][..3], &k[j * 3..][..3]) * SCALE + mask(i, j);
        let scores: Vec<f64> = (0..KEYS).map(score).collect();
        let largest = scores.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(x));
        let p = softmax(&scores);
        for column in 0..2 {
            let values: Vec<f64> = (0..KEYS).map(|j| v[j * 2 + column]).collect();
            results[0].push(inner(&p, &values));
        }
        results[1].push(largest);
        results[2].push(scores.iter().map(|s| (s - largest).exp()).sum());
    }
    results
}

/// Checks the forward and the backward pass of two heads against [`attention`]; `term` is what
/// the mask adds to a score.
#[track_caller]
fn check_attention(mask: Mask, bias: Option<Value>, term: impl Fn(usize, usize) -> f64) {
    let [q, k] = [noise(10, [2, QUERIES, 3]), noise(11, [2, KEYS, 3])];
    let [v, g] = [noise(12, [2, KEYS, 2]), noise(13, [2, QUERIES, 2])];
    let scale = Float::new(SCALE as f32);
    let mut operands = vec![q.clone(), k.clone(), v.clone()];
    operands.extend(bias.clone());
    let got = of(Op::Attention { scale, mask }, &operands);
    let [qs, ks, vs, gs] = [&q, &k, &v, &g].map(Value::to_f64);
    let head = |x: &[f64], h: usize| x[h * x.len() / 2..][..x.len() / 2].to_vec();
    let forward = |h: usize| attention(&head(&qs, h), &head(&ks, h), &head(&vs, h), &term);
    let [first, second] = [forward(0), forward(1)];
    for result in 0..3 {
        close(
            &got[result],
            &[&first[result][..], &second[result]].concat(),
        );
    }

    let mut operands = vec![q, k, v, got[1].clone(), got[2].clone(), g];
    operands.extend(bias);
    let gradients = of(Op::AttentionBackward { scale, mask }, &operands);
    let loss = |h: usize, q: &[f64], k: &[f64], v: &[f64]| {
        inner(&attention(q, k, v, &term)[0], &head(&gs, h))
    };
    let dq = differences(&qs, qs.len() / 2, |h, q| {
        loss(h, q, &head(&ks, h), &head(&vs, h))
    });
    let dk = differences(&ks, ks.len() / 2, |h, k| {
        loss(h, &head(&qs, h), k, &head(&vs, h))
    });
    let dv = differences(&vs, vs.len() / 2, |h, v| {
        loss(h, &head(&qs, h), &head(&ks, h), v)
    });
    for (gradient, wanted) in gradients.iter().zip([dq, dk, dv]) {
        close(gradient, &wanted);
    }
}

fn hidden_unless(visible: bool) -> f64 {
    if visible { 0.0 } else { f64::NEG_INFINITY }
}

#[test]
fn attention_without_a_mask() {
    check_attention(Mask::None, None, |_, _| 0.0);
}

#[test]
fn causal_attention() {
    let mask = Mask::BlockCausal { size: 1 };
    check_attention(mask, None, |i, j| hidden_unless(j <= i));
}

#[test]
fn block_causal_attention_with_a_block_that_is_cut_short() {
    let mask = Mask::BlockCausal { size: 2 };
    check_attention(mask, None, |i, j| hidden_unless(j / 2 <= i / 2));
}

#[test]
fn attention_with_a_bias() {
    let bias = noise(9, [QUERIES, KEYS]);
    let terms = bias.to_f64();
    check_attention(Mask::Bias, Some(bias), |i, j| terms[i * KEYS + j]);
}

#[test]
fn masked_keys_do_not_reach_the_output() {
    let [q, k] = [noise(14, [4, 3]), noise(15, [4, 3])];
    let op = Op::Attention {
        scale: Float::new(1.0),
        mask: Mask::BlockCausal { size: 1 },
    };
    let v = counted([4, 1]);
    let mut moved = v.as_f32().to_vec();
    moved[3] = 1e6;
    let before = of(op.clone(), &[q.clone(), k.clone(), v])[0].clone();
    let after = of(op, &[q, k, Value::new([4, 1], moved)])[0].clone();
    assert_eq!(before.as_f32()[..3], after.as_f32()[..3]);
    assert_ne!(before.as_f32()[3], after.as_f32()[3]);
}

#[test]
fn pack_signs_puts_the_first_element_on_top() {
    let x = Value::new([2, 3], vec![1.0f32, -1.0, 2.0, 0.0, f32::NAN, 1e-45]);
    assert_eq!(of(Op::PackSigns, &[x]), [row(&[0b101u64, 0b001])]);
    let x = row(&[1.0f32; 64]);
    assert_eq!(of(Op::PackSigns, &[x]), [Value::scalar(u64::MAX)]);
    let x = row(&[-0.0f32, 5.0]);
    assert_eq!(of(Op::PackSigns, &[x]), [Value::scalar(1u64)]);
}
