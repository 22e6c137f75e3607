//! Tensors without elements, and steps that are never taken: every canonical form and rewrite of
//! programs that move them is well typed and keeps every value.

use bsq_ir::autodiff::vjp;
use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_ir::rewrite::{Options, canonicalise, optimize};
use bsq_ir::verify::verify;
use bsq_ir::{DType::*, Function, Graph, Op, Padding, Shape, Tensor};

/// A small generator; a seed gives the same program everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit
    }
}

fn apply<'g>(graph: &'g Graph, op: Op, operands: &[Tensor<'g>]) -> Tensor<'g> {
    let ids: Vec<_> = operands.iter().map(|tensor| tensor.id()).collect();
    Tensor::new(graph, graph.add(op, &ids).unwrap())
}

/// A slice of every axis: often nothing, often by a step that is larger than the axis.
fn slice<'g>(random: &mut Random, x: Tensor<'g>) -> Tensor<'g> {
    let (mut start, mut stop, mut stride) = (Vec::new(), Vec::new(), Vec::new());
    for &extent in x.shape().iter() {
        let first = random.below(extent + 1);
        start.push(first);
        stop.push(first + random.below(extent - first + 1));
        stride.push([1, 1, 2, 3, usize::MAX][random.below(5)]);
    }
    apply(
        x.graph(),
        Op::Slice {
            start,
            stop,
            stride,
        },
        &[x],
    )
}

fn pad<'g>(random: &mut Random, x: Tensor<'g>) -> Tensor<'g> {
    let shape = x.shape();
    let padding = shape.iter().map(|&extent| Padding {
        before: random.below(2),
        after: random.below(2),
        between: match extent {
            0 | 1 => [0, 1, usize::MAX][random.below(3)],
            _ => random.below(2),
        },
    });
    let padding = Op::Pad(padding.collect());
    let value = x.graph().full(2.0, F32, Shape::scalar());
    apply(x.graph(), padding, &[x, value])
}

fn window<'g>(random: &mut Random, x: Tensor<'g>, axis: usize) -> Tensor<'g> {
    let extent = x.shape()[axis];
    if extent == 0 || x.rank() > 4 {
        return x;
    }
    let size = 1 + random.below(extent);
    let dilation = if size == 1 { usize::MAX } else { 1 };
    let stride = [1, 2, usize::MAX][random.below(3)];
    let windows = x.window(axis as isize, size, stride, dilation);
    let (length, count) = (extent, windows.shape()[axis]);
    let stride = if count == 1 {
        stride
    } else {
        stride.min(extent)
    };
    let sum = Op::WindowSum {
        axis,
        length,
        stride,
        dilation,
    };
    match random.below(2) {
        0 => windows,
        _ => apply(x.graph(), sum, &[windows]),
    }
}

fn step<'g>(random: &mut Random, x: Tensor<'g>) -> Tensor<'g> {
    let (graph, shape, rank) = (x.graph(), x.shape(), x.rank());
    if rank == 0 {
        return x.broadcast_to([random.below(3)]);
    }
    let axis = random.below(rank);
    let extent = shape[axis];
    match random.below(16) {
        0..4 => slice(random, x),
        4 => pad(random, x),
        5 => window(random, x, axis),
        6 => x.flip(axis as isize),
        7 => {
            let empty = x.slice(axis as isize, extent..extent);
            graph.concat(
                &[[empty, x, empty], [x, empty, x]][random.below(2)],
                axis as isize,
            )
        }
        8 => {
            let middle = random.below(extent + 1);
            let parts = [
                x.slice(axis as isize, 0..middle),
                x.slice(axis as isize, middle..extent),
            ];
            graph.concat(&parts, axis as isize)
        }
        9 if rank < 4 => x.unsqueeze(axis as isize),
        10 if rank < 4 => {
            let wide = [&[random.below(3)], &shape[..]].concat();
            x.broadcast_in_dim(wide, &(1..=rank).collect::<Vec<usize>>())
        }
        11 if rank > 1 => x.reshape([&[shape[0] * shape[1]], &shape[2..]].concat()),
        12 => {
            let mut order: Vec<usize> = (0..rank).collect();
            order.rotate_left(axis);
            x.transpose(&order)
        }
        13 => {
            let start = graph.input("start", I32, Shape::scalar());
            x.dynamic_slice(axis as isize, start, random.below(extent + 1))
        }
        14 => {
            let start = graph.input("start", I32, Shape::scalar());
            let part = x.slice(axis as isize, 0..random.below(extent + 1));
            x.dynamic_update_slice(axis as isize, -part, start)
        }
        _ if rank > 1 => {
            let rows = x.sum(-1).unsqueeze(-1).broadcast_to(&shape);
            let product = x.dot_general(x, &[(0, 0)], &[(rank - 1, rank - 1)]).sum(..);
            (-rows) * 0.5 + x + product
        }
        _ => -x + graph.full(1.0, F32, shape),
    }
}

/// A chain of steps with its gradient.
fn program(seed: u64) -> Function {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let g = Graph::new();
    let x = g.input("x", F32, [3, 4, 5]);
    let mut y = x;
    for _ in 0..8 {
        let next = step(&mut random, y);
        if next.shape().elements() < 5_000 {
            y = next;
        }
    }
    let gradient = vjp(&[y], &[y * 2.0 + 1.0], &[x])[0];
    g.function([("y", y.id()), ("gradient", gradient.id())], [])
}

fn run(function: &Function) -> Values {
    let elements: Vec<f32> = (0..60).map(|i| (i as f32 * 0.7).sin()).collect();
    let inputs = [
        ("x", Value::new([3, 4, 5], elements)),
        ("start", Value::scalar(1i32)),
    ];
    let inputs: Values = inputs.map(|(name, value)| (name.to_string(), value)).into();
    evaluate(function, &inputs, &Values::new(), Precision::F32)
        .unwrap()
        .outputs
}

#[test]
fn nothing_is_moved_as_well_as_something() {
    let mut empty = 0;
    for seed in 0..1_500 {
        let function = program(seed);
        let wanted = run(&function);
        empty += usize::from(wanted["y"].data().is_empty());
        let canonical = canonicalise(&function);
        assert_eq!(verify(&canonical), Ok(()), "{seed}");
        assert_eq!(run(&canonical), wanted, "{seed}\n{function}\n{canonical}");
        let again = canonicalise(&canonical).to_string();
        assert_eq!(again, canonical.to_string(), "{seed}: not a fixed point");
        let (exact, _) = optimize(&function, &Options::exact());
        assert_eq!(run(&exact), wanted, "{seed}\n{function}\n{exact}");
        let (other, _) = optimize(&function, &Options::default());
        for (name, value) in run(&other) {
            let (value, wanted) = (value.to_f64(), wanted[&name].to_f64());
            let finite = wanted.iter().filter(|x| x.is_finite());
            let largest = finite.fold(1.0, |largest: f64, x| largest.max(x.abs()));
            // A program may overflow, a little earlier or later.
            let near = |(a, b): (&f64, &f64)| {
                (a - b).abs() <= 1e-4 * largest || !a.is_finite() || !b.is_finite()
            };
            let mut pairs = value.iter().zip(&wanted);
            assert!(pairs.all(near), "{seed}\n{function}\n{other}");
        }
    }
    assert!(
        (100..1_400).contains(&empty),
        "{empty} results without elements"
    );
}

#[test]
fn an_empty_slice_at_the_end_of_a_stepped_one() {
    let g = Graph::new();
    let x = g.input("x", F32, [10]);
    for (start, stop, stride) in [(1, 10, 4), (0, 10, 3), (9, 10, usize::MAX), (10, 10, 2)] {
        let (start, stop, stride) = (vec![start], vec![stop], vec![stride]);
        let stepped = apply(
            &g,
            Op::Slice {
                start,
                stop,
                stride,
            },
            &[x],
        );
        let extent = stepped.shape()[0];
        for end in 0..=extent {
            let y = g.concat(&[stepped.slice(0, end..end), x], 0);
            let function = canonicalise(&g.function([("y", y.id())], []));
            assert_eq!(function.nodes().len(), 1, "{function}");
        }
    }
}
