//! An archive beyond 4 GB, of which only the bytes that matter exist.

use std::io::{self, Read, Seek, SeekFrom};

use bsq_runtime::checkpoint::{Weights, read};

use crate::archive::{Entry, Width, end_records, local_header, table_entry, weight_pickle};

/// A file of zeros with pieces of content in it.
struct Sparse {
    pieces: Vec<(u64, Vec<u8>)>,
    length: u64,
    position: u64,
}

impl Read for Sparse {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.length.saturating_sub(self.position);
        let count = buffer.len().min(left.min(4096) as usize);
        buffer[..count].fill(0);
        for (start, piece) in &self.pieces {
            for (byte, position) in buffer[..count].iter_mut().zip(self.position..) {
                let index = position.wrapping_sub(*start);
                if let Some(&content) = usize::try_from(index).ok().and_then(|i| piece.get(i)) {
                    *byte = content;
                }
            }
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::End(offset) => self.length.wrapping_add_signed(offset),
            SeekFrom::Current(offset) => self.position.wrapping_add_signed(offset),
        };
        Ok(self.position)
    }
}

#[test]
fn archives_beyond_4_gb_are_read() {
    const STORAGE: u64 = 5 << 30;
    // The last two elements of a storage of five gigabytes, behind which lies the pickle.
    let elements = STORAGE as i64 / 4;
    let pickle = weight_pickle("0", elements - 2, &[2], &[1]);
    let mut storage = Entry::new("x/data/0", b"");
    storage.size = STORAGE;
    let object = Entry::new("x/data.pkl", &pickle);

    let first = local_header(&storage);
    let data_end = first.len() as u64 + STORAGE;
    let mut last = local_header(&object);
    last.extend(&pickle);
    let table_start = data_end + last.len() as u64;
    let mut table = table_entry(&storage, 0, Width::Wide);
    table.extend(table_entry(&object, data_end, Width::Wide));
    last.extend(&table);
    last.extend(end_records(table_start, table.len() as u64, 2, Width::Wide));

    let values = [1.5f32, -2.5].map(f32::to_le_bytes).concat();
    let length = data_end + last.len() as u64;
    let pieces = vec![(0, first), (data_end - 8, values), (data_end, last)];
    let file = Sparse {
        pieces,
        length,
        position: 0,
    };
    let checkpoint = read(file, "large.pt", Weights::Ema).unwrap();
    let weight = checkpoint.tensors["weight"].as_slice::<f32>();
    assert_eq!(weight.unwrap(), [1.5, -2.5]);
}
