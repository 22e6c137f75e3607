//! Marker segments of a JPEG file: frame, tables, scans, and what else a reader of the picture needs.

use super::JpegError;
use super::huffman::Table;
use super::scan::{NonZero, Scan, Tables, walk};

/// Scans of one file; with more, the time to read it would grow beyond all reason.
const MOST_SCANS: usize = 500;

/// A component of the frame; counts are in blocks of 8x8 samples.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub id: u8,
    /// Sampling factors.
    pub h: usize,
    pub v: usize,
    /// Blocks that a scan of this component alone codes.
    pub own_columns: usize,
    pub own_rows: usize,
    /// Blocks that interleaved scans code: whole MCUs.
    pub stride: usize,
    pub rows: usize,
}

/// The frame header.
#[derive(Clone, Debug)]
pub(in super::super) struct Frame {
    pub width: u32,
    pub height: u32,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
    pub(super) mcus_across: usize,
    pub(super) mcus_down: usize,
}

/// A file all of whose scans were read.
pub(in super::super) struct Survey<'a> {
    pub frame: Frame,
    /// The place behind the last scan. What follows is no part of the picture.
    pub(super) end: usize,
    /// Number of scans.
    pub(super) scans: usize,
    pub(super) jfif: bool,
    /// The colour transform that an Adobe segment names.
    pub(super) adobe: Option<u8>,
    /// EXIF data, without its heading.
    pub exif: Option<&'a [u8]>,
    /// The colour profile; what is there of it if pieces are missing.
    pub icc: Option<Vec<u8>>,
}

impl Survey<'_> {
    /// Number of components: 1 grey, 3 colour, 4 CMYK.
    pub fn components(&self) -> usize {
        self.frame.components.len()
    }
}

/// Reads all of the file but its pixels' values. `bytes` begin with a start-of-image marker.
///
/// # Errors
/// If the picture is not whole, has more than `max_pixels` pixels or `max_side` a side, or is of a
/// kind that nothing here decodes.
pub(in super::super) fn survey(
    bytes: &[u8],
    max_side: u32,
    max_pixels: u64,
) -> Result<Survey<'_>, JpegError> {
    let mut reader = Reader::default();
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at).ok_or(JpegError::Truncated)?;
        match marker {
            // The picture is not complete, or reading would have stopped before this marker.
            0xD9 => return Err(JpegError::Truncated),
            // Restart markers, start of image and TEM stand alone, without a length.
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let segment = segment(bytes, at)?;
        at += 2 + segment.len();
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let frame = frame(marker, segment)?;
                let Frame { width, height, .. } = frame;
                if width > max_side
                    || height > max_side
                    || u64::from(width) * u64::from(height) > max_pixels
                {
                    return Err(JpegError::TooLarge { width, height });
                }
                reader.begin(frame)?;
            }
            0xC4 => huffman_tables(segment, &mut reader.tables)?,
            0xDD => {
                let [high, low, ..] = *segment else {
                    return Err(too_short());
                };
                reader.tables.restart = usize::from(u16::from_be_bytes([high, low]));
            }
            0xDA => {
                at = reader.scan(bytes, at, segment)?;
                if reader.is_complete() {
                    return reader.finish(at);
                }
            }
            0xE0 => reader.jfif |= segment.starts_with(b"JFIF\0"),
            0xE1 if reader.exif.is_none() => reader.exif = segment.strip_prefix(b"Exif\0\0"),
            0xE2 => reader.icc.extend(profile_chunk(segment)),
            0xEE => {
                if let Some(&[_, _, _, _, _, _, transform, ..]) = segment.strip_prefix(b"Adobe") {
                    reader.adobe = Some(transform);
                }
            }
            _ => {}
        }
    }
}

/// Columns and rows of the picture, from the first part of a file that begins with a start-of-image
/// marker.
///
/// # Errors
/// [`JpegError::Truncated`] if the part does not reach so far.
pub(in super::super) fn dimensions(bytes: &[u8]) -> Result<(u32, u32), JpegError> {
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at).ok_or(JpegError::Truncated)?;
        if matches!(marker, 0x01 | 0xD0..=0xD8) {
            continue;
        }
        let segment = segment(bytes, at)?;
        at += 2 + segment.len();
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                return frame(marker, segment).map(|frame| (frame.width, frame.height));
            }
            0xDA => return Err(JpegError::refused("a scan before the frame")),
            _ => {}
        }
    }
}

/// What of a file has been read.
#[derive(Default)]
struct Reader<'a> {
    frame: Option<Frame>,
    tables: Tables,
    scans: usize,
    known: Vec<NonZero>,
    /// For each component and coefficient: how many of its low bits are missing; all at first.
    missing: Vec<[u8; 64]>,
    jfif: bool,
    adobe: Option<u8>,
    exif: Option<&'a [u8]>,
    /// Pieces of the profile with their number and how many there are.
    icc: Vec<(u8, u8, &'a [u8])>,
}

/// No bit of a coefficient has been seen.
const ALL: u8 = u8::MAX;

impl<'a> Reader<'a> {
    fn begin(&mut self, frame: Frame) -> Result<(), JpegError> {
        if self.frame.is_some() {
            return Err(JpegError::refused("more than one frame"));
        }
        self.missing = vec![[ALL; 64]; frame.components.len()];
        self.known
            .resize_with(frame.components.len(), NonZero::default);
        self.frame = Some(frame);
        Ok(())
    }

    /// One scan, whose entropy-coded data begin at `at`; gives the place behind it.
    fn scan(&mut self, bytes: &[u8], at: usize, header: &[u8]) -> Result<usize, JpegError> {
        let Some(frame) = &self.frame else {
            return Err(JpegError::refused("a scan before the frame"));
        };
        self.scans += 1;
        if self.scans > MOST_SCANS {
            return Err(JpegError::refused(format_args!(
                "more than {MOST_SCANS} scans"
            )));
        }
        let scan = scan_header(frame, header)?;
        for &(index, ..) in &scan.components {
            for missing in &mut self.missing[index][usize::from(scan.from)..=usize::from(scan.to)] {
                let expected = if scan.high == 0 { ALL } else { scan.high };
                if *missing != expected {
                    return Err(JpegError::refused(
                        "scans that do not follow on one another",
                    ));
                }
                *missing = scan.low;
            }
        }
        walk(bytes, at, frame, &scan, &self.tables, &mut self.known)
    }

    fn is_complete(&self) -> bool {
        self.missing.iter().flatten().all(|&bits| bits == 0)
    }

    fn finish(self, end: usize) -> Result<Survey<'a>, JpegError> {
        Ok(Survey {
            frame: self.frame.expect("a scan was read"),
            end,
            scans: self.scans,
            jfif: self.jfif,
            adobe: self.adobe,
            exif: self.exif,
            icc: profile(self.icc),
        })
    }
}

/// The next marker's code; leaves `at` behind it. Bytes that belong to no marker are passed over.
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

/// What a marker's segment holds, without its length.
fn segment(bytes: &[u8], at: usize) -> Result<&[u8], JpegError> {
    let Some(&[high, low]) = bytes.get(at..at + 2) else {
        return Err(JpegError::Truncated);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < 2 {
        return Err(too_short());
    }
    bytes.get(at + 2..at + length).ok_or(JpegError::Truncated)
}

fn too_short() -> JpegError {
    JpegError::refused("a segment that is too short")
}

fn frame(marker: u8, segment: &[u8]) -> Result<Frame, JpegError> {
    let kind = match marker {
        0xC0..=0xC2 => None,
        0xC3 => Some("lossless JPEG"),
        0xC9 | 0xCA => Some("arithmetic coding"),
        0xCB => Some("lossless JPEG with arithmetic coding"),
        _ => Some("hierarchical JPEG"),
    };
    if let Some(kind) = kind {
        return Err(JpegError::refused(format_args!(
            "{kind}, which is not decoded"
        )));
    }
    let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = segment else {
        return Err(too_short());
    };
    let [height, width] = [[h1, h0], [w1, w0]].map(|pair| usize::from(u16::from_be_bytes(pair)));
    if precision != 8 {
        return Err(JpegError::refused(format_args!(
            "JPEG of {precision} bits a sample, which is not decoded"
        )));
    }
    if height == 0 || width == 0 {
        return Err(JpegError::refused(format_args!(
            "a frame of {width}x{height} pixels"
        )));
    }
    if !matches!(count, 1 | 3 | 4) {
        return Err(JpegError::refused(format_args!(
            "{count} components, not 1, 3 or 4"
        )));
    }
    let (specifications, []) = rest.as_chunks::<3>() else {
        return Err(too_short());
    };
    if specifications.len() != usize::from(count) {
        return Err(too_short());
    }
    let factors: Vec<(usize, usize)> = specifications
        .iter()
        .map(|&[_, factors, _]| (usize::from(factors >> 4), usize::from(factors & 15)))
        .collect();
    if let Some((h, v)) = factors
        .iter()
        .find(|&&(h, v)| !(1..=4).contains(&h) || !(1..=4).contains(&v))
    {
        return Err(JpegError::refused(format_args!("sampling factors {h}x{v}")));
    }
    let h_max = factors.iter().map(|&(h, _)| h).max().unwrap_or(1);
    let v_max = factors.iter().map(|&(_, v)| v).max().unwrap_or(1);
    let (mcus_across, mcus_down) = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
    let components = specifications
        .iter()
        .zip(factors)
        .map(|(&[id, ..], (h, v))| Component {
            id,
            h,
            v,
            own_columns: (width * h).div_ceil(h_max).div_ceil(8),
            own_rows: (height * v).div_ceil(v_max).div_ceil(8),
            stride: mcus_across * h,
            rows: mcus_down * v,
        });
    Ok(Frame {
        width: width as u32,
        height: height as u32,
        progressive: marker == 0xC2,
        components: components.collect(),
        mcus_across,
        mcus_down,
    })
}

fn huffman_tables(mut segment: &[u8], tables: &mut Tables) -> Result<(), JpegError> {
    while let [class_and_place, rest @ ..] = segment {
        let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(too_short)?;
        let total = counts.iter().map(|&count| usize::from(count)).sum();
        let values = rest.get(..total).ok_or_else(too_short)?;
        let table = Table::new(counts, values)
            .ok_or_else(|| JpegError::refused("a Huffman table with too many codes"))?;
        let list = match class_and_place >> 4 {
            0 => &mut tables.dc,
            1 => &mut tables.ac,
            _ => return Err(JpegError::refused("a Huffman table of an unknown class")),
        };
        *list
            .get_mut(usize::from(class_and_place & 15))
            .ok_or_else(|| JpegError::refused("a fifth Huffman table"))? = Some(table);
        segment = &rest[total..];
    }
    Ok(())
}

fn scan_header(frame: &Frame, segment: &[u8]) -> Result<Scan, JpegError> {
    let Some((&count, rest)) = segment.split_first() else {
        return Err(too_short());
    };
    let Some((selectors, &[from, to, bits, ..])) = rest.split_at_checked(2 * usize::from(count))
    else {
        return Err(too_short());
    };
    let wrong = || JpegError::refused("a scan header that makes no sense");
    let mut components: Vec<(usize, usize, usize)> = Vec::new();
    for &[id, tables] in selectors.as_chunks::<2>().0 {
        let place = frame.components.iter().position(|its| its.id == id);
        let place = place.ok_or_else(wrong)?;
        let (dc, ac) = (usize::from(tables >> 4), usize::from(tables & 15));
        if dc > 3 || ac > 3 || components.iter().any(|&(other, ..)| other == place) {
            return Err(wrong());
        }
        components.push((place, dc, ac));
    }
    let blocks: usize = components
        .iter()
        .map(|&(place, ..)| frame.components[place].h * frame.components[place].v)
        .sum();
    if components.is_empty() || (components.len() > 1 && blocks > 10) {
        return Err(wrong());
    }
    let mut scan = Scan {
        components,
        from,
        to,
        high: bits >> 4,
        low: bits & 15,
    };
    if !frame.progressive {
        // Nothing else can be meant.
        (scan.from, scan.to, scan.high, scan.low) = (0, 63, 0, 0);
        return Ok(scan);
    }
    let band = match from {
        0 => to == 0,
        _ => (from..=63).contains(&to) && scan.components.len() == 1,
    };
    let step = scan.high == 0 || scan.low + 1 == scan.high;
    match band && step && scan.low <= 13 {
        true => Ok(scan),
        false => Err(wrong()),
    }
}

fn profile_chunk(segment: &[u8]) -> Option<(u8, u8, &[u8])> {
    match segment.strip_prefix(b"ICC_PROFILE\0")? {
        &[number, count, ref piece @ ..] => Some((number, count, piece)),
        _ => None,
    }
}

/// The profile put together; without what is wrong with it, which whoever reads it will find.
fn profile(mut pieces: Vec<(u8, u8, &[u8])>) -> Option<Vec<u8>> {
    pieces.sort_by_key(|&(number, ..)| number);
    let whole = pieces
        .iter()
        .zip(1..)
        .all(|(&(number, count, _), expected)| {
            (number, usize::from(count)) == (expected, pieces.len())
        });
    match (pieces.is_empty(), whole) {
        (true, _) => None,
        (_, true) => Some(
            pieces
                .iter()
                .flat_map(|&(.., piece)| piece)
                .copied()
                .collect(),
        ),
        (_, false) => Some(Vec::new()),
    }
}
