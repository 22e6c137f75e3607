//! Tokens to a stream, row by row.

use super::frames::write_frame;
use super::header::HEADER_BYTES;
use super::tiles::KnownTile;
use super::{Codec, CodecError, FRAME_BYTES, Header, TileArea, TileReport};
use std::io::Write;

/// Writes one picture's tokens as a stream; see the [module](super) for an example.
///
/// Tokens are taken row by row of the grid. Tiles are coded when a batch of them is complete,
/// so a picture never has to be in memory as a whole.
pub struct Encoder<'c, W> {
    codec: &'c mut Codec,
    writer: W,
    header: Header,
    /// Rows that are not yet coded: indices, or words.
    rows: Vec<u64>,
    /// Tiles that are written.
    done: usize,
    reports: Vec<TileReport>,
}

/// What a stream came to.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamReport {
    /// Bytes of the stream.
    pub bytes: usize,
    pub tiles: Vec<TileReport>,
}

impl StreamReport {
    /// What the prior's own probabilities ask for, over all tiles.
    pub fn cross_entropy_bits(&self) -> f64 {
        self.tiles.iter().map(|tile| tile.cross_entropy_bits).sum()
    }
}

impl<'c, W: Write> Encoder<'c, W> {
    /// Writes the header of a picture of `width` x `height` pixels, of which the first `coded_sub_tokens`
    /// sub-tokens of each token will be coded; all if `None`.
    ///
    /// # Errors
    /// If the picture is larger than a stream can hold, a token has fewer sub-tokens, or writing
    /// fails.
    pub fn new(
        codec: &'c mut Codec,
        mut writer: W,
        width: usize,
        height: usize,
        coded_sub_tokens: Option<usize>,
    ) -> Result<Encoder<'c, W>, CodecError> {
        let header = codec.header(width, height, coded_sub_tokens)?;
        writer.write_all(&header.to_bytes())?;
        Ok(Encoder {
            codec,
            writer,
            header,
            rows: Vec::new(),
            done: 0,
            reports: Vec::new(),
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Tiles that are written.
    pub fn tiles_done(&self) -> usize {
        self.done
    }

    /// Takes more tokens, row by row of the grid, as indices, or words of [long](crate::tokenizer::bits) ones; a row may
    /// come in parts.
    ///
    /// # Errors
    /// If they are more than the picture has, or coding or writing fails.
    pub fn write(&mut self, tokens: &[u64]) -> Result<(), CodecError> {
        self.rows.extend_from_slice(tokens);
        let (grid, across) = (self.header.grid(), self.header.tile_grid().columns);
        let (columns, words) = (grid.columns, self.header.words());
        let begun = self.done / across * usize::from(self.header.side);
        let given = begun * columns + self.rows.len().div_ceil(words);
        if given > grid.tokens() {
            let expected = grid.tokens();
            return Err(CodecError::Count { given, expected });
        }
        // Whole rows of tiles, as many as are best coded together.
        let rows_of_tiles = (self.codec.batch_limit() / across).max(1);
        let full = rows_of_tiles * usize::from(self.header.side) * columns;
        let waiting = self.rows.len() / words;
        if waiting >= full || begun * columns + waiting == grid.tokens() {
            self.code()?;
        }
        Ok(())
    }

    /// Codes and writes every tile that is complete.
    fn code(&mut self) -> Result<(), CodecError> {
        let (columns, words) = (self.header.grid().columns, self.header.words());
        let row_words = columns * words;
        let first = self.header.area(self.done.min(self.header.tiles() - 1)).top;
        let available = self.rows.len() / row_words;
        let mut pending = Vec::new();
        for tile in self.done..self.header.tiles() {
            let area = self.header.area(tile);
            if area.top + area.rows > first + available {
                break;
            }
            pending.push(KnownTile {
                area,
                tokens: cut(&self.rows, (columns, words), first, area),
                before: None,
            });
        }
        let Some(last) = pending.last().map(|tile| tile.area) else {
            return Ok(());
        };
        for batch in pending.chunks(self.codec.batch_size(pending.len())) {
            for (frame, report) in self.codec.encode(&self.header, batch)? {
                write_frame(&mut self.writer, self.done, &frame)?;
                self.reports.push(report);
                self.done += 1;
            }
        }
        self.rows
            .drain(..(last.top + last.rows - first) * row_words);
        Ok(())
    }

    /// Ends the stream, and gives the writer back.
    ///
    /// # Errors
    /// If tokens are missing, or writing fails.
    pub fn finish(mut self) -> Result<(W, StreamReport), CodecError> {
        if self.done < self.header.tiles() {
            let grid = self.header.grid();
            let top = self.header.area(self.done).top;
            return Err(CodecError::Count {
                given: top * grid.columns + self.rows.len() / self.header.words(),
                expected: grid.tokens(),
            });
        }
        self.writer.flush()?;
        let frames = self.reports.iter().map(|report| FRAME_BYTES + report.bytes);
        let bytes = HEADER_BYTES + frames.sum::<usize>();
        let tiles = self.reports;
        Ok((self.writer, StreamReport { bytes, tiles }))
    }
}

/// The tokens of a tile, out of rows of `words` words a token that begin with row `first`.
fn cut(rows: &[u64], (columns, words): (usize, usize), first: usize, area: TileArea) -> Vec<u64> {
    let mut tokens = Vec::with_capacity(area.rows * area.columns * words);
    for row in area.top - first..area.top - first + area.rows {
        let start = (row * columns + area.left) * words;
        tokens.extend_from_slice(&rows[start..start + area.columns * words]);
    }
    tokens
}
