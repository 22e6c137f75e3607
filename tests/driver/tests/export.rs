//! The loader in `docs/run_export.py` runs an exported program, on the driver that interprets PTX:
//! the bits of the CPU, through nothing but the files.
//!
//! It needs Python with numpy, by the name `python3` or as `BSQ_PYTHON` says; without them this is
//! said, and the test passes.

use bsq::tokenizer::Tokenizer;
use bsq_ir::Graph;
use bsq_runtime::cuda::{Manifest, PtxOptions, compile_ptx};
use bsq_runtime::{CompileOptions, HostTensor, Outputs, compile};
use bsq_test_driver::install;
use bsq_tests::{picture, small_config, training_step};
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

/// The second run must find what the first one left.
const RUNS: usize = 2;

#[test]
fn the_python_loader_trains_as_the_cpu_does() {
    let python = std::env::var_os("BSQ_PYTHON").unwrap_or_else(|| "python3".into());
    let asked = Command::new(&python).args(["-c", "import numpy"]).output();
    if !asked.is_ok_and(|asked| asked.status.success()) {
        println!("skipped: no Python with numpy (BSQ_PYTHON names one)");
        return;
    }
    let config = small_config();
    let graph = Graph::new();
    let step = training_step(&graph, &config.model, &config.loss, 1);
    let function = step.function();
    let tokenizer = Tokenizer::new(&config.model);
    let mut parameters = tokenizer.init(7).unwrap();
    parameters.extend(step.initial_state(&parameters).unwrap());
    let inputs = [
        ("image", picture(tokenizer.image_shape(1), 3)),
        ("lr", HostTensor::scalar(1e-3f32).unwrap()),
        ("codebook_weight", HostTensor::scalar(0.1f32).unwrap()),
    ];

    let folder = tempfile::tempdir().unwrap();
    let [driver, program, outputs] =
        ["driver", "program", "outputs"].map(|n| folder.path().join(n));
    std::fs::create_dir(&driver).unwrap();
    install(&driver);
    let compile_options = CompileOptions::default();
    let options = PtxOptions {
        exact: compile_options.exact,
        ..PtxOptions::default()
    };
    let manifest = Manifest {
        model: "small",
        function: "training",
        batch: 1,
        precision: "f32",
        options: &options,
        compiled: &compile_ptx(&function, &options).unwrap(),
    };
    manifest.write(&program, &parameters).unwrap();
    let mut command = Command::new(python);
    let loader = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/run_export.py");
    command
        .arg(loader)
        .arg(&program)
        .arg("--output")
        .arg(&outputs);
    command.args(["--runs", &RUNS.to_string()]);
    for (name, value) in &inputs {
        let path = folder.path().join(format!("{name}.npy"));
        std::fs::write(&path, npy(value)).unwrap();
        let mut pair = OsString::from(format!("{name}="));
        pair.push(path);
        command.arg("--input").arg(pair);
    }
    let said = command.env("LD_LIBRARY_PATH", &driver).output().unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{errors}");

    let mut session = compile(&function, &compile_options)
        .unwrap()
        .bind(parameters)
        .unwrap();
    let inputs = inputs.each_ref().map(|(name, value)| (*name, value));
    let mut wanted = Outputs::new();
    for _ in 0..RUNS {
        wanted = session.run(&inputs).unwrap();
    }
    for (name, wanted) in &wanted {
        let file = std::fs::read(outputs.join(format!("{name}.npy"))).unwrap();
        assert!(data(&file) == wanted.bytes(), "{name} differs");
    }
    assert_eq!(std::fs::read_dir(&outputs).unwrap().count(), wanted.len());
}

/// A tensor of f32 as a file of numpy: magic, version, length of the header, header, data.
fn npy(tensor: &HostTensor) -> Vec<u8> {
    let shape: Vec<String> = tensor.shape().iter().map(|n| format!("{n},")).collect();
    let header = format!(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({})}}\n",
        shape.concat()
    );
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [
        b"\x93NUMPY\x01\x00",
        &length[..],
        header.as_bytes(),
        tensor.bytes(),
    ]
    .concat()
}

/// What comes after the header.
fn data(file: &[u8]) -> &[u8] {
    let length = u16::from_le_bytes([file[8], file[9]]);
    &file[10 + usize::from(length)..]
}
