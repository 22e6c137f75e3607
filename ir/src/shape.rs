//! Static shapes, row-major strides, and tensor types.

use crate::dtype::DType;
use std::fmt;
use std::ops::Deref;

/// The extents of a tensor, outermost first. A scalar has rank 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Shape(Box<[usize]>);

impl Shape {
    pub fn new(extents: impl Into<Box<[usize]>>) -> Self {
        Shape(extents.into())
    }

    pub fn scalar() -> Self {
        Shape::default()
    }

    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The most elements that a tensor of a graph may have, so that sizes in bytes never overflow.
    pub const MAX_ELEMENTS: usize = 1 << 48;

    /// The most axes that a tensor of a graph may have.
    pub const MAX_RANK: usize = 32;

    /// True if the extents are within [`Shape::MAX_RANK`] and [`Shape::MAX_ELEMENTS`]. Empty axes
    /// count as one, so that strides do not overflow either.
    pub fn is_within_limits(&self) -> bool {
        let product = |so_far: usize, &extent: &usize| so_far.checked_mul(extent.max(1));
        let elements = self.0.iter().try_fold(1, product);
        self.rank() <= Shape::MAX_RANK && elements.is_some_and(|n| n <= Shape::MAX_ELEMENTS)
    }

    /// Number of elements; 1 for a scalar. Saturates, which only shapes outside of the
    /// [limits](Shape::is_within_limits) do.
    pub fn elements(&self) -> usize {
        let empty = self.0.contains(&0);
        let product = || {
            self.0
                .iter()
                .fold(1, |n: usize, &extent| n.saturating_mul(extent))
        };
        if empty { 0 } else { product() }
    }

    /// Row-major strides in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1usize; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis].saturating_mul(self.0[axis]);
        }
        strides
    }

    /// The shape without the given axes.
    pub fn without(&self, axes: &[usize]) -> Shape {
        let kept = (0..self.rank()).filter(|axis| !axes.contains(axis));
        kept.map(|axis| self.0[axis]).collect()
    }

    /// The shape with `axis` replaced by `extents`.
    pub fn splice(&self, axis: usize, extents: &[usize]) -> Shape {
        let (head, tail) = (&self.0[..axis], &self.0[axis + 1..]);
        [head, extents, tail].concat().into()
    }

    /// All index vectors in row-major order.
    pub fn indices(&self) -> impl Iterator<Item = Vec<usize>> + '_ {
        let strides = self.strides();
        (0..self.elements()).map(move |linear| {
            let digit = |axis: usize| linear / strides[axis] % self.0[axis];
            (0..self.rank()).map(digit).collect()
        })
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl FromIterator<usize> for Shape {
    fn from_iter<I: IntoIterator<Item = usize>>(extents: I) -> Self {
        Shape(extents.into_iter().collect())
    }
}

impl From<Vec<usize>> for Shape {
    fn from(extents: Vec<usize>) -> Self {
        Shape(extents.into())
    }
}

impl From<&[usize]> for Shape {
    fn from(extents: &[usize]) -> Self {
        Shape(extents.into())
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(extents: [usize; N]) -> Self {
        Shape(Box::new(extents))
    }
}

impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Self {
        shape.clone()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (axis, extent) in self.0.iter().enumerate() {
            let comma = if axis == 0 { "" } else { "," };
            write!(f, "{comma}{extent}")?;
        }
        f.write_str("]")
    }
}

/// Element type and shape of a tensor; prints as `f32[2,3]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type {
    pub dtype: DType,
    pub shape: Shape,
}

impl Type {
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        Type { dtype, shape }
    }

    pub fn scalar(dtype: DType) -> Self {
        Type::new(dtype, Shape::scalar())
    }

    /// Bytes of the whole tensor.
    pub fn bytes(&self) -> usize {
        self.dtype.size().saturating_mul(self.shape.elements())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_are_row_major() {
        assert_eq!(Shape::from([2, 3, 4]).strides(), [12, 4, 1]);
        assert_eq!(Shape::scalar().elements(), 1);
        assert_eq!(Shape::from([2, 0]).elements(), 0);
        assert_eq!(Shape::from([usize::MAX, 2, 0]).elements(), 0);
        assert_eq!(Shape::from([1 << 40, 1 << 40]).elements(), usize::MAX);
    }

    #[test]
    fn limits_count_empty_axes_as_one() {
        assert!(Shape::from([1 << 24, 1 << 24]).is_within_limits());
        assert!(!Shape::from([1 << 24, 1 << 24, 2]).is_within_limits());
        assert!(!Shape::from([0, usize::MAX, 2]).is_within_limits());
        assert!(!Shape::from(vec![1; 33]).is_within_limits());
    }

    #[test]
    fn indices_run_last_axis_fastest() {
        let all: Vec<_> = Shape::from([2, 2]).indices().collect();
        assert_eq!(all, [[0, 0], [0, 1], [1, 0], [1, 1]]);
        assert_eq!(Shape::scalar().indices().count(), 1);
    }
}
