//! The tokens of pictures with classes.

use super::{DataError, LabelledPictures, fingerprint};
use crate::config::{DataConfig, ImageSize};
use crate::image_io::resize::{resize_shorter_side, size_for_shorter_side};
use crate::image_io::{Picture, append_planar, center_crop, pad_with_black};
use crate::pipeline::{CompileOptions, ModelFile, TokenFile, TokenizerSession};
use bsq_nn::data::DataFingerprint;
use std::fmt;
use std::path::PathBuf;

/// The tokens of labelled pictures.
#[derive(Debug)]
pub struct LabelledTokens {
    /// Indices, as many for each picture as a window of the tokenizer has.
    pub tokens: Vec<Vec<u64>>,
    /// The class of each picture.
    pub labels: Vec<usize>,
    pub classes: Vec<String>,
    pub(super) fingerprint: DataFingerprint,
    pub(super) notices: Vec<String>,
    pub(super) broken: usize,
}

/// A picture as one window of a tokenizer: padded, its shorter side resized, its middle.
pub fn as_window(picture: &Picture, config: &DataConfig, size: ImageSize) -> Picture {
    let padded = pad_with_black(picture, config.pad);
    let whole = |side: usize| {
        let (width, height) = size_for_shorter_side(padded.width, padded.height, side);
        width >= size.width && height >= size.height
    };
    let shortest = size.width.min(size.height);
    let side = (shortest..).find(|&side| whole(side)).unwrap_or(shortest);
    let resized = resize_shorter_side(&padded, side, config.resize_filter);
    center_crop(&resized, size.width, size.height)
}

impl LabelledTokens {
    /// Every picture as one window through a tokenizer. Pictures that cannot be decoded are left
    /// out with a notice.
    ///
    /// # Errors
    /// If the tokenizer cannot be run.
    pub fn of(
        pictures: &LabelledPictures,
        config: &DataConfig,
        tokenizer: &ModelFile,
        threads: usize,
    ) -> Result<LabelledTokens, DataError> {
        let options = CompileOptions {
            threads,
            ..CompileOptions::default()
        };
        let mut session = TokenizerSession::new(tokenizer, options);
        let (size, range) = (session.window_size(), tokenizer.config.data.pixel_range());
        let mut result = LabelledTokens {
            tokens: Vec::new(),
            labels: Vec::new(),
            classes: pictures.classes.clone(),
            fingerprint: pictures.fingerprint(),
            notices: pictures.notices.clone(),
            broken: 0,
        };
        let all: Vec<usize> = (0..pictures.count()).collect();
        for some in all.chunks(session.batch_limit()) {
            let mut windows = Vec::with_capacity(some.len() * session.values_per_window());
            for &index in some {
                match pictures.picture(index) {
                    Ok(picture) => {
                        append_planar(&as_window(&picture, config, size), range, &mut windows);
                        result.labels.push(pictures.labels[index]);
                    }
                    Err(error) => {
                        result.notices.push(format!("{error}: left out"));
                        result.broken += 1;
                    }
                }
            }
            let indices = session.encode(&windows)?;
            let each = indices.chunks_exact(session.tokens_per_window());
            result.tokens.extend(each.map(<[u64]>::to_vec));
        }
        match result.tokens.is_empty() {
            true => Err(DataError::NoTokens),
            false => Ok(result),
        }
    }

    /// Those of token files, each of which holds the pictures of one class and is called after it; one
    /// file alone is of no class.
    ///
    /// # Errors
    /// If a picture is not one window of the tokenizer, two files have one name, or there are no tokens.
    pub fn of_files(
        files: &[(PathBuf, TokenFile)],
        tokenizer: &ModelFile,
    ) -> Result<LabelledTokens, DataError> {
        let window = tokenizer.tokenizer.config().encoder.grid();
        let stem = |path: &PathBuf| {
            path.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        };
        let names: Vec<String> = files.iter().map(|(path, _)| stem(path)).collect();
        let (mut grids, mut labels) = (Vec::new(), Vec::new());
        for (class, (path, file)) in files.iter().enumerate() {
            let unusable = |reason: String| DataError::TokensOfClass {
                path: path.clone(),
                reason,
            };
            if names[..class].contains(&names[class]) {
                let name = &names[class];
                return Err(unusable(format!(
                    "another file is called {name} too: files are called after classes"
                )));
            }
            if let Some(clip) = file.clips.first() {
                let name = &clip.name;
                return Err(unusable(format!("{name} is a clip: clips are for priors")));
            }
            for picture in &file.pictures {
                let grid = &picture.tokens.grid;
                if grid.shape != window {
                    return Err(unusable(format!(
                        "{} has {} x {} tokens, and the tokenizer's pictures have {} x {}: resize pictures to one window first",
                        picture.name,
                        grid.shape.columns,
                        grid.shape.rows,
                        window.columns,
                        window.rows
                    )));
                }
                grids.push(grid.clone());
                labels.push(class);
            }
        }
        match grids.is_empty() {
            true => Err(DataError::NoTokens),
            false => Ok(LabelledTokens {
                fingerprint: fingerprint::of_tokens(&grids),
                tokens: grids.into_iter().map(|grid| grid.indices).collect(),
                labels,
                classes: if files.len() > 1 { names } else { Vec::new() },
                notices: Vec::new(),
                broken: 0,
            }),
        }
    }
}

/// What a masked language model learns from.
pub enum LabelledSource<'a> {
    /// Pictures, which become tokens first.
    Pictures(&'a LabelledPictures),
    /// Tokens that are known already.
    Tokens(LabelledTokens),
}

impl LabelledSource<'_> {
    /// Names of the classes; empty if there are none.
    pub fn classes(&self) -> &[String] {
        match self {
            LabelledSource::Pictures(pictures) => &pictures.classes,
            LabelledSource::Tokens(tokens) => &tokens.classes,
        }
    }

    /// The tokens; of pictures as [`LabelledTokens::of`] makes them.
    ///
    /// # Errors
    /// Those of [`LabelledTokens::of`].
    pub fn tokens(
        self,
        config: &DataConfig,
        tokenizer: &ModelFile,
        threads: usize,
    ) -> Result<LabelledTokens, DataError> {
        match self {
            LabelledSource::Pictures(pictures) => {
                LabelledTokens::of(pictures, config, tokenizer, threads)
            }
            LabelledSource::Tokens(tokens) => Ok(tokens),
        }
    }
}

impl fmt::Display for LabelledSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, what) = match self {
            LabelledSource::Pictures(pictures) => (pictures.count(), "become tokens"),
            LabelledSource::Tokens(tokens) => (tokens.tokens.len(), "are tokens already"),
        };
        match self.classes().len() {
            0 => write!(f, "{count} pictures without classes {what}"),
            classes => write!(f, "{count} pictures of {classes} classes {what}"),
        }
    }
}
