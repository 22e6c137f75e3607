//! A stream as rows of the grid: which sections come next, and where their tokens go.

use super::models::Tokens;
use super::{Codec, CodecError, Damage, Frame, FrameReader, Header, SectionArea};
use std::io::Read;

/// A section as it was read; without a frame if it is damaged, and damage is skipped.
pub(super) type ReadSection = (SectionArea, Option<Frame>);

/// What of a stream is read and decoded.
pub(super) struct Bands<R> {
    frames: FrameReader<R>,
    /// Sections that are decoded or given up.
    done: usize,
    /// The last row of the grid that is decoded, for filling damaged sections below it.
    last_row: Vec<u64>,
    damage: Vec<Damage>,
}

impl<R: Read> Bands<R> {
    /// A stream whose header has been read.
    ///
    /// # Errors
    /// If it is no stream of the codec's models.
    pub fn new(codec: &Codec, frames: FrameReader<R>) -> Result<Bands<R>, CodecError> {
        codec.check(frames.header())?;
        Ok(Bands {
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

    /// The sections of the next bands: as many bands as have at most `limit` sections, but at
    /// least one; none after the last, when the stream has ended as it should.
    ///
    /// # Errors
    /// If a section is damaged or missing, unless damage is skipped; if reading fails.
    pub fn read(&mut self, limit: usize) -> Result<Vec<ReadSection>, CodecError> {
        let header = self.frames.header().clone();
        if self.done == header.sections() {
            self.frames.next_frame()?;
            return Ok(Vec::new());
        }
        let across = header.section_grid().columns;
        let bands = (limit / across).max(1);
        let end = header.sections().min(self.done + bands * across);
        let mut sections = Vec::new();
        for section in self.done..end {
            // Sections are counted, so none is missing before the end.
            let frame = self.frames.next_frame()?.flatten();
            sections.push((header.area(section), frame));
        }
        Ok(sections)
    }

    /// All sections of a stream of which nothing has been read.
    ///
    /// # Errors
    /// As those of [`read`](Bands::read); if something follows the last section.
    pub fn read_all(&mut self) -> Result<Vec<ReadSection>, CodecError> {
        let sections = self.read(usize::MAX)?;
        self.frames.next_frame()?;
        Ok(sections)
    }

    /// The rows of the grid that `sections` make up, the next bands of the stream, with the tokens
    /// of each.
    ///
    /// # Errors
    /// If a section has no tokens, unless damage is skipped.
    pub fn rows(
        &mut self,
        sections: impl ExactSizeIterator<Item = (SectionArea, Option<Tokens>)>,
    ) -> Result<Vec<u64>, CodecError> {
        let header = self.frames.header().clone();
        let columns = header.grid().columns;
        let end = self.done + sections.len();
        let (first, last) = (header.area(self.done).top, header.area(end - 1));
        let mut rows = vec![0; (last.top + last.rows - first) * columns];
        let mut lost = Vec::new();
        for (section, (area, tokens)) in (self.done..end).zip(sections) {
            match tokens {
                Some(tokens) => place(&tokens, area, columns, first, &mut rows),
                None if self.frames.recovers() => {
                    self.damage.push(self.frames.damage(section));
                    lost.push(area);
                }
                None => return Err(CodecError::DamagedSection(self.frames.damage(section))),
            }
        }
        fill(&lost, columns, first, &self.last_row, &mut rows);
        self.last_row = rows[rows.len() - columns..].to_vec();
        self.done = end;
        Ok(rows)
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
/// there is none, to its right; where the whole row is lost, the one above the band. `above` is
/// the row above row `first`.
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
                rows[row * columns + column] = match (source, area.top - first) {
                    (Some(source), _) => rows[row * columns + source],
                    (None, 0) => above.get(column).copied().unwrap_or(0),
                    // Lost sections come in order: what is above is filled.
                    (None, top) => rows[(top - 1) * columns + column],
                };
            }
        }
    }
}
