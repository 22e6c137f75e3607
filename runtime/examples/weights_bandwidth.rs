//! One token, or several, through the linear layers of a decoder of 24 layers and width 768: bytes of
//! weights per second, beside the bandwidth of reading memory, with weights in f32, bf16 and 8 bits.
//!
//! `cargo run --release -p bsq-runtime --example weights_bandwidth -- [SAMPLES [TOKENS]]`
//!
//! Samples of reading and of each format are taken in turn; medians are compared.

use bsq_ir::{DType, Graph, Tensor};
use bsq_runtime::threads::{WorkerPool, available_threads};
use bsq_runtime::{CompileOptions, HostTensor, Session, compile};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

const LAYERS: usize = 24;
const WIDTH: usize = 768;
/// Bytes that are read to measure the bandwidth: far more than caches hold.
const READ: usize = 256 << 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |n, default| match std::env::args().nth(n) {
        Some(number) => number.parse(),
        None => Ok(default),
    };
    let (samples, tokens) = (argument(1, 15)?, argument(2, 1)?);
    let threads = available_threads();
    let pool = WorkerPool::new(threads)?;
    // In huge pages, as weights are.
    let mut memory = HostTensor::zeros(DType::U64, [READ / 8])?;
    memory.as_mut_slice::<u64>()?.fill(1);
    let memory = memory.as_slice::<u64>()?;
    let formats = [DType::F32, DType::BF16, DType::U8];
    let mut decoders = Vec::new();
    for format in formats {
        decoders.push(decoder(format, tokens)?);
    }
    let mut rates = vec![Vec::new(); formats.len() + 1];
    for _ in 0..samples {
        rates[0].push(read(&pool, memory));
        for (decoder, rates) in decoders.iter_mut().zip(&mut rates[1..]) {
            rates.push(decoder.run()?);
        }
    }
    let bandwidth = median(&mut rates[0]);
    println!("{threads} threads, reading memory: {bandwidth:.1} GB/s");
    for ((format, decoder), rates) in formats.iter().zip(&decoders).zip(&mut rates[1..]) {
        let rate = median(rates);
        println!(
            "{format:>5}: {rate:5.1} GB/s of weights, {:3.0}% of that, {:5.1} tokens/s",
            100.0 * rate / bandwidth,
            rate * 1e9 / decoder.bytes as f64 * tokens as f64,
        );
    }
    Ok(())
}

/// GB/s of all threads reading together.
fn read(pool: &WorkerPool, memory: &[u64]) -> f64 {
    const PART: usize = 1 << 15;
    let start = Instant::now();
    pool.run(memory.len() / PART, &|_, parts| {
        for part in memory[parts.start * PART..parts.end * PART].chunks(PART) {
            black_box(sum(part));
        }
    });
    size_of_val(memory) as f64 / start.elapsed().as_secs_f64() / 1e9
}

/// The sum of all, from four places at once: faster than in order, since each is prefetched as a
/// separate stream.
fn sum(part: &[u64]) -> u64 {
    const LINE: usize = 8;
    let (first, second) = part.split_at(part.len() / 2);
    let ((a, b), (c, d)) = (
        first.split_at(first.len() / 2),
        second.split_at(second.len() / 2),
    );
    let mut sums = [0u64; LINE];
    let streams = [a, b, c, d].map(|stream| stream.as_chunks::<LINE>().0);
    for line in 0..streams[0].len() {
        for stream in streams {
            for (sum, x) in sums.iter_mut().zip(stream[line]) {
                *sum = sum.wrapping_add(x);
            }
        }
    }
    sums.iter().fold(0, |sum, &x| sum.wrapping_add(x))
}

struct Decoder {
    session: Session,
    input: HostTensor,
    /// Of all weights.
    bytes: usize,
}

fn decoder(format: DType, tokens: usize) -> Result<Decoder, Box<dyn std::error::Error>> {
    let g = Graph::new();
    let mut x = g.input("x", DType::F32, [tokens, WIDTH]);
    let mut bytes = 0;
    for layer in 0..LAYERS {
        let mut linear = |x: Tensor<'_>, name: &str, outputs: usize| {
            let (x, inputs) = (Tensor::new(&g, x.id()), x.shape()[1]);
            let weight = g.parameter(&format!("{layer}.{name}"), format, [outputs, inputs]);
            bytes += outputs * inputs * format.size();
            let weight = match format {
                DType::U8 => {
                    let scales =
                        g.parameter(&format!("{layer}.{name}.scales"), DType::F32, [outputs]);
                    weight.dequantize(scales, -1)
                }
                _ => weight.cast(DType::F32),
            };
            x.matmul_transposed(weight).id()
        };
        let qkv = Tensor::new(&g, linear(x, "qkv", 3 * WIDTH));
        x = Tensor::new(&g, linear(qkv.chunk(3, -1)[2], "out", WIDTH));
        let hidden = Tensor::new(&g, linear(x, "up", 4 * WIDTH));
        x = Tensor::new(&g, linear(hidden, "down", WIDTH));
    }
    let function = g.function([("y", x.id())], []);
    let executable = compile(&function, &CompileOptions::default())?;
    let mut parameters = BTreeMap::new();
    for (_, name, ty) in function.parameters() {
        parameters.insert(
            name.to_string(),
            HostTensor::zeros(ty.dtype, ty.shape.to_vec())?,
        );
    }
    let mut decoder = Decoder {
        session: executable.bind(parameters)?,
        input: HostTensor::from_slice([tokens, WIDTH], &vec![0.5f32; tokens * WIDTH])?,
        bytes,
    };
    // The first run also packs the weights.
    decoder.run()?;
    Ok(decoder)
}

impl Decoder {
    /// All tokens; GB/s of weights.
    fn run(&mut self) -> Result<f64, Box<dyn std::error::Error>> {
        let start = Instant::now();
        black_box(self.session.run(&[("x", &self.input)])?);
        Ok(self.bytes as f64 / start.elapsed().as_secs_f64() / 1e9)
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
