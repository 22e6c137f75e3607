//! A stream as rows of the grid: which tiles come next, and where their tokens go.

use super::frames::ReadTile;
use super::{Codec, CodecError, Damage, FrameReader, Header, TileArea};
use std::io::Read;

/// What of a stream is read and decoded.
pub(super) struct TileRows<R> {
    frames: FrameReader<R>,
    /// Tiles that are decoded or given up.
    done: usize,
    /// The last row of the grid that is decoded, indices or words, for filling damaged tiles below it.
    last_row: Vec<u64>,
    damage: Vec<Damage>,
}

impl<R: Read> TileRows<R> {
    /// A stream whose header has been read.
    ///
    /// # Errors
    /// If it is no stream of the codec's models.
    pub fn new(codec: &Codec, frames: FrameReader<R>) -> Result<TileRows<R>, CodecError> {
        codec.check(frames.header())?;
        Ok(TileRows {
            frames,
            done: 0,
            last_row: Vec::new(),
            damage: Vec::new(),
        })
    }

    pub fn header(&self) -> &Header {
        self.frames.header()
    }

    pub fn done(&self) -> usize {
        self.done
    }

    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// The tiles of the next rows of tiles: as many as have at most `limit` tiles, but at
    /// least one; none after the last, when the stream has ended as it should.
    ///
    /// # Errors
    /// If a tile is damaged or missing, unless damage is skipped; if reading fails.
    pub fn read(&mut self, limit: usize) -> Result<Vec<ReadTile>, CodecError> {
        let header = self.frames.header().clone();
        if self.done == header.tiles() {
            self.frames.next_frame()?;
            return Ok(Vec::new());
        }
        let across = header.tile_grid().columns;
        let rows_of_tiles = (limit / across).max(1);
        let end = header.tiles().min(self.done + rows_of_tiles * across);
        let mut tiles = Vec::new();
        for tile in self.done..end {
            // Tiles are counted, so none is missing before the end.
            let frame = self.frames.next_frame()?.flatten();
            tiles.push((header.area(tile), frame));
        }
        Ok(tiles)
    }

    /// All tiles of a stream of which nothing has been read.
    ///
    /// # Errors
    /// As those of [`read`](TileRows::read); if something follows the last tile.
    pub fn read_all(&mut self) -> Result<Vec<ReadTile>, CodecError> {
        let tiles = self.read(usize::MAX)?;
        self.frames.next_frame()?;
        Ok(tiles)
    }

    /// The rows of the grid that `tiles` make up, the next ones of the stream, with the tokens
    /// of each.
    ///
    /// # Errors
    /// If a tile has no tokens, unless damage is skipped.
    pub fn rows(
        &mut self,
        tiles: impl ExactSizeIterator<Item = (TileArea, Option<Vec<u64>>)>,
    ) -> Result<Vec<u64>, CodecError> {
        let header = self.frames.header().clone();
        let (columns, words) = (header.grid().columns, header.words());
        let end = self.done + tiles.len();
        let (first, last) = (header.area(self.done).top, header.area(end - 1));
        let mut rows = vec![0; (last.top + last.rows - first) * columns * words];
        let mut lost = Vec::new();
        for (tile, (area, tokens)) in (self.done..end).zip(tiles) {
            match tokens {
                Some(tokens) => {
                    let top = area.top - first;
                    TileArea { top, ..area }.place(&tokens, (columns, words), &mut rows);
                }
                None if self.frames.recovers() => {
                    self.damage.push(self.frames.damage(tile));
                    lost.push(area);
                }
                None => return Err(CodecError::DamagedTile(self.frames.damage(tile))),
            }
        }
        fill(&lost, (columns, words), first, &self.last_row, &mut rows);
        self.last_row = rows[rows.len() - columns * words..].to_vec();
        self.done = end;
        Ok(rows)
    }
}

/// Fills lost tiles: each token becomes the nearest good one to its left in its row; where
/// there is none, to its right; where the whole row is lost, the one above the row of tiles. `above` is
/// the row above row `first`. Rows are `columns` tokens of `words` words.
fn fill(
    lost: &[TileArea],
    (columns, words): (usize, usize),
    first: usize,
    above: &[u64],
    rows: &mut [u64],
) {
    for area in lost {
        for row in area.top - first..area.top - first + area.rows {
            let is_lost = |column: usize| {
                lost.iter().any(|other| {
                    let inside = other.top - first..other.top - first + other.rows;
                    let across = other.left..other.left + other.columns;
                    inside.contains(&row) && across.contains(&column)
                })
            };
            let left = (0..area.left).rev().find(|&column| !is_lost(column));
            let source = left.or_else(|| (area.left..columns).find(|&column| !is_lost(column)));
            for column in area.left..area.left + area.columns {
                for word in 0..words {
                    let place = |row: usize, column: usize| (row * columns + column) * words + word;
                    rows[place(row, column)] = match (source, area.top - first) {
                        (Some(source), _) => rows[place(row, source)],
                        (None, 0) => above.get(place(0, column)).copied().unwrap_or(0),
                        // Lost tiles come in order: what is above is filled.
                        (None, top) => rows[place(top - 1, column)],
                    };
                }
            }
        }
    }
}
