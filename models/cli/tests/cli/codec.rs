//! `bsq encode`, `bsq decode`, and `bsq inspect` of streams.

use crate::common::{Bench, repository};
use bsq::config::PriorConfig;
use bsq::pipeline::fingerprint;
use bsq::prior::PriorFile;
use bsq_ir::DType;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

const MODELS: [&str; 4] = [
    "--model",
    "model.safetensors",
    "--prior",
    "prior.safetensors",
];

/// A folder with `model.safetensors` and `prior.safetensors`, tiles of 4x4 tokens.
fn bench() -> Bench {
    let bench = Bench::new();
    save_prior(&bench, "prior.safetensors", 1);
    bench
}

fn save_prior(bench: &Bench, name: &str, seed: u64) {
    let model = bench.model(1);
    let config = format!(
        "[prior]\nbits = 12\nsub_token_bits = 3\nside = 4\nwidth = 16\nlayers = 1\nheads = 2\n\
         head_width = 8\n[train]\nseed = {seed}\n"
    );
    let config = PriorConfig::from_toml(&config).unwrap();
    let own = fingerprint(model.tokenizer.config(), &model.parameters);
    let prior = PriorFile::untrained("prior", config, &own).unwrap();
    prior.save(&bench.path(name), DType::F16).unwrap();
}

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &MODELS[..]].concat()
}

#[test]
fn decoding_gives_the_reconstruction_whatever_machine_encodes_and_decodes() {
    let bench = bench();
    bench.picture("a.png", 70, 35);
    bench.good(&[
        "reconstruct",
        "a.png",
        "--model",
        "model.safetensors",
        "-o",
        "r.png",
    ]);
    let families = ["portable", "avx2", "avx512"];
    let mut streams = Vec::new();
    for (number, family) in families.iter().enumerate() {
        for threads in ["1", "2"] {
            let name = format!("{family}-{threads}.bsq");
            let ran = bench
                .command(&with(&[
                    "encode",
                    "a.png",
                    "-o",
                    &name,
                    "--threads",
                    threads,
                ]))
                .env("BSQ_CPU", family)
                .output()
                .unwrap();
            let error = String::from_utf8(ran.stderr).unwrap();
            if number > 0 && error.contains("BSQ_CPU") {
                continue; // This CPU lacks the family.
            }
            assert!(ran.status.success(), "{error}");
            streams.push((name.clone(), family, threads));
        }
    }
    let first = bench.bytes(&streams[0].0);
    for (name, ..) in &streams {
        assert!(bench.bytes(name) == first, "{name}");
    }
    for (_, family, threads) in &streams {
        let ran = bench
            .command(&with(&[
                "decode",
                &streams[0].0,
                "-o",
                "d.png",
                "--threads",
                threads,
            ]))
            .env("BSQ_CPU", family)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{family}");
        assert!(
            bench.bytes("d.png") == bench.bytes("r.png"),
            "{family} {threads}"
        );
    }
}

/// The default prior is another one now; its older streams still decode, also beside new ones.
#[test]
fn streams_of_an_earlier_default_prior_decode() {
    let bench = Bench::new();
    fs::create_dir(bench.path("back")).unwrap();
    let stream = |name: &str| repository(&format!("models/tests/streams/{name}"));
    let (old, new) = (stream("flower.bsq"), stream("flower-2.bsq"));
    let [old, new] = [&old, &new].map(|path| path.to_str().unwrap());
    bench.good(&["decode", old, new, "-o", "back"]);
    let [a, b] = ["back/flower.bsq.png", "back/flower-2.bsq.png"].map(|name| bench.bytes(name));
    assert!(a == b, "one picture's tokens, coded with two priors");
    // A prior that was asked for by name is taken at its word.
    let arguments = ["decode", new, "--prior", "default-1", "-o", "x.png"];
    bench.refused(&arguments, &["98065d6ebb05610e", "3f0a13c2aa3a1108"]);
}

#[test]
fn files_decoded_together_are_those_decoded_alone_and_a_bad_one_fails_alone() {
    let bench = bench();
    fs::create_dir(bench.path("all")).unwrap();
    let pictures = [("a", 70, 35), ("b", 16, 16), ("c", 40, 90)];
    for (name, width, height) in pictures {
        bench.picture(&format!("{name}.png"), width, height);
        bench.good(&with(&["encode", &format!("{name}.png")]));
    }
    bench.good(&with(&["decode", "a.bsq", "-o", "a.bsq.png"]));
    bench.good(&with(&["decode", "c.bsq", "-o", "c.bsq.png"]));
    let mut bytes = bench.bytes("b.bsq");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(bench.path("b.bsq"), &bytes).unwrap();
    let files = ["decode", "a.bsq", "b.bsq", "c.bsq", "-o", "all"];
    let ran = bench.run(&with(&files));
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    let error = "bsq: b.bsq: tile 1 of 1 (columns 0..15, rows 0..15) is damaged";
    assert!(ran.stderr.starts_with(error), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(!bench.path("all/b.bsq.png").exists());
    for name in ["a.bsq.png", "c.bsq.png"] {
        assert!(
            bench.bytes(name) == bench.bytes(&format!("all/{name}")),
            "{name}"
        );
    }
}

#[test]
#[cfg(unix)]
fn more_files_are_decoded_than_may_be_open_at_once() {
    let bench = bench();
    fs::create_dir(bench.path("all")).unwrap();
    bench.picture("a.png", 16, 16);
    bench.good(&with(&["encode", "a.png"]));
    let names: Vec<String> = (0..100).map(|number| format!("{number}.bsq")).collect();
    for name in &names {
        fs::copy(bench.path("a.bsq"), bench.path(name)).unwrap();
    }
    let mut arguments = vec!["decode", "-o", "all"];
    arguments.extend(names.iter().map(String::as_str));
    let plain = bench.command(&with(&arguments));
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
    limited.arg(plain.get_program()).args(plain.get_args());
    limited.current_dir(plain.get_current_dir().unwrap());
    let ran = limited.output().unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(0), "{errors}");
    for name in &names {
        assert!(bench.path(&format!("all/{name}.png")).exists(), "{name}");
    }
}

#[test]
fn raw_streams_need_no_prior() {
    let bench = bench();
    bench.picture("a.png", 33, 20);
    bench.good(&["encode", "a.png", "--raw", "--model", "model.safetensors"]);
    bench.good(&["decode", "a.bsq", "--model", "model.safetensors"]);
    bench.good(&[
        "reconstruct",
        "a.png",
        "-o",
        "r.png",
        "--model",
        "model.safetensors",
    ]);
    assert!(bench.bytes("a.bsq.png") == bench.bytes("r.png"));
    // 3x2 windows of 4 tokens, 12 bits each, in one tile.
    assert_eq!(bench.bytes("a.bsq").len(), 52 + 6 + 6 * 4 * 12 / 8);
}

#[test]
fn fewer_sub_tokens_are_fewer_bytes() {
    let bench = bench();
    bench.picture("a.png", 90, 90);
    let mut sizes = Vec::new();
    for keep in ["1", "2", "3", "4"] {
        bench.good(&with(&["encode", "a.png", "-o", "k.bsq", "--keep", keep]));
        bench.good(&with(&["decode", "k.bsq", "-o", "k.png"]));
        sizes.push(bench.bytes("k.bsq").len());
    }
    assert!(sizes.is_sorted() && sizes[0] < sizes[3] / 2, "{sizes:?}");
    bench.refused(&with(&["encode", "a.png", "--keep", "5"]), &["it has 4"]);
}

#[test]
fn inspect_shows_tiles_and_finds_damage() {
    let bench = bench();
    bench.picture("a.png", 70, 35);
    bench.good(&with(&["encode", "a.png"]));
    let said = bench.good(&["inspect", "a.bsq"]).stdout;
    for word in [
        "70x35",
        "10x6 tokens of 12 bits",
        "tile 6 of 6",
        "6 of 6 tiles are right",
    ] {
        assert!(said.contains(word), "{word} is not in: {said}");
    }
    let mut bytes = bench.bytes("a.bsq");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(bench.path("bad.bsq"), &bytes).unwrap();
    let ran = bench.run(&["inspect", "bad.bsq", "--json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["tiles"][5]["good"], false);
    assert_eq!(value["tiles"][0]["good"], true);

    bench.refused(
        &with(&["decode", "bad.bsq"]),
        &[
            "bad.bsq: tile 6 of 6 (columns 64..79, rows 32..47) is damaged",
            "--recover",
        ],
    );
    let ran = bench.run(&with(&["decode", "bad.bsq", "--recover", "-o", "rest.png"]));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("tile 6 of 6"), "{}", ran.stderr);
    assert!(bench.path("rest.png").exists());
}

#[test]
fn bad_streams_are_one_line_and_exit_code_2() {
    let bench = bench();
    bench.picture("a.png", 40, 40);
    bench.good(&with(&["encode", "a.png"]));
    let good = bench.bytes("a.bsq");
    let refused = |name: &str, bytes: &[u8], words: &[&str]| {
        fs::write(bench.path(name), bytes).unwrap();
        bench.refused(&with(&["decode", name, "-o", "x.png"]), words);
    };
    refused("empty.bsq", b"", &["empty.bsq: not a .bsq stream"]);
    refused(
        "photo.bsq",
        &bench.bytes("a.png"),
        &["photo.bsq: not a .bsq stream"],
    );
    refused(
        "head.bsq",
        &good[..30],
        &["head.bsq: the stream ends inside its header"],
    );
    refused(
        "half.bsq",
        &good[..good.len() - 9],
        &["half.bsq: the stream ends in tile"],
    );
    refused(
        "long.bsq",
        &[&good[..], b"x"].concat(),
        &["long.bsq: something follows"],
    );
    let mut newer = good.clone();
    newer[8] = 9;
    refused(
        "newer.bsq",
        &newer,
        &["newer.bsq: format version 9 is newer"],
    );
    bench.refused(&with(&["decode", "none.bsq"]), &["none.bsq: no such file"]);

    save_prior(&bench, "other.safetensors", 2);
    bench.refused(
        &[
            "decode",
            "a.bsq",
            "--model",
            "model.safetensors",
            "--prior",
            "other.safetensors",
        ],
        &["a.bsq: coded with the prior", "not with other.safetensors"],
    );
    bench.refused(
        &[
            "decode",
            "a.bsq",
            "--model",
            "model.safetensors",
            "--prior",
            "model.safetensors",
        ],
        &["model.safetensors: not a prior"],
    );
    bench
        .model(2)
        .save(&bench.path("other-model.safetensors"), bsq_ir::DType::F32)
        .unwrap();
    bench.refused(
        &[
            "decode",
            "a.bsq",
            "--model",
            "other-model.safetensors",
            "--prior",
            "prior.safetensors",
        ],
        &["prior.safetensors", "other-model.safetensors"],
    );
    bench.refused(
        &[
            "encode",
            "a.png",
            "--model",
            "other-model.safetensors",
            "--prior",
            "prior.safetensors",
        ],
        &["--raw"],
    );
    bench.refused(
        &with(&["encode", "a.png", "-o", "a.png"]),
        &["name it a.bsq"],
    );
}

/// Four gigabytes of zeros are refused after the first bytes.
#[test]
fn endless_zeros_are_refused_at_once() {
    let bench = bench();
    let mut child = bench
        .command(&with(&["decode", "/dev/stdin", "-o", "x.png"]))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let zeros = vec![0; 1 << 20];
    // The other end closes long before all are written.
    let written = (0..4096)
        .take_while(|_| pipe.write_all(&zeros).is_ok())
        .count();
    drop(pipe);
    let ran = child.wait_with_output().unwrap();
    assert_eq!(ran.status.code(), Some(2));
    assert!(written < 16, "{written} MiB were read");
}
