//! Machine code of SIMD loops as instructions: Cranelift prints its own, these come as bytes.

use super::{Listing, SimdListing};
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter};
use std::fmt;

impl Listing {
    /// A kernel's instructions, and below them those of the SIMD loops that it calls, in the same
    /// syntax.
    pub fn disassembled(&self) -> String {
        let mut text = self.assembly.trim_end().to_string();
        for (number, made) in self.simd_loops.iter().enumerate() {
            // By the name in Cranelift's IR, and by that in its assembly.
            text += &format!("\n\nSIMD loop u0:{number}, userextname{number}\n");
            text += made.to_string().trim_end();
        }
        text
    }
}

/// One line an instruction, with its address, and the constants behind them in bytes.
impl fmt::Display for SimdListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut formatter = GasFormatter::new();
        for instruction in Decoder::with_ip(64, &self.code, 0, DecoderOptions::NONE) {
            let mut line = String::new();
            formatter.format(&instruction, &mut line);
            writeln!(f, "  {:4x}  {line}", instruction.ip())?;
        }
        for (number, row) in self.constants.chunks(16).enumerate() {
            let at = self.code.len() + 16 * number;
            let bytes: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(f, "  {at:4x}  .byte {}", bytes.join(" "))?;
        }
        Ok(())
    }
}
