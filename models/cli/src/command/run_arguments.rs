//! What commands that run a model have in common: which model, and on which device.

use super::device::DeviceArgument;
use super::error::CliError;
use super::model::ModelArgument;
use super::output::Output;
use super::precision::RoundingArguments;
use bsq::pipeline::CompileOptions;
use clap::Args;

/// A model, and where it runs.
#[derive(Args, Clone, Debug)]
pub struct RunArguments {
    #[command(flatten)]
    pub model: ModelArgument,
    #[command(flatten)]
    device: DeviceOptions,
}

/// Where programs run.
#[derive(Args, Clone, Debug)]
pub struct DeviceOptions {
    #[command(flatten)]
    device: DeviceArgument,
}

impl DeviceOptions {
    /// How programs are compiled, in f32.
    pub fn options(&self, output: &Output) -> Result<CompileOptions, CliError> {
        Ok(CompileOptions {
            threads: output.threads,
            device: self.device.open(output)?,
            ..CompileOptions::default()
        })
    }
}

impl RunArguments {
    /// How programs are compiled, in f32.
    pub fn options(&self, output: &Output) -> Result<CompileOptions, CliError> {
        self.device.options(output)
    }

    /// The same in the formats that were asked for.
    pub fn options_in(
        &self,
        rounding: RoundingArguments,
        output: &Output,
    ) -> Result<CompileOptions, CliError> {
        Ok(CompileOptions {
            precision: rounding.precision.get(),
            tf32: rounding.tf32,
            ..self.options(output)?
        })
    }
}
