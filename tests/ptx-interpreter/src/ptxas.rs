//! Finds NVIDIA's assembler and reads its report. Nothing needs it but tests.
//!
//! `pip install --no-deps nvidia-cuda-nvcc-cu12==12.9.86` holds it, as
//! `nvidia/cuda_nvcc/bin/ptxas`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The assembler, where the environment names one.
#[derive(Debug, Clone)]
pub struct Ptxas {
    path: PathBuf,
}

/// What the assembler says about one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assembled {
    pub kernel: String,
    pub registers: u32,
    /// Bytes of static shared memory.
    pub shared: u32,
    pub barriers: u32,
    /// Bytes of the stack, and of registers spilled to it.
    pub stack: u32,
    pub spill_stores: u32,
    pub spill_loads: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum PtxasError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("ptxas does not accept the text:\n{report}")]
    Rejected { report: String },
}

impl Ptxas {
    /// `BSQ_PTXAS` if it is set, else `ptxas` of the path; `None` where there is none.
    pub fn find() -> Option<Ptxas> {
        if let Some(path) = std::env::var_os("BSQ_PTXAS") {
            let path = PathBuf::from(path);
            assert!(
                path.is_file(),
                "BSQ_PTXAS names {}, which is no file",
                path.display()
            );
            return Some(Ptxas { path });
        }
        let list = std::env::var_os("PATH")?;
        let mut candidates = std::env::split_paths(&list).map(|folder| folder.join("ptxas"));
        candidates
            .find(|path| path.is_file())
            .map(|path| Ptxas { path })
    }

    /// As [`Ptxas::find`]; says that a test is skipped where there is none.
    pub fn find_or_skip() -> Option<Ptxas> {
        let found = Ptxas::find();
        if found.is_none() {
            println!("skipped: no ptxas (set BSQ_PTXAS, or put it on the PATH)");
        }
        found
    }

    /// Assembles a module for a target such as `sm_86`; one report per kernel, by name.
    pub fn assemble(&self, text: &str, target: &str) -> Result<Vec<Assembled>, PtxasError> {
        let folder = tempfile::tempdir();
        let folder = folder.map_err(|source| io(&std::env::temp_dir(), source))?;
        let (input, output) = (
            folder.path().join("module.ptx"),
            folder.path().join("cubin"),
        );
        std::fs::write(&input, text).map_err(|source| io(&input, source))?;
        let run = Command::new(&self.path)
            .arg(format!("-arch={target}"))
            .args(["-v", "-o"])
            .args([&output, &input])
            .output()
            .map_err(|source| io(&self.path, source))?;
        let mut report = String::from_utf8_lossy(&run.stderr).into_owned();
        report.push_str(&String::from_utf8_lossy(&run.stdout));
        if !run.status.success() {
            return Err(PtxasError::Rejected { report });
        }
        Ok(kernels(&report))
    }
}

fn io(path: &Path, source: std::io::Error) -> PtxasError {
    PtxasError::Io {
        path: path.to_path_buf(),
        source,
    }
}

/// Reads lines such as `Used 34 registers, used 2 barriers, 5632 bytes smem, 388 bytes cmem[0]`.
fn kernels(report: &str) -> Vec<Assembled> {
    let mut list: Vec<Assembled> = Vec::new();
    for line in report.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let kernel = rest.split('\'').next().unwrap_or_default().to_string();
            list.push(Assembled {
                kernel,
                ..Assembled::default()
            });
            continue;
        }
        let Some(last) = list.last_mut() else {
            continue;
        };
        let line = line.split_once(" : ").map_or(line, |(_, rest)| rest);
        for part in line.split(',') {
            let part = part
                .trim()
                .trim_start_matches("Used ")
                .trim_start_matches("used ");
            let Some((number, what)) = part.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u32>() else {
                continue;
            };
            match what {
                "registers" => last.registers = number,
                "barriers" => last.barriers = number,
                "bytes smem" => last.shared = number,
                "bytes stack frame" => last.stack = number,
                "bytes spill stores" => last.spill_stores = number,
                "bytes spill loads" => last.spill_loads = number,
                _ => {}
            }
        }
    }
    list.sort_by(|a, b| a.kernel.cmp(&b.kernel));
    list
}

#[cfg(test)]
mod tests {
    use super::{Assembled, kernels};

    #[test]
    fn a_report_is_read() {
        let report = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'two' for 'sm_86'
ptxas info    : Function properties for two
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 34 registers, used 2 barriers, 5632 bytes smem, 388 bytes cmem[0]
ptxas info    : Compile time = 3.272 ms
ptxas info    : Compiling entry function 'one' for 'sm_86'
ptxas info    : Function properties for one
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 12 registers, used 0 barriers, 380 bytes cmem[0]
";
        let one = Assembled {
            kernel: "one".into(),
            registers: 12,
            ..Assembled::default()
        };
        let two = Assembled {
            kernel: "two".into(),
            registers: 34,
            shared: 5632,
            barriers: 2,
            stack: 8,
            spill_stores: 12,
            spill_loads: 16,
        };
        assert_eq!(kernels(report), [one, two]);
    }
}
