//! Levels chosen by search: features of a picture are moved along the gradient of the training's loss.
//!
//! The encoder's features are a start. From there they are trained for the picture at hand (Campos et
//! al. 2019, "Content adaptive optimization for neural image compression"): squared error, MS-SSIM and
//! bits, through the decoder and the context models, which stay as they are. A decoder is told
//! nothing of it.
//!
//! In each round the gradient is that of the loss at the levels `q`; a squared error of one curvature
//! `h` with this slope is least at `q - gradient / h`, and features go a part of the way there. With
//! a linear decoder and no other terms that is where they are already, so a search begins at rest, which
//! Adam's steps of one size do not (they lost 4 to 14 dB).

use super::functions::{LEVELS, features_function, refine_function};
use super::{PartLevels, TransformCodec};
use crate::config::RateDistortionConfig;
use crate::losses::MS_SSIM_SMALLEST_CROP;
use bsq_ir::shape::Type;
use bsq_runtime::executor::Tensors;
use bsq_runtime::{BoundPrograms, CompileOptions, HostTensor, ProgramError, Session};
use std::time::Duration;

/// Programs at a time: both directions' for a picture's first strip, those between, and its last.
const PROGRAMS: usize = 6;
/// What part of the way to the best features the first round goes.
const FIRST_MOVE: f64 = 0.3;
/// A loss of more than this many times the least goes back there.
const PATIENCE: f32 = 1.05;
/// Weights of the bits and of MS-SSIM, as multiples of the training's. Chosen on two of the test
/// photographs at one step, so that neither PSNR nor MS-SSIM is worse at equal bits.
const RATE: f64 = 0.7;
const MS_SSIM: f64 = 2.0;

/// Moves features of pictures of one codec.
pub struct Refinement {
    codec: TransformCodec,
    loss: RateDistortionConfig,
    programs: BoundPrograms<Key>,
}

/// Height and width.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Key {
    Features([usize; 2]),
    Refine([usize; 2]),
}

impl Refinement {
    /// Nothing is compiled yet.
    pub fn new(
        codec: TransformCodec,
        loss: RateDistortionConfig,
        parameters: Tensors,
        options: CompileOptions,
    ) -> Refinement {
        Refinement {
            codec,
            loss,
            programs: BoundPrograms::new(parameters, options, PROGRAMS),
        }
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.programs.compile_time()
    }

    /// Levels of each part of an image (planes of red, green and blue in -1..1) after `rounds` steps of
    /// the search. `progress` hears how many are done.
    ///
    /// # Errors
    /// If a program cannot be compiled or run.
    ///
    /// # Panics
    /// If a side is no multiple of the codec's alignment.
    pub fn levels(
        &mut self,
        image: &[f32],
        size: [usize; 2],
        step: f32,
        rounds: usize,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<PartLevels>, ProgramError> {
        let [height, width] = size;
        let image = HostTensor::from_slice([1, 3, height, width], image)?;
        let step = HostTensor::from_slice([1], &[step])?;
        let is_small = height.min(width) < MS_SSIM_SMALLEST_CROP;
        let ms_ssim = if is_small { 0.0 } else { MS_SSIM };
        let loss = &RateDistortionConfig {
            balance: 0.0,
            rate_weight: self.loss.rate_weight * RATE,
            ms_ssim_weight: self.loss.ms_ssim_weight * ms_ssim,
            ..self.loss.clone()
        };
        let codec = &self.codec;
        let parts = codec.parts().len();
        let start = self
            .programs
            .get(Key::Features(size), || features_function(codec, size))?;
        let start = start.run(&[("image", &image), ("step", &step)])?;

        // Features are this picture's own.
        let zeros = |_: &str, ty: &Type| Ok(Some(HostTensor::zeros(ty.dtype, ty.shape.to_vec())?));
        let function = || refine_function(codec, loss, size);
        let session = self
            .programs
            .get_with_state(Key::Refine(size), function, zeros)?;
        let names = &LEVELS[..parts];
        let mut best: Vec<_> = names.iter().map(|name| start[*name].clone()).collect();
        write(session, names, &best)?;
        let (mut share, mut least) = (FIRST_MOVE, f32::INFINITY);
        let mut now = best.clone();
        // The last run says what the moves before it came to.
        for round in 0..=rounds {
            // Falls linearly, so that the last moves are small.
            let left = (rounds - round) as f64 / rounds as f64;
            let rate = HostTensor::scalar((share * left) as f32)?;
            let outputs = session.run(&[("image", &image), ("step", &step), ("rate", &rate)])?;
            let loss = outputs["loss"].item::<f32>()?;
            if loss <= least {
                (least, best) = (loss, now);
            }
            // Too far, or not a number: back, and on more slowly.
            let is_bad = loss.is_nan() || loss > PATIENCE * least;
            if is_bad {
                share *= 0.5;
                write(session, names, &best)?;
            }
            now = read(session, names)?;
            progress(round);
        }
        let quantizer = self.codec.quantizer();
        let of_part = |features| Ok(PartLevels::of(features, |y| quantizer.level(y))?);
        best.iter().map(of_part).collect()
    }
}

fn read(session: &Session, names: &[&str]) -> Result<Vec<HostTensor>, ProgramError> {
    let values = names.iter().map(|name| session.parameter(name).cloned());
    values.collect()
}

fn write(session: &mut Session, names: &[&str], values: &[HostTensor]) -> Result<(), ProgramError> {
    let mut pairs = names.iter().zip(values);
    pairs.try_for_each(|(name, value)| session.set_parameter(name, value))
}
