//! Tiles of tokens to train a prior on, as a pure function of the step.

use super::draw::{Draw, Purpose};
use super::{DataError, Dataset, fingerprint};
use crate::config::{ImageSize, PriorConfig};
use crate::pipeline::{CompileOptions, ModelFile, TokenizerSession};
use crate::prior::{PriorModel, TileTokens};
use crate::token_grid::{GridShape, TokenGrid};
use bsq_nn::BoxError;
use bsq_nn::data::{Batches, DataFingerprint};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The tiles of one step.
#[derive(Clone, Debug)]
pub struct TokenBatch {
    /// What a position sees of the others; some tiles without their last sub-tokens.
    pub seen: Vec<TileTokens>,
    /// The same with every sub-token.
    pub targets: Vec<TileTokens>,
}

/// Tiles of tokens, from pictures or from token files.
pub struct TokenDataset {
    model: PriorModel,
    batch_size: usize,
    seed: u64,
    truncation: f64,
    source: Source,
}

enum Source {
    Pictures {
        crops: Box<Dataset>,
        /// One thread: the others train.
        tokenizer: Box<Mutex<TokenizerSession>>,
    },
    /// Of pictures, and of clips, whose frames are samples.
    Tokens { grids: Vec<TokenGrid> },
}

/// Share of a clip's frames that are seen as first ones are: without the frame before.
const FIRST: f64 = 0.125;

impl TokenDataset {
    /// Crops of the pictures of a folder, tokenized as they are asked for.
    ///
    /// # Errors
    /// If the folder has no pictures.
    pub fn of_pictures(
        folder: &Path,
        config: &PriorConfig,
        tokenizer: &ModelFile,
    ) -> Result<TokenDataset, DataError> {
        let session = TokenizerSession::new(
            tokenizer,
            CompileOptions {
                threads: 1,
                ..Default::default()
            },
        );
        let side = config.prior.side * tokenizer.tokenizer.config().encoder.patch_size;
        let ImageSize { height, width } = session.window_size();
        // Whole windows: a tile of their tokens is cut out of them.
        let size = ImageSize {
            height: side.next_multiple_of(height),
            width: side.next_multiple_of(width),
        };
        let mut data = config.data.clone();
        let smallest = data.shorter_sides(size).0;
        if smallest < size.width.max(size.height) {
            return Err(DataError::Small { size, smallest });
        }
        data.zero_mean = tokenizer.config.data.zero_mean;
        Ok(TokenDataset {
            source: Source::Pictures {
                crops: Box::new(Dataset::open(folder, &data, size, config.train.seed)?),
                tokenizer: Box::new(Mutex::new(session)),
            },
            ..TokenDataset::of(config)
        })
    }

    /// Tiles of tokens that are known already.
    ///
    /// # Errors
    /// If there are none.
    pub fn of_tokens(
        grids: Vec<TokenGrid>,
        config: &PriorConfig,
    ) -> Result<TokenDataset, DataError> {
        match grids.is_empty() {
            true => Err(DataError::NoTokens),
            false => Ok(TokenDataset {
                source: Source::Tokens { grids },
                ..TokenDataset::of(config)
            }),
        }
    }

    fn of(config: &PriorConfig) -> TokenDataset {
        TokenDataset {
            model: PriorModel::new(&config.prior),
            batch_size: config.data.batch_size,
            seed: config.train.seed,
            truncation: config.prior.truncation,
            source: Source::Tokens { grids: Vec::new() },
        }
    }

    /// `side` x `side` tokens, or all of a smaller picture; of a clip those of a frame behind those of the
    /// frame before.
    fn tiles(&self, step: u64) -> Result<Vec<TokenGrid>, DataError> {
        let side = self.model.config().side;
        match &self.source {
            Source::Tokens { grids } => {
                let first = step * self.batch_size as u64;
                let samples = first..first + self.batch_size as u64;
                Ok(samples
                    .map(|sample| {
                        let mut draw = Draw::new(self.seed, Purpose::Crop, sample);
                        let grid = &grids[draw.below(grids.len())];
                        let GridShape {
                            frames,
                            rows,
                            columns,
                        } = grid.shape;
                        let left = draw.between(0, columns - columns.min(side));
                        let top = draw.between(0, rows - rows.min(side));
                        let of_clip = frames > 1;
                        let frame = if of_clip { draw.below(frames) } else { 0 };
                        let is_first = of_clip && draw.uniform(0.0, 1.0) < FIRST;
                        let start = if is_first {
                            frame
                        } else {
                            frame.saturating_sub(1)
                        };
                        grid.frames(start..frame + 1).cut(
                            top,
                            left,
                            rows.min(side),
                            columns.min(side),
                        )
                    })
                    .collect())
            }
            Source::Pictures { crops, tokenizer } => {
                let batch = crops.batch(step)?;
                let [_, _, height, width] = batch.shape[..] else {
                    unreachable!("crops of pictures")
                };
                // A panic elsewhere leaves a session that compiles again at worst.
                let mut session = tokenizer.lock().unwrap_or_else(PoisonError::into_inner);
                let grids = session.encode_planes(&batch.images, ImageSize { height, width })?;
                Ok(grids
                    .iter()
                    .map(|grid| grid.cut(0, 0, side, side))
                    .collect())
            }
        }
    }
}

impl Batches for TokenDataset {
    type Batch = TokenBatch;

    fn batch(&self, step: u64) -> Result<TokenBatch, BoxError> {
        let depth = self.model.config().sub_tokens();
        let (mut seen, mut targets) = (Vec::new(), Vec::new());
        for (number, grid) in self.tiles(step)?.into_iter().enumerate() {
            let sample = step * self.batch_size as u64 + number as u64;
            let mut draw = Draw::new(self.seed, Purpose::Truncation, sample);
            let shortened = draw.uniform(0.0, 1.0) < self.truncation;
            let coded_sub_tokens = if shortened {
                draw.between(1, depth)
            } else {
                depth
            };
            let GridShape { rows, columns, .. } = grid.shape;
            let mut frames = grid.indices.rchunks_exact(rows * columns);
            let mut of_next = |coded_sub_tokens: usize| {
                let tokens = frames.next()?;
                let tile = |coded| TileTokens::new(&self.model, rows, columns, tokens, coded);
                Some([tile(coded_sub_tokens), tile(depth)])
            };
            let [own, whole] = of_next(coded_sub_tokens).expect("a grid has a frame");
            seen.push(match of_next(coded_sub_tokens) {
                Some([before, _]) => own.after(&before),
                None => own,
            });
            targets.push(whole);
        }
        Ok(TokenBatch { seen, targets })
    }

    fn fingerprint(&self) -> DataFingerprint {
        match &self.source {
            Source::Pictures { crops, .. } => crops.fingerprint(),
            Source::Tokens { grids } => fingerprint::of_tokens(grids),
        }
    }

    fn notices(&self) -> Vec<String> {
        match &self.source {
            Source::Pictures { crops, .. } => crops.notices(),
            Source::Tokens { .. } => Vec::new(),
        }
    }

    fn broken(&self) -> usize {
        match &self.source {
            Source::Pictures { crops, .. } => crops.broken(),
            Source::Tokens { .. } => 0,
        }
    }
}
