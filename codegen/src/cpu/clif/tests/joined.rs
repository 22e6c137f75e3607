//! Loops and the reductions behind them, which run as one where that changes nothing.

use super::super::{Options, explain};
use super::run::check;
use crate::cpu::microkernel::Family;
use crate::cpu::simd::width;
use crate::kernel::{
    Affine, Array, Combine, Element, Extent, Inst, Kernel, Place, Reduce, Reduction, Stmt, Value,
    Var,
};
use bsq_ir::{DType, Op};

/// Stores the exponentials of `length` numbers, and the sum of those from `offset` on.
fn kernel(length: usize, offset: i64, to: Place) -> Kernel {
    let (element, term) = (Var(0), Var(1));
    let at = |place, at| Element::new(place, at);
    let exponentials = Stmt::vector_loop(
        element,
        Extent::Static(length),
        vec![
            Stmt::load(
                Value(0),
                DType::F32,
                at(Place::Buffer(0), Affine::var(element)),
            ),
            Stmt::Let {
                value: Value(1),
                dtype: DType::F32,
                inst: Inst::Map(Op::Exp, vec![Value(0)]),
            },
            Stmt::store(at(to, Affine::var(element)), Value(1)),
        ],
    );
    let reduce = |value: u32, op: Combine| {
        Stmt::Reduce(Reduce {
            var: term,
            extent: Extent::Static(length),
            vector: true,
            body: vec![
                Stmt::load(
                    Value(value),
                    DType::F32,
                    at(to, Affine::var(term).offset(offset)),
                ),
                Stmt::Let {
                    value: Value(value + 1),
                    dtype: DType::F32,
                    inst: Inst::Map(Op::Neg, vec![Value(value)]),
                },
            ],
            results: vec![Reduction {
                value: Value(value + 2),
                dtype: DType::F32,
                op,
                term: Value(value + 1),
            }],
        })
    };
    let array = |elements: usize| Array::written(DType::F32, elements);
    let exps = length + offset as usize;
    let mut buffers = vec![array(length), array(2)];
    buffers[0].written = false;
    let mut scratch = Vec::new();
    match to {
        Place::Buffer(_) => buffers.push(array(exps)),
        Place::Scratch(_) => scratch.push(array(exps)),
    }
    let result = |index: i64| at(Place::Buffer(1), Affine::constant(index));
    // What the loop does not write is written before.
    let one = Stmt::Let {
        value: Value(9),
        dtype: DType::F32,
        inst: Inst::Constant(f32::to_bits(1.5).into()),
    };
    let mut body = vec![one];
    body.extend((0..exps as i64).map(|i| Stmt::store(at(to, Affine::constant(i)), Value(9))));
    body.extend([
        exponentials,
        reduce(2, Combine::Sum),
        reduce(5, Combine::Max),
    ]);
    body.extend([
        Stmt::store(result(0), Value(4)),
        Stmt::store(result(1), Value(7)),
    ]);
    Kernel {
        buffers,
        scratch,
        grid: Vec::new(),
        body,
    }
}

fn loops(kernel: &Kernel, family: Family) -> usize {
    let options = Options { family, threads: 1 };
    let text = explain(kernel, &options).unwrap().clif;
    text.matches("SIMD loop").count()
}

#[test]
fn a_loop_and_a_reduction_of_what_it_stores_are_one() {
    for length in [0, 1, 15, 16, 17, 40, 64, 2050] {
        check(&kernel(length, 0, Place::Scratch(0)), 3).unwrap();
    }
    for family in Family::all_supported() {
        let expected = if width(family).is_some() { 2 } else { 0 };
        assert_eq!(loops(&kernel(64, 0, Place::Scratch(0)), family), expected);
    }
}

/// Where an iteration reads what another one stores; or a buffer, which may be another one's memory.
#[test]
fn others_stay_apart() {
    for (offset, place) in [
        (1, Place::Scratch(0)),
        (16, Place::Scratch(0)),
        (0, Place::Buffer(2)),
    ] {
        for length in [16, 33, 64] {
            check(&kernel(length, offset, place), 3).unwrap();
        }
        for family in Family::all_supported() {
            let expected = if width(family).is_some() { 3 } else { 0 };
            assert_eq!(
                loops(&kernel(64, offset, place), family),
                expected,
                "{offset}"
            );
        }
    }
}
