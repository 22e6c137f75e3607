//! Pictures as rows of patches, and back.
//!
//! A patch is one token. Tokens are in raster order; inside one the channel is slowest, then the
//! row, then the column, so that a convolution kernel `[width, channels, p, p]` is a weight of
//! the patch embedding as it lies in memory.

use crate::token_grid::GridShape;
use bsq_ir::Tensor;

/// `[batch, channels, height, width]` as `[batch, tokens, channels * patch * patch]`.
///
/// # Panics
/// If `patch` does not divide height and width.
#[track_caller]
pub fn patchify(image: Tensor<'_>, patch: usize) -> Tensor<'_> {
    let shape = image.shape();
    let [batch, channels, height, width] = shape[..] else {
        panic!("patchify takes [batch, channels, height, width], not {shape}");
    };
    let (rows, columns) = (height / patch, width / patch);
    let split = image.reshape([batch, channels, rows, patch, columns, patch]);
    let together = split.transpose(&[0, 2, 4, 1, 3, 5]);
    together.reshape([batch, rows * columns, channels * patch * patch])
}

/// The inverse of [`patchify`]: `[batch, rows * columns, channels * patch * patch]` as
/// `[batch, channels, rows * patch, columns * patch]`.
///
/// # Panics
/// If the tokens are not `rows * columns` or a token has no whole number of channels.
#[track_caller]
pub fn unpatchify(tokens: Tensor<'_>, grid: GridShape, patch: usize) -> Tensor<'_> {
    let GridShape { rows, columns, .. } = grid;
    let shape = tokens.shape();
    let [batch, _, features] = shape[..] else {
        panic!("unpatchify takes [batch, tokens, features], not {shape}");
    };
    let channels = features / (patch * patch);
    let split = tokens.reshape([batch, rows, columns, channels, patch, patch]);
    let together = split.transpose(&[0, 3, 1, 4, 2, 5]);
    together.reshape([batch, channels, rows * patch, columns * patch])
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_ir::eval::{Precision, Value, Values, evaluate};
    use bsq_ir::{DType, Graph};

    fn image() -> Value {
        let elements = (0..2 * 3 * 4 * 6).map(|i| i as f32).collect::<Vec<_>>();
        Value::new([2, 3, 4, 6], elements)
    }

    fn run(build: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Value {
        let g = Graph::new();
        let result = build(g.input("image", DType::F32, [2, 3, 4, 6]));
        let function = g.function([("result", result.id())], []);
        let inputs = Values::from([("image".to_string(), image())]);
        let mut run = evaluate(&function, &inputs, &Values::new(), Precision::F32).unwrap();
        run.outputs.remove("result").unwrap()
    }

    #[test]
    fn unpatchify_inverts_patchify_of_a_picture_that_is_not_square() {
        let back = run(|image| unpatchify(patchify(image, 2), GridShape::still(2, 3), 2));
        assert_eq!(back, image());
    }

    #[test]
    fn a_token_is_channel_then_row_then_column() {
        let tokens = run(|image| patchify(image, 2));
        assert_eq!(tokens.shape()[..], [2, 6, 12]);
        // Second picture, second row of patches, first column.
        let at = |c: usize, y: usize, x: usize| (((3 + c) * 4 + y) * 6 + x) as f32;
        let expected = [
            (0, 2, 0),
            (0, 2, 1),
            (0, 3, 0),
            (0, 3, 1),
            (1, 2, 0),
            (1, 2, 1),
            (1, 3, 0),
            (1, 3, 1),
            (2, 2, 0),
            (2, 2, 1),
            (2, 3, 0),
            (2, 3, 1),
        ]
        .map(|(c, y, x)| at(c, y, x));
        let token = (6 + 3) * 12;
        assert_eq!(tokens.as_f32()[token..token + 12], expected);
    }
}
