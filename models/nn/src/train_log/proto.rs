//! The few fields of TensorFlow's `Event` message that a log needs, in protobuf's wire format.
//!
//! | message | fields |
//! |---|---|
//! | Event | 1 wall_time (double), 2 step (int64), 3 file_version (string), 5 summary |
//! | Summary | 1 value (repeated) |
//! | Value | 1 tag (string), 2 simple_value (float), 4 image |
//! | Image | 1 height, 2 width, 3 colorspace, 4 encoded_image_string (bytes) |

/// A message that is being written.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    pub fn integer(mut self, field: u64, value: u64) -> Message {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    pub fn double(mut self, field: u64, value: f64) -> Message {
        self.key(field, FIXED64);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub fn float(mut self, field: u64, value: f32) -> Message {
        self.key(field, FIXED32);
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A string, bytes, or a message inside this one.
    pub fn bytes(mut self, field: u64, value: &[u8]) -> Message {
        self.key(field, BYTES);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    pub fn message(self, field: u64, value: Message) -> Message {
        self.bytes(field, &value.0)
    }
}

/// The varint field of a message, 0 if it is absent; `None` if this is no message.
pub(super) fn integer_field(mut message: &[u8], wanted: u64) -> Option<u64> {
    let mut found = 0;
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let skipped = match key & 7 {
            VARINT => {
                let value = take_varint(&mut message)?;
                if key >> 3 == wanted {
                    found = value;
                }
                0
            }
            FIXED64 => 8,
            FIXED32 => 4,
            BYTES => usize::try_from(take_varint(&mut message)?).ok()?,
            _ => return None,
        };
        message = message.get(skipped..)?;
    }
    Some(found)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_encodings() {
        // The example of the protobuf documentation: field 1 is 150.
        assert_eq!(
            Message::default().integer(1, 150).into_bytes(),
            [0x08, 0x96, 0x01]
        );
        assert_eq!(
            Message::default().bytes(2, b"testing").into_bytes(),
            [0x12, 7, b't', b'e', b's', b't', b'i', b'n', b'g']
        );
        assert_eq!(
            Message::default().float(2, 1.0).into_bytes(),
            [0x15, 0, 0, 0x80, 0x3F]
        );
    }

    proptest! {
        #[test]
        fn an_integer_is_found_among_other_fields(value: u64, text: Vec<u8>, number: f64) {
            let message = Message::default()
                .double(1, number)
                .bytes(3, &text)
                .integer(2, value)
                .message(5, Message::default().integer(2, 7))
                .float(9, 1.0)
                .into_bytes();
            prop_assert_eq!(integer_field(&message, 2), Some(value));
            prop_assert_eq!(integer_field(&message, 4), Some(0));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _ = integer_field(&bytes, 2);
        }
    }
}
