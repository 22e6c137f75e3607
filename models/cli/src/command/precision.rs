//! The options `--precision` and `--tf32`.

use bsq::config::{TrainConfig, TrainPrecision};
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
    /// Format of contractions and attention. All but f32 are faster (bf16 where the CPU multiplies it
    /// fast, f16 on GPUs only), round more, and promise the same results only on the same kind of CPU
    #[arg(long, value_enum, value_name = "FORMAT")]
    precision: Option<Format>,
}

#[derive(ValueEnum, Clone, Copy, Debug, Default)]
enum Format {
    /// The same bits on every machine [default]
    #[default]
    F32,
    /// Weights and activations in bf16, sums in f32; on CPUs that multiply it no faster than f32 weights alone
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
        match self.format() {
            Format::F32 => Precision::F32,
            Format::Bf16 => Precision::Bf16,
            Format::F16 => Precision::F16,
            Format::Int8 => Precision::Int8,
            Format::Int8All => Precision::Int8All,
        }
    }

    /// That of a training step: as it is configured, unless this says f32 or bf16.
    pub fn of_training(self, configured: TrainPrecision) -> Precision {
        match self.precision {
            Some(Format::F32) => Precision::F32,
            Some(Format::Bf16) => TrainPrecision::Bf16.compiled(),
            _ => configured.compiled(),
        }
    }

    fn format(self) -> Format {
        self.precision.unwrap_or_default()
    }

    /// What a program is called beside the one in f32.
    pub fn title(self, program: &str) -> String {
        format!("{program} in {}", self.name())
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self.format() {
            Format::F32 => "f32",
            Format::Bf16 => "bf16",
            Format::F16 => "f16",
            Format::Int8 => "int8",
            Format::Int8All => "int8-all",
        }
    }
}

/// The option `--precision` of trainings.
#[derive(Args, Clone, Copy, Debug)]
pub struct TrainPrecisionArgument {
    /// Format of contractions and of what is kept for the backward pass: f32, with the same bits everywhere, or bf16,
    /// with less memory and time [default: train.precision]
    #[arg(long, value_enum, value_name = "FORMAT")]
    precision: Option<TrainFormat>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum TrainFormat {
    F32,
    Bf16,
}

impl TrainPrecisionArgument {
    /// Puts what was given into a configuration.
    pub fn put(self, train: &mut TrainConfig) {
        match self.precision {
            None => {}
            Some(TrainFormat::F32) => train.precision = TrainPrecision::F32,
            Some(TrainFormat::Bf16) => train.precision = TrainPrecision::Bf16,
        }
    }
}
