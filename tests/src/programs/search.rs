//! A search for programs that fail: generate, check, shrink, keep.

use super::oracle::{Failure, Way, check};
use super::panics::catch;
use super::shrink::shrink;
use super::{Choices, Limits, Program, file, generate};
use bsq_codegen::cpu::microkernel::Family;
use std::collections::BTreeSet;
use std::path::Path;

/// What a search does with each program.
#[derive(Clone, Debug)]
pub struct Search {
    pub limits: Limits,
    /// The families to compile for.
    pub families: Vec<Family>,
    /// Every way for each program; otherwise a few that change from program to program.
    pub all: bool,
}

/// A program that fails.
pub struct Find {
    /// What finds of one cause share.
    pub signature: String,
    pub program: Program,
    pub failure: Failure,
}

impl Search {
    /// The program of a seed.
    ///
    /// # Errors
    /// With the panic, if building it or its gradients panics.
    pub fn program(&self, seed: u64) -> Result<Program, String> {
        catch(|| generate(&mut Choices::from_seed(seed), &self.limits))
    }

    /// The ways in which the program of a seed is checked.
    pub fn ways(&self, seed: u64) -> Vec<Way> {
        let all = Way::all();
        let wanted = |way: &Way| match way {
            Way::Cpu { family, .. } => self.families.contains(family),
            _ => true,
        };
        let all: Vec<Way> = all.into_iter().filter(wanted).collect();
        if self.all {
            return all;
        }
        let on_cpu = |wanted: bool| -> Vec<Way> {
            let is = |way: &&Way| matches!(way, Way::Cpu { exact, .. } if *exact == wanted);
            all.iter().filter(is).copied().collect()
        };
        let is_slow = |way: &&Way| !matches!(way, Way::Cpu { .. } | Way::Text);
        let slow: Vec<Way> = all.iter().filter(is_slow).copied().collect();
        let (exact, inexact) = (on_cpu(true), on_cpu(false));
        let seed = seed as usize;
        let mut ways = vec![
            Way::Text,
            exact[seed % exact.len()],
            inexact[seed / 2 % inexact.len()],
        ];
        if seed.is_multiple_of(8) {
            ways.push(slow[seed / 8 % slow.len()]);
        }
        ways
    }

    /// The first way in which a program fails.
    pub fn failure(&self, program: &Program, seed: u64) -> Option<Failure> {
        let ways = self.ways(seed);
        ways.into_iter().find_map(|way| check(program, way).err())
    }

    /// A failing program made small.
    pub fn shrunk(&self, program: &Program, failure: &Failure) -> Find {
        let (way, kind) = (failure.way, failure.kind().to_string());
        let alike = |other: &Program| match check(other, way) {
            Err(other) => other.kind() == kind,
            Ok(()) => false,
        };
        let program = shrink(program, 1500, alike);
        let failure = check(&program, way).expect_err("what is shrunk still fails");
        Find {
            signature: signature(&program, &failure),
            program,
            failure,
        }
    }
}

/// Kind of way and failure, and the ops that it takes.
pub fn signature(program: &Program, failure: &Failure) -> String {
    let way = match failure.way {
        Way::Text => "text",
        Way::Cpu { exact: true, .. } => "exact",
        Way::Cpu { exact: false, .. } => "inexact",
        Way::Narrow(_) => "narrow",
        Way::Ptx => "ptx",
        Way::TensorCores(_) => "tensor-cores",
    };
    let names = program.function.nodes().iter().map(|node| node.op.name());
    let leaf = |name: &&str| !matches!(*name, "input" | "constant");
    let ops: BTreeSet<&str> = names.filter(leaf).collect();
    let ops: Vec<&str> = ops.into_iter().collect();
    let kind = match failure.what.lines().next() {
        Some(line) if line.starts_with("panic at") => {
            let place = line.trim_start_matches("panic at ");
            let path = Path::new(place);
            let parts = path.iter().rev().take(2).collect::<Vec<_>>();
            let parts = parts.iter().rev().map(|part| part.to_string_lossy());
            format!("panic-{}", parts.collect::<Vec<_>>().join("-"))
        }
        _ => format!("{}-{}", failure.kind().trim_end_matches(':'), ops.join("-")),
    };
    let slug = format!("{way}-{kind}").replace([':', '/', '.'], "-");
    slug.chars().take(100).collect()
}

impl Find {
    /// The find as a file says it.
    pub fn text(&self, seed: u64) -> String {
        file::print(&self.program, &format!("seed {seed}\n{}", self.failure))
    }
}
