//! A training step of several programs, such as one against a discriminator: what all of them take.

use super::{CliError, Output, Plan};
use bsq_codegen::ptx::Device;
use bsq_nn::train::Turn;
use serde_json::{Value, json};

/// The programs of a step, each with the steps at which it is run.
pub struct Step<'a>(pub Vec<(&'a Plan, Turn)>);

impl Step<'_> {
    /// Of the mean step.
    fn seconds(&self) -> f64 {
        let parts = self.0.iter();
        parts
            .map(|(plan, turn)| plan.seconds * turn.share_of_steps())
            .sum()
    }

    /// Programs keep parameters and memory of their own.
    fn peak_bytes(&self) -> usize {
        self.0.iter().map(|(plan, _)| plan.peak_bytes).sum()
    }

    /// A line on all of them, if there are several.
    pub fn say(&self, device: &Device, output: &Output) -> Result<(), CliError> {
        let [(main, _), _, ..] = &self.0[..] else {
            return Ok(());
        };
        let seconds = self.seconds();
        let parts = self.0.iter().map(|(plan, turn)| {
            let when = match turn {
                Turn::Always => String::new(),
                Turn::First => " at the first".to_string(),
                Turn::Every(period) => format!(" at 1 of {period}"),
                Turn::NotEvery(period) => format!(" at {} of {period}", period - 1),
            };
            format!("{} {:.2} ms{when}", plan.name, plan.seconds * 1e3)
        });
        output.say(format_args!(
            "\nall of a step of {}: {:.2} ms in the mean, {:.0}/s; {:.2} of {:.0} GB of memory",
            main.batch,
            seconds * 1e3,
            main.batch as f64 / seconds,
            self.peak_bytes() as f64 / 1e9,
            device.memory_bytes / 1e9,
        ))?;
        output.say(format_args!("  {}", parts.collect::<Vec<_>>().join(", ")))
    }

    pub fn to_json(&self) -> Value {
        let parts = self.0.iter().map(|(plan, turn)| {
            json!({
                "name": plan.name,
                "seconds": plan.seconds,
                "share_of_steps": turn.share_of_steps(),
            })
        });
        json!({
            "seconds": self.seconds(),
            "peak_bytes": self.peak_bytes(),
            "programs": parts.collect::<Vec<Value>>(),
        })
    }
}
