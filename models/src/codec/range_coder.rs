//! A tile's bytes: the range coder of the crate `constriction`, and plain bits.

use super::quantized_cdf::{PRECISION, QuantizedCdf};
use constriction::stream::model::{DecoderModel, EncoderModel};
use constriction::stream::queue::{DefaultRangeDecoder, DefaultRangeEncoder};
use constriction::stream::{Decode, Encode};

/// Symbols to bytes. Words of 32 bits, most significant byte first; zero bytes at the end are
/// left out, as a decoder reads zeros there anyway.
#[derive(Default)]
pub struct SymbolEncoder(DefaultRangeEncoder);

impl SymbolEncoder {
    /// Appends a value.
    ///
    /// # Panics
    /// If the counts are of fewer values.
    pub fn encode(&mut self, value: usize, cdf: &QuantizedCdf) {
        self.encode_with(value, cdf);
    }

    /// Appends a symbol of any model.
    ///
    /// # Panics
    /// If the model gives it no probability.
    pub fn encode_with<M>(&mut self, symbol: M::Symbol, model: M)
    where
        M: EncoderModel<PRECISION, Probability = u32>,
    {
        let coded = self.0.encode_symbol(symbol, model);
        coded.expect("every symbol of the model can be coded");
    }

    /// The bytes of all values.
    pub fn finish(self) -> Vec<u8> {
        let Ok(words) = self.0.into_compressed();
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let used = bytes.iter().rposition(|&byte| byte != 0);
        bytes.truncate(used.map_or(0, |last| last + 1));
        bytes
    }
}

/// Bytes to symbols.
pub struct SymbolDecoder(DefaultRangeDecoder);

impl SymbolDecoder {
    /// The values of these bytes, one by one.
    pub fn new(bytes: &[u8]) -> SymbolDecoder {
        let word = |part: &[u8]| {
            let mut four = [0; 4];
            four[..part.len()].copy_from_slice(part);
            u32::from_be_bytes(four)
        };
        let words: Vec<u32> = bytes.chunks(4).map(word).collect();
        let Ok(decoder) = DefaultRangeDecoder::from_compressed(words);
        SymbolDecoder(decoder)
    }

    /// The next symbol; `None` if no encoder has written these bytes.
    pub fn decode(&mut self, cdf: &QuantizedCdf) -> Option<usize> {
        self.decode_with(cdf)
    }

    /// The next symbol of any model; `None` if no encoder has written these bytes.
    pub fn decode_with<M>(&mut self, model: M) -> Option<M::Symbol>
    where
        M: DecoderModel<PRECISION, Probability = u32>,
    {
        self.0.decode_symbol(model).ok()
    }

    /// Whether nothing is left but what an encoder's end may leave.
    pub fn is_exhausted(&self) -> bool {
        self.0.maybe_exhausted()
    }
}

/// Numbers of so many bits each, first bit most significant; the last byte is filled with zeros.
pub fn pack_bits(values: impl IntoIterator<Item = (u64, usize)>) -> Vec<u8> {
    let (mut bytes, mut pending, mut count) = (Vec::new(), 0_u128, 0);
    for (value, width) in values {
        pending = pending << width | u128::from(value);
        count += width;
        while count >= 8 {
            count -= 8;
            bytes.push((pending >> count) as u8);
        }
        pending &= (1 << count) - 1;
    }
    if count > 0 {
        bytes.push((pending << (8 - count)) as u8);
    }
    bytes
}

/// The numbers of [`pack_bits`]; `None` if there are not as many bytes as numbers of these widths take, or
/// the bits after the last number are not zero.
pub fn unpack_bits(bytes: &[u8], widths: impl Iterator<Item = usize> + Clone) -> Option<Vec<u64>> {
    if bytes.len() != widths.clone().sum::<usize>().div_ceil(8) {
        return None;
    }
    let (mut values, mut pending, mut have) = (Vec::new(), 0_u128, 0);
    let mut bytes = bytes.iter();
    for width in widths {
        while have < width {
            pending = pending << 8 | u128::from(*bytes.next()?);
            have += 8;
        }
        have -= width;
        values.push((pending >> have) as u64);
        pending &= (1 << have) - 1;
    }
    (pending == 0).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Symbols with the probabilities that they are coded with.
    fn symbols() -> impl Strategy<Value = Vec<(usize, Vec<f32>)>> {
        let one = prop::collection::vec(0.001_f32..1.0, 1..20)
            .prop_flat_map(|weights| (0..weights.len(), Just(weights)))
            .prop_map(|(value, weights)| {
                let sum: f32 = weights.iter().sum();
                (value, weights.iter().map(|w| w / sum).collect())
            });
        prop::collection::vec(one, 0..300)
    }

    proptest! {
        #[test]
        fn symbols_come_back(symbols in symbols()) {
            let (mut encoder, mut cdf) = (SymbolEncoder::default(), QuantizedCdf::default());
            let mut bits = 0.0;
            for (value, probabilities) in &symbols {
                cdf.set(probabilities);
                bits += cdf.bits(*value);
                encoder.encode(*value, &cdf);
            }
            let bytes = encoder.finish();
            prop_assert!(bytes.len() as f64 <= bits / 8.0 + 5.0, "{} {}", bytes.len(), bits);
            let mut decoder = SymbolDecoder::new(&bytes);
            for (value, probabilities) in &symbols {
                cdf.set(probabilities);
                prop_assert_eq!(decoder.decode(&cdf), Some(*value));
            }
            prop_assert!(decoder.is_exhausted());
        }

        #[test]
        fn bits_come_back(words in prop::collection::vec((any::<u64>(), 1_usize..64), 0..50)) {
            let values: Vec<_> = words.iter().map(|&(word, width)| (word >> (64 - width), width)).collect();
            let bytes = pack_bits(values.iter().copied());
            let widths = || values.iter().map(|&(_, width)| width);
            let found = unpack_bits(&bytes, widths());
            prop_assert!(found.unwrap().into_iter().eq(values.iter().map(|&(value, _)| value)));
            prop_assert_eq!(unpack_bits(&bytes, widths().chain([8])), None);
        }
    }

    #[test]
    fn the_first_bit_is_the_most_significant() {
        let bits = [1, 0, 1, 1].map(|bit| (bit, 1));
        assert_eq!(pack_bits(bits), [0b1011_0000]);
        assert_eq!(pack_bits([(0xABC, 12), (0xDEF, 12)]), [0xAB, 0xCD, 0xEF]);
        assert_eq!(unpack_bits(&[0b1011_0001], [1; 4].into_iter()), None);
    }
}
