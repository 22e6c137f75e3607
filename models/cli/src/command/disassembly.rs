//! Machine code of SIMD loops as instructions: Cranelift prints its own, these come as bytes.

use bsq_codegen::cpu::clif::{Listing, SimdListing};
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use std::fmt::Write;

/// A kernel's instructions, and below them those of the SIMD loops that it calls, in the same
/// syntax.
pub fn assembly(listing: &Listing) -> String {
    let mut text = listing.assembly.trim_end().to_string();
    for (number, made) in listing.simd_loops.iter().enumerate() {
        // By the name in Cranelift's IR, and by that in its assembly. Writing to a string cannot fail.
        let _ = writeln!(text, "\n\nSIMD loop u0:{number}, userextname{number}");
        text += instructions(made).trim_end();
    }
    text
}

/// One line an instruction, with its address, and the constants behind them in bytes.
fn instructions(made: &SimdListing) -> String {
    let mut text = String::new();
    let mut formatter = GasFormatter::new();
    let decoder = Decoder::with_ip(64, &made.code, 0, DecoderOptions::NONE);
    for instruction in decoder {
        let mut line = String::new();
        formatter.format(&instruction, &mut line);
        let _ = writeln!(text, "  {:4x}  {line}", instruction.ip());
    }
    for (number, row) in made.constants.chunks(16).enumerate() {
        let at = made.code.len() + 16 * number;
        let bytes: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "  {at:4x}  .byte {}", bytes.join(" "));
    }
    text
}
