//! The sub-tokens of a tile, and what a model sees of them.

use super::PriorModel;
use crate::tokenizer::bits::{join_token, split_token, words_of};
use std::ops::Range;

/// The sub-tokens of some rows and columns of a photo's tokens, at most a model's `side` of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileTokens {
    pub rows: usize,
    pub columns: usize,
    /// Sub-tokens of a token.
    depth: usize,
    /// `[rows, columns, depth]`; -1 where one is not known.
    sub_tokens: Vec<i32>,
    /// The same of the frame before; nothing of a picture or a first frame.
    before: Vec<i32>,
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
            before: Vec::new(),
        }
    }

    /// Numbers in the places of a tile's tokens, one each, row by row: what the model sees of them says which token
    /// lies where.
    pub(super) fn numbered(rows: usize, columns: usize, numbers: Vec<i32>) -> TileTokens {
        TileTokens {
            rows,
            columns,
            depth: 1,
            sub_tokens: numbers,
            before: Vec::new(),
        }
    }

    /// The same tile, of which nothing is known but the frame before.
    pub fn forgotten(&self) -> TileTokens {
        TileTokens {
            sub_tokens: vec![-1; self.sub_tokens.len()],
            ..self.clone()
        }
    }

    /// The tile of a clip's frame, behind the same tile of the frame before.
    ///
    /// # Panics
    /// If that one has another size.
    pub fn after(self, before: &TileTokens) -> TileTokens {
        let sizes = [&self, before].map(|tile| (tile.rows, tile.columns, tile.depth));
        assert_eq!(sizes[0], sizes[1], "tiles of frames that follow each other");
        TileTokens {
            before: before.sub_tokens.clone(),
            ..self
        }
    }

    /// A tile of tokens, indices or words, row by row, of which the first `coded_sub_tokens` sub-tokens are known.
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
        let words = words_of(config.bits);
        assert_eq!(tokens.len(), rows * columns * words, "tokens of a tile");
        let mut tile = TileTokens::unknown(model, rows, columns);
        let parts = tile.sub_tokens.chunks_exact_mut(tile.depth);
        for (part, token) in parts.zip(tokens.chunks_exact(words)) {
            let values = split_token(token, config.bits, config.sub_token_bits);
            for (place, value) in part.iter_mut().zip(values).take(coded_sub_tokens) {
                *place = value as i32;
            }
        }
        tile
    }

    /// The sub-tokens of a token.
    pub fn token(&self, row: usize, column: usize) -> &[i32] {
        &self.sub_tokens[self.place((row, column))]
    }

    pub fn token_mut(&mut self, row: usize, column: usize) -> &mut [i32] {
        let place = self.place((row, column));
        &mut self.sub_tokens[place]
    }

    fn place(&self, (row, column): (usize, usize)) -> Range<usize> {
        let start = (row * self.columns + column) * self.depth;
        start..start + self.depth
    }

    /// The tokens, row by row, as indices or words; unknown sub-tokens count as 0.
    pub fn indices(&self, model: &PriorModel) -> Vec<u64> {
        let join = |token: &[i32]| {
            let groups: Vec<u64> = token.iter().map(|&x| x.max(0) as u64).collect();
            join_token(&groups, model.config().sub_token_bits)
        };
        let tokens = self.sub_tokens.chunks_exact(self.depth);
        tokens.flat_map(join).collect()
    }

    /// Appends what the model sees at `token`, `[seen, depth]`: its neighbours' sub-tokens, then those of
    /// the frame before, -1 for those outside the tile. `None` is a position without a token: it sees nothing.
    pub(super) fn append_known(
        &self,
        model: &PriorModel,
        token: Option<(usize, usize)>,
        out: &mut Vec<i32>,
    ) {
        let token = token.filter(|token| self.contains(*token));
        let neighbours = model.neighbours().iter().map(|at| (&self.sub_tokens, at));
        let before = model.before().iter().map(|at| (&self.before, at));
        for (of, &(down, right)) in neighbours.chain(before) {
            let neighbour = token.and_then(|(row, column)| {
                let row = row.checked_add_signed(down)?;
                let column = column.checked_add_signed(right)?;
                let place = self
                    .contains((row, column))
                    .then(|| self.place((row, column)))?;
                of.get(place)
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
