//! Walks the marker segments of a JPEG file: is it whole, and how many colour components has it?
//!
//! The decoder fills what is missing of a truncated file with grey. A user who half-copied a photo
//! should hear about it instead, and the marker structure tells: inside entropy-coded data a 0xFF
//! byte is always stuffed, so the end-of-image marker cannot occur there by chance, and everywhere
//! else segments announce their length.

/// What the markers of a JPEG file say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JpegFacts {
    /// The end-of-image marker was reached.
    pub complete: bool,
    /// Components of the frame: 1 greyscale, 3 colour, 4 CMYK; 0 if no frame header was met.
    pub components: u8,
}

const END_OF_IMAGE: u8 = 0xD9;

/// Reads the markers of `bytes`, which start with a start-of-image marker.
pub(super) fn jpeg_facts(bytes: &[u8]) -> JpegFacts {
    let mut facts = JpegFacts {
        complete: false,
        components: 0,
    };
    let mut at = 2;
    while let Some(marker) = next_marker(bytes, &mut at) {
        match marker {
            END_OF_IMAGE => {
                facts.complete = true;
                return facts;
            }
            // Restart markers, start of image and TEM stand alone, without a length.
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(at..at + 2) else {
            return facts;
        };
        let is_frame_header =
            matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
        if is_frame_header && let Some(&components) = bytes.get(at + 7) {
            facts.components = components;
        }
        at += usize::from(u16::from_be_bytes([high, low])).max(2);
    }
    facts
}

/// The next marker's code; leaves `at` behind it. Bytes that belong to no marker are passed over:
/// entropy-coded data, whose 0xFF bytes are followed by a zero.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let start = *at + bytes.get(*at..)?.iter().position(|&byte| byte == 0xFF)?;
        // Any number of fill bytes 0xFF may stand before the code.
        let code_at = start + bytes[start..].iter().position(|&byte| byte != 0xFF)?;
        *at = code_at + 1;
        if bytes[code_at] != 0 {
            return Some(bytes[code_at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A start marker, an APP1 segment that contains an end-of-image marker, a greyscale frame
    /// header, and a scan with a stuffed byte and a restart marker.
    const WHOLE: &[u8] = &[
        0xFF, 0xD8, 0xFF, 0xE1, 0, 4, 0xFF, 0xD9, 0xFF, 0xC0, 0, 11, 8, 0, 1, 0, 1, 1, 1, 0x11, 0,
        0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0x12, 0xFF, 0x00, 0xFF, 0xD0, 0x34, 0xFF, 0xD9,
    ];

    #[test]
    fn an_end_marker_inside_a_segment_or_scan_does_not_end_the_image() {
        assert_eq!(
            jpeg_facts(WHOLE),
            JpegFacts {
                complete: true,
                components: 1
            }
        );
        for cut in 2..WHOLE.len() {
            assert!(!jpeg_facts(&WHOLE[..cut]).complete, "cut at {cut}");
        }
    }

    #[test]
    fn bytes_after_the_end_marker_are_ignored() {
        let mut bytes = WHOLE.to_vec();
        bytes.extend_from_slice(b"appended by a camera");
        assert!(jpeg_facts(&bytes).complete);
    }
}
