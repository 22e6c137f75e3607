//! Random programs of the ops that the canonical form rewrites.

use super::audit::Random;
use crate::dtype::DType::*;
use crate::graph::{Function, Graph};
use crate::tensor::Tensor;

/// A program of a few dozen ops whose last results leave it.
pub fn function(seed: u64) -> Function {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let g = Graph::new();
    let mut pool: Vec<Tensor> = vec![
        g.input("a", F32, [2, 3, 4]),
        g.input("b", F32, [2, 3, 4]),
        g.input("c", F32, [4]),
        g.input("d", F32, [2, 3]),
        g.input("e", F32, [3, 1, 4]),
    ];
    for _ in 0..40 {
        let x = pool[random.below(pool.len())];
        pool.push(step(&mut random, &pool, x));
    }
    let names: Vec<String> = (0..pool.len()).map(|index| format!("y{index}")).collect();
    let last = pool.iter().zip(&names).rev().take(12);
    g.function(last.map(|(tensor, name)| (name.as_str(), tensor.id())), [])
}

fn step<'g>(random: &mut Random, pool: &[Tensor<'g>], x: Tensor<'g>) -> Tensor<'g> {
    const NUMBERS: [f64; 8] = [0.0, -0.0, 1.0, -1.0, 2.0, 0.125, 3.0, -1e30];
    let shape = x.shape();
    let rank = shape.rank();
    let number = NUMBERS[random.below(NUMBERS.len())];
    let alike: Vec<Tensor> = pool
        .iter()
        .copied()
        .filter(|y| y.shape() == shape)
        .collect();
    let y = match random.below(4) {
        0 => x.full_like(number),
        _ => alike[random.below(alike.len())],
    };
    let (x, y) = if random.below(2) == 0 { (x, y) } else { (y, x) };
    match random.below(19) {
        0 => -x,
        1 => x + y,
        2 => x - y,
        3 => x * y,
        4 => x / y,
        5 => x.maximum(y),
        6 => x.where_(x.lt(y), y),
        7 => x.where_(x.lt(y).logical_not(), number),
        8 => x.stop_gradient().exp(),
        9 if rank > 1 => {
            let mut axes: Vec<usize> = (0..rank).collect();
            axes.swap(random.below(rank), random.below(rank));
            x.transpose(&axes)
        }
        10 if rank > 1 => {
            let merged = shape[0] * shape[1];
            x.reshape([&[merged], &shape[2..]].concat())
        }
        11 if rank < 4 => x.unsqueeze(random.below(rank + 1) as isize),
        12 if rank < 4 => x.broadcast_in_dim(
            [&[2], &shape[..]].concat(),
            &(1..=rank).collect::<Vec<usize>>(),
        ),
        13 if rank > 0 && shape[rank - 1] > 1 => x.slice(-1, 1..shape[rank - 1]),
        14 if rank > 0 => x.graph().concat(&[x, y], random.below(rank) as isize),
        15 if rank > 1 => x.sum(-1).unsqueeze(-1).broadcast_to(shape),
        16 if rank > 1 => {
            let last = rank - 1;
            x.dot_general(y, &[], &[(last, last)])
                .reshape([shape.elements() / shape[last] * (shape.elements() / shape[last])])
        }
        18 if rank > 1 => {
            let rows = [shape.elements() / shape[rank - 1], shape[rank - 1]];
            x.reshape(rows)
                .dot_general(y.reshape(rows), &[], &[(0, 0)])
                .sum(-1)
        }
        17 if rank > 0 => x.flip(random.below(rank) as isize).flip(-1),
        _ => x.cast(F16).cast(F32),
    }
}
