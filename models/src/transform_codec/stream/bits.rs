//! What the bits of a stream go to: groups of coordinates, and within them kinds of decisions.
//!
//! A range coder gives no decision bits of its own: what is counted is `-log2` of the probability, in the coder's counts,
//! of each decision's outcome. The sum over a strip is what its payload takes, but for what the coder's own rounding costs
//! (some bytes in ten thousand) and the few bytes with which it ends.

use super::frames::{STRIP_FRAME_BYTES, damage, read_strip};
use super::{LEVELS_HEADER_BYTES, LevelsCodec, LevelsHeader};
use crate::codec::{CodecError, read_up_to};
use crate::photo::PhotoError;
use crate::transform_codec::PartKind;
use crate::transform_codec::level_coder::{Event, Subject};
use std::io::Read;
use std::ops::Range;

/// What a stream's bits go to.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamBits {
    /// Groups of all parts, in the order of coding; those that no strip codes have no bits.
    pub groups: Vec<GroupBits>,
    /// Which groups are coded: a byte for each part and strip.
    pub group_counts: u64,
    /// Header, and lengths and checksums of strips.
    pub framing: u64,
    /// What payloads have beyond the decisions' bits: what range coders round, and their ends.
    pub coder: f64,
    /// All of it: the bits of the stream.
    pub all: u64,
}

/// A group of a part's coordinates, over all strips.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupBits {
    pub part: PartKind,
    /// Of the part, from 0.
    pub coordinates: Range<usize>,
    /// Levels that are coded, and those of them that are not zero.
    pub levels: usize,
    pub nonzero: usize,
    /// Whether levels are the most probable one, on which side of it, and how far from it.
    pub nearest: f64,
    pub side: f64,
    pub distance: f64,
}

impl GroupBits {
    /// Bits of all decisions.
    pub fn bits(&self) -> f64 {
        self.nearest + self.side + self.distance
    }
}

impl LevelsCodec {
    /// What the bits of a stream go to, of which the header has been read. It takes as long as finding the levels: all of
    /// decoding but the pixels. `progress` hears how many strips are done.
    ///
    /// # Errors
    /// If it is no whole stream of this codec, a program cannot be compiled, or reading fails.
    pub fn bits_of<R: Read>(
        &mut self,
        header: &LevelsHeader,
        mut reader: R,
        progress: &mut dyn FnMut(usize),
    ) -> Result<StreamBits, PhotoError> {
        self.check(header)?;
        let (strips, parts) = (self.strips(header.size), self.codec.parts());
        let mut found = StreamBits {
            groups: Vec::new(),
            group_counts: 8 * (strips.count() * parts.len()) as u64,
            framing: 8 * (LEVELS_HEADER_BYTES + strips.count() * STRIP_FRAME_BYTES) as u64,
            coder: 0.0,
            all: 8 * LEVELS_HEADER_BYTES as u64,
        };
        // Where each part's groups begin.
        let mut first = Vec::new();
        for part in &parts {
            first.push(found.groups.len());
            let groups = part.context.groups().into_iter();
            found.groups.extend(groups.map(|coordinates| GroupBits {
                part: part.kind,
                coordinates,
                levels: 0,
                nonzero: 0,
                nearest: 0.0,
                side: 0.0,
                distance: 0.0,
            }));
        }
        for strip in 0..strips.count() {
            let damaged = || CodecError::DamagedTile(damage(&strips, strip));
            let payload = read_strip(&mut reader, &strips, strip)?.ok_or_else(damaged)?;
            found.all += 8 * (STRIP_FRAME_BYTES + payload.len()) as u64;
            let (mut at, mut subject) = (0, Subject::Nearest);
            let groups = &mut found.groups;
            let mut account = |event| match event {
                Event::About(Subject::Group { part, group }) => at = first[part] + group,
                Event::About(own) => subject = own,
                Event::Bits(bits) => match subject {
                    Subject::Group { .. } => unreachable!("a decision is about a level"),
                    Subject::Nearest => groups[at].nearest += bits,
                    Subject::Side => groups[at].side += bits,
                    Subject::Distance => groups[at].distance += bits,
                },
            };
            let levels = self.strip(
                (&strips, strip),
                &payload,
                header.step(),
                Some(&mut account),
            )?;
            let levels = levels.ok_or_else(damaged)?;
            let all = levels.iter().zip(&payload);
            for (part, (levels, &coded)) in all.enumerate() {
                let own = &mut found.groups[first[part]..][..usize::from(coded)];
                for patch in levels.levels.chunks_exact(levels.coordinates) {
                    for group in own.iter_mut() {
                        let levels = &patch[group.coordinates.clone()];
                        group.levels += levels.len();
                        group.nonzero += levels.iter().filter(|&&level| level != 0).count();
                    }
                }
            }
            progress(strip + 1);
        }
        let mut byte = [0];
        if read_up_to(&mut reader, &mut byte).map_err(CodecError::from)? > 0 {
            return Err(CodecError::Trailing.into());
        }
        let decisions: f64 = found.groups.iter().map(GroupBits::bits).sum();
        let told = found.framing + found.group_counts;
        found.coder = (found.all - told) as f64 - decisions;
        Ok(found)
    }
}
