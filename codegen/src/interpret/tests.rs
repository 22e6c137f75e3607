//! The interpreter on kernels small enough to be worked out by hand.

use super::interpret;
use crate::kernel::{
    Affine, Array, Axis, Combine, Element, Extent, Inst, Kernel, LoopKind, Place, Reduce,
    Reduction, Stmt, Value, Var,
};
use bsq_ir::{DType, Op};

fn element(index: u32, at: Affine) -> Element {
    Element::new(Place::Buffer(index), at)
}

fn load(value: u32, index: u32, at: Affine) -> Stmt {
    Stmt::Let {
        value: Value(value),
        dtype: DType::F32,
        inst: Inst::Load(element(index, at)),
    }
}

/// `y[r] = sum of x[r, c] * x[r, c]`, rows on the grid.
fn sums_of_squares(rows: usize, columns: usize) -> Kernel {
    let (row, column) = (Var(0), Var(1));
    let at = Affine::var(row)
        .scale(columns as i64)
        .add(&Affine::var(column));
    let square = Stmt::Let {
        value: Value(1),
        dtype: DType::F32,
        inst: Inst::Map(Op::Mul, vec![Value(0), Value(0)]),
    };
    let array = |elements, written| Array {
        dtype: DType::F32,
        elements,
        written,
    };
    Kernel {
        buffers: vec![array(rows * columns, false), array(rows, true)],
        scratch: Vec::new(),
        grid: vec![Axis {
            var: row,
            extent: rows,
        }],
        body: vec![
            Stmt::Reduce(Reduce {
                var: column,
                extent: Extent::Static(columns),
                vector: true,
                body: vec![load(0, 0, at), square],
                results: vec![Reduction {
                    value: Value(2),
                    dtype: DType::F32,
                    op: Combine::Sum,
                    term: Value(1),
                }],
            }),
            Stmt::Store {
                to: element(1, Affine::var(row)),
                value: Value(2),
            },
        ],
    }
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn rows_are_reduced_and_only_the_items_asked_for() {
    let kernel = sums_of_squares(3, 2);
    crate::kernel::verify::verify(&kernel).unwrap();
    let mut x = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let mut y = bytes(&[-1.0; 3]);
    interpret(&kernel, &mut [&mut x, &mut y], 1, 3);
    assert_eq!(y, bytes(&[-1.0, 25.0, 61.0]));
}

#[test]
fn blocks_end_at_their_limit() {
    let (block, index) = (Var(0), Var(1));
    let start = Affine::var(block).scale(4);
    let at = start.add(&Affine::var(index));
    let mut kernel = sums_of_squares(2, 6);
    kernel.buffers = vec![Array::written(DType::F32, 6); 2];
    kernel.body = vec![Stmt::Loop {
        var: index,
        extent: Extent::Block {
            size: 4,
            start,
            limit: 6,
        },
        kind: LoopKind::Vector,
        body: vec![
            load(0, 0, at.clone()),
            Stmt::Store {
                to: element(1, at),
                value: Value(0),
            },
        ],
    }];
    crate::kernel::verify::verify(&kernel).unwrap();
    let numbers = bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let (mut x, mut y) = (numbers.clone(), bytes(&[0.0; 6]));
    interpret(&kernel, &mut [&mut x, &mut y], 0, 2);
    assert_eq!(y, numbers);
}
