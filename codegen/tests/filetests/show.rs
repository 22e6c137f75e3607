//! What the passes make of a case, as text.

use crate::case::Case;
use bsq_codegen::cpu::clif::{self, SimdListing};
use bsq_codegen::cpu::microkernel::Family;
use bsq_codegen::kernel::{Kernel, parse_all};
use bsq_codegen::lower::{Options, TilingPolicy};
use bsq_codegen::pipeline::{Pass, Pipeline, Watch};
use bsq_codegen::program::Program;
use bsq_codegen::ptx;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// Keeps what came out of one pass, the last time.
struct Last {
    pass: Pass,
    text: String,
}

impl Watch for &mut Last {
    fn before(&mut self, _: Pass, _: &dyn Display) {}

    fn after(&mut self, pass: Pass, output: &dyn Display) {
        if pass == self.pass {
            self.text = output.to_string();
        }
    }
}

/// The text of a test such as `order` or `ptx sm_86`.
pub fn show(case: &Case, test: &str) -> Result<String, String> {
    let mut words = test.split_whitespace();
    let (what, target) = (words.next().unwrap_or_default(), words.next());
    let gpu = target.and_then(|target| target.strip_prefix("sm_"));
    let gpu = gpu.map(|sm| ptx::Options {
        sm: sm.parse().expect("a number behind `sm_`"),
        tf32: case.tf32,
    });
    let tiling = gpu.map_or(TilingPolicy::CPU, |options| options.tiling(case.precision));
    let mut last = Last {
        pass: Pass::from_name(what).unwrap_or(Pass::Memory),
        text: String::new(),
    };
    let mut pipeline = Pipeline::watched(&mut last);
    let options = Options {
        precision: case.precision,
        narrow_activations: !case.wide_activations,
        tiling,
        memory: None,
    };
    let rewritten = pipeline.rewrite(&case.function, case.exact);
    let rewritten = rewritten.map_err(|error| error.to_string())?;
    let program = pipeline.lower(&rewritten, &options);
    let program = program.map_err(|error| error.to_string())?;
    match (what, gpu) {
        ("kernel", _) => kernels(&program),
        ("program", _) => Ok(program.to_string()),
        ("launches", _) => Ok(launches(&program)),
        ("simd", None) => simd(&program, target.unwrap_or_default()),
        ("ptx" | "instructions", Some(options)) => {
            let entries = pipeline.ptx(&program, &options);
            let entries = entries.map_err(|error| error.to_string())?;
            match what {
                "ptx" => Ok(last.text),
                _ => Ok(instructions(&entries)),
            }
        }
        _ if Pass::from_name(what).is_some() => Ok(last.text),
        _ => Err("there is no such test".to_string()),
    }
}

fn kernels(program: &Program) -> Result<String, String> {
    let text = program.kernels_text().to_string();
    let parsed = parse_all(&text).map_err(|error| format!("{error}\n{text}"))?;
    match parsed == program.kernels {
        true => Ok(text),
        false => Err(format!("other kernels come back from\n{text}")),
    }
}

fn launches(program: &Program) -> String {
    let mut text = format!(
        "{} launches of {} kernels, {} bytes of arena, {} copies\n",
        program.launches.len(),
        program.kernels.len(),
        program.arena_bytes,
        program.copies.len()
    );
    for launch in &program.launches {
        let once = if launch.invariant { " (once)" } else { "" };
        writeln!(text, "{}{once}", launch.label).unwrap();
    }
    text
}

fn simd(program: &Program, family: &str) -> Result<String, String> {
    let family: Family = family.parse().map_err(|error| format!("{error}"))?;
    let options = clif::Options { family, threads: 1 };
    let text = |kernel: &Kernel| {
        let listing = clif::explain(kernel, &options).map_err(|error| error.to_string())?;
        let loops: Vec<String> = listing
            .simd_loops
            .iter()
            .map(SimdListing::to_string)
            .collect();
        Ok::<String, String>(loops.join("\n"))
    };
    let texts = program.kernels.iter().map(text);
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let listing = program.listing(|kernel, f| f.write_str(&texts[kernel]));
    Ok(listing.to_string())
}

/// How often each instruction is written, by kernel.
fn instructions(entries: &[ptx::Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for instruction in entry.body.instructions() {
            *counts.entry(instruction.opcode.to_string()).or_default() += 1;
        }
        let (blocks, threads, shared) = (entry.blocks, entry.threads, entry.shared_bytes);
        writeln!(
            text,
            "{}: {blocks} blocks of {threads} threads, {shared} bytes shared",
            entry.name
        )
        .unwrap();
        for (name, count) in counts {
            writeln!(text, "{count:5} {name}").unwrap();
        }
    }
    text
}
