//! How good a photo is to come out of a transform codec.

use super::error::CliError;
use bsq::transform_codec::stream::{Effort, Target};
use clap::Args;

/// The quality of a photo.
#[derive(Args, Clone, Copy, Debug)]
pub struct QualityArguments {
    #[command(flatten)]
    target: TargetArguments,
    #[command(flatten)]
    effort: EffortArgument,
}

/// How hard an encoder searches.
#[derive(Args, Clone, Copy, Debug)]
pub struct EffortArgument {
    /// How hard to search for a smaller file, from 0 to 9: 5 takes some 25 times as long as 0
    #[arg(short, long, value_name = "N", default_value_t)]
    pub effort: Effort,
}

#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
struct TargetArguments {
    /// From 0 (small) to 100 (like the original) [default: 50]
    #[arg(short, long, value_name = "Q", value_parser = in_range::<0, 100>)]
    quality: Option<f32>,
    /// The largest quality whose file has at most so many bits for a pixel
    #[arg(long, value_name = "BITS")]
    bpp: Option<f64>,
    /// The smallest file with a PSNR of so many decibels
    #[arg(long, value_name = "DB")]
    psnr: Option<f64>,
    /// The quantizer's step itself, in levels of a pixel (0 to 255)
    #[arg(long, value_name = "S", value_parser = in_range::<1, 1000>)]
    step: Option<f32>,
}

fn in_range<const LOW: u16, const HIGH: u16>(text: &str) -> Result<f32, String> {
    let value: f32 = text.parse().map_err(|_| "not a number".to_string())?;
    match (f32::from(LOW)..=f32::from(HIGH)).contains(&value) {
        true => Ok(value),
        false => Err(format!("it is from {LOW} to {HIGH}")),
    }
}

impl QualityArguments {
    /// Tokenizers have no quality.
    pub fn refuse_for(&self, tokenizer: &str) -> Result<(), CliError> {
        match self.given().is_some() || self.effort() != Effort::default() {
            true => Err(CliError::new(format_args!(
                "--quality, --bpp, --psnr, --step and --effort are for transform codecs, and {tokenizer} is a tokenizer: it spends as many bits on every patch (bsq encode --keep writes a part of them)"
            ))),
            false => Ok(()),
        }
    }

    pub fn effort(&self) -> Effort {
        self.effort.effort
    }

    pub fn target(&self) -> Target {
        self.given().unwrap_or(Target::DEFAULT)
    }

    /// What was asked for, if anything.
    pub fn given(&self) -> Option<Target> {
        let target = match &self.target {
            TargetArguments { bpp: Some(bpp), .. } => Target::BitsPerPixel(*bpp),
            TargetArguments {
                psnr: Some(decibels),
                ..
            } => Target::Psnr(*decibels),
            TargetArguments {
                step: Some(step), ..
            } => Target::Step(*step),
            TargetArguments { quality, .. } => Target::Quality((*quality)?),
        };
        Some(target)
    }
}
