//! A stream to tokens, band by band.

use super::frames::FrameReader;
use super::{Codec, CodecError, Damage, Frame, Header, SectionArea};
use std::io::Read;

/// Reads one picture's tokens from a stream; see the [module](super) for an example.
///
/// Nothing is trusted: sizes are checked before memory is taken, and a section is decoded only if
/// its checksum is right.
pub struct Decoder<'c, R> {
    codec: &'c mut Codec,
    frames: FrameReader<R>,
    recover: bool,
    /// Sections that are decoded or given up.
    done: usize,
    /// The last row of the grid that is decoded, for filling damaged sections below it.
    last_row: Vec<u64>,
    damage: Vec<Damage>,
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
        codec.check(frames.header())?;
        Ok(Decoder {
            codec,
            recover: frames.recovers(),
            frames,
            done: 0,
            last_row: Vec::new(),
            damage: Vec::new(),
        })
    }

    pub fn header(&self) -> &Header {
        self.frames.header()
    }

    /// Sections that are decoded or given up.
    pub fn sections_done(&self) -> usize {
        self.done
    }

    /// The sections so far that were damaged, and are filled in.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// The tokens of the next rows of the grid, row by row: one or more bands of sections. `None`
    /// after the last, when the stream has ended as it should.
    ///
    /// # Errors
    /// If a section is damaged or missing, unless damage is filled in; if reading fails.
    pub fn next_rows(&mut self) -> Result<Option<Vec<u64>>, CodecError> {
        let header = self.frames.header().clone();
        let ((columns, _), (across, _)) = (header.grid(), header.section_grid());
        if self.done == header.sections() {
            self.frames.next_frame()?;
            return Ok(None);
        }
        let bands = (self.codec.batch_limit() / across).max(1);
        let sections = self.done..header.sections().min(self.done + bands * across);
        let mut frames = Vec::new();
        for section in sections.clone() {
            // Sections are counted, so none is missing before the end.
            let frame = self.frames.next_frame()?.flatten();
            frames.push((header.area(section), frame));
        }
        let first = header.area(sections.start).top;
        let last = header.area(sections.end - 1);
        let mut rows = vec![0; (last.top + last.rows - first) * columns];
        let mut lost = Vec::new();
        for (section, tokens) in sections.clone().zip(self.decode(&header, &frames)?) {
            let area = header.area(section);
            match tokens {
                Some(tokens) => place(&tokens, area, columns, first, &mut rows),
                None if self.recover => {
                    self.damage.push(self.frames.damage(section));
                    lost.push(area);
                }
                None => return Err(CodecError::DamagedSection(self.frames.damage(section))),
            }
        }
        fill(&lost, columns, first, &self.last_row, &mut rows);
        self.last_row = rows[rows.len() - columns..].to_vec();
        self.done = sections.end;
        Ok(Some(rows))
    }

    /// The sections' tokens, in batches; `None` for a damaged one.
    fn decode(
        &mut self,
        header: &Header,
        frames: &[(SectionArea, Option<Frame>)],
    ) -> Result<Vec<Option<Vec<u64>>>, CodecError> {
        let good: Vec<(SectionArea, &Frame)> = frames
            .iter()
            .filter_map(|(area, frame)| Some((*area, frame.as_ref()?)))
            .collect();
        let mut decoded = Vec::new();
        if !good.is_empty() {
            let limit = self.codec.batch_limit();
            let size = good.len().div_ceil(good.len().div_ceil(limit));
            for batch in good.chunks(size) {
                decoded.extend(self.codec.decode(header, batch)?);
            }
        }
        let mut decoded = decoded.into_iter();
        let in_order = frames.iter().map(|(_, frame)| {
            let tokens = frame.is_some().then(|| decoded.next());
            tokens.flatten().flatten()
        });
        Ok(in_order.collect())
    }
}

/// Writes a section's tokens into rows that begin with row `first`.
fn place(tokens: &[u64], area: SectionArea, columns: usize, first: usize, rows: &mut [u64]) {
    for (row, tokens) in tokens.chunks_exact(area.columns).enumerate() {
        let start = (area.top - first + row) * columns + area.left;
        rows[start..start + area.columns].copy_from_slice(tokens);
    }
}

/// Fills lost sections: each token becomes the nearest good one to its left in its row; where
/// there is none, to its right; where the whole row is lost, the one above the band.
fn fill(lost: &[SectionArea], columns: usize, first: usize, above: &[u64], rows: &mut [u64]) {
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
                rows[row * columns + column] = match source {
                    Some(source) => rows[row * columns + source],
                    None => above.get(column).copied().unwrap_or(0),
                };
            }
        }
    }
}
