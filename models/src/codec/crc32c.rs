//! CRC-32C, the Castagnoli polynomial, as iSCSI and ext4 use it.

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// What one byte does to the register.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = register >> 1 ^ if register & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte] = register;
        byte += 1;
    }
    table
}

/// A checksum under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c(u32);

impl Default for Crc32c {
    fn default() -> Crc32c {
        Crc32c(u32::MAX)
    }
}

impl Crc32c {
    /// Takes more bytes in.
    #[must_use]
    pub fn update(self, bytes: &[u8]) -> Crc32c {
        let step =
            |register: u32, &byte: &u8| register >> 8 ^ TABLE[(register as u8 ^ byte) as usize];
        Crc32c(bytes.iter().fold(self.0, step))
    }

    /// The checksum of all bytes so far.
    pub fn value(self) -> u32 {
        !self.0
    }
}

/// The checksum of some bytes.
///
/// ```
/// assert_eq!(bsq::codec::crc32c(b"123456789"), 0xE306_9283);
/// ```
pub fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::default().update(bytes).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 3720, appendix B.4.
    #[test]
    fn published_vectors() {
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&ascending), 0x46DD_794E);
        assert_eq!(crc32c(&[]), 0);
    }

    #[test]
    fn parts_add_up() {
        let bytes: Vec<u8> = (0..100).collect();
        let parts = Crc32c::default().update(&bytes[..37]).update(&bytes[37..]);
        assert_eq!(parts.value(), crc32c(&bytes));
    }
}
