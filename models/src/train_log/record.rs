//! TFRecord framing: a length, its checksum, the data, and its checksum.

/// Bytes around the data of a record.
const HEADER: usize = 12;
const TRAILER: usize = 4;

/// Appends one record.
pub(super) fn write_record(out: &mut Vec<u8>, data: &[u8]) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked_crc32c(&length).to_le_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&masked_crc32c(data).to_le_bytes());
}

/// The data of the record at the start of `bytes`, and the bytes that the record takes; `None`
/// where there is no whole and undamaged record.
pub(super) fn read_record(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let (length, checksum) = header.split_at(8);
    if checksum != masked_crc32c(length).to_le_bytes() {
        return None;
    }
    let length = u64::from_le_bytes(length.try_into().ok()?);
    let (data, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let checksum = rest.get(..TRAILER)?;
    (checksum == masked_crc32c(data).to_le_bytes()).then_some((data, HEADER + data.len() + TRAILER))
}

/// The checksum rotated and shifted, so that data which contains checksums is not special.
fn masked_crc32c(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// CRC-32C (Castagnoli), reflected.
fn crc32c(data: &[u8]) -> u32 {
    static TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = (crc >> 1) ^ (0x82F6_3B78 * (crc & 1));
                bit += 1;
            }
            table[byte] = crc;
            byte += 1;
        }
        table
    };
    !data.iter().fold(!0, |crc, &byte| {
        (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_its_published_check_values() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
    }

    #[test]
    fn a_torn_or_damaged_record_is_none() {
        let mut bytes = Vec::new();
        write_record(&mut bytes, b"hello");
        assert_eq!(read_record(&bytes), Some((&b"hello"[..], 21)));
        for cut in 0..bytes.len() {
            assert_eq!(read_record(&bytes[..cut]), None);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(read_record(&damaged), None, "byte {at}");
        }
    }
}
