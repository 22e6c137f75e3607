//! The header of a stream, byte by byte; `docs/format.md` has the table.

use super::{CodecError, crc32c};
use crate::image_io::ImageSize;
use crate::token_grid::{GridShape, TokenGrid};
use crate::tokenizer::bits::{MAX_TOKEN_BITS, words_of};
use std::io::{self, Read};

/// What every stream begins with: not text, and broken by whatever mangles line ends.
pub const MAGIC: [u8; 8] = *b"\x89BSQ\r\n\x1a\n";
/// The layout of header and tiles.
pub const FORMAT_VERSION: u16 = 1;
/// The same of tokens that have more bits than an index: their number of bits, and of sub-tokens, takes more than a byte.
pub const LONG_FORMAT_VERSION: u16 = 7;
/// The arithmetic between weights and symbols: order of summation, exp, counts, coder. It changes
/// whenever equal models would give other probabilities.
pub const NUMERICS_VERSION: u16 = 1;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 52;
/// Bytes of a header between versions and checksum.
pub(super) const FIELDS_BYTES: usize = HEADER_BYTES - 16;
/// Pixels a side.
const MAX_SIDE: usize = 65_535;
/// Pixels in all that a reader expects, unless it is told otherwise: those of [`LoadLimits`].
///
/// [`LoadLimits`]: crate::image_io::LoadLimits
pub(crate) const MAX_PIXELS: u64 = 1 << 27;
/// Rows and columns of a tile without a prior.
pub const RAW_SIDE: u8 = 32;
/// The same of tokens that have more bits than an index.
pub const LONG_RAW_SIDE: u8 = 16;
/// Bytes of a tile's payload at most.
pub const MAX_PAYLOAD: usize = 0x7FFF;

/// How tokens are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// All bits as they are.
    Raw,
    /// Range coding with the probabilities of a prior.
    Prior {
        /// The prior's fingerprint.
        fingerprint: u64,
        /// Bits of a sub-token.
        sub_token_bits: u8,
        /// Sub-tokens of each token that are in the stream; a decoder makes up the others.
        coded_sub_tokens: u16,
    },
}

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub coding: Coding,
    /// Bits of a token.
    pub bits: u16,
    /// Columns and rows of the picture, which is the upper left part of the grid of tokens.
    pub width: u32,
    pub height: u32,
    /// Pixels along a side of a token's patch.
    pub patch: u16,
    /// The tokenizer's windows, in tokens; both sides fit 16 bits.
    pub window: GridShape,
    /// Columns and rows of a tile, in tokens, but for those at the right and the lower edge.
    pub side: u8,
    /// The tokenizer's fingerprint.
    pub tokenizer: u64,
}

/// A tile's place in the grid of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileArea {
    pub left: usize,
    pub top: usize,
    pub columns: usize,
    pub rows: usize,
}

impl TileArea {
    /// The tokens of a frame in it, row by row.
    pub(super) fn of(&self, frame: &TokenGrid) -> Vec<u64> {
        frame
            .cut(self.top, self.left, self.rows, self.columns)
            .indices
    }

    /// Writes tokens of `words` words of it, row by row, into rows of `columns` tokens, of which the first is that of a
    /// frame.
    pub(super) fn place(&self, tokens: &[u64], (columns, words): (usize, usize), rows: &mut [u64]) {
        let length = self.columns * words;
        for (row, tokens) in tokens.chunks_exact(length).enumerate() {
            let start = ((self.top + row) * columns + self.left) * words;
            rows[start..start + length].copy_from_slice(tokens);
        }
    }
}

/// Whether the first bytes of a file are those of a stream of tokens.
pub fn is_tokens(start: &[u8]) -> bool {
    let version = start.get(MAGIC.len()..MAGIC.len() + 2);
    let versions = [FORMAT_VERSION, LONG_FORMAT_VERSION].map(u16::to_le_bytes);
    start.starts_with(&MAGIC) && version.is_some_and(|own| versions.iter().any(|v| v == own))
}

impl Header {
    /// The size of the picture.
    pub fn size(&self) -> ImageSize {
        ImageSize {
            height: self.height as usize,
            width: self.width as usize,
        }
    }

    /// The grid of tokens: whole windows.
    pub fn grid(&self) -> GridShape {
        let along = |pixels: u32, window: usize| {
            let each = usize::from(self.patch) * window;
            (pixels as usize).div_ceil(each) * window
        };
        GridShape::still(
            along(self.height, self.window.rows),
            along(self.width, self.window.columns),
        )
    }

    /// The grid of tiles.
    pub fn tile_grid(&self) -> GridShape {
        let (GridShape { rows, columns, .. }, side) = (self.grid(), usize::from(self.side));
        GridShape::still(rows.div_ceil(side), columns.div_ceil(side))
    }

    /// Tiles of the stream; they are in it row by row.
    pub fn tiles(&self) -> usize {
        self.tile_grid().tokens()
    }

    /// Where a tile lies.
    pub fn area(&self, tile: usize) -> TileArea {
        let (GridShape { rows, columns, .. }, side) = (self.grid(), usize::from(self.side));
        let across = columns.div_ceil(side);
        let (left, top) = (tile % across * side, tile / across * side);
        TileArea {
            left,
            top,
            columns: side.min(columns - left),
            rows: side.min(rows - top),
        }
    }

    /// [Words](crate::tokenizer::bits) of a token.
    pub fn words(&self) -> usize {
        words_of(usize::from(self.bits))
    }

    /// Whether tokens have more bits than an index.
    pub(super) fn has_long_tokens(&self) -> bool {
        self.words() > 1
    }

    /// Bits of a token that are in the stream.
    pub fn coded_bits(&self) -> usize {
        match self.coding {
            Coding::Raw => usize::from(self.bits),
            Coding::Prior {
                sub_token_bits,
                coded_sub_tokens,
                ..
            } => usize::from(sub_token_bits) * usize::from(coded_sub_tokens),
        }
    }

    /// The bytes of the header.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend(MAGIC);
        let version = match self.has_long_tokens() {
            true => LONG_FORMAT_VERSION,
            false => FORMAT_VERSION,
        };
        bytes.extend(version.to_le_bytes());
        bytes.extend(NUMERICS_VERSION.to_le_bytes());
        bytes.extend(self.fields());
        bytes.extend(crc32c(&bytes).to_le_bytes());
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    /// What stands between versions and checksum.
    pub(super) fn fields(&self) -> [u8; FIELDS_BYTES] {
        let (kind, prior, sub_token_bits, coded_sub_tokens) = match self.coding {
            Coding::Raw if self.has_long_tokens() => (0, 0, 0, 1),
            Coding::Raw => (0, 0, self.bits as u8, 1),
            Coding::Prior {
                fingerprint,
                sub_token_bits,
                coded_sub_tokens,
            } => (1, fingerprint, sub_token_bits, coded_sub_tokens),
        };
        let mut bytes = Vec::with_capacity(FIELDS_BYTES);
        let [bits, more_bits] = self.bits.to_le_bytes();
        let [coded, more_coded] = coded_sub_tokens.to_le_bytes();
        bytes.extend([kind, bits, sub_token_bits, coded]);
        bytes.extend(self.width.to_le_bytes());
        bytes.extend(self.height.to_le_bytes());
        bytes.extend(self.patch.to_le_bytes());
        bytes.extend((self.window.columns as u16).to_le_bytes());
        bytes.extend((self.window.rows as u16).to_le_bytes());
        bytes.extend([self.side, more_bits | more_coded << 4]);
        bytes.extend(self.tokenizer.to_le_bytes());
        bytes.extend(prior.to_le_bytes());
        let mut fields = [0; FIELDS_BYTES];
        fields.copy_from_slice(&bytes);
        fields
    }

    /// Reads a header and checks all of it.
    ///
    /// # Errors
    /// If these are not the first bytes of a stream that this program can read.
    pub fn read(reader: &mut impl Read) -> Result<Header, CodecError> {
        let bytes: [u8; HEADER_BYTES] =
            checked_header(reader, &[FORMAT_VERSION, LONG_FORMAT_VERSION])?;
        let versions = [8, 10].map(|at| u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let is_long = versions[0] == LONG_FORMAT_VERSION;
        let header = Header::of_fields(&bytes[12..12 + FIELDS_BYTES], is_long)?;
        header.check_numerics(versions[1])?;
        Ok(header)
    }

    /// Reads [`fields`](Header::fields), of long tokens or of others, and checks them.
    pub(super) fn of_fields(bytes: &[u8], is_long: bool) -> Result<Header, CodecError> {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let coding = match bytes[0] {
            0 => Coding::Raw,
            _ => Coding::Prior {
                fingerprint: long(28),
                sub_token_bits: bytes[2],
                coded_sub_tokens: u16::from_le_bytes([bytes[3], bytes[19] >> 4]),
            },
        };
        let header = Header {
            coding,
            bits: u16::from_le_bytes([bytes[1], bytes[19] & 0xF]),
            width: word(4),
            height: word(8),
            patch: half(12),
            window: GridShape::still(usize::from(half(16)), usize::from(half(14))),
            side: bytes[18],
            tokenizer: long(20),
        };
        if bytes[0] > 1 || (!is_long && bytes[19] != 0) {
            return Err(CodecError::Header("an unknown kind of coding".to_string()));
        }
        header.check()?;
        if header.has_long_tokens() != is_long {
            let what = format!("tokens of {} bits in a format of others", header.bits);
            return Err(CodecError::Header(what));
        }
        Ok(header)
    }

    /// Whether this program has the arithmetic of a version.
    pub(super) fn check_numerics(&self, found: u16) -> Result<(), CodecError> {
        match self.coding {
            // Without a prior no arithmetic is involved.
            Coding::Prior { .. } if found > NUMERICS_VERSION => Err(CodecError::Newer {
                what: "numerics",
                found,
                known: NUMERICS_VERSION,
            }),
            _ => Ok(()),
        }
    }

    /// Whether the picture is no larger than a reader is ready for.
    ///
    /// # Errors
    /// If it has more than `max_pixels` pixels.
    pub fn check_pixels(&self, max_pixels: u64) -> Result<(), CodecError> {
        let (width, height) = (self.width, self.height);
        match u64::from(width) * u64::from(height) > max_pixels {
            true => Err(CodecError::TooManyPixels {
                width,
                height,
                max_pixels,
            }),
            false => Ok(()),
        }
    }

    /// Whether the numbers can be those of a stream.
    pub fn check(&self) -> Result<(), CodecError> {
        let (width, height) = (self.width as usize, self.height as usize);
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(CodecError::TooLarge { width, height });
        }
        let wrong = |what: String| Err(CodecError::Header(what));
        if width == 0 || height == 0 {
            return wrong(format!("{width}x{height} pixels"));
        }
        let GridShape { rows, columns, .. } = self.window;
        let window = [columns, rows].map(|count| count * usize::from(self.patch));
        if window.iter().any(|&pixels| pixels == 0 || pixels > 1 << 14) {
            return wrong(format!("windows of {}x{} pixels", window[0], window[1]));
        }
        let side_fits = match self.coding {
            Coding::Raw => self.side == raw_side(usize::from(self.bits)),
            Coding::Prior { .. } => (1..=64).contains(&self.side),
        };
        let bits_fit = (1..=MAX_TOKEN_BITS).contains(&usize::from(self.bits));
        let tile = usize::from(self.side).pow(2) * usize::from(self.bits);
        if !bits_fit || !side_fits || tile.div_ceil(8) > MAX_PAYLOAD {
            let (bits, side) = (self.bits, self.side);
            return wrong(format!("tokens of {bits} bits in tiles of {side}"));
        }
        if let Coding::Prior {
            sub_token_bits,
            coded_sub_tokens,
            ..
        } = self.coding
        {
            let each = u16::from(sub_token_bits);
            let divides = each > 0 && self.bits.is_multiple_of(each);
            if !divides || coded_sub_tokens == 0 || coded_sub_tokens > self.bits / each {
                return wrong(format!(
                    "{coded_sub_tokens} sub-tokens of {sub_token_bits} bits"
                ));
            }
        }
        Ok(())
    }
}

/// Rows and columns of a tile without a prior, of tokens of so many bits.
pub(super) fn raw_side(bits: usize) -> u8 {
    match words_of(bits) {
        1 => RAW_SIDE,
        _ => LONG_RAW_SIDE,
    }
}

/// The bytes of a header of one of the versions that are `known`, ascending, whose checksum is right.
pub(crate) fn checked_header<const BYTES: usize>(
    reader: &mut impl Read,
    known: &[u16],
) -> Result<[u8; BYTES], CodecError> {
    let mut bytes = [0; BYTES];
    let count = read_up_to(reader, &mut bytes)?;
    let begun = count.min(MAGIC.len());
    if count == 0 || bytes[..begun] != MAGIC[..begun] {
        return Err(CodecError::NotAStream);
    }
    if count < BYTES {
        return Err(CodecError::Truncated { tile: 0, tiles: 0 });
    }
    // A newer format may have its checksum elsewhere.
    let found = u16::from_le_bytes([bytes[8], bytes[9]]);
    let last = known.last().copied().unwrap_or(0);
    if found > last {
        return Err(CodecError::Newer {
            what: "format",
            found,
            known: last,
        });
    }
    if !known.contains(&found) {
        let what = format!("format version {found} is of another kind of stream");
        return Err(CodecError::Header(what));
    }
    let (own, sum) = bytes.split_at(BYTES - 4);
    match sum == crc32c(own).to_le_bytes() {
        true => Ok(bytes),
        false => Err(CodecError::DamagedHeader),
    }
}

/// Reads until the buffer is full or nothing is left; how many bytes that were.
pub(crate) fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match reader.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn header() -> Header {
        Header {
            coding: Coding::Prior {
                fingerprint: 0x0123_4567_89AB_CDEF,
                sub_token_bits: 4,
                coded_sub_tokens: 9,
            },
            bits: 36,
            width: 700,
            height: 512,
            patch: 8,
            window: GridShape::still(8, 8),
            side: 32,
            tokenizer: 77,
        }
    }

    #[test]
    fn a_header_reads_back() {
        let raw = Header {
            coding: Coding::Raw,
            ..header()
        };
        for header in [header(), raw] {
            let bytes = header.to_bytes();
            assert_eq!(Header::read(&mut &bytes[..]).unwrap(), header);
        }
    }

    #[test]
    fn columns_and_rows_of_a_window_stand_in_this_order() {
        let header = Header {
            window: GridShape::still(3, 5),
            ..header()
        };
        let bytes = header.to_bytes();
        assert_eq!(bytes[26..30], [5, 0, 3, 0]);
        assert_eq!(Header::read(&mut &bytes[..]).unwrap(), header);
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let good = header().to_bytes();
        for bit in 0..8 * HEADER_BYTES {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::read(&mut &bad[..]).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn tiles_cover_the_grid() {
        let header = header();
        assert_eq!(header.grid(), GridShape::still(64, 88));
        assert_eq!(header.tile_grid(), GridShape::still(2, 3));
        let tokens: usize = (0..header.tiles())
            .map(|tile| header.area(tile).columns * header.area(tile).rows)
            .sum();
        assert_eq!(tokens, 88 * 64);
    }

    #[test]
    fn the_number_of_pixels_is_the_readers_to_limit() {
        let large = Header {
            width: 16_320,
            height: 12_240,
            ..header()
        };
        let bytes = large.to_bytes();
        let read = Header::read(&mut &bytes[..]).unwrap();
        assert_eq!(read, large);
        let message = read.check_pixels(MAX_PIXELS).unwrap_err().to_string();
        assert!(message.contains("--max-pixels"), "{message}");
        read.check_pixels(200_000_000).unwrap();
    }

    #[test]
    fn nonsense_with_a_good_checksum_is_refused() {
        let refused = |change: &dyn Fn(&mut [u8; HEADER_BYTES]), words: &str| {
            let mut bytes = header().to_bytes();
            change(&mut bytes);
            let sum = crc32c(&bytes[..48]).to_le_bytes();
            bytes[48..].copy_from_slice(&sum);
            let error = Header::read(&mut &bytes[..]).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        refused(&|b| b[8] = 9, "format version 9 is newer");
        refused(&|b| b[8] = 2, "format version 2 is of another kind");
        refused(&|b| b[8] = 7, "tokens of 36 bits in a format of others");
        refused(&|b| b[31] = 1, "unknown kind");
        refused(&|b| b[10] = 2, "numerics version 2 is newer");
        refused(&|b| b[12] = 2, "unknown kind");
        refused(&|b| b[13] = 0, "0 bits");
        refused(&|b| b[15] = 10, "10 sub-tokens");
        refused(&|b| b[16..20].fill(0xFF), "at most 65535 a side");
        refused(&|b| b[16..24].fill(0), "0x0 pixels");
        refused(&|b| b[24] = 0, "windows of 0x0");
        refused(&|b| b[30] = 65, "tiles of 65");
    }
}
