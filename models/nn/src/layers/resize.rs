//! Resizing along an axis: nearest, linear, and filters that widen when shrinking.
//!
//! Each result is a weighted sum of a few neighbours with weights known when the graph is built, so
//! resizing is a gather or a contraction with a constant matrix, and has derivatives.

use bsq_ir::{Constant, DType};
use bsq_ir::{Graph, Tensor};

/// Which neighbours a result is made of. Centres of elements lie at half-integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The element `floor(i * from / to)`, as PyTorch's `nearest`.
    Nearest,
    /// The two neighbours of the centre, those beyond the border being the border's: PyTorch's
    /// `bilinear` with `align_corners=False`.
    Linear,
    /// As `Linear`, with element i at `i * from / to`, not at its centre: TensorFlow 1.
    LinearCorner,
    /// A triangle, widened by the factor of shrinking: PyTorch's `bilinear` with `antialias=True`,
    /// Pillow's `BILINEAR`.
    Triangle,
    /// The cubic with a = -1/2, widened likewise: Pillow's `BICUBIC`.
    Cubic,
    /// The sinc with three lobes, widened likewise: Pillow's `LANCZOS`.
    Lanczos3,
}

/// Resizes the last axes of `x` to `sizes`, from the last axis on.
///
/// ```
/// use bsq_ir::{DType, Graph};
/// use bsq_nn::layers::{Interpolation, resize};
/// let g = Graph::new();
/// let x = g.input("x", DType::F32, [1, 3, 30, 40]);
/// assert_eq!(*resize(x, &[60, 50], Interpolation::Linear).shape(), [1, 3, 60, 50]);
/// ```
///
/// # Panics
/// If there are not as many axes, or an axis has or gets no elements.
#[track_caller]
pub fn resize<'g>(x: Tensor<'g>, sizes: &[usize], how: Interpolation) -> Tensor<'g> {
    let first = x.rank().checked_sub(sizes.len());
    let first = first.unwrap_or_else(|| panic!("{} axes of {} to resize", sizes.len(), x.ty()));
    let axes = sizes.iter().enumerate().rev();
    axes.fold(x, |x, (axis, &to)| resize_axis(x, first + axis, to, how))
}

#[track_caller]
fn resize_axis<'g>(x: Tensor<'g>, axis: usize, to: usize, how: Interpolation) -> Tensor<'g> {
    let from = x.shape()[axis];
    assert!(
        from > 0 && to > 0,
        "axis {axis} of {} to {to} elements",
        x.ty()
    );
    if from == to {
        return x;
    }
    if how == Interpolation::Nearest {
        return nearest(x, axis, to);
    }
    let matrix = x.graph().constant_f32(&weights(from, to, how), [from, to]);
    let y = x.dot_general(matrix, &[], &[(axis, 0)]);
    let mut order: Vec<usize> = (0..x.rank() - 1).collect();
    order.insert(axis, x.rank() - 1);
    y.transpose(&order)
}

#[track_caller]
fn nearest(x: Tensor<'_>, axis: usize, to: usize) -> Tensor<'_> {
    let shape = x.shape();
    let from = shape[axis];
    if to.is_multiple_of(from) {
        let mut repeated = shape.to_vec();
        repeated.insert(axis + 1, to / from);
        let axes: Vec<usize> = (0..repeated.len()).filter(|&own| own != axis + 1).collect();
        let mut wanted = shape.to_vec();
        wanted[axis] = to;
        return x.broadcast_in_dim(repeated, &axes).reshape(wanted);
    }
    if from.is_multiple_of(to) {
        return x.every(axis as isize, 0, from / to, to);
    }
    let places = (0..to).map(|i| (i * from / to) as f64);
    let places = indices(x.graph(), places);
    x.gather(axis as isize, places)
}

fn indices(graph: &Graph, places: impl Iterator<Item = f64>) -> Tensor<'_> {
    let bytes: Vec<u8> = places
        .flat_map(|place| (place as i32).to_le_bytes())
        .collect();
    let ty = bsq_ir::Type::new(DType::I32, [bytes.len() / 4]);
    graph.constant(Constant::dense_bytes(ty, bytes))
}

/// `[from, to]`: column i has the weights of result i, which add up to 1.
fn weights(from: usize, to: usize, how: Interpolation) -> Vec<f32> {
    let mut matrix = vec![0.0_f32; from * to];
    let scale = from as f64 / to as f64;
    for i in 0..to {
        let mut add = |place: usize, weight: f64| matrix[place * to + i] += weight as f32;
        let radius = match how {
            Interpolation::Nearest | Interpolation::Linear | Interpolation::LinearCorner => {
                let shift = if how == Interpolation::Linear {
                    0.5
                } else {
                    0.0
                };
                let source = (i as f64 + shift) * scale - shift;
                let source = source.clamp(0.0, (from - 1) as f64);
                let (below, part) = (source.floor() as usize, source.fract());
                add(below, 1.0 - part);
                add((below + 1).min(from - 1), part);
                continue;
            }
            Interpolation::Triangle => 1.0,
            Interpolation::Cubic => 2.0,
            Interpolation::Lanczos3 => 3.0,
        };
        // Wide enough to see all elements that a shrunken one stands for.
        let stretch = scale.max(1.0);
        let centre = (i as f64 + 0.5) * scale;
        let first = ((centre - radius * stretch + 0.5).floor()).max(0.0) as usize;
        let last = ((centre + radius * stretch + 0.5).floor() as usize).min(from);
        let value = |place: usize| kernel(how, (place as f64 + 0.5 - centre) / stretch);
        let total: f64 = (first..last).map(value).sum();
        (first..last).for_each(|place| add(place, value(place) / total));
    }
    matrix
}

/// The filter at a distance from its centre.
fn kernel(how: Interpolation, x: f64) -> f64 {
    let x = x.abs();
    let sinc = |x: f64| match x {
        0.0 => 1.0,
        x => libm::sin(std::f64::consts::PI * x) / (std::f64::consts::PI * x),
    };
    const A: f64 = -0.5;
    match how {
        Interpolation::Cubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        Interpolation::Cubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        Interpolation::Cubic => 0.0,
        Interpolation::Lanczos3 if x < 3.0 => sinc(x) * sinc(x / 3.0),
        Interpolation::Lanczos3 => 0.0,
        _ => (1.0 - x).max(0.0),
    }
}
