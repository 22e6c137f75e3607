//! Classes to pictures: a masked language model and the tokenizer whose tokens it knows.

use super::{
    MaskedLmError, MaskedLmFile, MaskedLmSession, SampleSettings, Start, index_of, sub_tokens_of,
};
use crate::data::as_window;
use crate::image_io::{Picture, PixelRange, from_planar, to_planar};
use crate::pipeline::{CompileOptions, ModelFile, PipelineError, TokenizerSession, fingerprint};
use std::time::Duration;

/// Why no pictures were made.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The tokens could not be sampled.
    #[error(transparent)]
    Sample(#[from] MaskedLmError),
    /// They could not be made pictures of.
    #[error(transparent)]
    Tokenizer(#[from] PipelineError),
    /// The model knows the tokens of another tokenizer.
    #[error(
        "{model} knows the tokens of the tokenizer {wanted}, and {tokenizer} is {found}: tokens of one mean nothing to another"
    )]
    OtherTokenizer {
        /// The masked language model.
        model: String,
        /// The fingerprint that it wants.
        wanted: String,
        /// The tokenizer at hand.
        tokenizer: String,
        /// Its fingerprint.
        found: String,
    },
    /// A mask is not as large as its picture.
    #[error(
        "the mask has {}x{} pixels, but the picture has {}x{}: a mask is as large as its picture",
        mask.0, mask.1, picture.0, picture.1
    )]
    MaskSize {
        /// Width and height.
        mask: (usize, usize),
        /// Width and height.
        picture: (usize, usize),
    },
    /// A mask says that nothing is to be made.
    #[error("the mask has no white pixel: white is what is made anew")]
    EmptyMask,
}

/// Both models, ready to run.
pub struct Generator {
    session: MaskedLmSession,
    tokenizer: TokenizerSession,
    file: MaskedLmFile,
    range: PixelRange,
}

/// What pictures begin with that keep a part of another.
#[derive(Clone, Debug)]
pub struct Inpainting {
    pub start: Start,
    /// The picture as one window of the tokenizer.
    window: Picture,
    /// Of each of its pixels whether it is made anew.
    mask: Vec<bool>,
}

impl Generator {
    /// Both models, of which nothing is compiled yet.
    ///
    /// # Errors
    /// [`GenerateError::OtherTokenizer`], and those of [`MaskedLmSession::new`].
    pub fn new(
        file: &MaskedLmFile,
        tokenizer: &ModelFile,
        options: &CompileOptions,
    ) -> Result<Generator, GenerateError> {
        let found = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
        if found != file.tokenizer {
            return Err(GenerateError::OtherTokenizer {
                model: file.name.clone(),
                wanted: file.tokenizer.clone(),
                tokenizer: tokenizer.name.clone(),
                found,
            });
        }
        Ok(Generator {
            session: MaskedLmSession::new(file, options)?,
            tokenizer: TokenizerSession::new(tokenizer, options.clone()),
            file: file.clone(),
            range: tokenizer.config.data.pixel_range(),
        })
    }

    /// The masked language model.
    pub fn file(&self) -> &MaskedLmFile {
        &self.file
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.session.compile_time() + self.tokenizer.compile_time()
    }

    /// Batches that so many pictures are sampled in, each with all steps.
    pub fn batches(&self, pictures: usize) -> usize {
        pictures.div_ceil(self.session.batch_limit())
    }

    /// The tokens of pictures; see [`MaskedLmSession::sample`].
    ///
    /// # Errors
    /// As there.
    pub fn tokens(
        &mut self,
        starts: &[Start],
        first: u64,
        settings: &SampleSettings,
        progress: &mut dyn FnMut(usize, &[&[i32]]),
    ) -> Result<Vec<Vec<u64>>, GenerateError> {
        Ok(self.session.sample(starts, first, settings, progress)?)
    }

    /// The pictures of tokens.
    ///
    /// # Errors
    /// If the tokenizer cannot be run.
    pub fn pictures(&mut self, tokens: &[Vec<u64>]) -> Result<Vec<Picture>, GenerateError> {
        let values = self.tokenizer.decode(&tokens.concat())?;
        let size = self.tokenizer.window_size();
        let windows = values.chunks_exact(self.tokenizer.values_per_window());
        let picture = |planes| from_planar(planes, size.width, size.height, self.range);
        Ok(windows.map(picture).collect())
    }

    /// The pictures of what a step has drawn.
    ///
    /// # Errors
    /// If the tokenizer cannot be run.
    pub fn drawn(&mut self, pictures: &[Vec<i32>]) -> Result<Vec<Picture>, GenerateError> {
        let config = &self.file.config.masked_lm;
        let indices = |sub_tokens: &Vec<i32>| {
            let tokens = sub_tokens.chunks_exact(config.groups);
            tokens.map(|token| index_of(config, token)).collect()
        };
        let tokens: Vec<Vec<u64>> = pictures.iter().map(indices).collect();
        self.pictures(&tokens)
    }

    /// What is left of pictures when they are tokens and pictures again.
    ///
    /// # Errors
    /// If the tokenizer cannot be run.
    pub fn reconstructed(&mut self, pictures: &[Picture]) -> Result<Vec<Picture>, GenerateError> {
        let tokens = self.encoded(pictures)?;
        self.pictures(&tokens)
    }

    /// The tokens of pictures that are windows.
    fn encoded(&mut self, pictures: &[Picture]) -> Result<Vec<Vec<u64>>, GenerateError> {
        let planes = pictures
            .iter()
            .flat_map(|picture| to_planar(picture, self.range));
        let indices = self.tokenizer.encode(&planes.collect::<Vec<f32>>())?;
        let each = indices.chunks_exact(self.tokenizer.tokens_per_window());
        Ok(each.map(<[u64]>::to_vec).collect())
    }

    /// A picture as the window that the training would have made of it.
    pub fn window(&self, picture: &Picture) -> Picture {
        let size = self.tokenizer.window_size();
        match picture.size() == size {
            true => picture.clone(),
            false => as_window(picture, &self.file.config.data, size),
        }
    }

    /// A picture of which a part is made anew: every token that a white pixel of the mask (half white
    /// at least) lies on.
    ///
    /// # Errors
    /// [`GenerateError::MaskSize`], [`GenerateError::EmptyMask`], or those of the tokenizer.
    pub fn inpainting(
        &mut self,
        picture: &Picture,
        mask: &Picture,
        class: Option<usize>,
    ) -> Result<Inpainting, GenerateError> {
        if mask.size() != picture.size() {
            return Err(GenerateError::MaskSize {
                mask: (mask.width, mask.height),
                picture: (picture.width, picture.height),
            });
        }
        let (window, mask) = (self.window(picture), self.window(mask));
        let mask: Vec<bool> = mask.rgb.chunks_exact(3).map(|rgb| rgb[1] >= 128).collect();
        if !mask.contains(&true) {
            return Err(GenerateError::EmptyMask);
        }
        let tokens = self.encoded(std::slice::from_ref(&window))?.concat();
        let config = &self.file.config.masked_lm;
        let encoder = &self.tokenizer.tokenizer().config().encoder;
        let (patch, columns) = (encoder.patch_size, encoder.grid().columns);
        let mut sub_tokens = sub_tokens_of(config, &tokens);
        for (pixel, _) in mask.iter().enumerate().filter(|(_, anew)| **anew) {
            let (row, column) = (pixel / window.width / patch, pixel % window.width / patch);
            let token = (row * columns + column) * config.groups;
            sub_tokens[token..token + config.groups].fill(config.vocabulary() as i32);
        }
        Ok(Inpainting {
            start: Start { sub_tokens, class },
            window,
            mask,
        })
    }
}

impl Inpainting {
    /// A picture with its pixels where the mask is white, and the first one's elsewhere.
    pub fn merged(&self, made: &Picture) -> Picture {
        let pixels = made
            .rgb
            .chunks_exact(3)
            .zip(self.window.rgb.chunks_exact(3));
        let chosen = pixels.zip(&self.mask);
        let rgb = chosen.flat_map(|((new, old), &anew)| if anew { new } else { old });
        Picture::new(made.width, made.height, rgb.copied().collect())
    }
}
