//! What random numbers of trainings and samplers decide.

pub(crate) use bsq_nn::data::Draw;

/// What a stream of random numbers decides: the purpose of a [`Draw`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// The crop of a sample; the index is the sample's place in the sequence.
    Crop = bsq_nn::data::SAMPLE as isize,
    /// What a training tile is seen without; the index is the sample's place in the sequence.
    Truncation = 3,
    /// The quantizer step that a crop is coded with; the index is its place in the sequence.
    QuantizerStep = 4,
    /// What a training picture is seen without by a masked language model; the index is the
    /// sample's place in the sequence.
    Masking = 5,
    /// What a picture is sampled with; the index is the picture's number and the step.
    Sampling = 6,
    /// Where a window of a clip is, and how one over a picture moves; the index is the file's.
    ClipWindow = 7,
}

impl From<Purpose> for u32 {
    fn from(purpose: Purpose) -> u32 {
        purpose as u32
    }
}
