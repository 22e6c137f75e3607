//! Pixels to levels and back, by programs compiled for the sizes at hand.

use super::functions::{LEVELS, expected_function, levels_function, pixels_function};
use super::{PIXEL_SCALE, PartLevels, TransformCodec};
use bsq_runtime::executor::Tensors;
use bsq_runtime::{BoundPrograms, CompileOptions, HostTensor, ProgramError};
use std::time::Duration;

/// Programs at a time: of each of three kinds, for a picture's first strip, those between, and its last.
const PROGRAMS: usize = 9;

/// A codec's transform, ready to run. Programs are exact: the same numbers on every machine.
pub struct TransformCodecSession {
    codec: TransformCodec,
    programs: BoundPrograms<Key>,
}

/// Direction, height and width.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Key {
    Levels([usize; 2]),
    Pixels([usize; 2]),
    Expected([usize; 2]),
}

/// What a predicted frame's levels and pixels depend on beside what is coded.
#[derive(Clone, Debug)]
pub struct ExpectedFeatures {
    /// Of patches, `[1, R, C, F]`.
    pub patches: HostTensor,
    /// Of 4x4 of them, `[1, R / 4, C / 4, F]`.
    pub coarse: HostTensor,
}

impl TransformCodecSession {
    /// Nothing is compiled yet.
    pub fn new(
        codec: TransformCodec,
        parameters: Tensors,
        options: CompileOptions,
    ) -> TransformCodecSession {
        TransformCodecSession {
            codec,
            programs: BoundPrograms::new(parameters, options, PROGRAMS),
        }
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.programs.compile_time()
    }

    /// Levels of each part of an image, planes of red, green and blue in -1..1.
    ///
    /// # Errors
    /// If the program cannot be compiled or run.
    ///
    /// # Panics
    /// If a side is no multiple of the codec's alignment.
    pub fn levels(
        &mut self,
        image: &[f32],
        [height, width]: [usize; 2],
        step: f32,
    ) -> Result<Vec<PartLevels>, ProgramError> {
        let codec = &self.codec;
        let function = || levels_function(codec, height, width);
        let session = self.programs.get(Key::Levels([height, width]), function)?;
        let image = HostTensor::from_slice([1, 3, height, width], image)?;
        let step = HostTensor::from_slice([1], &[step])?;
        let outputs = session.run(&[("image", &image), ("step", &step)])?;
        let parts = codec.parts();
        let of_part = |name: &&str| Ok(PartLevels::of(&outputs[*name], |level| level)?);
        LEVELS[..parts.len()].iter().map(of_part).collect()
    }

    /// Features of what a predicted frame is expected to be, and of what the one before lacked: planes as
    /// [`Expected`](super::Expected) has them.
    ///
    /// # Errors
    /// If the program cannot be compiled or run.
    ///
    /// # Panics
    /// If the codec is one of pictures, or a side is no multiple of its alignment.
    pub fn expected(
        &mut self,
        [expected, lacked]: [&[f32]; 2],
        [height, width]: [usize; 2],
        step: f32,
    ) -> Result<ExpectedFeatures, ProgramError> {
        let codec = &self.codec;
        let function = || expected_function(codec, [height, width]);
        let session = self
            .programs
            .get(Key::Expected([height, width]), function)?;
        let [expected, lacked] =
            [expected, lacked].map(|x| HostTensor::from_slice([1, 3, height, width], x));
        let step = HostTensor::from_slice([1], &[step])?;
        let inputs = [
            ("expected", &expected?),
            ("lacked", &lacked?),
            ("step", &step),
        ];
        let mut outputs = session.run(&inputs)?;
        Ok(ExpectedFeatures {
            patches: outputs.take("features"),
            coarse: outputs.take("coarse_features"),
        })
    }

    /// Planes of red, green and blue, from 0 to 255 and a little beyond, of levels of all parts; of a
    /// predicted frame what it lacks, and 127.5.
    ///
    /// # Errors
    /// If the program cannot be compiled or run, or features are missing or superfluous.
    pub fn pixels(
        &mut self,
        levels: &[PartLevels],
        step: f32,
        expected: Option<&ExpectedFeatures>,
    ) -> Result<Vec<f32>, ProgramError> {
        let codec = &self.codec;
        let patch = codec.parts()[0].kind.patch();
        let [height, width] = [levels[0].rows, levels[0].columns].map(|count| count * patch);
        let function = || pixels_function(codec, height, width);
        let session = self.programs.get(Key::Pixels([height, width]), function)?;
        let tensors = levels.iter().map(PartLevels::tensor);
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        let step = HostTensor::from_slice([1], &[step])?;
        let mut inputs = vec![("step", &step)];
        inputs.extend(LEVELS.into_iter().zip(&tensors));
        inputs.extend(expected.map(|features| ("expected", &features.patches)));
        let outputs = session.run(&inputs)?;
        let pixels = outputs["pixels"].as_slice::<f32>()?;
        Ok(pixels.iter().map(|x| x + PIXEL_SCALE as f32).collect())
    }
}
