//! Every rule against the same arithmetic in f64; state, decay, clipping and averages of each.

use super::*;
use bsq_ir::{DType, Graph};
use bsq_runtime::executor::{Evaluator, Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;

type Make = for<'g> fn(Tensor<'g>) -> Box<dyn Rule<'g> + 'g>;
type MakeWith = for<'g> fn(Common<'g>) -> Box<dyn Rule<'g> + 'g>;

const RULES: [(&str, Make); 5] = [
    ("adamw", |lr| Box::new(AdamW::new(lr))),
    ("adam", |lr| Box::new(Adam::new(lr))),
    ("sgd", |lr| Box::new(Sgd::new(lr))),
    ("lion", |lr| Box::new(Lion::new(lr))),
    ("muon", |lr| Box::new(Muon::new(lr))),
];

/// Parameters and state after as many steps as there are gradients.
fn train(
    shape: &[usize],
    start: &[f32],
    gradients: &[Vec<f32>],
    rate: f32,
    rule: impl for<'g> Fn(Tensor<'g>) -> Box<dyn Rule<'g> + 'g>,
) -> Tensors {
    let g = Graph::new();
    let parameter = g.parameter("p", DType::F32, shape);
    let gradient = [g.input("gradient", DType::F32, shape)];
    let rule = rule(g.scalar("lr"));
    let step = minimize_with_gradients(&[parameter], &gradient, &*rule).with_average(0.5);
    let tensor = |x: &[f32]| HostTensor::from_slice(shape.to_vec(), x).unwrap();
    let mut parameters = Tensors::from([("p".to_string(), tensor(start))]);
    parameters.extend(step.initial_state(&parameters).unwrap());
    let function = step.function();
    for gradient in gradients {
        let rate = HostTensor::scalar(rate).unwrap();
        let inputs = [("gradient", tensor(gradient)), ("lr", rate)];
        let inputs = inputs.map(|(name, x)| (name.to_string(), x)).into();
        let run = Evaluator.run(&function, &parameters, &inputs).unwrap();
        parameters = run.updates;
    }
    parameters
}

fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let number = |i: usize| (((i + 7 * seed) * 53 % 97) as f32 - 48.2) * 0.02;
    (0..count).map(number).collect()
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

#[track_caller]
fn assert_close(got: &HostTensor, wanted: &[f64], error: f64) {
    let got = wide(got.as_slice::<f32>().unwrap());
    let pairs = got.iter().zip(wanted);
    let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(
        got.len() == wanted.len() && worst <= error,
        "{worst:e}: {got:?}, not {wanted:?}"
    );
}

#[test]
fn sgd_is_its_formula() {
    let (start, steps) = (numbers(5, 1), [numbers(5, 2), numbers(5, 3), numbers(5, 4)]);
    for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.8, true)] {
        let trained = train(&[5], &start, &steps, 0.1, |lr| {
            let common = Common {
                weight_decay: 0.05,
                ..Common::new(lr)
            };
            Box::new(Sgd {
                common,
                momentum,
                nesterov,
            })
        });
        let (mut p, mut m) = (wide(&start), vec![0.0; 5]);
        for gradient in &steps {
            for i in 0..5 {
                let g = f64::from(gradient[i]) + 0.05 * p[i];
                m[i] = momentum * m[i] + g;
                let d = if nesterov { g + momentum * m[i] } else { m[i] };
                p[i] -= 0.1 * d;
            }
        }
        assert_close(&trained["p"], &p, 1e-6);
        assert_eq!(
            trained.contains_key("optimizer.sgd.momentum.p"),
            momentum != 0.0
        );
    }
}

#[test]
fn adam_is_its_formula() {
    let (start, steps) = (numbers(5, 1), [numbers(5, 2), numbers(5, 3), numbers(5, 4)]);
    let trained = train(&[5], &start, &steps, 0.1, |lr| {
        let common = Common {
            weight_decay: 0.05,
            ..Common::new(lr)
        };
        Box::new(Adam {
            common,
            ..Adam::new(lr)
        })
    });
    let (mut p, mut m, mut v) = (wide(&start), vec![0.0; 5], vec![0.0; 5]);
    for (t, gradient) in steps.iter().enumerate() {
        let correction = |beta: f64| 1.0 - beta.powi(t as i32 + 1);
        for i in 0..5 {
            let g = f64::from(gradient[i]) + 0.05 * p[i];
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.999 * v[i] + 0.001 * g * g;
            let root = (v[i] / correction(0.999)).sqrt() + 1e-8;
            p[i] -= 0.1 * m[i] / correction(0.9) / root;
        }
    }
    assert_close(&trained["p"], &p, 1e-5);
}

#[test]
fn lion_is_its_formula() {
    let (start, steps) = (numbers(5, 1), [numbers(5, 2), numbers(5, 3), numbers(5, 4)]);
    let trained = train(&[5], &start, &steps, 0.1, |lr| {
        let common = Common {
            weight_decay: 0.5,
            ..Common::new(lr)
        };
        Box::new(Lion {
            common,
            ..Lion::new(lr)
        })
    });
    let (mut p, mut m) = (wide(&start), vec![0.0; 5]);
    for gradient in &steps {
        for i in 0..5 {
            let g = f64::from(gradient[i]);
            let d: f64 = 0.9 * m[i] + 0.1 * g;
            m[i] = 0.99 * m[i] + 0.01 * g;
            p[i] -= 0.1 * (d.signum() + 0.5 * p[i]);
        }
    }
    assert_close(&trained["p"], &p, 1e-6);
    assert_close(&trained["optimizer.lion.exp_avg.p"], &m, 1e-6);
}

/// The singular values of a step are near one size, and the step is AdamW's in size.
#[test]
fn muon_moves_all_directions_of_a_matrix_alike() {
    for [rows, columns] in [[3, 7], [7, 3], [4, 4]] {
        // A diagonal keeps the smallest singular value away from 0.
        let mut gradient = numbers(rows * columns, 5);
        (0..rows.min(columns)).for_each(|i| gradient[i * columns + i] += 2.0);
        let start = vec![0.0; rows * columns];
        let trained = train(&[rows, columns], &start, &[gradient], 1.0, |lr| {
            let adamw = AdamW {
                weight_decay: 0.0,
                ..AdamW::new(lr)
            };
            Box::new(Muon {
                adamw,
                ..Muon::new(lr)
            })
        });
        let step = wide(trained["p"].as_slice::<f32>().unwrap());
        let size = 0.2 * (rows.max(columns) as f64).sqrt();
        // The eigenvalues of the product with itself, by Jacobi's rotations.
        let short = rows.min(columns);
        let element = |i: usize, k: usize| {
            if rows <= columns {
                step[i * columns + k]
            } else {
                step[k * columns + i]
            }
        };
        let long = rows.max(columns);
        let mut a: Vec<Vec<f64>> = (0..short)
            .map(|i| {
                (0..short)
                    .map(|j| (0..long).map(|k| element(i, k) * element(j, k)).sum())
                    .collect()
            })
            .collect();
        for _ in 0..50 {
            for p in 0..short {
                for q in p + 1..short {
                    let angle = 0.5 * (2.0 * a[p][q]).atan2(a[q][q] - a[p][p]);
                    let (s, c) = angle.sin_cos();
                    for row in &mut a {
                        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                    }
                    let (upper, lower) = a.split_at_mut(q);
                    for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                    }
                }
            }
        }
        for (i, row) in a.iter().enumerate() {
            let value = row[i].sqrt() / size;
            assert!((0.5..1.3).contains(&value), "{rows}x{columns}: {value}");
        }
    }
}

/// What is no matrix, and what is named, moves as by AdamW, to the bit.
#[test]
fn muon_leaves_the_rest_to_adamw() {
    let gradients = [numbers(6, 2), numbers(6, 3)];
    let by_adamw = |shape: &[usize]| train(shape, &numbers(6, 1), &gradients, 0.1, RULES[0].1);
    let vector = train(&[6], &numbers(6, 1), &gradients, 0.1, RULES[4].1);
    assert_eq!(vector, by_adamw(&[6]));
    let named = train(&[2, 3], &numbers(6, 1), &gradients, 0.1, |lr| {
        Box::new(Muon {
            adamw_keys: vec!["p".into()],
            ..Muon::new(lr)
        })
    });
    assert_eq!(named, by_adamw(&[2, 3]));
    let matrix = train(&[2, 3], &numbers(6, 1), &gradients, 0.1, RULES[4].1);
    assert!(matrix.contains_key("optimizer.muon.momentum.p"));
    assert_ne!(matrix["p"], named["p"]);
    // A convolution is a matrix of its outputs and all else.
    let flat = train(&[2, 3, 1], &numbers(6, 1), &gradients, 0.1, RULES[4].1);
    assert_eq!(flat["p"].bytes(), matrix["p"].bytes());
}

#[test]
fn every_rule_finds_a_minimum_and_names_its_state() {
    for (name, rule) in RULES {
        let g = Graph::new();
        let p = g.parameter("p", DType::F32, [3, 4]);
        let target = g.constant_f32(&numbers(12, 9), [3, 4]);
        let loss = (p - target).square().sum(..);
        let made = rule(g.scalar("lr"));
        let step = minimize(loss, &[p], &*made).with_average(0.9);
        let function = step.function();
        let start = HostTensor::from_slice([3, 4], &numbers(12, 1)).unwrap();
        let mut parameters = Tensors::from([("p".to_string(), start)]);
        parameters.extend(step.initial_state(&parameters).unwrap());
        for own in parameters.keys() {
            let known = own == "p" || own == "ema.p" || is_state(own);
            assert!(known, "{name}: {own}");
        }
        let mut losses = Vec::new();
        for step in 0..150 {
            // A schedule: the rate falls. Muon's steps are spread over all directions.
            let rate = if name == "muon" { 0.3 } else { 0.05 };
            let rate = HostTensor::scalar(rate * 0.98f32.powi(step)).unwrap();
            let inputs = Tensors::from([("lr".to_string(), rate)]);
            let run = Evaluator.run(&function, &parameters, &inputs).unwrap();
            losses.push(run.outputs["loss"].item::<f32>().unwrap());
            parameters = run.updates;
        }
        let (first, last) = (losses[0], losses[149]);
        assert!(last < 1e-2 * first, "{name}: {first} to {last}");
    }
}

/// A gradient of any length moves a clipped rule as one of the limit's length does.
#[test]
fn every_rule_clips() {
    let clipped: [(&str, Make); 3] = [
        ("sgd", |lr| {
            Box::new(Sgd {
                common: Common {
                    clip: Some(Clip::Global(1.0)),
                    ..Common::new(lr)
                },
                ..Sgd::new(lr)
            })
        }),
        ("adam", |lr| {
            Box::new(Adam {
                common: Common {
                    clip: Some(Clip::Global(1.0)),
                    ..Common::new(lr)
                },
                ..Adam::new(lr)
            })
        }),
        ("lion", |lr| {
            Box::new(Lion {
                common: Common {
                    clip: Some(Clip::Global(1.0)),
                    ..Common::new(lr)
                },
                ..Lion::new(lr)
            })
        }),
    ];
    for (name, rule) in clipped {
        let state = |scale: f32| {
            let gradient = [3.0 * scale, 4.0 * scale].to_vec();
            let mut trained = train(&[2], &[0.0; 2], &[gradient], 0.1, rule);
            let is_momentum =
                |name: &String| name.contains("momentum") || name.ends_with("exp_avg.p");
            let name = trained
                .keys()
                .find(|name| is_momentum(name))
                .unwrap()
                .clone();
            wide(trained.remove(&name).unwrap().as_slice::<f32>().unwrap())
        };
        let [long, longer] = [1.0, 100.0].map(state);
        let off = long
            .iter()
            .zip(&longer)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(off < 1e-6, "{name}: {long:?} {longer:?}");
    }
}

#[test]
fn exempt_parameters_do_not_shrink() {
    let still: [(&str, MakeWith); 3] = [
        ("sgd", |common| {
            Box::new(Sgd {
                momentum: 0.9,
                nesterov: false,
                common,
            })
        }),
        ("adam", |common| {
            Box::new(Adam {
                betas: [0.9, 0.999],
                epsilon: 1e-8,
                common,
            })
        }),
        ("lion", |common| {
            Box::new(Lion {
                betas: [0.9, 0.99],
                common,
            })
        }),
    ];
    for (name, rule) in still {
        let after = |key: &'static str| {
            let trained = train(&[1], &[2.0], &[vec![0.0]], 0.1, |lr| {
                let zero_decay_keys = vec![key.to_string()];
                rule(Common {
                    weight_decay: 0.5,
                    zero_decay_keys,
                    ..Common::new(lr)
                })
            });
            trained["p"].as_slice::<f32>().unwrap()[0]
        };
        assert_eq!(after("p"), 2.0, "{name}");
        assert!(after("other") < 2.0, "{name}");
    }
}
