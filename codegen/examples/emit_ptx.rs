//! Writes the PTX of a function: `emit_ptx FUNCTION.ir FOLDER [f32|tf32|bf16|int8]`, where the function is what `bsq explain
//! --stage fused` prints.

use bsq_codegen::lower::{Options, Precision, lower_with};
use bsq_codegen::ptx;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&arguments[1]).expect("a readable file");
    let function = bsq_ir::text::parse(&text).expect("a function");
    let format = arguments.get(3).map_or("f32", String::as_str);
    let precision = match format {
        "bf16" => Precision::Bf16,
        "int8" => Precision::Int8,
        _ => Precision::F32,
    };
    let options = ptx::Options {
        tf32: format == "tf32",
        ..Default::default()
    };
    let lowering = Options {
        precision,
        blocks: options.blocks(),
    };
    let program = lower_with(&function, &lowering);
    let start = std::time::Instant::now();
    let entries = ptx::compile(&program, &options).expect("PTX");
    println!("{} kernels in {:?}", entries.len(), start.elapsed());
    for entry in entries {
        let file = format!("{}/{}.ptx", arguments[2], entry.name);
        std::fs::write(file, entry.text).expect("a writable folder");
    }
}
