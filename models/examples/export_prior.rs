//! From the checkpoint of a prior's training to a file that ships: the averaged weights as f16.
//!
//! `cargo run --release --example export_prior -- CHECKPOINT OUT.safetensors [f16|bf16|f32]`

use bsq::prior::PriorFile;
use bsq_ir::DType;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, out, rest @ ..] = &arguments[..] else {
        return Err("give a checkpoint, and a file to write".into());
    };
    let dtype = match rest.first().map(String::as_str) {
        None | Some("f16") => DType::F16,
        Some("bf16") => DType::BF16,
        Some("f32") => DType::F32,
        Some(other) => return Err(format!("{other}: not f16, bf16 or f32").into()),
    };
    PriorFile::open(Path::new(checkpoint))?.save(Path::new(out), dtype)?;
    Ok(())
}
