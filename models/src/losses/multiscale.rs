//! The mean absolute difference of pictures at several sizes.

use bsq_ir::Tensor;
use bsq_ir::tensor::Slide;

/// The smallest side that is compared.
const SMALLEST: usize = 8;

/// The mean over sizes, the whole one first and each half of the one before, down to a side of 8 or an
/// odd one, of the mean absolute difference there: `f32[]`. Where details differ but averages do not,
/// only the first sizes count.
///
/// # Panics
/// If these are no pictures `[batch, channels, height, width]` of one shape.
#[track_caller]
pub fn multiscale_difference<'g>(original: Tensor<'g>, reconstruction: Tensor<'g>) -> Tensor<'g> {
    assert_eq!(
        original.shape(),
        reconstruction.shape(),
        "pictures of different shapes"
    );
    // Differences of averages are averages of differences.
    let mut difference = original - reconstruction;
    let mut sum = difference.abs().mean(..);
    let mut sizes = 1.0;
    loop {
        let shape = difference.shape();
        let (height, width) = (shape[2], shape[3]);
        let halves = height.is_multiple_of(2) && width.is_multiple_of(2);
        if !halves || height.min(width) < 2 * SMALLEST {
            return sum * (1.0 / sizes);
        }
        let halving = Slide {
            stride: 2,
            ..Slide::default()
        };
        difference = difference.average_pool(&[2, 2], &[halving; 2]);
        sum = sum + difference.abs().mean(..);
        sizes += 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_ir::Graph;
    use bsq_ir::eval::{Precision, Values, evaluate};

    fn value(difference: impl Fn(usize, usize) -> f32) -> f32 {
        let g = Graph::new();
        let pixels: Vec<f32> = (0..1024).map(|i| difference(i / 32, i % 32)).collect();
        let a = g.constant_f32(&pixels, [1, 1, 32, 32]);
        let y = multiscale_difference(a, a.full_like(0.0));
        let function = g.function([("y", y.id())], []);
        let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F32).unwrap();
        run.outputs["y"].as_f32()[0]
    }

    #[test]
    fn what_averages_out_counts_at_the_sizes_where_it_is_seen() {
        assert_eq!(value(|_, _| 0.5), 0.5);
        // Sizes 32, 16 and 8: columns that alternate are seen at the first, pairs at two.
        assert_eq!(value(|_, x| if x % 2 == 0 { 0.75 } else { -0.75 }), 0.25);
        assert_eq!(value(|_, x| if x % 4 < 2 { 0.75 } else { -0.75 }), 0.5);
    }
}
