//! Ops that keep samples apart, and those that do not.

use super::{BatchAxis, batch_axes};
use crate::{DType, Graph, Tensor};

/// Something made of a tensor.
type Word = fn(Tensor<'_>) -> Tensor<'_>;

/// Where the four samples of `x f32[4, 6]` lie in what is made of it.
fn place(of: impl Fn(Tensor<'_>) -> Tensor<'_>) -> Result<BatchAxis, String> {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [4, 6]);
    let function = g.function([("y", of(x).id())], []);
    let first = BatchAxis { axis: 0, each: 1 };
    let axes = batch_axes(&function, 4, &[("x", first)].into());
    let axes = axes.map_err(|error| error.to_string())?;
    Ok(axes["y"].expect("the batch reaches it"))
}

fn weights<'g>(x: Tensor<'g>, shape: &[usize]) -> Tensor<'g> {
    x.graph().parameter("w", DType::F32, shape)
}

#[test]
fn samples_are_followed_through_every_kind_of_op() {
    let at = |axis, each| BatchAxis { axis, each };
    let cases: &[(&str, Word, BatchAxis)] = &[
        ("elementwise", |x| (x * 2.0 + 1.0).gelu(), at(0, 1)),
        (
            "rows",
            |x| x.softmax() + x.mean(-1).expand_axes(-1, [4, 6]),
            at(0, 1),
        ),
        (
            "layer",
            |x| x.matmul_transposed(weights(x, &[5, 6])),
            at(0, 1),
        ),
        (
            "weights first",
            |x| weights(x, &[5, 6]).matmul(x.transpose(&[1, 0])),
            at(1, 1),
        ),
        (
            "tokens",
            |x| x.reshape([4, 3, 2]).reshape([12, 2]),
            at(0, 3),
        ),
        (
            "tokens back",
            |x| x.reshape([24]).reshape([4, 1, 6]),
            at(0, 1),
        ),
        (
            "heads",
            |x| x.reshape([4, 2, 3]).transpose(&[1, 0, 2]),
            at(1, 1),
        ),
        (
            "attention",
            |x| {
                let x = x.reshape([4, 1, 3, 2]);
                x.attention(x, x, 0.5, None)
            },
            at(0, 1),
        ),
        ("window", |x| x.window(1, 2, 1, 1), at(0, 1)),
        (
            "window before",
            |x| x.transpose(&[1, 0]).window(0, 2, 1, 1),
            at(2, 1),
        ),
        (
            "pad, slice, flip",
            |x| x.pad(1, 1, 0, 0.0).slice(1, 1..5).flip([1]),
            at(0, 1),
        ),
        ("concat", |x| x.graph().concat(&[x, x * 0.0], 1), at(0, 1)),
        ("argmax", |x| x.reshape([4, 2, 3]).argmax(1), at(0, 1)),
        (
            "embedding",
            |x| weights(x, &[10, 8]).gather(0, x.cast(DType::I32)),
            at(0, 1),
        ),
        (
            "columns",
            |x| x.gather(1, x.graph().iota(DType::I32, [2, 2], 0)),
            at(0, 1),
        ),
        (
            "positions",
            |x| x + x.graph().iota(DType::F32, [4, 6], 0),
            at(0, 1),
        ),
        (
            "noise",
            |x| {
                let zero = x.graph().full(0.0, DType::U64, [0usize; 0]);
                x + x.graph().uniform([4, 6], zero, zero)
            },
            at(0, 1),
        ),
        (
            "scatter",
            |x| {
                let there = x.graph().iota(DType::I32, [2], 0);
                x.scatter_add(1, there, x.slice(1, 0..2))
            },
            at(0, 1),
        ),
        ("sort", |x| x.sort(1).0, at(0, 1)),
        ("places", |x| x.top_k(2, 1).1, at(0, 1)),
        (
            "largest of parts",
            |x| x.reshape([4, 3, 2]).top_k(2, 1).0,
            at(0, 1),
        ),
        (
            "taken",
            |x| x.take_along(1, (x * 3.0).cast(DType::I32)),
            at(0, 1),
        ),
        (
            "taken of one",
            |x| x.slice(1, 0..1).take_along(1, x.cast(DType::I32)),
            at(0, 1),
        ),
    ];
    for (name, of, wanted) in cases {
        assert_eq!(place(of).as_ref(), Ok(wanted), "{name}");
    }
}

#[test]
fn what_mixes_samples_is_refused_with_its_name_and_line() {
    let cases: &[(&str, Word)] = &[
        ("sum", |x| x - x.mean(0)),
        ("reduce_max", |x| x.max(..)),
        ("argmax", |x| x.argmax(0)),
        ("sum", |x| x.reshape([4, 3, 2]).reshape([12, 2]).sum(0)),
        ("dot_general", |x| x.matmul(x.transpose(&[1, 0]))),
        ("dot_general", |x| {
            x.transpose(&[1, 0]).matmul(weights(x, &[4, 2]))
        }),
        ("slice", |x| x.slice(0, 0..2)),
        ("pad", |x| x.pad(0, 1, 0, 0.0)),
        ("concat", |x| x.graph().concat(&[x, x], 0)),
        ("flip", |x| x.flip([0])),
        ("window", |x| x.window(0, 2, 1, 1)),
        ("reshape", |x| x.transpose(&[1, 0]).reshape([24])),
        ("gather", |x| {
            x.gather(0, x.graph().iota(DType::I32, [2], 0))
        }),
        ("less", |x| x.sort(0).0),
        ("gather", |x| {
            let places = (x * 3.0).cast(DType::I64) + x.graph().iota(DType::I64, [4, 6], 0) * 6.0;
            x.reshape([24]).gather(0, places)
        }),
        ("add", |x| x + weights(x, &[4, 6])),
        ("add", |x| {
            x.slice(1, 0..4) + x.slice(1, 0..4).transpose(&[1, 0])
        }),
        ("mul", |x| {
            x * x.graph().constant_f32(&[1.0, 2.0, 3.0, 4.0], [4, 1])
        }),
        ("scatter_add", |x| {
            weights(x, &[9, 6]).scatter_add(0, x.argmax(1), x)
        }),
    ];
    for (name, of) in cases {
        let error = place(of).unwrap_err();
        assert!(error.starts_with(&format!("{name}: ")), "{name}: {error}");
        assert!(error.contains("batch/tests.rs:"), "{error}");
    }
}

#[test]
fn an_output_without_samples_is_told_from_one_with_them() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [4]);
    let scale = g.scalar("scale");
    let function = g.function([("x", x.id()), ("scale", (scale * 2.0).id())], []);
    let first = BatchAxis { axis: 0, each: 1 };
    let axes = batch_axes(&function, 4, &[("x", first)].into()).unwrap();
    assert_eq!((axes["x"], axes["scale"]), (Some(first), None));
}
