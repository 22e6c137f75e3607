//! What frames lack as levels of a transform codec, and back.

use crate::codec::SymbolDecoder;
use crate::image_io::{ImageSize, Picture};
use crate::pipeline::CompileOptions;
use crate::transform_codec::level_coder::LevelEncoder;
use crate::transform_codec::{
    ContextCoder, ExpectedFeatures, PIXEL_SCALE, Part, PartLevels, TransformCodec,
    TransformCodecFile, TransformCodecSession,
};
use bsq_runtime::ProgramError;
use std::time::Duration;

/// A transform codec, ready to run.
pub(super) struct Levels {
    codec: TransformCodec,
    session: TransformCodecSession,
    contexts: ContextCoder,
}

/// What is expected of a frame.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub picture: Picture,
    /// What the frame before lacked, moved likewise: differences of samples and [`NOTHING`].
    pub lacked: Picture,
}

/// The sample of a picture of differences where there is none.
pub(super) const NOTHING: u8 = 128;

/// What a frame lacks of what was expected: differences of samples, or of the middle of their range
/// where nothing was expected. `[height, width, 3]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Differences {
    pub size: ImageSize,
    pub values: Vec<f32>,
}

impl Differences {
    /// Of a frame from what was expected.
    pub fn of(frame: &Picture, expected: Option<&Picture>) -> Differences {
        let middle = PIXEL_SCALE as f32;
        let samples = frame.rgb.iter().map(|&sample| f32::from(sample));
        let values = match expected {
            None => samples.map(|sample| sample - middle).collect(),
            Some(expected) => {
                let pairs = samples.zip(&expected.rgb);
                pairs
                    .map(|(sample, &other)| sample - f32::from(other))
                    .collect()
            }
        };
        let size = frame.size();
        Differences { size, values }
    }

    /// The frame that has them.
    pub fn frame(&self, expected: Option<&Picture>) -> Picture {
        let middle = PIXEL_SCALE as f32;
        // `as` saturates and sends what is not a number to zero.
        let rgb = match expected {
            None => self
                .values
                .iter()
                .map(|x| (x + middle).round() as u8)
                .collect(),
            Some(expected) => {
                let pairs = self.values.iter().zip(&expected.rgb);
                pairs
                    .map(|(x, &other)| (f32::from(other) + x).round() as u8)
                    .collect()
            }
        };
        Picture::new(self.size.width, self.size.height, rgb)
    }

    /// Planes in -1..1; rows and columns outside are as the nearest inside.
    fn planes(&self, [rows, columns]: [usize; 2]) -> Vec<f32> {
        let (ImageSize { height, width }, scale) = (self.size, 1.0 / PIXEL_SCALE as f32);
        let mut planes = Vec::with_capacity(3 * rows * columns);
        for channel in 0..3 {
            for y in 0..rows {
                let row = &self.values[3 * width * y.min(height - 1)..][..3 * width];
                planes.extend((0..columns).map(|x| row[3 * x.min(width - 1) + channel] * scale));
            }
        }
        planes
    }
}

impl Levels {
    pub fn new(file: &TransformCodecFile, options: &CompileOptions) -> Levels {
        let (codec, parameters) = (&file.codec, &file.parameters);
        Levels {
            codec: codec.clone(),
            session: TransformCodecSession::new(codec.clone(), parameters.clone(), options.clone()),
            contexts: ContextCoder::new(codec.clone(), parameters.clone(), options.clone()),
        }
    }

    pub fn compile_time(&self) -> Duration {
        self.session.compile_time() + self.contexts.compile_time()
    }

    /// How many parts the levels have: a byte each begins what is written.
    pub fn parts(&self) -> usize {
        self.codec.parts().len()
    }

    /// Writes what a frame lacks of what was expected. Returns the byte of each part, and the differences
    /// as a decoder has them.
    pub fn write(
        &mut self,
        lacking: &Differences,
        expected: Option<&Expected>,
        step: f32,
        coder: &mut LevelEncoder,
    ) -> Result<(Vec<u8>, Differences), ProgramError> {
        let mut levels = self.of(lacking, step)?;
        let features = self.features(expected, step)?;
        let features = features.as_ref();
        let parts = self.contexts.write((&mut levels, step), features, coder)?;
        let groups = parts.iter().map(|(groups, _)| *groups).collect();
        let found = self.differences(&levels, features, lacking.size, step)?;
        Ok((groups, found))
    }

    /// Reads what a frame lacks. `None` if no encoder has written it.
    pub fn read(
        &mut self,
        groups: &[u8],
        (size, step): (ImageSize, f32),
        expected: Option<&Expected>,
        coder: &mut SymbolDecoder,
    ) -> Result<Option<Differences>, ProgramError> {
        let padded = self.padded(size);
        let empty = |part: &Part| {
            let [rows, columns] = padded.map(|side| side / part.kind.patch());
            PartLevels::zeros(rows, columns, part.context.coordinates)
        };
        let mut levels: Vec<PartLevels> = self.codec.parts().iter().map(empty).collect();
        let features = self.features(expected, step)?;
        let features = features.as_ref();
        let read = self
            .contexts
            .read(groups, (&mut levels, step), features, coder)?;
        match read {
            true => Ok(Some(self.differences(&levels, features, size, step)?)),
            false => Ok(None),
        }
    }

    /// What a decoder would have, without any bytes on the way.
    pub fn decoded(
        &mut self,
        lacking: &Differences,
        expected: Option<&Expected>,
        step: f32,
    ) -> Result<Differences, ProgramError> {
        let levels = self.of(lacking, step)?;
        let features = self.features(expected, step)?;
        self.differences(&levels, features.as_ref(), lacking.size, step)
    }

    /// What the codec is told of what is expected, if it is one that is told.
    fn features(
        &mut self,
        expected: Option<&Expected>,
        step: f32,
    ) -> Result<Option<ExpectedFeatures>, ProgramError> {
        let is_told = self.codec.config().expected_features > 0;
        let Some(expected) = expected.filter(|_| is_told) else {
            return Ok(None);
        };
        let size = expected.picture.size();
        let padded = self.padded(size);
        let picture = Differences::of(&expected.picture, None).planes(padded);
        let lacked = &expected.lacked.rgb;
        let values = lacked.iter().map(|&x| f32::from(x) - f32::from(NOTHING));
        let lacked = Differences {
            size,
            values: values.collect(),
        };
        let planes = [&picture[..], &lacked.planes(padded)];
        Ok(Some(self.session.expected(planes, padded, step)?))
    }

    fn of(&mut self, lacking: &Differences, step: f32) -> Result<Vec<PartLevels>, ProgramError> {
        let padded = self.padded(lacking.size);
        self.session.levels(&lacking.planes(padded), padded, step)
    }

    fn differences(
        &mut self,
        levels: &[PartLevels],
        features: Option<&ExpectedFeatures>,
        size: ImageSize,
        step: f32,
    ) -> Result<Differences, ProgramError> {
        let pixels = self.session.pixels(levels, step, features)?;
        let padded = self.padded(size);
        let (plane, ImageSize { height, width }) = (padded[0] * padded[1], size);
        let mut values = Vec::with_capacity(3 * height * width);
        for y in 0..height {
            for x in 0..width {
                let at = y * padded[1] + x;
                values.extend(
                    [0, 1, 2].map(|channel| pixels[channel * plane + at] - PIXEL_SCALE as f32),
                );
            }
        }
        Ok(Differences { size, values })
    }

    fn padded(&self, size: ImageSize) -> [usize; 2] {
        let alignment = self.codec.config().alignment();
        [size.height, size.width].map(|side| side.next_multiple_of(alignment))
    }
}
