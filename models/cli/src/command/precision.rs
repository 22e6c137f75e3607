//! The options `--precision` and `--tf32`.

use bsq_runtime::Precision;
use clap::{Args, ValueEnum};

/// In which formats to compute, where f32 need not be exact.
#[derive(Args, Clone, Copy, Debug)]
pub struct RoundingArguments {
    #[command(flatten)]
    pub precision: PrecisionArgument,
    /// On a GPU, contractions in f32 on the tensor cores, which see 10 bits of mantissa: faster,
    /// and other bits than elsewhere
    #[arg(long)]
    pub tf32: bool,
}

/// In which format to compute.
#[derive(Args, Clone, Copy, Debug)]
pub struct PrecisionArgument {
    /// Format of contractions and attention. All but f32 are faster (f16 on GPUs only), round more,
    /// and promise the same results only on the same kind of CPU
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    precision: Format,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum Format {
    /// The same bits on every machine
    #[default]
    F32,
    /// Weights and activations in bf16, sums in f32
    Bf16,
    /// Weights and activations in f16, sums in f32: for GPUs, and numbers up to 65504; more bits than
    /// bf16
    F16,
    /// Weights and activations in 8 bits; attention, and the one layer of an encoder whose range is
    /// widest, in bf16
    Int8,
    /// As int8, the encoder too: for models whose bits bear it
    Int8All,
}

impl PrecisionArgument {
    pub fn get(self) -> Precision {
        match self.precision {
            Format::F32 => Precision::F32,
            Format::Bf16 => Precision::Bf16,
            Format::F16 => Precision::F16,
            Format::Int8 => Precision::Int8,
            Format::Int8All => Precision::Int8All,
        }
    }

    /// What a program is called beside the one in f32.
    pub fn title(self, program: &str) -> String {
        format!("{program} in {}", self.name())
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self.precision {
            Format::F32 => "f32",
            Format::Bf16 => "bf16",
            Format::F16 => "f16",
            Format::Int8 => "int8",
            Format::Int8All => "int8-all",
        }
    }
}
