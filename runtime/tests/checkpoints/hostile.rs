//! Files that are damaged or made to do harm: each is an error or data, never a panic, and never
//! takes memory that its size does not justify.

use std::io::{Cursor, Write};

use bsq_runtime::checkpoint::{Checkpoint, CheckpointError, Weights, read};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use proptest::prelude::*;

use crate::allocations::peak;
use crate::archive::{Entry, Width, weight_archive, weight_pickle, zip};

fn parse(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let (result, peak) = peak(|| read(Cursor::new(bytes), "x.pt", Weights::Ema));
    // What a small pickle takes for each byte, beside buffers and tables of a fixed size.
    let limit = 128 * bytes.len() + (1 << 16);
    assert!(peak <= limit, "{peak} bytes for a file of {}", bytes.len());
    result
}

fn error(bytes: &[u8]) -> String {
    let message = parse(bytes).unwrap_err().to_string();
    message.strip_prefix("x.pt: ").unwrap().to_string()
}

/// An archive with a pickle and the storage `0` of four elements.
fn archive(pickle: &[u8]) -> Vec<u8> {
    weight_archive(pickle, &[1.0, 2.0, 3.0, 4.0], Width::Narrow)
}

fn weight(offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    archive(&weight_pickle("0", offset, shape, strides))
}

#[test]
fn archives_of_both_widths_are_read() {
    let pickle = weight_pickle("0", 1, &[3], &[1]);
    for width in [Width::Narrow, Width::Wide] {
        let bytes = weight_archive(&pickle, &[1.0, 2.0, 3.0, 4.0], width);
        let checkpoint = parse(&bytes).unwrap();
        let weight = checkpoint.tensors["weight"].as_slice::<f32>();
        assert_eq!(weight.unwrap(), [2.0, 3.0, 4.0]);
    }
}

#[test]
fn views_outside_of_their_storage_are_refused() {
    let beyond = |needed: u64| {
        format!(
            "tensor `weight`: its shape, strides and offset need {needed} bytes of its storage, which has 16"
        )
    };
    assert!(parse(&weight(0, &[4], &[1])).is_ok());
    assert!(parse(&weight(2, &[2], &[1])).is_ok());
    // An axis of one element may have any stride, an empty tensor any offset.
    assert!(parse(&weight(0, &[1, 4], &[i64::MAX, 1])).is_ok());
    assert!(parse(&weight(0, &[2, 1, 2], &[1, i64::MAX, 2])).is_ok());
    assert!(parse(&weight(i64::MAX, &[0], &[1])).is_ok());
    assert_eq!(error(&weight(1, &[4], &[1])), beyond(20));
    assert_eq!(error(&weight(0, &[2, 2], &[3, 1])), beyond(20));
    assert_eq!(error(&weight(i64::MAX, &[1], &[1])), beyond(u64::MAX));
    assert_eq!(error(&weight(0, &[2], &[i64::MAX])), beyond(u64::MAX));
    assert_eq!(
        error(&weight(0, &[1 << 40], &[0])),
        "tensor `weight`: it repeats the same data too often: 4398046511104 bytes in memory of 16 in the file"
    );
    assert_eq!(
        error(&weight(0, &[1 << 40, 1 << 40], &[0, 0])),
        "tensor `weight`: a tensor of shape [1099511627776, 1099511627776] is too large for this machine's address space"
    );
    assert_eq!(
        error(&weight(0, &[-1], &[1])),
        "tensor `weight`: its shape, stride or offset is -1"
    );
    assert_eq!(
        error(&weight(0, &[2, 2], &[1])),
        "tensor `weight`: its shape has 2 axes and 1 strides"
    );
}

#[test]
fn one_storage_cannot_be_seen_without_end() {
    let one = weight_pickle("0", 0, &[4096], &[1]);
    let tensor = &one[2 + 1 + 2 + "weight".len()..one.len() - 2];
    let mut pickle = b"\x80\x02}".to_vec();
    for i in 0..200u8 {
        pickle.extend([0x8c, 2, b'a' + i % 20, b'a' + i / 20]);
        pickle.extend(tensor);
        pickle.push(b's');
    }
    pickle.push(b'.');
    let bytes = weight_archive(&pickle, &[1.0; 4096], Width::Narrow);
    let message = error(&bytes);
    assert!(
        message.contains("it repeats the same data too often"),
        "{message}"
    );
}

#[test]
fn damaged_storages_are_found() {
    let mut bytes = weight(0, &[4], &[1]);
    let data = bytes
        .windows(4)
        .position(|four| four == 2.0f32.to_le_bytes());
    bytes[data.unwrap()] ^= 1;
    let message = "tensor `weight`: its data are damaged: the checksum does not match";
    assert_eq!(error(&bytes), message);

    let pickle = weight_pickle("1", 0, &[4], &[1]);
    assert_eq!(
        error(&archive(&pickle)),
        "tensor `weight`: the zip archive is damaged: the entry x/data/1 is missing"
    );
}

#[test]
fn damaged_archives_are_refused() {
    let pickle = weight_pickle("0", 0, &[4], &[1]);
    let entry = || Entry::new("x/data.pkl", &pickle);
    let narrow = |entries: &[Entry<'_>]| zip(entries, Width::Narrow);

    let mut compressed = entry();
    compressed.method = 8;
    assert_eq!(
        error(&narrow(&[compressed])),
        "the zip archive is damaged: an entry's compressed data are corrupt"
    );
    let mut wrong = entry();
    wrong.crc = 1;
    assert_eq!(
        error(&narrow(&[wrong])),
        "its data are damaged: the checksum does not match"
    );
    assert_eq!(
        error(&narrow(&[entry(), entry()])),
        "the zip archive is damaged: two entries have the same name"
    );
    assert_eq!(
        error(&narrow(&[Entry::new("x/other", b"")])),
        "a zip archive without data.pkl: not a PyTorch checkpoint"
    );
    assert_eq!(
        error(&narrow(&[Entry::new(
            "x/data.pkl",
            b"\x80\x02cos\nsystem\n"
        )])),
        "byte 13 of the pickle: the data end too early"
    );

    // The storage lies first, so its header is at 0.
    let with_size = |size: u64| {
        let pickle = weight_pickle("0", 0, &[(size / 4).min(1 << 60) as i64], &[1]);
        let mut storage = Entry::new("x/data/0", &[0; 16]);
        storage.size = size;
        zip(&[storage, Entry::new("x/data.pkl", &pickle)], Width::Wide)
    };
    let length = with_size(16).len() as u64;
    let message = "the zip archive is damaged: an entry lies outside of the file";
    for size in [length + 1, 1 << 40, u64::MAX] {
        assert_eq!(error(&with_size(size)), message);
    }
    assert_eq!(
        error(&with_size(length)),
        format!("tensor `weight`: {message}")
    );

    let whole = weight(0, &[4], &[1]);
    for length in 4..whole.len() {
        let message = error(&whole[..length]);
        assert!(message.contains("truncated"), "{length}: {message}");
    }
}

/// An archive whose pickle and storage are deflated, with the lengths that they claim.
fn deflated(pickle: &[u8], storage: &[u8], claimed: Option<u64>) -> Vec<u8> {
    let pack = |bytes: &[u8]| {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let (packed_pickle, packed) = (pack(pickle), pack(storage));
    let mut entries = [
        Entry::new("x/data.pkl", &packed_pickle),
        Entry::new("x/data/0", &packed),
    ];
    entries[0].size = pickle.len() as u64;
    entries[1].size = claimed.unwrap_or(storage.len() as u64);
    for entry in &mut entries {
        entry.method = 8;
    }
    zip(&entries, Width::Narrow)
}

#[test]
fn compressed_storages_take_no_more_memory_than_their_file_justifies() {
    let tensor = |elements: i64| weight_pickle("0", 0, &[elements], &[1]);
    let small = deflated(&tensor(4), &[1; 16], None);
    assert_eq!(parse(&small).unwrap().tensors["weight"].shape(), [4]);
    // A storage that claims to be another length.
    assert_eq!(
        error(&deflated(&tensor(4), &[1; 16], Some(20))),
        "tensor `weight`: the zip archive is damaged: an entry's compressed data are corrupt"
    );
    assert_eq!(
        error(&deflated(&tensor(3), &[1; 16], Some(12))),
        "tensor `weight`: the zip archive is damaged: an entry unpacks to more bytes than its table says"
    );
    assert_eq!(
        error(&deflated(&tensor(4), &[1; 16], Some(1 << 31))),
        "tensor `weight`: the zip archive is damaged: an entry has another length than its data"
    );
    // Bombs: of one element, so that it is the storage alone that is too large.
    let bomb = deflated(&tensor(1), &vec![0; 64 << 20], None);
    let message = error(&bomb);
    assert!(
        message.contains("its data unpack to 67108864 bytes"),
        "{message}"
    );
    let mut pickle = tensor(1);
    pickle.extend(vec![0; 1 << 20]);
    let message = error(&deflated(&pickle, &[0; 4], None));
    assert!(message.contains("far more than a file of"), "{message}");
}

#[test]
fn tables_that_point_nowhere_are_refused() {
    for width in [Width::Narrow, Width::Wide] {
        let pickle = weight_pickle("0", 0, &[4], &[1]);
        let whole = weight_archive(&pickle, &[0.0; 4], width);
        let table = whole
            .windows(4)
            .position(|four| four == b"PK\x01\x02")
            .unwrap();
        // Each byte of the table and of the records behind it, with all bits set or none.
        for position in table..whole.len() {
            for value in [0, 0xff, 0x7f] {
                let mut bytes = whole.clone();
                bytes[position] = value;
                let _ = parse(&bytes);
            }
        }
    }
}

/// The fixtures that are read to the end, and so have most to damage.
fn fixtures() -> [&'static [u8]; 7] {
    [
        include_bytes!("../fixtures/training.pt"),
        include_bytes!("../fixtures/types.pt"),
        include_bytes!("../fixtures/views.pt"),
        include_bytes!("../fixtures/protocol5.pt"),
        include_bytes!("../fixtures/legacy_protocol1.pt"),
        include_bytes!("../fixtures/legacy_protocol2.pt"),
        include_bytes!("../fixtures/deflated.pt"),
    ]
}

#[test]
fn truncated_fixtures_are_errors() {
    for bytes in fixtures() {
        for length in (0..bytes.len()).step_by(7) {
            parse(&bytes[..length]).unwrap_err();
        }
    }
}

/// A pickle behind a valid checksum: what a damaged file is not, but a hostile one can be.
fn damaged_pickle(bytes: &[u8], damages: &[(usize, u8)]) -> Vec<u8> {
    let mut pickle = bytes.to_vec();
    for &(position, value) in damages {
        let length = pickle.len();
        pickle[position % length] = value;
    }
    archive(&pickle)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn flipped_bits_give_data_or_an_error(
        which in 0usize..7, flips in prop::collection::vec((any::<usize>(), 0u8..8), 1..8)
    ) {
        let mut bytes = fixtures()[which].to_vec();
        for (position, bit) in flips {
            let length = bytes.len();
            bytes[position % length] ^= 1 << bit;
        }
        let _ = parse(&bytes);
    }

    #[test]
    fn hostile_pickles_give_data_or_an_error(
        damages in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6)
    ) {
        let pickle = weight_pickle("0", 0, &[2, 2], &[2, 1]);
        let _ = parse(&damaged_pickle(&pickle, &damages));
    }

    #[test]
    fn any_view_gives_data_or_an_error(
        offset in -1i64..6,
        axes in prop::collection::vec((-1i64..5, -1i64..5), 0..4)
    ) {
        let (shape, strides): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
        if let Ok(checkpoint) = parse(&weight(offset, &shape, &strides)) {
            let tensor = &checkpoint.tensors["weight"];
            let mut expected = vec![offset];
            for (&count, &stride) in shape.iter().zip(&strides) {
                let along = |start: i64| (0..count).map(move |i| start + i * stride);
                expected = expected.into_iter().flat_map(along).collect();
            }
            let expected: Vec<f32> = expected.iter().map(|&i| i as f32 + 1.0).collect();
            prop_assert_eq!(tensor.as_slice::<f32>().unwrap(), expected);
        }
    }

    #[test]
    fn any_bytes_are_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(parse(&bytes).is_err());
        bytes.splice(..0, *b"PK\x03\x04");
        prop_assert!(parse(&bytes).is_err());
    }
}
