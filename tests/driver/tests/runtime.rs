//! The runtime for GPUs on a driver that interprets PTX: results bit for bit, and what goes wrong.
//!
//! Each case is a separate process, as a process has one driver: this test starts itself again
//! with the library of this package in the place of `libcuda`.

use bsq_ir::{DType, Graph};
use bsq_runtime::{CompileOptions, Device, HostTensor, ProgramError, Session, compile};
use bsq_test_driver::{VARIABLE, install};
use bsq_tests::device_suite;
use std::process::{Command, Output};

const GPU: Device = Device::Cuda { ordinal: 0 };

/// Runs one of the ignored tests below with the driver and some trouble.
fn on_driver(test: &str, trouble: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env("LD_LIBRARY_PATH", folder.path())
        .env(VARIABLE, trouble);
    command.output().unwrap()
}

/// Runs one that must pass and give everything back.
fn passes(test: &str, trouble: &str) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = on_driver(test, trouble);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    assert!(status.success(), "{test}, {trouble}: {said}");
    assert!(said.contains("1 passed"), "{test} did not run: {said}");
    assert!(!said.contains("test driver:"), "{test}, {trouble}: {said}");
    said
}

#[test]
fn programs_have_the_bits_of_the_cpu() {
    for test in ["forward", "training", "prior", "sessions"] {
        passes(test, "nothing");
    }
    // Launch by launch, where nothing can be recorded.
    passes("sessions", "no-recording");
}

#[test]
fn what_goes_wrong_is_one_clear_line() {
    for (trouble, words) in [
        ("stub", &["no CUDA driver"][..]),
        ("old-driver", &["CUDA 11.2", "11.4"]),
        ("no-device", &["no GPU cuda:0"]),
        ("old-device", &["interpreted GPU", "7.5", "8.0"]),
        ("old-assembler", &["older than the PTX", "12.4"]),
        (
            "invalid-ptx",
            &["refuses the PTX of kernel_", "line 7; error: a mistake"],
        ),
        ("little-memory", &["interpreted GPU", "MB free", "needs"]),
        ("no-memory", &["interpreted GPU", "MB free", "needs"]),
        ("lost", &["the GPU is lost", "illegal memory access"]),
    ] {
        let said = passes("fails", trouble);
        let line = said.lines().find_map(|line| line.strip_prefix("error: "));
        let line = line.unwrap_or_else(|| panic!("{trouble}: no error: {said}"));
        for word in words {
            assert!(line.contains(word), "{trouble}: {word} is not in: {line}");
        }
    }
}

// What runs with the driver. By itself it would ask this machine's own.

#[test]
#[ignore = "runs with the test driver"]
fn forward() {
    device_suite::forward(GPU);
}

#[test]
#[ignore = "runs with the test driver"]
fn training() {
    device_suite::training(GPU);
}

#[test]
#[ignore = "runs with the test driver"]
fn prior() {
    device_suite::prior(GPU);
}

#[test]
#[ignore = "runs with the test driver"]
fn sessions() {
    device_suite::sessions(GPU);
    let none = compile(&twice(), &options(Device::Cuda { ordinal: 3 }));
    let error = none.err().map(|error| error.to_string());
    assert_eq!(
        error.as_deref(),
        Some("there is no GPU cuda:3: the driver has one, cuda:0")
    );
}

/// Whatever fails, fails with an error, then and again.
#[test]
#[ignore = "runs with the test driver"]
fn fails() {
    let x = HostTensor::from_slice([4096], &[1.5f32; 4096]).unwrap();
    let attempt = || -> Result<(Session, ProgramError), ProgramError> {
        let mut session = compile(&twice(), &options(GPU))?.bind([].into())?;
        for _ in 0..8 {
            if let Err(error) = session.run(&[("x", &x)]) {
                return Ok((session, error));
            }
        }
        panic!("nothing went wrong")
    };
    match attempt() {
        Err(error) => println!("error: {error}"),
        Ok((mut session, error)) => {
            println!("error: {error}");
            assert!(session.run(&[("x", &x)]).is_err());
            assert!(attempt().is_err());
        }
    }
}

fn options(device: Device) -> CompileOptions {
    CompileOptions {
        device,
        ..CompileOptions::default()
    }
}

/// Two launches.
fn twice() -> bsq_ir::Function {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [4096]);
    let sum = (x * 2.0).sum(0);
    let y = sum.broadcast_to([4096]) + x;
    g.function([("y", y.id())], [])
}
