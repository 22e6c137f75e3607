//! Tokens to a stream, row by row.

use super::frames::write_frame;
use super::header::HEADER_BYTES;
use super::{Codec, CodecError, FRAME_BYTES, Header, SectionArea, SectionReport};
use std::io::Write;

/// Writes one picture's tokens as a stream; see the [module](super) for an example.
///
/// Tokens are taken row by row of the grid. Sections are coded when a batch of them is complete,
/// so a picture never has to be in memory as a whole.
pub struct Encoder<'c, W> {
    codec: &'c mut Codec,
    writer: W,
    header: Header,
    /// Rows that are not yet coded.
    rows: Vec<u64>,
    /// Sections that are written.
    done: usize,
    reports: Vec<SectionReport>,
}

/// What a stream came to.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamReport {
    /// Bytes of the stream.
    pub bytes: usize,
    pub sections: Vec<SectionReport>,
}

impl StreamReport {
    /// What the prior's own probabilities ask for, over all sections.
    pub fn cross_entropy_bits(&self) -> f64 {
        self.sections
            .iter()
            .map(|section| section.cross_entropy_bits)
            .sum()
    }
}

impl<'c, W: Write> Encoder<'c, W> {
    /// Writes the header of a picture of `width` x `height` pixels, of which the first `kept`
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
        kept: Option<usize>,
    ) -> Result<Encoder<'c, W>, CodecError> {
        let header = codec.header(width, height, kept)?;
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

    /// Sections that are written.
    pub fn sections_done(&self) -> usize {
        self.done
    }

    /// Takes more tokens, row by row of the grid; a row may come in parts.
    ///
    /// # Errors
    /// If they are more than the picture has, or coding or writing fails.
    pub fn write(&mut self, tokens: &[u64]) -> Result<(), CodecError> {
        self.rows.extend_from_slice(tokens);
        let (grid, across) = (self.header.grid(), self.header.section_grid().columns);
        let columns = grid.columns;
        let begun = self.done / across * usize::from(self.header.side);
        let given = begun * columns + self.rows.len();
        if given > grid.tokens() {
            let expected = grid.tokens();
            return Err(CodecError::Count { given, expected });
        }
        // Whole bands of sections, as many as are best coded together.
        let bands = (self.codec.batch_limit() / across).max(1);
        let full = bands * usize::from(self.header.side) * columns;
        if self.rows.len() >= full || given == grid.tokens() {
            self.code()?;
        }
        Ok(())
    }

    /// Codes and writes every section that is complete.
    fn code(&mut self) -> Result<(), CodecError> {
        let columns = self.header.grid().columns;
        let first = self
            .header
            .area(self.done.min(self.header.sections() - 1))
            .top;
        let available = self.rows.len() / columns;
        let mut pending = Vec::new();
        for section in self.done..self.header.sections() {
            let area = self.header.area(section);
            if area.top + area.rows > first + available {
                break;
            }
            pending.push((area, cut(&self.rows, columns, first, area)));
        }
        let Some(&(last, _)) = pending.last() else {
            return Ok(());
        };
        for batch in pending.chunks(self.codec.batch_size(pending.len())) {
            for (frame, report) in self.codec.encode(&self.header, batch)? {
                write_frame(&mut self.writer, self.done, &frame)?;
                self.reports.push(report);
                self.done += 1;
            }
        }
        self.rows.drain(..(last.top + last.rows - first) * columns);
        Ok(())
    }

    /// Ends the stream, and gives the writer back.
    ///
    /// # Errors
    /// If tokens are missing, or writing fails.
    pub fn finish(mut self) -> Result<(W, StreamReport), CodecError> {
        if self.done < self.header.sections() {
            let grid = self.header.grid();
            let top = self.header.area(self.done).top;
            return Err(CodecError::Count {
                given: top * grid.columns + self.rows.len(),
                expected: grid.tokens(),
            });
        }
        self.writer.flush()?;
        let frames = self.reports.iter().map(|report| FRAME_BYTES + report.bytes);
        let bytes = HEADER_BYTES + frames.sum::<usize>();
        let sections = self.reports;
        Ok((self.writer, StreamReport { bytes, sections }))
    }
}

/// The tokens of a section, out of rows that begin with row `first`.
fn cut(rows: &[u64], columns: usize, first: usize, area: SectionArea) -> Vec<u64> {
    let mut tokens = Vec::with_capacity(area.rows * area.columns);
    for row in area.top - first..area.top - first + area.rows {
        let start = row * columns + area.left;
        tokens.extend_from_slice(&rows[start..start + area.columns]);
    }
    tokens
}
