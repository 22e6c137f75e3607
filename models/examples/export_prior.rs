//! From the checkpoint of a prior's training to a file that ships: the averaged weights as f16.
//!
//! `cargo run --release --example export_prior -- CHECKPOINT OUT.safetensors [f16|bf16|f32|kept-bf16|kept-u8]`
//!
//! The first three say how the file is written; the weights are `f32` when it is read. The last
//! two also keep the weight matrices as bf16 or bytes in memory, where large priors decode faster.

use bsq::prior::{PriorFile, Storage};
use bsq_ir::DType;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, out, rest @ ..] = &arguments[..] else {
        return Err("give a checkpoint, and a file to write".into());
    };
    let (dtype, storage) = match rest.first().map(String::as_str) {
        None | Some("f16") => (DType::F16, Storage::F32),
        Some("bf16") => (DType::BF16, Storage::F32),
        Some("f32") => (DType::F32, Storage::F32),
        Some("kept-bf16") => (DType::F32, Storage::Bf16),
        Some("kept-u8") => (DType::F32, Storage::U8),
        Some(other) => {
            return Err(format!("{other}: not f16, bf16, f32, kept-bf16 or kept-u8").into());
        }
    };
    let prior = PriorFile::open(Path::new(checkpoint))?;
    prior.stored_as(storage)?.save(Path::new(out), dtype)?;
    Ok(())
}
