//! Entropy coding alone: probabilities to bytes and back, beside the crate it is made with.
//!
//! Every symbol has its own probabilities, as a prior gives them. Ours turns them into counts by
//! its own exact rule; `constriction` alone by the fastest of its rules, whose results its
//! documentation does not promise to be the same everywhere.

use bsq::codec::{QuantizedCdf, SymbolDecoder, SymbolEncoder};
use bsq_benches::data::uniform;
use bsq_benches::{Agreement, Candidate, Comparison, Peer, Suite, Work};
use constriction::stream::model::DefaultContiguousCategoricalEntropyModel as Categorical;
use constriction::stream::queue::{DefaultRangeDecoder, DefaultRangeEncoder};
use constriction::stream::{Decode, Encode};

const SYMBOLS: usize = 20_000;
const CLASSES: usize = 16;

/// Bytes of both may differ by this much: their counts are rounded differently.
const ROUNDING: f64 = 1e-3;

pub fn compare(suite: &mut Suite) {
    let data = Data::new();
    let work = Work {
        flops: 0.0,
        bytes: (SYMBOLS * CLASSES * size_of::<f32>()) as f64,
    };
    let (ours, theirs) = (data.encode(), data.encode_bare());
    let groups: [(&str, Vec<Candidate<'_>>); 2] = [
        (
            "entropy coding, encode",
            vec![
                Candidate::new("bsq", || {
                    let data = data.clone();
                    Peer::new(move || data.encode(), |bytes| vec![bytes.len() as f64])
                }),
                Candidate::new("constriction", || {
                    let data = data.clone();
                    let size = |words: &Vec<u32>| vec![4.0 * words.len() as f64];
                    Peer::new(move || data.encode_bare(), size)
                }),
            ],
        ),
        (
            "entropy coding, decode",
            vec![
                Candidate::new("bsq", || {
                    let (data, ours) = (data.clone(), ours.clone());
                    Peer::new(
                        move || data.decode(&ours),
                        |values: &Vec<usize>| read(values),
                    )
                }),
                Candidate::new("constriction", || {
                    let (data, theirs) = (data.clone(), theirs.clone());
                    Peer::new(
                        move || data.decode_bare(&theirs),
                        |values: &Vec<usize>| read(values),
                    )
                }),
            ],
        ),
    ];
    for (name, candidates) in groups {
        let comparison = Comparison {
            name,
            work,
            agreement: Agreement::Within(ROUNDING),
            rounds: 30,
            candidates,
        };
        suite.compare_items(comparison, SYMBOLS as f64, "symbols");
    }
}

fn read(values: &[usize]) -> Vec<f64> {
    values.iter().map(|&value| value as f64).collect()
}

/// Symbols with the probabilities of their values.
#[derive(Clone)]
struct Data {
    values: Vec<usize>,
    /// `[SYMBOLS, CLASSES]`.
    probabilities: Vec<f32>,
}

impl Data {
    fn new() -> Data {
        let mut probabilities = uniform(1, SYMBOLS * CLASSES, 1.0);
        let drawn = uniform(2, SYMBOLS, 0.5);
        let mut values = Vec::with_capacity(SYMBOLS);
        for (row, drawn) in probabilities.chunks_exact_mut(CLASSES).zip(drawn) {
            // As peaked as a prior's: about two bits of four.
            row.iter_mut().for_each(|x| *x = (4.0 * *x).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
            let (mut value, mut rest) = (0, drawn + 0.5);
            while value + 1 < CLASSES && rest >= row[value] {
                rest -= row[value];
                value += 1;
            }
            values.push(value);
        }
        Data {
            values,
            probabilities,
        }
    }

    fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.probabilities.chunks_exact(CLASSES)
    }

    fn encode(&self) -> Vec<u8> {
        let (mut encoder, mut cdf) = (SymbolEncoder::default(), QuantizedCdf::default());
        for (&value, row) in self.values.iter().zip(self.rows()) {
            cdf.set(row);
            encoder.encode(value, &cdf);
        }
        encoder.finish()
    }

    fn decode(&self, bytes: &[u8]) -> Vec<usize> {
        let (mut decoder, mut cdf) = (SymbolDecoder::new(bytes), QuantizedCdf::default());
        let value = |row| {
            cdf.set(row);
            decoder.decode(&cdf).expect("an encoder wrote these bytes")
        };
        self.rows().map(value).collect()
    }

    fn encode_bare(&self) -> Vec<u32> {
        let mut encoder = DefaultRangeEncoder::new();
        for (&value, row) in self.values.iter().zip(self.rows()) {
            let coded = encoder.encode_symbol(value, model(row));
            coded.expect("every class has a probability");
        }
        encoder.into_compressed().expect("memory takes everything")
    }

    fn decode_bare(&self, words: &[u32]) -> Vec<usize> {
        let decoder = DefaultRangeDecoder::from_compressed(words.to_vec());
        let mut decoder = decoder.expect("memory gives everything");
        let value = |row| decoder.decode_symbol(model(row)).expect("valid words");
        self.rows().map(value).collect()
    }
}

fn model(probabilities: &[f32]) -> Categorical {
    let model = Categorical::from_floating_point_probabilities_fast(probabilities, None);
    model.expect("probabilities")
}
