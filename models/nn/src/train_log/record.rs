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
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

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
