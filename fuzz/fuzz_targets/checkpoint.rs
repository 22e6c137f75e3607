//! Any file as a checkpoint, safetensors or PyTorch: an error or tensors, never a panic.
#![no_main]

use bsq_runtime::checkpoint::{Weights, read};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    for weights in [Weights::Ema, Weights::Raw] {
        let _ = read(Cursor::new(bytes), Path::new("fuzzed"), weights);
    }
});
