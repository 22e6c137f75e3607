//! Formats that are recognised and not read.

use image::ImageFormat;

/// The name of a format by a file's first bytes, and by what they are taken for.
pub(super) fn name(start: &[u8], guess: Option<ImageFormat>) -> Option<&'static str> {
    match guess {
        Some(ImageFormat::Bmp) => Some("BMP"),
        Some(ImageFormat::Ico) => Some("ICO"),
        Some(ImageFormat::Hdr) => Some("HDR"),
        Some(ImageFormat::OpenExr) => Some("OpenEXR"),
        Some(ImageFormat::Pnm) => Some("PNM"),
        Some(ImageFormat::Qoi) => Some("QOI"),
        _ => of_brands(start),
    }
}

/// The name of a format of the HEIF family (ISO/IEC 23008-12). What codes its pixels is among its
/// brands, not always the first of them.
fn of_brands(start: &[u8]) -> Option<&'static str> {
    if start.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let length = u32::from_be_bytes(*start.first_chunk()?) as usize;
    let first = start.get(8..12)?;
    let others = start[..length.min(start.len())].get(16..);
    let mut brands = others.unwrap_or_default().chunks_exact(4);
    let by_codec = |brand: &[u8]| match brand {
        b"avif" | b"avis" => Some("AVIF"),
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            Some("HEIC")
        }
        _ => None,
    };
    let is_general = matches!(first, b"mif1" | b"msf1");
    by_codec(first)
        .or_else(|| brands.find_map(by_codec))
        .or(is_general.then_some("HEIF"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brands_say_what_codes_pixels() {
        let general = |others: &[u8]| of_brands(&[b"\0\0\0\x18ftypmif1\0\0\0\0", others].concat());
        assert_eq!(general(b"mif1avif"), Some("AVIF"));
        assert_eq!(general(b"mif1heic"), Some("HEIC"));
        // What follows the brands is none.
        assert_eq!(general(b"mif1miafavif"), Some("HEIF"));
        assert_eq!(of_brands(b"\0\0\0\x20ftypheix"), Some("HEIC"));
        assert_eq!(of_brands(b"\0\0\0\x14ftypisom\0\0\0\0mp42"), None);
        assert_eq!(of_brands(b"\0\0\0\x14ftyp"), None);
    }
}
