//! A prior ready to run: probabilities of known tiles, or of tiles as they become known.

use super::steps::Steps;
use super::{
    PriorFile, PriorModel, PriorSessionError, TileTokens, sub_token_function, tile_function,
};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use bsq_runtime::{BoundPrograms, CompileOptions, Precision};
use std::time::Duration;

/// Positions that are run together at most, over all tiles: bounds memory.
const POSITIONS_PER_BATCH: usize = 16_384;

/// Which of the sub-tokens of a batch of tiles is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubTokenPosition {
    /// Which of the tiles.
    pub tile: usize,
    pub row: usize,
    pub column: usize,
    /// Which of the token's sub-tokens.
    pub index: usize,
}

/// Is given the probabilities of a sub-token's values.
pub type Ask<'a, T, E> = dyn FnMut(SubTokenPosition, &[f32]) -> Result<T, E> + 'a;

/// A prior with its programs, each compiled when a batch size first occurs.
///
/// [`teacher_forced`](PriorSession::teacher_forced) and [`step_by_step`](PriorSession::step_by_step)
/// ask for the same sub-tokens in the same order with the same probabilities, bit for bit.
pub struct PriorSession {
    model: PriorModel,
    /// By tiles in a batch; one at a time.
    tile: BoundPrograms<usize>,
    steps: Steps,
    /// By tokens in a batch; one at a time.
    sub_token: BoundPrograms<usize>,
}

impl PriorSession {
    /// A session of a prior. Nothing is compiled yet.
    ///
    /// # Errors
    /// [`PriorSessionError::NotExact`]: options that are outside the promise of the same bits on
    /// every machine are refused.
    pub fn new(
        prior: &PriorFile,
        options: &CompileOptions,
    ) -> Result<PriorSession, PriorSessionError> {
        if options.precision != Precision::F32 || options.tf32 || !options.exact {
            return Err(PriorSessionError::NotExact);
        }
        let parameters = || prior.parameters.clone();
        Ok(PriorSession {
            model: prior.model.clone(),
            tile: BoundPrograms::new(parameters(), options.clone(), 1),
            steps: Steps::new(parameters(), options.clone()),
            sub_token: BoundPrograms::new(parameters(), options.clone(), 1),
        })
    }

    pub fn model(&self) -> &PriorModel {
        &self.model
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.tile.compile_time() + self.steps.compile_time() + self.sub_token.compile_time()
    }

    /// How many programs with caches of growing length run the wavefronts of a tile; `None`
    /// leaves it to what is worth compiling. It changes speed, never results.
    pub fn set_cache_lengths(&mut self, count: Option<usize>) {
        self.steps.set_cache_lengths(count);
    }

    /// Tiles that are best run together.
    pub fn batch_limit(&self) -> usize {
        (POSITIONS_PER_BATCH / self.model.order().positions()).max(1)
    }

    /// Gives `visit` the probabilities of the first `coded_sub_tokens` sub-tokens of every token, all
    /// evaluated in one pass.
    ///
    /// The order: wavefronts ascending; within a wavefront, sub-tokens by index; within an index, tiles,
    /// and in a tile lanes.
    ///
    /// # Errors
    /// If the program cannot be compiled or run, or `visit` fails.
    pub fn teacher_forced<E: From<PriorSessionError>>(
        &mut self,
        tiles: &[TileTokens],
        coded_sub_tokens: usize,
        visit: &mut Ask<'_, (), E>,
    ) -> Result<(), E> {
        let probabilities = self.tile_probabilities(tiles)?;
        let probabilities = probabilities.as_slice::<f32>().map_err(from_tensor)?;
        let (order, classes) = (self.model.order(), self.model.config().classes());
        let (tokens, positions, batch) = (order.tokens(), order.positions(), tiles.len());
        for wavefront in 0..order.wavefronts() {
            let lanes =
                wavefront * order.wavefront_width()..(wavefront + 1) * order.wavefront_width();
            for index in 0..coded_sub_tokens {
                for (number, tile) in tiles.iter().enumerate() {
                    for position in lanes.clone() {
                        let token = tokens[position].filter(|&token| tile.contains(token));
                        let Some((row, column)) = token else {
                            continue;
                        };
                        let place = SubTokenPosition {
                            tile: number,
                            row,
                            column,
                            index,
                        };
                        let at = ((index * batch + number) * positions + position) * classes;
                        visit(place, &probabilities[at..at + classes])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `f32[sub_tokens, tiles, positions, classes]`.
    fn tile_probabilities(
        &mut self,
        tiles: &[TileTokens],
    ) -> Result<HostTensor, PriorSessionError> {
        let (known, tokens) = tile_inputs(&self.model, tiles)?;
        let batch = tiles.len();
        let model = &self.model;
        let session = self.tile.get(batch, || tile_function(model, batch))?;
        let mut outputs = session.run(&[("known", &known), ("tokens", &tokens)])?;
        Ok(outputs.take("probabilities"))
    }

    /// Gives `decide` the probabilities of every sub-token in turn, and takes from it what the
    /// sub-token is. Later tokens see of a token only its first `coded_sub_tokens` sub-tokens. The order is
    /// that of [`teacher_forced`](PriorSession::teacher_forced) with all sub-tokens.
    ///
    /// `tiles` are numbers of rows and columns. `progress` hears the share of the work that is
    /// done.
    ///
    /// # Errors
    /// If a program cannot be compiled or run, or `decide` fails.
    pub fn step_by_step<E: From<PriorSessionError>>(
        &mut self,
        tiles: &[(usize, usize)],
        coded_sub_tokens: usize,
        decide: &mut Ask<'_, usize, E>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<TileTokens>, E> {
        let unknown =
            |&(rows, columns): &(usize, usize)| TileTokens::unknown(&self.model, rows, columns);
        let tiles = tiles.iter().map(unknown).collect();
        self.step_by_step_from(tiles, coded_sub_tokens, decide, progress)
    }

    /// The same from tiles of which nothing is known but what was [before](TileTokens::after) them.
    ///
    /// # Errors
    /// As those of [`step_by_step`](PriorSession::step_by_step).
    pub fn step_by_step_from<E: From<PriorSessionError>>(
        &mut self,
        tiles: Vec<TileTokens>,
        coded_sub_tokens: usize,
        decide: &mut Ask<'_, usize, E>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<TileTokens>, E> {
        let model = self.model.clone();
        let (order, batch) = (model.order(), tiles.len());
        let tokens = order.tokens();
        // What the model sees, and what comes out; they differ in sub-tokens that are not coded.
        let mut known = tiles;
        let mut decided = known.clone();
        let wavefronts = known
            .iter()
            .map(|tile| order.wavefronts_of(tile.rows, tile.columns));
        let wavefronts = wavefronts.max().unwrap_or(0);
        self.steps.begin(&model, batch, wavefronts);
        for wavefront in 0..wavefronts {
            let lanes = &tokens
                [wavefront * order.wavefront_width()..(wavefront + 1) * order.wavefront_width()];
            let projected = self.wavefront(&known, lanes, wavefront)?;
            let projected = projected.as_slice::<f32>().map_err(from_tensor)?;
            for index in 0..model.config().sub_tokens() {
                let probabilities = self.sub_token(projected, &decided, lanes, index)?;
                let probabilities = probabilities.as_slice::<f32>().map_err(from_tensor)?;
                let rows = probabilities.chunks_exact(model.config().classes());
                for (row, probabilities) in rows.enumerate() {
                    let (number, lane) = (row / lanes.len(), row % lanes.len());
                    let token = lanes[lane].filter(|&token| known[number].contains(token));
                    let Some((row, column)) = token else {
                        continue;
                    };
                    let place = SubTokenPosition {
                        tile: number,
                        row,
                        column,
                        index,
                    };
                    let value = decide(place, probabilities)? as i32;
                    decided[number].token_mut(row, column)[index] = value;
                    if index < coded_sub_tokens {
                        known[number].token_mut(row, column)[index] = value;
                    }
                }
            }
            progress((wavefront + 1) as f64 / wavefronts as f64);
        }
        Ok(decided)
    }

    /// `f32[tiles, lanes, sub_tokens, hidden]`; the first comes first and the others follow.
    fn wavefront(
        &mut self,
        tiles: &[TileTokens],
        lanes: &[Option<(usize, usize)>],
        wavefront: usize,
    ) -> Result<HostTensor, PriorSessionError> {
        let (batch, config) = (tiles.len(), self.model.config());
        let mut known = Vec::new();
        for tile in tiles {
            for &token in lanes {
                tile.append_known(&self.model, token, &mut known);
            }
        }
        let (seen, depth) = (self.model.seen(), config.sub_tokens());
        let known = HostTensor::from_slice([batch, lanes.len(), seen, depth], &known)?;
        self.steps.run(&self.model, wavefront, &known)
    }

    /// `f32[tiles * lanes, classes]`.
    fn sub_token(
        &mut self,
        projected: &[f32],
        decided: &[TileTokens],
        lanes: &[Option<(usize, usize)>],
        index: usize,
    ) -> Result<HostTensor, PriorSessionError> {
        let (depth, hidden) = (
            self.model.config().sub_tokens(),
            self.model.config().head_width,
        );
        let rows = decided.len() * lanes.len();
        let mut tokens = Vec::with_capacity(rows * depth);
        for tile in decided {
            for &token in lanes {
                tile.append_token(token, &mut tokens);
            }
        }
        let tokens = HostTensor::from_slice([rows, depth], &tokens)?;
        let own = projected.chunks_exact(depth * hidden);
        let own = own.flat_map(|all| &all[index * hidden..(index + 1) * hidden]);
        let own: Vec<f32> = own.copied().collect();
        let own = HostTensor::from_slice([rows, hidden], &own)?;
        let index = HostTensor::scalar(index as i32)?;
        let model = &self.model;
        let session = self
            .sub_token
            .get(rows, || sub_token_function(model, rows))?;
        let inputs = [("projected", &own), ("tokens", &tokens), ("index", &index)];
        let mut outputs = session.run(&inputs)?;
        Ok(outputs.take("probabilities"))
    }
}

/// The inputs `known` and `tokens` of [`tile_function`].
pub(crate) fn tile_inputs(
    model: &PriorModel,
    tiles: &[TileTokens],
) -> Result<(HostTensor, HostTensor), TensorError> {
    let positions = model.order().tokens();
    let (mut known, mut tokens) = (Vec::new(), Vec::new());
    for tile in tiles {
        for &token in &positions {
            tile.append_known(model, token, &mut known);
            tile.append_token(token, &mut tokens);
        }
    }
    let (seen, depth) = (model.seen(), model.config().sub_tokens());
    let (batch, count) = (tiles.len(), positions.len());
    Ok((
        HostTensor::from_slice([batch, count, seen, depth], &known)?,
        HostTensor::from_slice([batch, count, depth], &tokens)?,
    ))
}

fn from_tensor<E: From<PriorSessionError>>(error: TensorError) -> E {
    PriorSessionError::from(error).into()
}
