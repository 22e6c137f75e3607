//! Clips as batches of frames, and their tokens as sequences.
//!
//! What is done to each frame by itself (patches, the linear path, pixels) sees a clip's frames as
//! pictures of a batch; the transformers see the tokens of all frames of a clip, frame by frame.

use super::{DecoderOutput, Tokenizer};
use bsq_ir::Tensor;

impl Tokenizer {
    /// The shape of a batch of what the model is of: pictures, or clips of all its frames.
    pub(crate) fn input_shape(&self, batch: usize) -> Vec<usize> {
        match self.frames() {
            1 => self.image_shape(batch).to_vec(),
            frames => self.clip_shape(batch, frames).to_vec(),
        }
    }

    /// Pictures `[batch, 3, height, width]` as they are, and clips `[batch, 3, frames, height, width]`
    /// as pictures `[batch * frames, 3, height, width]`; with the number of frames.
    #[track_caller]
    pub(super) fn as_frames<'g>(&self, image: Tensor<'g>) -> (Tensor<'g>, usize) {
        let shape = image.shape();
        let batch = shape.first().copied().unwrap_or(0);
        let &[_, _, frames, _, _] = &shape[..] else {
            let expected = self.image_shape(batch);
            assert_eq!(shape[..], expected, "the shape of a batch of pictures");
            return (image, 1);
        };
        let fits =
            (1..=self.frames()).contains(&frames) && shape[..] == self.clip_shape(batch, frames);
        assert!(
            fits,
            "clips of this model are {:?} or of fewer frames, not {shape}",
            self.clip_shape(batch, self.frames())
        );
        (frames_as_pictures(image), frames)
    }
}

/// Clips `[batch, planes, frames, height, width]` as pictures `[batch * frames, planes, height, width]`, a
/// clip's frames after each other; pictures as they are.
pub(crate) fn frames_as_pictures(x: Tensor<'_>) -> Tensor<'_> {
    let shape = x.shape();
    let &[batch, planes, frames, height, width] = &shape[..] else {
        return x;
    };
    let by_frame = x.transpose(&[0, 2, 1, 3, 4]);
    by_frame.reshape([batch * frames, planes, height, width])
}

impl<'g> DecoderOutput<'g> {
    /// Pictures `[batch * frames, ..]` as clips `[batch, planes, frames, height, width]`.
    pub(super) fn clips(self, frames: usize) -> DecoderOutput<'g> {
        let clip = |pictures: Tensor<'g>| {
            let [all, planes, height, width] = pictures.shape()[..] else {
                unreachable!("pictures have four axes")
            };
            let by_frame = pictures.reshape([all / frames, frames, planes, height, width]);
            by_frame.transpose(&[0, 2, 1, 3, 4])
        };
        DecoderOutput {
            raw: clip(self.raw),
            reconstruction: clip(self.reconstruction),
        }
    }
}

/// `[batch * frames, tokens, features]` as `[batch, frames * tokens, features]`.
pub(super) fn tokens_by_clip(tokens: Tensor<'_>, frames: usize) -> Tensor<'_> {
    let shape = tokens.shape();
    tokens.reshape([shape[0] / frames, frames * shape[1], shape[2]])
}

/// `[batch, frames * tokens, features]` as `[batch * frames, tokens, features]`.
pub(super) fn tokens_by_frame(all: Tensor<'_>, tokens: usize) -> Tensor<'_> {
    let shape = all.shape();
    all.reshape([shape[0] * shape[1] / tokens, tokens, shape[2]])
}

#[cfg(test)]
mod tests;
