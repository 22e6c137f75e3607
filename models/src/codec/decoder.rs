//! A stream to tokens, band by band.

use super::bands::Bands;
use super::{Codec, CodecError, Damage, FrameReader, Header};
use std::io::Read;

/// Reads one picture's tokens from a stream; see the [module](super) for an example.
///
/// Nothing is trusted: sizes are checked before memory is taken, and a section is decoded only if
/// its checksum is right.
pub struct Decoder<'c, R> {
    codec: &'c mut Codec,
    bands: Bands<R>,
}

impl<'c, R: Read> Decoder<'c, R> {
    /// Reads the header and holds it against the models. With `recover`, damaged sections are
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
        let bands = Bands::new(codec, frames)?;
        Ok(Decoder { codec, bands })
    }

    pub fn header(&self) -> &Header {
        self.bands.header()
    }

    /// Sections that are decoded or given up.
    pub fn sections_done(&self) -> usize {
        self.bands.done()
    }

    /// The sections so far that were damaged, and are filled in.
    pub fn damage(&self) -> &[Damage] {
        self.bands.damage()
    }

    /// The tokens of the next rows of the grid, row by row: one or more bands of sections. `None`
    /// after the last, when the stream has ended as it should.
    ///
    /// # Errors
    /// If a section is damaged or missing, unless damage is filled in; if reading fails.
    pub fn next_rows(&mut self) -> Result<Option<Vec<u64>>, CodecError> {
        let sections = self.bands.read(self.codec.batch_limit())?;
        if sections.is_empty() {
            return Ok(None);
        }
        let header = self.bands.header();
        let tokens = self.codec.decode(header, &sections, &mut |_| {})?;
        let areas = sections.iter().map(|(area, _)| *area);
        self.bands.rows(areas.zip(tokens)).map(Some)
    }
}
