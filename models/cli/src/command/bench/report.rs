//! What `bsq bench` prints: text and JSON.

use super::super::error::CliError;
use super::super::output::Output;
use super::kernels::KernelShare;
use super::machine::Machine;
use super::measured::Measured;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Kernels that are listed, unless all are asked for.
const LISTED: usize = 12;

/// Everything that was measured.
pub struct Report<'a> {
    pub machine: Machine,
    pub batch: usize,
    /// What a batch consists of.
    pub unit: &'static str,
    pub samples: usize,
    pub precision: &'static str,
    pub programs: &'a [Measured],
    pub all_kernels: bool,
}

impl Report<'_> {
    pub fn say(&self, output: &Output) -> Result<(), CliError> {
        let rates = self.machine.rates();
        output.say(format_args!(
            "{}: peak {:.1} GFLOP/s, memory {:.1} GB/s",
            self.machine.describe(),
            rates.gflops,
            rates.gbytes
        ))?;
        self.programs
            .iter()
            .try_for_each(|program| self.say_program(program, output))?;
        for (name, ratio) in self.ratios() {
            output.say(format_args!("\n{name}: {ratio:.2} times as fast as in f32"))?;
        }
        Ok(())
    }

    /// How many times as fast a program in another format is as the one in f32.
    fn ratios(&self) -> impl Iterator<Item = (&str, f64)> {
        self.programs.iter().filter_map(|program| {
            let plain = program.name.split_once(" in ")?.0;
            let plain = self.programs.iter().find(|other| other.name == plain)?;
            Some((&*program.name, plain.seconds() / program.seconds()))
        })
    }

    fn say_program(&self, program: &Measured, output: &Output) -> Result<(), CliError> {
        let (seconds, gflops) = (program.seconds(), program.gflops());
        output.say(format_args!(
            "\n{} of {} {}: {:.2} ms, {:.1} {}/s, {gflops:.1} GFLOP/s, {:.0}% of peak; {:.1} MB at most",
            program.name,
            self.batch,
            self.unit,
            seconds * 1e3,
            self.batch as f64 / seconds,
            self.unit,
            100.0 * gflops / self.machine.rates().gflops,
            program.program().peak_bytes() as f64 / 1e6
        ))?;
        output.detail(format_args!(
            "{}: {}",
            program.name,
            program.executable.report()
        ));
        let kernels = program.kernels();
        let total = total_seconds(&kernels);
        let listed = match self.all_kernels {
            true => kernels.len(),
            false => LISTED,
        };
        output.say("        ms  share  calls     GFLOP       MB  of peak  of memory  kernel")?;
        for share in kernels.iter().take(listed) {
            let rates = share.rates();
            output.say(format_args!(
                "  {:8.3} {:5.1}% {:6} {:9.3} {:8.2} {:7.0}% {:9.0}%  {}",
                share.seconds * 1e3,
                100.0 * share.seconds / total,
                share.calls,
                share.flops as f64 / 1e9,
                share.bytes as f64 / 1e6,
                100.0 * rates.gflops / self.machine.rates().gflops,
                100.0 * rates.gbytes / self.machine.rates().gbytes,
                share.label
            ))?;
        }
        Ok(())
    }

    pub fn to_json(&self) -> Value {
        let programs = self.programs.iter().map(|p| self.program_json(p));
        let mut value = json!({
            "batch": self.batch,
            "samples": self.samples,
            "precision": self.precision,
            "times_as_fast_as_f32": self.ratios().collect::<BTreeMap<_, _>>(),
            "peak_gflops": self.machine.rates().gflops,
            "memory_gbytes_per_second": self.machine.rates().gbytes,
            "programs": programs.collect::<Vec<Value>>(),
        });
        self.machine.add_to(&mut value);
        value
    }

    fn program_json(&self, program: &Measured) -> Value {
        let kernels = program.kernels();
        let total = total_seconds(&kernels);
        let kernels = kernels.into_iter().map(|share| {
            let rates = share.rates();
            json!({
                "label": share.label,
                "calls": share.calls,
                "seconds": share.seconds,
                "share": share.seconds / total,
                "flops": share.flops,
                "bytes": share.bytes,
                "of_peak": rates.gflops / self.machine.rates().gflops,
                "of_memory": rates.gbytes / self.machine.rates().gbytes,
            })
        });
        json!({
            "name": program.name,
            "seconds": program.seconds(),
            "gflops": program.gflops(),
            "of_peak": program.gflops() / self.machine.rates().gflops,
            "compile_seconds": program.executable.report().total().as_secs_f64(),
            "peak_bytes": program.program().peak_bytes(),
            "kernels": kernels.collect::<Vec<Value>>(),
        })
    }
}

/// Of all launches: a share is one of what kernels take, without what lies between them.
fn total_seconds(kernels: &[KernelShare]) -> f64 {
    kernels.iter().map(|share| share.seconds).sum()
}
