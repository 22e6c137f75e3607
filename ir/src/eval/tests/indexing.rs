//! Leaves, random bits, and ops whose positions are operands.

use super::*;
use crate::dtype::DType;
use crate::op::Constant;
use crate::philox::philox4x32_10;

#[test]
fn leaves() {
    let three = Constant::splat(3.0, DType::I32, [2]);
    check(Op::Constant(three), &[], row(&[3i32, 3]));
    let ty = Type::new(DType::F32, [2, 3]);
    let iota = |axis| Op::Iota {
        ty: ty.clone(),
        axis,
    };
    check(
        iota(1),
        &[],
        Value::new([2, 3], vec![0.0f32, 1.0, 2.0, 0.0, 1.0, 2.0]),
    );
    check(
        iota(0),
        &[],
        Value::new([2, 3], vec![0.0f32, 0.0, 0.0, 1.0, 1.0, 1.0]),
    );
    let ty = Type::new(DType::U8, [300]);
    let wanted: Vec<u8> = (0..300).map(|i| i as u8).collect();
    check(Op::Iota { ty, axis: 0 }, &[], row(&wanted));
}

#[test]
fn random_bits_are_words_of_consecutive_blocks() {
    let (key, counter) = (0x0123_4567_89AB_CDEFu64, u64::from(u32::MAX));
    let key_words = [0x89AB_CDEF, 0x0123_4567];
    let blocks = [
        philox4x32_10([u32::MAX, 0, 0, 0], key_words),
        philox4x32_10([0, 1, 0, 0], key_words),
    ];
    let shape = Shape::from([2, 3]);
    let operands = [Value::scalar(key), Value::scalar(counter)];
    let wanted = Value::new([2, 3], blocks.concat()[..6].to_vec());
    check(Op::Random { shape }, &operands, wanted);
}

#[test]
fn gather_replaces_the_axis_by_the_indices() {
    let x = counted([3, 2]);
    let indices = Value::new([2, 2], vec![2i32, 0, -5, 99]);
    let wanted = [[4.0f32, 5.0], [0.0, 1.0], [0.0, 1.0], [4.0, 5.0]].concat();
    check(
        Op::Gather { axis: 0 },
        &[x.clone(), indices],
        Value::new([2, 2, 2], wanted),
    );
    let wanted = Value::new([3], vec![1.0f32, 3.0, 5.0]);
    check(
        Op::Gather { axis: 1 },
        &[x.clone(), Value::scalar(u64::MAX)],
        wanted,
    );
    let none = Value::new([0], Vec::<i32>::new());
    let wanted = Value::new([0, 2], Vec::<f32>::new());
    check(Op::Gather { axis: 0 }, &[x, none], wanted);
}

#[test]
fn scatter_add_adds_one_by_one() {
    let x = Value::new([2, 2], vec![1.0f32, 2.0, 3.0, 4.0]);
    let indices = row(&[1i64, 1, -3]);
    let updates = Value::new([3, 2], vec![10.0f32, 20.0, 30.0, 40.0, 50.0, 60.0]);
    let wanted = Value::new([2, 2], vec![51.0f32, 62.0, 43.0, 64.0]);
    check(Op::ScatterAdd { axis: 0 }, &[x, indices, updates], wanted);
    // In order of the updates, after x.
    let x = row(&[1e30f32]);
    let operands = [x, row(&[0i32; 3]), row(&[1.0f32, -1e30, 1.0])];
    check(Op::ScatterAdd { axis: 0 }, &operands, row(&[1.0f32]));
    // Along the last axis.
    let x = Value::new([2, 2], vec![0i32; 4]);
    let updates = Value::new([2, 1], vec![5i32, 6]);
    let wanted = Value::new([2, 2], vec![0i32, 5, 0, 6]);
    check(
        Op::ScatterAdd { axis: 1 },
        &[x, row(&[1u8]), updates],
        wanted,
    );
}

#[test]
fn dynamic_slices_are_clamped_to_fit() {
    let x = counted([2, 4]);
    let op = Op::DynamicSlice { axis: 1, size: 2 };
    for (start, wanted) in [
        (1i32, [1.0f32, 2.0, 5.0, 6.0]),
        (-1, [0.0, 1.0, 4.0, 5.0]),
        (3, [2.0, 3.0, 6.0, 7.0]),
    ] {
        let wanted = Value::new([2, 2], wanted.to_vec());
        check(op.clone(), &[x.clone(), Value::scalar(start)], wanted);
    }
    let op = Op::DynamicUpdateSlice { axis: 1 };
    let update = Value::new([2, 2], vec![-1.0f32, -2.0, -3.0, -4.0]);
    for (start, wanted) in [
        (0u64, [-1.0f32, -2.0, 2.0, 3.0, -3.0, -4.0, 6.0, 7.0]),
        (u64::MAX, [0.0, 1.0, -1.0, -2.0, 4.0, 5.0, -3.0, -4.0]),
    ] {
        let operands = [x.clone(), update.clone(), Value::scalar(start)];
        check(op.clone(), &operands, Value::new([2, 4], wanted.to_vec()));
    }
}
