//! File tests: what passes make of a function in text form, as text.
//!
//! A change of what fuses, of a kernel, or of its code is a difference in `cases/*.txt`. If it is
//! meant, `BSQ_BLESS=1 cargo test -p bsq-codegen --test filetests` writes the new texts; review
//! them as a diff. A case is
//!
//! ```text
//! # What it protects.
//! ; test: order
//! ; test: launches sm_86
//!
//! %0 = input "x" : f32[4,8]
//! %1 = tanh %0 : f32[4,8]
//! output "y" %1
//!
//! ; expect: order
//! ...
//! ; expect: launches sm_86
//! ...
//! ```
//!
//! | `; test:` | what is shown |
//! |---|---|
//! | a pass, such as `rewrite`, `order`, `lower`, `in-place` | what came out of it, the last time if it ran again |
//! | `kernel` | each kernel once, in Kernel IR; it must parse back |
//! | `program` | buffers, launches in order, copies |
//! | `launches` | what each launch computes |
//! | `simd avx2`, `simd avx512` | machine code of the vector loops, whatever this machine is |
//! | `ptx` | each kernel in PTX |
//! | `instructions` | how often each PTX instruction is written, by kernel |
//!
//! All but the last three take a target, `sm_86` say, and `ptx` and `instructions` need one; without
//! it the program is that for a CPU. Further lines of the header: `; inexact` allows rewrites that
//! round differently, `; precision: bf16` (`bf16 training`, `f16`, `int8`), `; wide activations` (as on
//! targets that multiply bf16 no faster than f32) and `; tf32` choose formats, and
//! `; gradients: loss` adds an output `d NAME` for each parameter `NAME`.

mod case;
mod difference;
mod show;

use case::Case;
use std::fs;
use std::path::{Path, PathBuf};

const BLESS: &str = "BSQ_BLESS";

#[test]
fn passes_make_what_the_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests/cases");
    let entries = fs::read_dir(&folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 25, "only {} cases", files.len());
    let bless = std::env::var_os(BLESS).is_some_and(|value| value == "1");
    let mut failures = Vec::new();
    for file in &files {
        let name = file.file_name().unwrap().to_string_lossy();
        let text = fs::read_to_string(file).unwrap();
        let case = Case::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let got = case.print(|test| show::show(&case, test));
        let got = got.unwrap_or_else(|error| panic!("{name}: {error}"));
        if got == text {
            continue;
        }
        match bless {
            true => fs::write(file, got).unwrap(),
            false => failures.push(format!("{name}\n{}", difference::of(&text, &got))),
        }
    }
    assert!(
        failures.is_empty(),
        "{}\n{} of {} cases differ (- expected, + found). If that is meant:\n  \
         {BLESS}=1 cargo test -p bsq-codegen --test filetests",
        failures.join("\n"),
        failures.len(),
        files.len()
    );
}
