//! What a comparison leaves: lines on the terminal, files in a folder, a value for `--json`.

use super::super::super::Verdict;
use super::super::super::error::CliError;
use super::super::super::interrupt::uninterrupted;
use super::super::super::output::Output;
use crate::rate_distortion::{BdRate, Comparison, Figures, bd_rate_table, svg_plot};
use bsq::image_io::write_atomically;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What is made of figures: lines, files and values.
pub(super) struct Told<'a> {
    /// What was measured, in the plural, and how many there are.
    pub what: &'static str,
    pub all: usize,
    pub table: &'a dyn Fn(&Comparison) -> String,
    /// Of each codec, names of files and what is in them.
    pub files: &'a dyn Fn(&Figures) -> Vec<(String, Value)>,
}

impl Told<'_> {
    /// Says and writes all of it.
    pub fn of(
        &self,
        comparison: &Comparison,
        page: &dyn Fn(&Comparison) -> String,
        out: &Path,
        output: &Output,
    ) -> Result<Verdict, CliError> {
        let (done, all, what) = (comparison.pictures.len(), self.all, self.what);
        if done < all {
            output.note(format_args!("stopped after {done} of {all} {what}"));
        }
        if done == 0 {
            return Ok(Verdict::Interrupted);
        }
        self.report(comparison, output)?;
        make(out)?;
        let mut results = Map::new();
        for (name, value) in comparison.codecs.iter().flat_map(self.files) {
            write(out, &format!("{name}.json"), &format!("{value:#}\n"))?;
            results.insert(name, value);
        }
        write(out, "plot.svg", &svg_plot(comparison))?;
        write(out, "index.html", &page(comparison))?;
        output.note(format_args!("wrote {}", out.join("index.html").display()));
        let names: Vec<&String> = comparison.pictures.iter().map(|one| &one.name).collect();
        output.value(&json!({
            what: names,
            "knob": comparison.knob,
            "settings": comparison.rungs,
            "out": out.display().to_string(),
            "codecs": Value::Object(results),
            "bd_rates": Value::Object(bd_rates(comparison)),
        }))?;
        Ok(match done < all {
            true => Verdict::Interrupted,
            false => Verdict::Good,
        })
    }

    fn report(&self, comparison: &Comparison, output: &Output) -> Result<(), CliError> {
        for codec in &comparison.codecs {
            let missing = if codec.missing { "not measured: " } else { "" };
            output.say(format_args!(
                "{}: {missing}{}",
                codec.name, codec.description
            ))?;
        }
        output.say(format_args!(
            "\nmeans over {} {}\n\n{}",
            comparison.pictures.len(),
            self.what,
            (self.table)(comparison).trim_end()
        ))?;
        match comparison.codecs.len() {
            1 => Ok(()),
            _ => output.say(format_args!("\n{}", bd_rate_table(comparison).trim_end())),
        }
    }
}

pub(super) fn make(folder: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(folder)
        .map_err(|error| CliError::new(format_args!("{}: {error}", folder.display())))
}

/// BD-rates beside each of the other codecs.
fn bd_rates(comparison: &Comparison) -> Map<String, Value> {
    let others = comparison.codecs.iter().enumerate().skip(1);
    let rates = others.map(|(position, codec)| {
        let BdRate { psnr, ms_ssim } = comparison.bd_rate(position);
        let rates = json!({ "psnr": psnr, "ms_ssim": ms_ssim });
        (codec.id.to_string(), rates)
    });
    rates.collect()
}

fn write(folder: &Path, name: &str, text: &str) -> Result<(), CliError> {
    let path = folder.join(name);
    Ok(uninterrupted(|| write_atomically(&path, text.as_bytes()))?)
}
