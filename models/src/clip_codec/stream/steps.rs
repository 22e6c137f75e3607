//! Which step a frame of a clip is coded at.
//!
//! An encoder is free to choose. Frames that others are predicted from for long should be better: a fine
//! frame makes those after it cheaper. So every fourth frame is as fine as the first, and those between
//! are coarser, as in low-delay configurations of HEVC's reference encoder.

/// Frames in the pattern of steps.
const PERIOD: usize = 4;
/// How much coarser a frame is than the clip's step: sixteenths of an octave, by its place in the pattern.
const COARSER: [u8; PERIOD] = [0, 8, 4, 8];
/// The byte of a step that is the clip's.
const SAME: u8 = 64;
/// The step of predicted frames, times, in streams that do not say it.
const UNSAID: f32 = 1.15;

/// The byte of the step that frame `index` of a group is coded at.
pub(in super::super) fn step_byte(index: usize) -> u8 {
    SAME + COARSER[index % PERIOD]
}

/// The step that a byte says of a frame, in a clip of step `step`.
pub(in super::super) fn step_of_byte(byte: u8, step: f32) -> f32 {
    let octaves = (f32::from(byte) - f32::from(SAME)) / 16.0;
    step * libm::exp2f(octaves)
}

/// The step of frame `index` of a group in streams that do not say it.
pub(in super::super) fn unsaid_step(index: usize, step: f32) -> f32 {
    match index {
        0 => step,
        _ => UNSAID * step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fourth_frame_is_as_fine_as_the_first() {
        let step = |index| step_of_byte(step_byte(index), 40.0);
        let found = [0, 1, 2, 3, 4].map(step);
        let expected = [40.0, 56.568_542, 47.568_283, 56.568_542, 40.0];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found}");
        }
        assert_eq!(
            [0, 1, 5].map(|index| unsaid_step(index, 40.0)),
            [40.0, 46.0, 46.0]
        );
    }
}
