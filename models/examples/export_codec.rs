//! The transform codec of a training as a file that ships.
//!
//! `cargo run --release --example export_codec -- CHECKPOINT OUT.safetensors [f16|bf16|f32]`

use bsq::transform_codec::TransformCodecFile;
use bsq_ir::DType;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (checkpoint, out, dtype) = match &arguments[..] {
        [checkpoint, out] => (checkpoint, out, DType::F16),
        [checkpoint, out, dtype] => {
            let dtype = match dtype.as_str() {
                "f16" => DType::F16,
                "bf16" => DType::BF16,
                "f32" => DType::F32,
                other => return Err(format!("{other}: f16, bf16 or f32").into()),
            };
            (checkpoint, out, dtype)
        }
        _ => return Err("CHECKPOINT OUT.safetensors [f16|bf16|f32]".into()),
    };
    let file = TransformCodecFile::open(Path::new(checkpoint))?;
    file.save(Path::new(out), dtype)?;
    let written = TransformCodecFile::open(Path::new(out))?;
    println!(
        "{} parameters, fingerprint {:016x}",
        written.parameter_count(),
        written.fingerprint()
    );
    Ok(())
}
