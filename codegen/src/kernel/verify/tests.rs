//! Each invariant, broken.

use super::*;
use crate::kernel::{Array, Axis, Place, Reduce, Reduction, Var};

fn load(value: u32, at: Affine) -> Stmt {
    Stmt::load(Value(value), DType::F32, element(0, at))
}

fn map(value: u32, dtype: DType, op: Op, operands: &[u32]) -> Stmt {
    let operands = operands.iter().map(|&operand| Value(operand)).collect();
    Stmt::Let {
        value: Value(value),
        dtype,
        inst: Inst::Map(op, operands),
    }
}

fn element(index: u32, at: Affine) -> Element {
    Element::new(Place::Buffer(index), at)
}

fn store(index: u32, value: u32) -> Stmt {
    Stmt::store(element(index, Affine::var(Var(0))), Value(value))
}

fn looped(var: u32, extent: usize, vector: bool, body: Vec<Stmt>) -> Stmt {
    Stmt::loop_over(vector, Var(var), Extent::Static(extent), body)
}

fn parallel(var: u32, extent: usize, body: Vec<Stmt>) -> Stmt {
    let (var, extent) = (Var(var), Extent::Static(extent));
    let kind = LoopKind::Parallel;
    Stmt::Loop {
        var,
        extent,
        kind,
        body,
    }
}

fn sum(var: u32, vector: bool, body: Vec<Stmt>, value: u32, term: u32) -> Stmt {
    Stmt::Reduce(Reduce {
        var: Var(var),
        extent: Extent::Static(4),
        vector,
        body,
        results: vec![Reduction {
            value: Value(value),
            dtype: DType::F32,
            op: Combine::Sum,
            term: Value(term),
        }],
    })
}

/// A kernel of 8 items over an input of 32 elements, an output and an `i32` output of 8.
fn error(body: Vec<Stmt>) -> Option<String> {
    let input = Array {
        dtype: DType::F32,
        elements: 32,
        written: false,
    };
    let outputs = [DType::F32, DType::I32].map(|dtype| Array::written(dtype, 8));
    let kernel = Kernel {
        buffers: [&[input], outputs.as_slice()].concat(),
        scratch: Vec::new(),
        grid: vec![Axis {
            var: Var(0),
            extent: 8,
        }],
        body,
    };
    verify(&kernel).err().map(|error| error.what)
}

#[test]
fn invariants() {
    let item = || Affine::var(Var(0));
    let along = |var| item().scale(4).add(&Affine::var(Var(var)));
    let fine = vec![
        sum(1, true, vec![load(0, along(1))], 1, 0),
        load(2, item()),
        map(3, DType::F32, Op::Add, &[1, 2]),
        store(1, 3),
    ];
    let cases: Vec<(&str, Vec<Stmt>)> = vec![
        ("v1 is used before its definition", vec![store(1, 1)]),
        (
            "v0 is not visible here",
            vec![looped(1, 2, false, vec![load(0, item())]), store(1, 0)],
        ),
        (
            "v0 is defined twice",
            vec![load(0, item()), load(0, item())],
        ),
        ("i1 is used outside its loop", vec![load(0, along(1))]),
        (
            "i0 is already the variable of a loop",
            vec![looped(0, 2, false, Vec::new())],
        ),
        (
            "a vector loop inside a vector loop",
            vec![looped(1, 4, true, vec![looped(2, 2, true, Vec::new())])],
        ),
        (
            "a vector loop inside a vector loop",
            vec![looped(
                1,
                4,
                true,
                vec![sum(2, true, vec![load(0, item())], 1, 0)],
            )],
        ),
        (
            "iterations of a parallel loop may touch the same element",
            vec![parallel(1, 2, vec![load(0, item()), store(1, 0)])],
        ),
        (
            "b0[4*i0 + i1] reaches 0..=32 of 32 elements",
            vec![looped(1, 5, false, vec![load(0, along(1))])],
        ),
        (
            "b0[i0 - 1] reaches -1..=6 of 32 elements",
            vec![load(0, item().offset(-1))],
        ),
        (
            "b0 is not marked as written",
            vec![load(0, item()), store(0, 0)],
        ),
        ("v0 is f32, b2 i32", vec![load(0, item()), store(2, 0)]),
        (
            "a store inside a reduction",
            vec![sum(1, false, vec![load(0, item()), store(1, 0)], 1, 0)],
        ),
        (
            "reshape is not elementwise",
            vec![
                load(0, item()),
                map(1, DType::F32, Op::Reshape([1].into()), &[0]),
            ],
        ),
        (
            "less gives bool, not f32",
            vec![load(0, item()), map(1, DType::F32, Op::Less, &[0, 0])],
        ),
    ];
    assert_eq!(error(fine), None);
    for (what, body) in cases {
        assert_eq!(error(body).as_deref(), Some(what));
    }
    let half = vec![
        load(0, item()),
        map(1, DType::F16, Op::Cast(DType::F16), &[0]),
        map(2, DType::F16, Op::Add, &[1, 1]),
    ];
    let what = error(half).unwrap();
    assert!(what.contains("storage formats"), "{what}");
}
