//! Runs of bytes in a file: as they are, or deflated.

use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};

use flate2::bufread::DeflateDecoder;

use super::error::Cause;

/// Where some bytes are in a file; known to lie inside it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Blob {
    /// Where they start.
    pub(super) start: u64,
    /// How many they are, unpacked.
    pub(super) size: u64,
    /// Their CRC-32; 0 where the writer left it out.
    pub(super) crc: u32,
    /// How many bytes of the file they take, if they are deflated.
    pub(super) deflated: Option<u64>,
}

impl Blob {
    /// Reads them all. The caller has compared their number with what it has memory for.
    pub(super) fn read(self, file: &mut (impl Read + Seek)) -> Result<Vec<u8>, Cause> {
        file.seek(SeekFrom::Start(self.start))
            .map_err(Cause::Read)?;
        let bytes = match self.deflated {
            None => {
                let mut bytes = vec![0; self.size as usize];
                file.read_exact(&mut bytes).map_err(Cause::Read)?;
                bytes
            }
            Some(packed) => self.inflate(file.take(packed))?,
        };
        match self.crc {
            0 => Ok(bytes),
            crc if crc == crc32fast::hash(&bytes) => Ok(bytes),
            _ => Err(Cause::Checksum),
        }
    }

    fn inflate(self, packed: impl Read) -> Result<Vec<u8>, Cause> {
        let mut decoder = DeflateDecoder::new(BufReader::with_capacity(4096, packed));
        let mut bytes = vec![0; self.size as usize];
        let damaged = |error: std::io::Error| match error.kind() {
            ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                Cause::Archive("an entry's compressed data are corrupt".to_string())
            }
            _ => Cause::Read(error),
        };
        decoder.read_exact(&mut bytes).map_err(damaged)?;
        match decoder.read(&mut [0]).map_err(damaged)? {
            0 => Ok(bytes),
            _ => Err(Cause::Archive(
                "an entry unpacks to more bytes than its table says".to_string(),
            )),
        }
    }
}
