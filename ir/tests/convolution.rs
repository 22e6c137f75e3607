//! Convolutions beside loops, and what their derivatives are made of.

use bsq_ir::autodiff::gradients;
use bsq_ir::eval::{Data, Precision, Value, Values, evaluate};
use bsq_ir::tensor::{Layout, Slide};
use bsq_ir::{DType::F32, Graph, Tensor};

fn noise(count: usize, seed: u64) -> Vec<f64> {
    let word = |i: u64| (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ seed.rotate_left(21));
    let mix = |x: u64| (x ^ (x >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40;
    (0..count as u64)
        .map(|i| mix(word(i)) as f64 / f64::from(1 << 23) - 1.0)
        .collect()
}

fn run(y: Tensor<'_>, x: &[f64], w: &[f64]) -> Vec<f64> {
    let graph = y.graph();
    let function = graph.function([("y", y.id())], []);
    let values = function.inputs().map(|(_, name, ty)| {
        let values = if name == "x" { x } else { w };
        (
            name.to_string(),
            Value::new(ty.shape.clone(), values.to_vec()),
        )
    });
    let run = evaluate(&function, &values.collect(), &Values::new(), Precision::F64).unwrap();
    match run.outputs["y"].data() {
        Data::F64(values) => values.clone(),
        other => panic!("{other:?}"),
    }
}

/// Channels first, two axes: every product spelled out. Returns the shape, too.
fn loops(
    (x, [n, c, h, w]): (&[f64], [usize; 4]),
    (k, [o, each, kh, kw]): (&[f64], [usize; 4]),
    slides: [Slide; 2],
    groups: usize,
) -> (Vec<f64>, [usize; 4]) {
    let rows = slides[0].positions(kh, h).unwrap();
    let columns = slides[1].positions(kw, w).unwrap();
    let mut y = Vec::new();
    for (b, f) in (0..n * o).map(|i| (i / o, i % o)) {
        for (r, s) in (0..rows * columns).map(|i| (i / columns, i % columns)) {
            let mut sum = 0.0;
            for (q, i, j) in (0..each * kh * kw).map(|i| (i / kh / kw, i / kw % kh, i % kw)) {
                let row = r * slides[0].stride + i * slides[0].dilation;
                let column = s * slides[1].stride + j * slides[1].dilation;
                let row = row.checked_sub(slides[0].padding[0]).filter(|&row| row < h);
                let column = column
                    .checked_sub(slides[1].padding[0])
                    .filter(|&at| at < w);
                if let (Some(row), Some(column)) = (row, column) {
                    let channel = f / (o / groups) * each + q;
                    let pixel = x[((b * c + channel) * h + row) * w + column];
                    sum += pixel * k[((f * each + q) * kh + i) * kw + j];
                }
            }
            y.push(sum);
        }
    }
    (y, [n, o, rows, columns])
}

fn assert_close(got: &[f64], wanted: &[f64], what: &str) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    for (at, (a, b)) in got.iter().zip(wanted).enumerate() {
        assert!(
            (a - b).abs() < 1e-12,
            "{what}: element {at} is {a}, not {b}"
        );
    }
}

/// Input, weight, slides along rows and columns, groups.
type Example = ([usize; 4], [usize; 4], [Slide; 2], usize);

fn examples() -> Vec<Example> {
    let slide = |stride, dilation, before, after| Slide {
        stride,
        dilation,
        padding: [before, after],
    };
    vec![
        ([2, 3, 5, 7], [4, 3, 3, 3], [Slide::padded(1); 2], 1),
        ([1, 2, 8, 9], [3, 2, 3, 3], [slide(2, 1, 1, 1); 2], 1),
        (
            [2, 4, 7, 6],
            [6, 2, 2, 3],
            [slide(3, 1, 0, 2), slide(1, 2, 2, 1)],
            2,
        ),
        (
            [2, 4, 9, 6],
            [6, 2, 3, 3],
            [slide(2, 1, 0, 2), slide(1, 2, 2, 1)],
            2,
        ),
        ([1, 3, 9, 9], [3, 1, 4, 4], [slide(2, 2, 3, 0); 2], 3),
        ([1, 1, 4, 4], [2, 1, 1, 1], [slide(2, 1, 0, 0); 2], 1),
        ([3, 2, 11, 11], [1, 2, 5, 2], [slide(4, 1, 2, 2); 2], 1),
    ]
}

#[test]
fn a_convolution_is_its_loops_in_both_layouts() {
    for (x_shape, w_shape, slides, groups) in examples() {
        let what = format!("{x_shape:?} {w_shape:?} {slides:?}");
        let x = noise(x_shape.iter().product(), 1);
        let w = noise(w_shape.iter().product(), 2);
        let (wanted, shape) = loops((&x, x_shape), (&w, w_shape), slides, groups);
        let g = Graph::new();
        let (a, b) = (g.input("x", F32, x_shape), g.input("w", F32, w_shape));
        let first = a.convolution(b, &slides, groups, Layout::ChannelsFirst);
        assert_eq!(*first.shape(), shape, "{what}");
        assert_close(&run(first, &x, &w), &wanted, &what);
        let last = |t: Tensor<'_>| t.transpose(&[0, 2, 3, 1]).id();
        let [a, b] = [a, b].map(|t| Tensor::new(&g, last(t)));
        let last = a.convolution(b, &slides, groups, Layout::ChannelsLast);
        assert_close(&run(last.transpose(&[0, 3, 1, 2]), &x, &w), &wanted, &what);
    }
}

/// `<conv(x), y> = <x, transposed(y)>`, also where padding cuts more off than the weight reaches.
#[test]
fn a_transposed_convolution_is_the_adjoint() {
    for (x_shape, w_shape, slides, groups) in examples() {
        let g = Graph::new();
        let (x, w) = (g.input("x", F32, x_shape), g.input("w", F32, w_shape));
        let y = x.convolution(w, &slides, groups, Layout::ChannelsFirst);
        let cotangent = noise(y.shape().elements(), 3);
        let values: Vec<f32> = cotangent.iter().map(|&y| y as f32).collect();
        let constant = g.constant_f32(&values, y.shape());
        let extra = [0, 1].map(|axis| {
            let slide = slides[axis];
            let span = slide.dilation * (w_shape[axis + 2] - 1) + 1;
            (x_shape[axis + 2] + slide.padding[0] + slide.padding[1] - span) % slide.stride
        });
        let adjoint = constant.transposed_convolution(w, &slides, &extra, groups);
        let gradient = gradients((y * constant).sum(..), &[x])[0];
        let (x, w) = (
            noise(x_shape.iter().product(), 1),
            noise(w_shape.iter().product(), 2),
        );
        assert_eq!(adjoint.shape(), gradient.shape());
        let wanted = run(gradient, &x, &w);
        assert_close(
            &run(adjoint, &x, &w),
            &wanted,
            &format!("{x_shape:?} {w_shape:?}"),
        );
    }
    let g = Graph::new();
    let (x, w) = (g.input("x", F32, [1, 1, 5]), g.input("w", F32, [1, 1, 2]));
    let y = x.transposed_convolution(w, &[Slide::padded(2)], &[0], 1);
    // (1, 2, 3, 4, 5) with (1, 10), two cut off on each side.
    assert_eq!(
        run(y, &[1.0, 2.0, 3.0, 4.0, 5.0], &[1.0, 10.0]),
        [23.0, 34.0]
    );
}

/// A convolution is linear in both operands, and so are its gradients in theirs: each equals the sum of products
/// of an operand and the derivative by it. The second ones are of a sum of products with the first.
#[test]
fn derivatives_of_both_orders_are_adjoints() {
    for (x_shape, w_shape, slides, groups) in examples() {
        let what = format!("{x_shape:?} {w_shape:?} {slides:?}");
        let x = noise(x_shape.iter().product(), 1);
        let w = noise(w_shape.iter().product(), 2);
        let g = Graph::new();
        let (a, b) = (g.input("x", F32, x_shape), g.input("w", F32, w_shape));
        let y = a.convolution(b, &slides, groups, Layout::ChannelsFirst);
        // Numbers that differ from place to place, and are neither of both.
        let factor = |t: Tensor<'_>| -> Vec<f32> {
            let values = noise(t.shape().elements(), 3);
            values.into_iter().map(|value| value as f32).collect()
        };
        let c = g.constant_f32(&factor(y), y.shape());
        let sum = (y * c).sum(..);
        let [by_x, by_w] = gradients(sum, &[a, b])[..] else {
            panic!("one for each")
        };
        let v = g.constant_f32(&factor(a), a.shape());
        let u = g.constant_f32(&factor(b), b.shape());
        let (of_x, of_w) = ((by_x * v).sum(..), (by_w * u).sum(..));
        let equal = [
            (sum, (by_x * a).sum(..)),
            (sum, (by_w * b).sum(..)),
            (of_x, (gradients(of_x, &[b])[0] * b).sum(..)),
            (of_w, (gradients(of_w, &[a])[0] * a).sum(..)),
            (
                of_x,
                (v.convolution(b, &slides, groups, Layout::ChannelsFirst) * c).sum(..),
            ),
            (
                of_w,
                (a.convolution(u, &slides, groups, Layout::ChannelsFirst) * c).sum(..),
            ),
        ];
        for (number, (left, right)) in equal.into_iter().enumerate() {
            let [left, right] = [left, right].map(|t| run(t, &x, &w));
            assert_close(&left, &right, &format!("{what}, equation {number}"));
        }
    }
}

/// Nothing of the size of all windows is made of overlapping ones, in derivatives of the first and second order.
#[test]
fn derivatives_of_convolutions_add_up_no_windows() {
    for (x_shape, w_shape, slides, groups) in examples() {
        let sizes = slides.iter().zip(&w_shape[2..]);
        // Windows of an axis that do not meet need no sums.
        let apart = |(slide, &size): (&Slide, &usize)| size < slide.stride;
        let both = |slide: &Slide| slide.stride > 1 && slide.dilation > 1;
        if slides.iter().any(both) || sizes.into_iter().any(apart) {
            continue;
        }
        let g = Graph::new();
        let (x, w) = (g.input("x", F32, x_shape), g.input("w", F32, w_shape));
        let y = x.convolution(w, &slides, groups, Layout::ChannelsFirst);
        let first = gradients((y * y).sum(..), &[x, w]);
        let squares = (first[0] * first[0]).sum(..) + (first[1] * first[1]).sum(..);
        let second = gradients(squares, &[x, w]);
        let all = first.iter().chain(&second).enumerate();
        let names: Vec<String> = (0..4).map(|i| i.to_string()).collect();
        let outputs = all.map(|(i, tensor)| (names[i].as_str(), tensor.id()));
        let function = g.function(outputs, []);
        let sums = function
            .nodes()
            .iter()
            .filter(|node| node.op.name() == "window_sum");
        assert_eq!(
            sums.count(),
            0,
            "{x_shape:?} {w_shape:?} {slides:?}\n{function}"
        );
    }
}

#[test]
fn pools_are_those_of_pytorch() {
    let x: Vec<f64> = (1..=10).map(f64::from).collect();
    let pooled = |build: for<'g> fn(Tensor<'g>) -> Tensor<'g>| {
        let g = Graph::new();
        run(build(g.input("x", F32, [1, 1, 2, 5])), &x, &[])
    };
    let halving = Slide {
        stride: 2,
        ..Slide::padded(1)
    };
    assert_eq!(halving.positions(2, 5), Some(3));
    let largest = pooled(|x| {
        x.max_pool(
            &[2, 2],
            &[Slide {
                stride: 2,
                ..Slide::padded(1)
            }; 2],
        )
    });
    assert_eq!(largest, [1.0, 3.0, 5.0, 6.0, 8.0, 10.0]);
    let mean = pooled(|x| {
        x.average_pool(
            &[2, 2],
            &[Slide {
                stride: 2,
                ..Slide::padded(1)
            }; 2],
        )
    });
    assert_eq!(mean, [0.25, 1.25, 2.25, 1.5, 3.75, 4.75]);
    let inside = pooled(|x| {
        x.average_pool_inside(
            &[2, 2],
            &[Slide {
                stride: 2,
                ..Slide::padded(1)
            }; 2],
        )
    });
    assert_eq!(inside, [1.0, 2.5, 4.5, 6.0, 7.5, 9.5]);
}
