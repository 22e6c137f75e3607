//! Frames to the bytes of a stream.

use super::super::frame::{ClipCodec, FrameReport, FrameState};
use super::header::{CLIP_HEADER_BYTES, ClipHeader};
use super::steps::{step_byte, step_of_byte};
use crate::codec::{INDEX, SECTION_BYTES, write_section};
use crate::image_io::Picture;
use crate::photo::PhotoError;
use crate::transform_codec::stream::Target;
use crate::video_io::ClipFormat;
use std::io::Write;

/// How to encode a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipSettings {
    /// The quantizer's step of the first frame of each group and of every fourth behind it, or the
    /// quality that says it; those between are coarser.
    pub target: Target,
    /// Frames of a group at most: how far apart a player can begin, and what damage costs.
    pub group: u16,
}

impl Default for ClipSettings {
    fn default() -> ClipSettings {
        ClipSettings {
            target: Target::DEFAULT,
            group: 64,
        }
    }
}

/// What a clip came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClipReport {
    pub frames: usize,
    pub groups: usize,
    /// The quantizer's, in levels of a sample.
    pub step: f32,
    /// Bytes of the stream.
    pub bytes: usize,
    /// Of all frames.
    pub motion_bits: f64,
    pub level_bits: f64,
}

impl ClipReport {
    fn add(&mut self, frame: FrameReport) {
        self.frames += 1;
        self.motion_bits += frame.motion_bits;
        self.level_bits += frame.level_bits;
    }
}

/// Writes a clip, frame by frame; a group is written when it is complete.
pub struct ClipEncoder<'c, W: Write> {
    codec: &'c mut ClipCodec,
    writer: W,
    header: ClipHeader,
    settings: ClipSettings,
    state: FrameState,
    /// The last frame of the group before, until the next is written.
    last: Option<Picture>,
    /// Payloads of the group's frames, each behind its length.
    group: Vec<u8>,
    frames: u16,
    index: Vec<u8>,
    report: ClipReport,
}

impl<'c, W: Write> ClipEncoder<'c, W> {
    /// Writes the header.
    ///
    /// # Errors
    /// If the frames are larger than a stream can hold, the target is one that has to be searched,
    /// a group has no frames, or writing fails.
    pub fn new(
        codec: &'c mut ClipCodec,
        mut writer: W,
        format: &ClipFormat,
        settings: ClipSettings,
    ) -> Result<ClipEncoder<'c, W>, PhotoError> {
        let step = match settings.target {
            Target::Step(step) => step,
            Target::Quality(quality) => codec.step_of_quality(quality),
            Target::BitsPerPixel(_) | Target::Psnr(_) => return Err(PhotoError::NoSearch),
        };
        if settings.group == 0 {
            return Err(PhotoError::EmptyGroup);
        }
        let fingerprint = codec.fingerprint();
        codec.select(fingerprint);
        let header = ClipHeader::new(format.size, format.rate, step, fingerprint)?;
        writer.write_all(&header.to_bytes()).map_err(io)?;
        Ok(ClipEncoder {
            codec,
            writer,
            settings,
            state: FrameState::default(),
            last: None,
            group: Vec::new(),
            frames: 0,
            index: Vec::new(),
            report: ClipReport {
                step: header.frame.step(),
                bytes: CLIP_HEADER_BYTES,
                ..ClipReport::default()
            },
            header,
        })
    }

    /// Codes the next frame.
    ///
    /// # Errors
    /// If a program cannot be compiled or run, or writing fails.
    ///
    /// # Panics
    /// If the frame has another size.
    pub fn write(&mut self, frame: &Picture) -> Result<FrameReport, PhotoError> {
        assert_eq!(frame.size(), self.header.frame.size, "frames of one size");
        self.last = None;
        let byte = step_byte(usize::from(self.frames));
        let step = step_of_byte(byte, self.header.frame.step());
        let (payload, report) = self.codec.encode(frame, step, &mut self.state)?;
        let length = u32::try_from(1 + payload.len())
            .map_err(|_| io(std::io::ErrorKind::InvalidData.into()))?;
        self.group.extend(length.to_le_bytes());
        self.group.push(byte);
        self.group.extend(payload);
        self.frames += 1;
        self.report.add(report);
        if self.frames == self.settings.group {
            self.end_group()?;
        }
        Ok(report)
    }

    /// The frame that was written last, as a decoder has it.
    pub fn reconstruction(&self) -> Option<&Picture> {
        self.last.as_ref().or(self.state.before())
    }

    fn end_group(&mut self) -> Result<(), PhotoError> {
        if self.frames == 0 {
            return Ok(());
        }
        let number = self.report.groups as u32;
        write_section(&mut self.writer, number, self.frames, &self.group).map_err(io)?;
        let bytes = SECTION_BYTES + self.group.len();
        self.index.extend((bytes as u32).to_le_bytes());
        self.report.bytes += bytes;
        self.report.groups += 1;
        self.last = std::mem::take(&mut self.state).into_frame();
        self.group.clear();
        self.frames = 0;
        Ok(())
    }

    /// Writes the last group and the index.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(mut self) -> Result<(W, ClipReport), PhotoError> {
        self.end_group()?;
        write_section(&mut self.writer, INDEX, 0, &self.index).map_err(io)?;
        self.report.bytes += SECTION_BYTES + self.index.len();
        self.writer.flush().map_err(io)?;
        Ok((self.writer, self.report))
    }
}

fn io(error: std::io::Error) -> PhotoError {
    PhotoError::Codec(error.into())
}
