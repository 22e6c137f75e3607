//! Convolutions as layers: names and shapes of PyTorch, values beside loops, derivatives.

use super::differences::{assert_close, check_grads, floats, run, values};
use super::{Conv, TransposedConv};
use bsq_ir::tensor::Slide;
use bsq_ir::{DType::F32, Graph, Scope};

fn specs(scope: &Scope<'_>) -> Vec<String> {
    let specs = scope.specs().into_iter();
    specs
        .map(|spec| format!("{} {}", spec.name, spec.ty))
        .collect()
}

#[test]
fn a_convolution_along_time_is_its_loops() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", F32, [2, 4, 9]);
    let conv = Conv {
        slides: [Slide {
            stride: 2,
            dilation: 2,
            padding: [2, 1],
        }],
        ..Conv::new(6, [3]).groups(2)
    };
    let y = conv.forward(&model, x);
    assert_eq!(specs(&model), ["weight f32[6,2,3]", "bias f32[6]"]);
    assert_eq!(*y.shape(), [2, 6, 4]);
    let given = values(&g, y);
    let [x_values, w, b] = ["x", "weight", "bias"].map(|name| floats(&given[name]));
    let mut wanted = Vec::new();
    for (n, o, t) in (0..2 * 6 * 4).map(|i| (i / 24, i / 4 % 6, i % 4)) {
        let mut sum = b[o];
        for (c, k) in (0..2 * 3).map(|i| (i / 3, i % 3)) {
            let place = (2 * t + 2 * k).checked_sub(2).filter(|&place| place < 9);
            let channel = 4 * n + o / 3 * 2 + c;
            sum += place.map_or(0.0, |place| x_values[9 * channel + place]) * w[6 * o + 3 * c + k];
        }
        wanted.push(sum);
    }
    assert_close(&run(y, &given), &wanted);
    check_grads(&model, x, y);
}

#[test]
fn convolutions_of_pictures_and_clips_have_derivatives() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", F32, [2, 3, 7, 5]);
    let y = Conv::new(4, [3, 2]).stride(2).padding(1).forward(&model, x);
    assert_eq!(*y.shape(), [2, 4, 4, 3]);
    check_grads(&model, x, y);

    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", F32, [1, 2, 4, 5, 3]);
    let conv = Conv::new(3, [3, 3, 3]).padding(1).without_bias();
    let y = conv.forward(&model, x).tanh();
    assert_eq!(specs(&model), ["weight f32[3,2,3,3,3]"]);
    check_grads(&model, x, y);
}

/// The same numbers with the channels last.
#[test]
fn layouts_agree() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", F32, [2, 3, 4, 5]);
    let first = Conv::new(2, [3, 3]).padding(1).forward(&model / "first", x);
    let last = Conv::new(2, [3, 3]).padding(1).channels_last();
    let last = last.forward(&model / "last", x.transpose(&[0, 2, 3, 1]));
    assert_eq!(specs(&model)[2], "last.weight f32[2,3,3,3]");
    let mut given = values(&g, first + last.transpose(&[0, 3, 1, 2]));
    let weight = floats(&given["first.weight"]);
    let turned: Vec<f64> = (0..54)
        .map(|i| weight[i / 27 * 27 + i % 3 * 9 + i / 3 % 9])
        .collect();
    given.insert(
        "last.weight".into(),
        bsq_ir::eval::Value::new([2, 3, 3, 3], turned),
    );
    given.insert("last.bias".into(), given["first.bias"].clone());
    assert_close(
        &run(last.transpose(&[0, 3, 1, 2]), &given),
        &run(first, &given),
    );
}

#[test]
fn a_transposed_convolution_spreads_what_it_reads() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", F32, [1, 2, 3, 2]);
    let transposed = TransposedConv {
        slides: [Slide {
            stride: 2,
            ..Slide::padded(1)
        }; 2],
        extra: [1, 0],
        groups: 2,
        ..TransposedConv::new(4, [3, 3], 2)
    };
    let y = transposed.forward(&model, x);
    assert_eq!(specs(&model), ["weight f32[2,2,3,3]", "bias f32[4]"]);
    assert_eq!(*y.shape(), [1, 4, 6, 3]);
    let given = values(&g, y);
    let [x_values, w, b] = ["x", "weight", "bias"].map(|name| floats(&given[name]));
    let mut wanted: Vec<f64> = (0..4 * 18).map(|i| b[i / 18]).collect();
    for (c, row, column) in (0..12).map(|i| (i / 6, i / 2 % 3, i % 2)) {
        for (o, i, j) in (0..18).map(|k| (k / 9, k / 3 % 3, k % 3)) {
            let place = [2 * row + i, 2 * column + j].map(|place: usize| place.wrapping_sub(1));
            if place[0] < 6 && place[1] < 3 {
                let product = x_values[6 * c + 2 * row + column] * w[18 * c + 9 * o + 3 * i + j];
                wanted[(2 * c + o) * 18 + 3 * place[0] + place[1]] += product;
            }
        }
    }
    assert_close(&run(y, &given), &wanted);
    check_grads(&model, x, y);
}
