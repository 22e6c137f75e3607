//! Shapes and types at random.

use super::choices::Choices;
use super::generate::Limits;
use bsq_ir::{DType, Shape, Type};

/// Most axes of a tensor.
pub const RANK: usize = 8;

/// Around the widths of vectors, primes, and ones.
const EXTENTS: [usize; 24] = [
    1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 8, 9, 11, 13, 15, 16, 17, 19, 31, 32, 33, 37, 64, 67,
];

/// Longer than a chunk of a sum, and around the blocks of contractions.
const LONG: [usize; 6] = [97, 128, 257, 521, 2049, 4099];

/// An extent; one in 40 is 0.
pub fn extent(choices: &mut Choices) -> usize {
    if choices.once_in(40) {
        return 0;
    }
    choices.of(&EXTENTS)
}

pub fn shape(choices: &mut Choices, limits: &Limits) -> Shape {
    if choices.once_in(24) {
        let long = choices.of(&LONG);
        let other = 1 + choices.below((limits.elements / long).clamp(1, 4));
        let shape = match choices.below(4) {
            0 => vec![long, other],
            1 => vec![other, long],
            2 => vec![long],
            _ => vec![other, 1, long],
        };
        if shape.iter().product::<usize>() <= limits.elements {
            return shape.into();
        }
    }
    let rank = match choices.below(8) {
        0 => 0,
        1 => 1,
        2..5 => 2,
        5 | 6 => 3,
        _ => choices.below(RANK + 1),
    };
    let mut left = limits.elements;
    let extent = |_| {
        let mut extent = extent(choices);
        // High ranks have short axes.
        if extent > left || (rank > 3 && extent > 5) {
            extent = (extent % 3 + 1).min(left);
        }
        left /= extent.max(1);
        extent
    };
    (0..rank).map(extent).collect()
}

pub fn dtype(choices: &mut Choices) -> DType {
    match choices.below(16) {
        0..8 => DType::F32,
        8 => DType::I32,
        other => DType::ALL[(other - 9) % 9],
    }
}

pub fn integer(choices: &mut Choices) -> DType {
    choices.of(&[DType::I32, DType::I64, DType::U8, DType::U32, DType::U64])
}

pub fn ty(choices: &mut Choices, limits: &Limits) -> Type {
    Type::new(dtype(choices), shape(choices, limits))
}

/// A shape of as many elements as another, split and joined in other places.
pub fn reshaped(choices: &mut Choices, shape: &Shape) -> Shape {
    if shape.elements() == 0 {
        let mut other: Vec<usize> = shape.iter().copied().filter(|&n| n != 0).collect();
        other.truncate(3);
        other.insert(choices.below(other.len() + 1), 0);
        return other.into();
    }
    // Axes as they are, one of them perhaps split, some neighbours joined, ones put in.
    let mut axes: Vec<usize> = Vec::new();
    for &extent in shape.iter().filter(|&&extent| extent != 1) {
        let divisors: Vec<usize> = (2..extent).filter(|d| extent.is_multiple_of(*d)).collect();
        if !divisors.is_empty() && choices.once_in(3) {
            let first = choices.of(&divisors);
            axes.extend([first, extent / first]);
        } else {
            axes.push(extent);
        }
    }
    let mut joined: Vec<usize> = Vec::new();
    for extent in axes {
        match joined.last_mut() {
            Some(last) if joined_now(choices, shape.rank()) => *last *= extent,
            _ => joined.push(extent),
        }
    }
    while joined.len() > RANK {
        let last = joined.pop().expect("more axes than the limit");
        *joined.last_mut().expect("more than one") *= last;
    }
    while joined.len() < RANK && choices.once_in(3) {
        joined.insert(choices.below(joined.len() + 1), 1);
    }
    joined.into()
}

/// Shapes of many axes are joined more often.
fn joined_now(choices: &mut Choices, rank: usize) -> bool {
    choices.below(2 + rank) < rank.div_ceil(2)
}

/// A permutation of `0..rank`.
pub fn permutation(choices: &mut Choices, rank: usize) -> Vec<usize> {
    let mut axes: Vec<usize> = (0..rank).collect();
    for axis in (1..rank).rev() {
        axes.swap(axis, choices.below(axis + 1));
    }
    axes
}

/// Some of `0..rank`, ascending.
pub fn some_axes(choices: &mut Choices, rank: usize) -> Vec<usize> {
    (0..rank).filter(|_| choices.once_in(2)).collect()
}
