//! Bad input: one clear line, exit code 2, nothing half-written.

use crate::common::{Bench, CONFIG, repository};
use bsq::pipeline::ModelFile;
use bsq_runtime::checkpoint::safetensors;
use bsq_runtime::tensor_data::HostTensor;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

/// `bsq reconstruct IMAGE` with the folder's model.
fn reconstruct(image: &str) -> [&str; 4] {
    ["reconstruct", image, "--model", "model.safetensors"]
}

#[test]
fn pictures() {
    let bench = Bench::new();
    bench.refused(&reconstruct("none.png"), &["none.png: no such file"]);
    fs::write(bench.path("text.png"), "not a picture").unwrap();
    bench.refused(&reconstruct("text.png"), &["text.png: not a PNG or JPEG"]);
    fs::write(bench.path("empty.jpg"), "").unwrap();
    bench.refused(&reconstruct("empty.jpg"), &["empty.jpg"]);
    fs::create_dir(bench.path("folder")).unwrap();
    bench.refused(
        &reconstruct("folder"),
        &["folder: a folder without pictures"],
    );
    let whole = fs::read(bench.picture("whole.png", 90, 90)).unwrap();
    fs::write(bench.path("half.png"), &whole[..whole.len() / 2]).unwrap();
    bench.refused(&reconstruct("half.png"), &["half.png: truncated"]);
    let whole = fs::read(repository("samples/flower.jpg")).unwrap();
    fs::write(bench.path("half.jpg"), &whole[..whole.len() / 2]).unwrap();
    bench.refused(&reconstruct("half.jpg"), &["half.jpg: truncated"]);
    bench.picture("long.png", 70_000, 1);
    bench.refused(
        &reconstruct("long.png"),
        &["long.png: 70000x1 is too large"],
    );
}

#[test]
fn models() {
    let bench = Bench::new();
    bench.picture("a.png", 20, 20);
    let with = |model| ["reconstruct", "a.png", "--model", model];
    bench.refused(&with("none.pt"), &["none.pt: neither a file nor a model"]);
    let whole = bench.bytes("model.safetensors");
    fs::write(bench.path("half.safetensors"), &whole[..whole.len() / 2]).unwrap();
    bench.refused(
        &with("half.safetensors"),
        &["half.safetensors", "truncated"],
    );
    fs::write(bench.path("text.pt"), "not a checkpoint at all").unwrap();
    bench.refused(
        &with("text.pt"),
        &["text.pt", "neither a safetensors file nor"],
    );

    let save = |name: &str, change: &dyn Fn(&mut ModelFile)| {
        let mut model = bench.model(1);
        change(&mut model);
        model.save(&bench.path(name), bsq_ir::DType::F32).unwrap();
    };
    save("misnamed.safetensors", &|model| {
        let bias = model.parameters.remove("quant_embed.bias").unwrap();
        model.parameters.insert("quantize_embed.bias".into(), bias);
    });
    bench.refused(
        &with("misnamed.safetensors"),
        &[
            "1 missing, 1 unexpected",
            "quant_embed.bias",
            "quantize_embed.bias",
        ],
    );
    save("shape.safetensors", &|model| {
        let other = HostTensor::from_slice([13], &[0.0_f32; 13]).unwrap();
        model.parameters.insert("quant_embed.bias".into(), other);
    });
    bench.refused(
        &with("shape.safetensors"),
        &["quant_embed.bias: the model has [12], the checkpoint [13]"],
    );
    save("nan.safetensors", &|model| {
        let bias = model.parameters.get_mut("quant_embed.bias").unwrap();
        bias.as_mut_slice::<f32>().unwrap()[3] = f32::NAN;
    });
    bench.refused(
        &with("nan.safetensors"),
        &["quant_embed.bias: element 3 is NaN"],
    );
    let bare = bench.model(1).parameters;
    safetensors::save(&bench.path("bare.safetensors"), &bare, &BTreeMap::new()).unwrap();
    bench.refused(
        &with("bare.safetensors"),
        &["without a configuration", "bare.toml"],
    );
}

#[test]
fn configurations() {
    let bench = Bench::new();
    let write = |text: &str| fs::write(bench.path("c.toml"), text).unwrap();
    for command in ["explain", "inspect"] {
        write(&CONFIG.replace("embed_dim", "embed_dimm"));
        bench.refused(&[command, "c.toml"], &["c.toml", "embed_dim"]);
        write(&CONFIG.replace("image_size = 16", "image_size = 17"));
        bench.refused(&[command, "c.toml"], &["c.toml", "image_size"]);
        write(&CONFIG.replace("heads = 2", "heads = 3"));
        bench.refused(&[command, "c.toml"], &["c.toml", "heads"]);
        write("[model");
        bench.refused(&[command, "c.toml"], &["c.toml"]);
        bench.refused(&[command, "none.toml"], &["none.toml"]);
    }
}

#[test]
fn outputs() {
    let bench = Bench::new();
    bench.picture("a.png", 20, 20);
    fs::create_dir(bench.path("sub")).unwrap();
    bench.picture("sub/a.png", 20, 20);
    let to = |path| {
        [
            "reconstruct",
            "a.png",
            "-o",
            path,
            "--model",
            "model.safetensors",
        ]
    };
    bench.refused(&to("none/x.png"), &["there is no folder none"]);
    bench.refused(&to("a.png/x.png"), &["there is no folder a.png"]);
    bench.refused(&to("x.jpg"), &["written as PNG"]);
    bench.refused(&to("a.png"), &["would overwrite an input"]);
    bench.refused(
        &[
            "reconstruct",
            "a.png",
            "sub/a.png",
            "-o",
            "x.png",
            "--model",
            "model.safetensors",
        ],
        &["must name an existing folder"],
    );
    bench.refused(
        &[
            "tokens",
            "a.png",
            "-o",
            "none/t.safetensors",
            "--model",
            "model.safetensors",
        ],
        &["there is no folder none"],
    );
    // A folder in which not even the superuser may create files.
    #[cfg(target_os = "linux")]
    bench.refused(&to("/sys/x.png"), &["/sys/x.png: cannot be written"]);
}

#[test]
fn a_full_disk_behind_standard_output_is_reported() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let bench = Bench::new();
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = bench.command(&["inspect", "model.safetensors"]);
    let output = command.stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message, "bsq: standard output: no space left on the disk\n");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let bench = Bench::new();
    let mut command = bench.command(&["explain", "model.safetensors", "--stage", "asm"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(stderr, "");
}

#[test]
fn usage_errors_have_exit_code_2() {
    let bench = Bench::new();
    for arguments in [
        &["reconstruct"][..],
        &["paint", "x"],
        &["--threads", "0", "inspect", "x"],
        &["explain", "default", "--stage", "poetry"],
    ] {
        assert_eq!(bench.run(arguments).code, Some(2), "{arguments:?}");
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_130_and_leaves_no_file() {
    let bench = Bench::new();
    bench.picture("large.png", 4000, 4000);
    let before = bench.files();
    let mut arguments = reconstruct("large.png").to_vec();
    arguments.push("-v");
    let mut child = bench
        .command(&arguments)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line says that the model has been read: tens of thousands of windows follow.
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("model "), "{line}");
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill")
        .args(["-INT", &id])
        .status()
        .unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "bsq: interrupted\n");
    assert_eq!(bench.files(), before);
}
