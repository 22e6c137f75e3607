//! Reductions of every length around those at which lanes, chunks and levels change.

use super::run::run;
use crate::cpu::microkernel::Family;
use crate::kernel::{
    Affine, Array, Combine, Element, Extent, Kernel, Place, Reduce, Reduction, Stmt, Value, Var,
};
use bsq_ir::{DType, order};

/// Combines `length` rows of `columns` numbers each, column by column in a vector loop; or one
/// column, along its lanes if `vector`.
fn reduction(op: Combine, length: usize, columns: usize, vector: bool) -> Kernel {
    let (column, row) = (Var(0), Var(1));
    let at = Affine::var(row)
        .scale(columns as i64)
        .add(&Affine::var(column));
    let element = |index, at| Element::new(Place::Buffer(index), at);
    let reduce = Reduce {
        var: row,
        extent: Extent::Static(length),
        vector,
        body: vec![Stmt::load(Value(0), DType::F32, element(0, at))],
        results: vec![Reduction {
            value: Value(1),
            dtype: DType::F32,
            op,
            term: Value(0),
        }],
    };
    let store = Stmt::store(element(1, Affine::var(column)), Value(1));
    let input = Array {
        dtype: DType::F32,
        elements: length * columns,
        written: false,
    };
    Kernel {
        buffers: vec![input, Array::written(DType::F32, columns)],
        scratch: Vec::new(),
        grid: Vec::new(),
        body: vec![Stmt::loop_over(
            columns > 1,
            column,
            Extent::Static(columns),
            vec![Stmt::Reduce(reduce), store],
        )],
    }
}

fn check(length: usize, columns: usize, vector: bool) {
    let uneven = |i: usize| (i as f32 * 0.7371).sin() * 10f32.powi((i % 9) as i32 - 4);
    let numbers: Vec<f32> = (0..length * columns).map(uneven).collect();
    let expected: Vec<u8> = (0..columns)
        .map(|column| numbers.iter().skip(column).step_by(columns).copied())
        .flat_map(|column| order::sum(&column.collect::<Vec<f32>>()).to_le_bytes())
        .collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    let inputs = [bytes, vec![0; 4 * columns]];
    for family in Family::all_supported() {
        let kernel = reduction(Combine::Sum, length, columns, vector);
        let buffers = run(&kernel, &inputs, family);
        assert!(
            buffers[1] == expected,
            "{length} rows of {columns}, along lanes: {vector}, {family}"
        );
    }
}

#[test]
fn sums_of_every_length_keep_the_order() {
    let lengths = (0..=50).chain([63, 64, 99, 100]).chain(2040..=2056);
    for length in lengths.chain([4095, 4096, 4097, 4100]) {
        check(length, 1, true);
        check(length, 1, false);
    }
}

#[test]
fn sums_of_columns_keep_the_order() {
    for length in [0, 1, 15, 16, 17, 33, 2047, 2048, 2049, 4100] {
        for columns in [2, 4, 16, 23] {
            check(length, columns, false);
        }
    }
}

#[test]
fn sums_of_chunks_of_chunks_keep_the_order() {
    check(2048 * 2048 + 21, 1, true);
    check(2048 * 2048 + 2049, 1, false);
}

#[test]
fn a_nan_anywhere_and_the_sign_of_zero_decide_a_maximum() {
    let length = 37;
    let combined = |op, numbers: &[f32]| {
        let kernel = reduction(op, length, 1, true);
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let families = Family::all_supported().into_iter();
        let results = families.map(move |family| {
            let buffers = run(&kernel, &[bytes.clone(), vec![0; 4]], family);
            f32::from_le_bytes(buffers[1][..].try_into().unwrap())
        });
        results.collect::<Vec<f32>>()
    };
    for position in 0..length {
        for (op, common, rare) in [
            (Combine::Max, -0.0f32, 0.0f32),
            (Combine::Min, 0.0, -0.0),
            (Combine::Max, f32::NEG_INFINITY, -1.0),
            (Combine::Min, f32::INFINITY, 1.0),
        ] {
            let mut numbers = vec![common; length];
            numbers[position] = rare;
            for result in combined(op, &numbers) {
                assert_eq!(result.to_bits(), rare.to_bits(), "{rare} at {position}");
            }
            for nan in [f32::NAN, -f32::NAN] {
                numbers[length - 1 - position] = 3.0;
                numbers[position] = nan;
                assert!(combined(op, &numbers).iter().all(|x| x.is_nan()));
            }
        }
    }
}
