//! Whole pictures and rows through both directions, with a prior and without.

use super::*;
use crate::codec::FrameReader;
use crate::config::{Config, PriorConfig};
use crate::image_io::{ImageError, Picture, PixelRows};
use crate::pipeline::fingerprint;
use bsq_ir::philox::random_word;
use std::cell::Cell;
use std::io::{self, Read, Write};

const PRIOR: &str = "
[prior]
bits = 12
sub_token_bits = 3
side = 4
width = 16
layers = 1
heads = 2
head_width = 8
";

fn model() -> ModelFile {
    let text = include_str!("../../../tests/tiny.toml");
    ModelFile::untrained("tiny", Config::from_toml(text).unwrap(), 3).unwrap()
}

fn prior(seed: u64) -> PriorFile {
    let model = model();
    let own = fingerprint(model.tokenizer.config(), &model.parameters);
    let config = format!("{PRIOR}[train]\nseed = {seed}\n");
    PriorFile::untrained("prior", PriorConfig::from_toml(&config).unwrap(), &own).unwrap()
}

fn picture(width: usize, height: usize) -> Picture {
    let words = (0..3 * width * height).map(|i| random_word(6, 0, i as u64));
    Picture::new(width, height, words.map(|word| word as u8).collect())
}

fn codec(prior: Option<&PriorFile>) -> TokensCodec {
    TokensCodec::new(&model(), prior, CompileOptions::default()).unwrap()
}

#[test]
fn a_picture_comes_back_as_its_tokenizer_sees_it() {
    let picture = picture(70, 53);
    let prior = prior(1);
    let mut session = TokenizerSession::new(&model(), CompileOptions::default());
    let tokens = session.encode_picture(&picture, &mut |_| {}).unwrap();
    let expected = session.decode_picture(&tokens, &mut |_| {}).unwrap();
    for prior in [None, Some(&prior)] {
        let mut codec = codec(prior);
        let (mut done, windows) = (0, codec.windows(picture.size()));
        let stream = codec.encode(&picture, None, &mut |now| done = now);
        assert_eq!(done, windows);
        let back = codec.decode(&stream.unwrap(), &mut |now| done = now);
        assert_eq!((back.unwrap(), done), (expected.clone(), windows));
    }
}

#[test]
fn streams_find_their_prior_and_decode_together_as_alone() {
    let (first, second) = (prior(1), prior(2));
    let (a, b) = (picture(40, 20), picture(16, 60));
    let options = Some(2);
    let streams = |prior| {
        let mut codec = codec(Some(prior));
        [&a, &b].map(|picture| codec.encode(picture, options, &mut |_| {}).unwrap())
    };
    let (ours, theirs) = (streams(&first), streams(&second));
    let mut codec = codec(Some(&first));
    let error = codec.decode(&theirs[0], &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("coded with the prior"),
        "{error}"
    );
    codec.add_prior(&second).unwrap();
    assert_eq!(codec.encode(&a, options, &mut |_| {}).unwrap(), ours[0]);
    for streams in [ours, theirs] {
        let frames = streams
            .iter()
            .map(|s| FrameReader::new(&s[..], false).unwrap());
        let together = codec.decode_tokens(frames.collect(), &mut |_| {}).unwrap();
        for (decoded, stream) in together.into_iter().zip(&streams) {
            let mut rgb = Vec::new();
            let mut write = |row: &[u8]| {
                rgb.extend_from_slice(row);
                Ok(())
            };
            let report = codec.write_rows(decoded.unwrap(), &mut write, &mut |_| {});
            let alone = codec.decode(stream, &mut |_| {}).unwrap();
            assert_eq!(report.unwrap().size, alone.size());
            assert_eq!(rgb, alone.rgb);
        }
    }
}

#[test]
fn what_follows_the_last_tile_is_found_by_rows_too() {
    let mut codec = codec(None);
    let mut stream = codec.encode(&picture(40, 20), None, &mut |_| {}).unwrap();
    stream.push(0);
    let error = codec.decode(&stream, &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("follows the last"), "{error}");
}

#[test]
fn the_report_says_what_was_written() {
    let mut codec = codec(Some(&prior(1)));
    let picture = picture(40, 20);
    let rows = &mut picture.rows();
    let (stream, report) = codec
        .encode_rows(rows, Vec::new(), Some(4), &mut |_| {})
        .unwrap();
    assert_eq!(report.stream.bytes, stream.len());
    assert_eq!((report.tokens, report.bits_per_token), (24, 12));
    assert_eq!(report.bits_per_pixel(), (8 * stream.len()) as f64 / 800.0);
    assert_eq!(report.raw_bits_per_pixel(), 288.0 / 800.0);
    assert!(codec.check(Some(5)).is_err());
}

/// 48 pixels wide and 48,000 high, noise in every row: 3 x 3000 windows, 1000 of which are encoded
/// together, and 188 tiles, 64 of which are coded together.
struct Tall<'a> {
    read: &'a Cell<usize>,
}

const TALL: ImageSize = ImageSize {
    height: 48_000,
    width: 48,
};

impl PixelRows for Tall<'_> {
    fn size(&self) -> ImageSize {
        TALL
    }

    fn read_row(&mut self, row: &mut [u16]) -> Result<(), ImageError> {
        let y = self.read.replace(self.read.get() + 1);
        for (x, sample) in row.iter_mut().enumerate() {
            *sample = random_word(8, y as u64, x as u64) as u16;
        }
        Ok(())
    }
}

/// Counts the bytes that pass.
struct Counted<'a, S>(S, &'a Cell<usize>);

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.set(self.1.get() + bytes.len());
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.set(self.1.get() + count);
        Ok(count)
    }
}

#[test]
fn tiles_are_written_and_read_as_their_rows_come_and_go() {
    let mut codec = codec(None);
    let (rows, bytes) = (Cell::new(0), Cell::new(0));
    // Rows that are read and bytes that are written when so many ninths have been encoded.
    let mut written = Vec::new();
    let mut source = Tall { read: &rows };
    let sink = Counted(Vec::new(), &bytes);
    let mut progress = |_| written.push((rows.get(), bytes.get()));
    let options = None;
    let (sink, report) = codec
        .encode_rows(&mut source, sink, options, &mut progress)
        .unwrap();
    let stream = sink.0;
    assert_eq!(report.stream.bytes, stream.len());
    let (ninth, batch) = (stream.len() / 9, 65 * stream.len() / 188);
    assert_eq!(written.len(), 9);
    for (part, &(read, bytes)) in (1..).zip(&written) {
        assert!(read <= part * 5344, "{read} rows are read for part {part}");
        // Tiles that are no batch yet are waiting.
        assert!(
            bytes + batch > part * ninth,
            "{bytes} bytes after part {part}"
        );
    }

    let (bytes, given) = (Cell::new(0), Cell::new(0));
    let frames = FrameReader::new(Counted(&stream[..], &bytes), false).unwrap();
    let mut read = Vec::new();
    let mut write = |row: &[u8]| {
        assert_eq!(row.len(), 144);
        given.set(given.get() + 1);
        Ok(())
    };
    let mut progress = |_| read.push((bytes.get(), given.get()));
    codec
        .decode_rows(frames, &mut write, &mut progress)
        .unwrap();
    assert_eq!((read.len(), given.get()), (9, TALL.height));
    for (part, &(bytes, rows)) in (1..).zip(&read) {
        assert!(
            bytes < part * ninth + 2 * batch,
            "{bytes} bytes for part {part}"
        );
        // The last one is smaller.
        assert!(rows + 16 > part * 5333, "{rows} rows after part {part}");
    }
    assert!(
        read[0].0 < stream.len() / 2,
        "{} bytes for the first",
        read[0].0
    );
}
