//! A stream to tokens, one row of tiles after the other.

use super::tile_rows::TileRows;
use super::{Codec, CodecError, Damage, FrameReader, Header};
use std::io::Read;

/// Reads one picture's tokens from a stream; see the [module](super) for an example.
///
/// Nothing is trusted: sizes are checked before memory is taken, and a tile is decoded only if
/// its checksum is right.
pub struct Decoder<'c, R> {
    codec: &'c mut Codec,
    tile_rows: TileRows<R>,
}

impl<'c, R: Read> Decoder<'c, R> {
    /// Reads the header and holds it against the models. With `recover`, damaged tiles are
    /// filled in instead of being errors, and [`damage`](Decoder::damage) says which.
    ///
    /// # Errors
    /// If this is no stream of these models that this program can read.
    pub fn new(
        codec: &'c mut Codec,
        reader: R,
        recover: bool,
    ) -> Result<Decoder<'c, R>, CodecError> {
        Decoder::of_frames(codec, FrameReader::new(reader, recover)?)
    }

    /// The same for a stream whose header has been read.
    ///
    /// # Errors
    /// If it is no stream of these models.
    pub fn of_frames(
        codec: &'c mut Codec,
        frames: FrameReader<R>,
    ) -> Result<Decoder<'c, R>, CodecError> {
        let tile_rows = TileRows::new(codec, frames)?;
        Ok(Decoder { codec, tile_rows })
    }

    pub fn header(&self) -> &Header {
        self.tile_rows.header()
    }

    /// Tiles that are decoded or given up.
    pub fn tiles_done(&self) -> usize {
        self.tile_rows.done()
    }

    /// The tiles so far that were damaged, and are filled in.
    pub fn damage(&self) -> &[Damage] {
        self.tile_rows.damage()
    }

    /// The tokens of the next rows of the grid, row by row: indices, or words of [long](crate::tokenizer::bits) tokens, of
    /// one or more rows of tiles. `None`
    /// after the last, when the stream has ended as it should.
    ///
    /// # Errors
    /// If a tile is damaged or missing, unless damage is filled in; if reading fails.
    pub fn next_rows(&mut self) -> Result<Option<Vec<u64>>, CodecError> {
        let tiles = self.tile_rows.read(self.codec.batch_limit())?;
        if tiles.is_empty() {
            return Ok(None);
        }
        let header = self.tile_rows.header();
        let tokens = self.codec.decode(header, &tiles, None, &mut |_| {})?;
        let areas = tiles.iter().map(|(area, _)| *area);
        self.tile_rows.rows(areas.zip(tokens)).map(Some)
    }
}
