//! Zip archives and pickles, written by hand, with whatever is wrong in them.

/// An entry to write.
pub struct Entry<'a> {
    pub name: &'a str,
    pub data: &'a [u8],
    /// The length to record.
    pub size: u64,
    /// The checksum to record; 0 leaves it out.
    pub crc: u32,
    /// 0 is stored.
    pub method: u16,
}

impl<'a> Entry<'a> {
    pub fn new(name: &'a str, data: &'a [u8]) -> Self {
        Entry {
            name,
            data,
            size: data.len() as u64,
            crc: 0,
            method: 0,
        }
    }
}

/// How an archive states its lengths and offsets.
#[derive(Clone, Copy, PartialEq)]
pub enum Width {
    /// In 32 bits.
    Narrow,
    /// In the 64-bit extra fields and end records.
    Wide,
}

/// An archive of these entries.
pub fn zip(entries: &[Entry<'_>], width: Width) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut table = Vec::new();
    for entry in entries {
        table.extend(table_entry(entry, bytes.len() as u64, width));
        bytes.extend(local_header(entry));
        bytes.extend(entry.data);
    }
    let start = bytes.len() as u64;
    bytes.extend(&table);
    bytes.extend(end_records(start, table.len() as u64, entries.len(), width));
    bytes
}

/// What precedes an entry's data, with an extra field that a reader has to skip.
pub fn local_header(entry: &Entry<'_>) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend([0; 4]);
    bytes.extend(entry.method.to_le_bytes());
    bytes.extend([0; 16]);
    bytes.extend((entry.name.len() as u16).to_le_bytes());
    bytes.extend(6u16.to_le_bytes());
    bytes.extend(entry.name.as_bytes());
    bytes.extend(b"FB\x02\0ZZ");
    bytes
}

/// The entry in the table of contents, for a local header at `offset`.
pub fn table_entry(entry: &Entry<'_>, offset: u64, width: Width) -> Vec<u8> {
    let wide = width == Width::Wide;
    let narrow = |number: u64| if wide { u32::MAX } else { number as u32 };
    // What is stored claims to be as long as it claims to be unpacked.
    let packed = match entry.method {
        0 => entry.size,
        _ => entry.data.len() as u64,
    };
    let mut extra = b"FB\x02\0ZZ".to_vec();
    if wide {
        extra.extend(1u16.to_le_bytes());
        extra.extend(24u16.to_le_bytes());
        extra.extend([entry.size, packed, offset].map(u64::to_le_bytes).concat());
    }
    let mut bytes = b"PK\x01\x02".to_vec();
    bytes.extend([0; 6]);
    bytes.extend(entry.method.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(entry.crc.to_le_bytes());
    let lengths = [narrow(packed), narrow(entry.size)];
    bytes.extend(lengths.map(u32::to_le_bytes).concat());
    bytes.extend((entry.name.len() as u16).to_le_bytes());
    bytes.extend((extra.len() as u16).to_le_bytes());
    bytes.extend([0; 10]);
    bytes.extend(narrow(offset).to_le_bytes());
    bytes.extend(entry.name.as_bytes());
    bytes.extend(extra);
    bytes
}

/// What follows a table of contents that lies at `start`.
pub fn end_records(start: u64, size: u64, entries: usize, width: Width) -> Vec<u8> {
    let mut bytes = Vec::new();
    if width == Width::Wide {
        bytes.extend(b"PK\x06\x06");
        bytes.extend([0; 20]);
        bytes.extend([entries as u64; 2].map(u64::to_le_bytes).concat());
        bytes.extend([size, start].map(u64::to_le_bytes).concat());
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend((start + size).to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
    }
    let narrow = |number: u64| match width {
        Width::Narrow => number as u32,
        Width::Wide => u32::MAX,
    };
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([entries as u16; 2].map(u16::to_le_bytes).concat());
    bytes.extend([narrow(size), narrow(start)].map(u32::to_le_bytes).concat());
    bytes.extend([0; 2]);
    bytes
}

/// A pickle of `{"weight": tensor}`, of a float tensor in the storage `key`.
pub fn weight_pickle(key: &str, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let mut bytes = b"\x80\x02}".to_vec();
    bytes.extend(text("weight"));
    bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    bytes.extend(text("storage"));
    bytes.extend(b"ctorch\nFloatStorage\n");
    bytes.extend(text(key));
    bytes.extend(text("cpu"));
    bytes.extend(b"K\x01tQ");
    bytes.extend(int(offset));
    for numbers in [shape, strides] {
        bytes.push(b'(');
        bytes.extend(numbers.iter().flat_map(|&number| int(number)));
        bytes.push(b't');
    }
    bytes.extend(b"\x89NtRs.");
    bytes
}

/// An archive with that pickle and one storage, `0`, of these elements.
pub fn weight_archive(pickle: &[u8], elements: &[f32], width: Width) -> Vec<u8> {
    let data: Vec<u8> = elements.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut storage = Entry::new("x/data/0", &data);
    storage.crc = crc32fast::hash(&data);
    zip(&[Entry::new("x/data.pkl", pickle), storage], width)
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x8c, text.len() as u8];
    bytes.extend(text.as_bytes());
    bytes
}

fn int(number: i64) -> Vec<u8> {
    let mut bytes = vec![0x8a, 8];
    bytes.extend(number.to_le_bytes());
    bytes
}
