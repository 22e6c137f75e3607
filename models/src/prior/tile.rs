//! The sub-tokens of a tile, and what a model sees of them.

use super::PriorModel;
use crate::tokenizer::bits::{join_index, split_index};

/// The sub-tokens of some rows and columns of a photo's tokens, at most a model's `side` of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileTokens {
    pub rows: usize,
    pub columns: usize,
    /// Sub-tokens of a token.
    depth: usize,
    /// `[rows, columns, depth]`; -1 where one is not known.
    sub_tokens: Vec<i32>,
}

impl TileTokens {
    /// A tile of which nothing is known.
    pub fn unknown(model: &PriorModel, rows: usize, columns: usize) -> TileTokens {
        let depth = model.config().sub_tokens();
        TileTokens {
            rows,
            columns,
            depth,
            sub_tokens: vec![-1; rows * columns * depth],
        }
    }

    /// A tile of tokens, row by row, of which the first `coded_sub_tokens` sub-tokens are known.
    ///
    /// # Panics
    /// If there are not `rows * columns` tokens, or one has more bits than the model's.
    pub fn new(
        model: &PriorModel,
        rows: usize,
        columns: usize,
        tokens: &[u64],
        coded_sub_tokens: usize,
    ) -> TileTokens {
        let config = model.config();
        assert_eq!(tokens.len(), rows * columns, "tokens of a tile");
        let mut tile = TileTokens::unknown(model, rows, columns);
        let parts = tile.sub_tokens.chunks_exact_mut(tile.depth);
        for (part, &token) in parts.zip(tokens) {
            let values = split_index(token, config.bits, config.sub_token_bits);
            for (place, value) in part.iter_mut().zip(values).take(coded_sub_tokens) {
                *place = value as i32;
            }
        }
        tile
    }

    /// The sub-tokens of a token.
    pub fn token(&self, row: usize, column: usize) -> &[i32] {
        let start = (row * self.columns + column) * self.depth;
        &self.sub_tokens[start..start + self.depth]
    }

    pub fn token_mut(&mut self, row: usize, column: usize) -> &mut [i32] {
        let start = (row * self.columns + column) * self.depth;
        &mut self.sub_tokens[start..start + self.depth]
    }

    /// The tokens, row by row; unknown sub-tokens count as 0.
    pub fn indices(&self, model: &PriorModel) -> Vec<u64> {
        let join = |token: &[i32]| {
            let groups: Vec<u64> = token.iter().map(|&x| x.max(0) as u64).collect();
            join_index(&groups, model.config().sub_token_bits)
        };
        self.sub_tokens.chunks_exact(self.depth).map(join).collect()
    }

    /// Appends what the model sees at `token`, `[neighbours, depth]`: its neighbours' sub-tokens,
    /// -1 for those outside the tile. `None` is a position without a token: it sees nothing.
    pub(super) fn append_known(
        &self,
        model: &PriorModel,
        token: Option<(usize, usize)>,
        out: &mut Vec<i32>,
    ) {
        for &(down, right) in model.neighbours() {
            let neighbour = token
                .filter(|token| self.contains(*token))
                .and_then(|token| {
                    let row = token.0.checked_add_signed(down)?;
                    let column = token.1.checked_add_signed(right)?;
                    self.contains((row, column))
                        .then(|| self.token(row, column))
                });
            match neighbour {
                Some(sub_tokens) => out.extend_from_slice(sub_tokens),
                None => out.extend(std::iter::repeat_n(-1, self.depth)),
            }
        }
    }

    /// Appends the sub-tokens of `token`, all -1 if it is outside the tile.
    pub(super) fn append_token(&self, token: Option<(usize, usize)>, out: &mut Vec<i32>) {
        match token.filter(|token| self.contains(*token)) {
            Some((row, column)) => out.extend_from_slice(self.token(row, column)),
            None => out.extend(std::iter::repeat_n(-1, self.depth)),
        }
    }

    pub(super) fn contains(&self, (row, column): (usize, usize)) -> bool {
        row < self.rows && column < self.columns
    }
}
