//! The bytes of a stream to frames.

use super::super::frame::{ClipCodec, FrameState};
use super::header::ClipHeader;
use super::steps::{step_of_byte, unsaid_step};
use crate::codec::{CodecError, DamagedGroup, Section, Sections};
use crate::image_io::Picture;
use crate::photo::{DecodeOptions, PhotoError};
use std::io::Read;

/// Reads a clip, frame by frame.
pub struct ClipDecoder<'c, R> {
    codec: &'c mut ClipCodec,
    header: ClipHeader,
    sections: Sections<R>,
    recover: bool,
    state: FrameState,
    /// What is left of the group's payload, and its frames.
    payload: std::vec::IntoIter<u8>,
    left: u16,
    /// The group that is being read.
    group: usize,
    /// Frames that are lost, and shown as the one before.
    lost: u16,
    last: Option<Picture>,
    count: usize,
    damage: Vec<DamagedGroup>,
}

impl<'c, R: Read> ClipDecoder<'c, R> {
    /// Reads the header.
    ///
    /// # Errors
    /// If this is no clip's stream of this model, or its frames have too many pixels.
    pub fn new(
        codec: &'c mut ClipCodec,
        mut reader: R,
        options: DecodeOptions,
    ) -> Result<ClipDecoder<'c, R>, PhotoError> {
        let header = ClipHeader::read(&mut reader)?;
        header.frame.check_pixels(options.max_pixels)?;
        if !codec.select(header.frame.codec) {
            let error = CodecError::OtherCodec {
                its: header.frame.codec,
                given: codec.fingerprint(),
                given_name: codec.name().to_string(),
            };
            return Err(error.into());
        }
        Ok(ClipDecoder {
            codec,
            header,
            sections: Sections::new(reader, options.recover),
            recover: options.recover,
            state: FrameState::default(),
            payload: Vec::new().into_iter(),
            left: 0,
            group: 0,
            lost: 0,
            last: None,
            count: 0,
            damage: Vec::new(),
        })
    }

    pub fn header(&self) -> &ClipHeader {
        &self.header
    }

    /// Groups that were damaged so far, and are filled in.
    pub fn damage(&self) -> &[DamagedGroup] {
        &self.damage
    }

    /// The next frame; `None` behind the last.
    ///
    /// # Errors
    /// If the stream is cut off or damaged and not to be recovered, or a program cannot be run.
    pub fn next_frame(&mut self) -> Result<Option<Picture>, PhotoError> {
        loop {
            if self.lost > 0 {
                self.lost -= 1;
                return Ok(Some(self.filled()));
            }
            if self.left > 0 {
                self.left -= 1;
                match self.decoded()? {
                    Some(frame) => {
                        self.count += 1;
                        self.last = Some(frame.clone());
                        return Ok(Some(frame));
                    }
                    None if self.recover => self.lose(self.left + 1),
                    None => {
                        return Err(CodecError::DamagedGroup {
                            group: self.group + 1,
                        }
                        .into());
                    }
                }
                continue;
            }
            // An encoder leaves nothing behind the last frame of a group.
            if self.payload.len() > 0 && !self.recover {
                return Err(CodecError::DamagedGroup {
                    group: self.group + 1,
                }
                .into());
            }
            let Some(Section {
                number,
                frames,
                payload,
            }) = self.sections.next_group()?
            else {
                return Ok(None);
            };
            self.group = number as usize;
            self.state = FrameState::default();
            match payload {
                Some(payload) => {
                    self.payload = payload.into_iter();
                    self.left = frames;
                }
                None => self.lose(frames),
            }
        }
    }

    /// The frame of the next payload.
    fn decoded(&mut self) -> Result<Option<Picture>, PhotoError> {
        let bytes = self.payload.as_slice();
        let Some((length, rest)) = bytes.split_first_chunk() else {
            return Ok(None);
        };
        let Some(payload) = rest.get(..u32::from_le_bytes(*length) as usize) else {
            return Ok(None);
        };
        let used = length.len() + payload.len();
        let ClipHeader {
            says_steps, frame, ..
        } = &self.header;
        let (step, coded) = match says_steps {
            false => (unsaid_step(self.state.index(), frame.step()), payload),
            true => {
                let Some((&byte, coded)) = payload.split_first() else {
                    return Ok(None);
                };
                (step_of_byte(byte, frame.step()), coded)
            }
        };
        let of = (frame.size, step);
        let frame = self.codec.decode(coded, of, &mut self.state)?;
        self.payload.nth(used - 1);
        Ok(frame)
    }

    fn lose(&mut self, frames: u16) {
        self.damage.push(DamagedGroup {
            group: self.group,
            frames: self.count..self.count + usize::from(frames),
        });
        self.payload = Vec::new().into_iter();
        (self.left, self.lost) = (0, frames);
    }

    /// A frame in place of a lost one: the last that there was, or grey.
    fn filled(&mut self) -> Picture {
        self.count += 1;
        let size = self.header.frame.size;
        let grey = || {
            Picture::new(
                size.width,
                size.height,
                vec![128; 3 * size.width * size.height],
            )
        };
        self.last.clone().unwrap_or_else(grey)
    }
}
