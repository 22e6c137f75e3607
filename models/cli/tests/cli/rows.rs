//! Pictures and streams that are read and written row by row: what is wrong far behind a header, and
//! what is too large to be decoded with others.

use crate::common::Bench;
use bsq::image_io;
use std::fs;
use std::process::Stdio;

const MODEL: [&str; 2] = ["--model", "model.safetensors"];

fn with<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [arguments, &MODEL[..]].concat()
}

fn names(bench: &Bench, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(bench.path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_picture_that_ends_too_early_leaves_nothing_and_keeps_no_other_from_being_done() {
    let bench = Bench::new();
    for name in ["a.png", "b.png", "c.png"] {
        bench.picture(name, 90, 60);
    }
    let whole = bench.bytes("b.png");
    fs::write(bench.path("b.png"), &whole[..whole.len() * 2 / 3]).unwrap();
    for (command, suffix, more) in [
        ("encode", "bsq", &["--raw"][..]),
        ("reconstruct", "bsq.png", &[]),
    ] {
        let pictures = ["a.png", "b.png", "c.png", "-o", command];
        fs::create_dir(bench.path(command)).unwrap();
        let ran = bench.run(&with(&[&[command][..], &pictures, more].concat()));
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert_eq!(
            ran.stderr,
            "bsq: b.png: truncated: the file ends before the picture does\n"
        );
        let expected = [format!("a.{suffix}"), format!("c.{suffix}")];
        assert_eq!(names(&bench, command), expected);
    }
    let pictures = ["tokens", "a.png", "b.png", "c.png", "-o", "t.safetensors"];
    assert_eq!(bench.run(&with(&pictures)).code, Some(2));
    fs::create_dir(bench.path("back")).unwrap();
    bench.good(&with(&["detokenize", "t.safetensors", "-o", "back"]));
    assert_eq!(names(&bench, "back"), ["a.bsq.png", "c.bsq.png"]);
    for (name, folder) in [("a", "reconstruct"), ("c", "reconstruct")] {
        let file = format!("{name}.bsq.png");
        let [back, expected] = ["back", folder].map(|f| bench.bytes(&format!("{f}/{file}")));
        assert!(back == expected, "{name}");
    }
}

/// 65 tiles without a prior: more than are decoded together.
#[test]
fn a_large_stream_is_decoded_as_it_is_read() {
    let bench = Bench::new();
    bench.picture("a.png", 65 * 256, 20);
    bench.good(&with(&["encode", "a.png", "--raw"]));
    bench.good(&with(&["reconstruct", "a.png", "-o", "r.png"]));
    bench.good(&with(&["decode", "a.bsq", "-o", "d.png"]));
    assert!(bench.bytes("d.png") == bench.bytes("r.png"));

    let mut bytes = bench.bytes("a.bsq");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(bench.path("bad.bsq"), &bytes).unwrap();
    let words = ["bad.bsq: tile 65 of 65", "--recover"];
    bench.refused(&with(&["decode", "bad.bsq"]), &words);
    fs::write(
        bench.path("long.bsq"),
        [&bench.bytes("a.bsq")[..], b"x"].concat(),
    )
    .unwrap();
    bench.refused(
        &with(&["decode", "long.bsq"]),
        &["long.bsq: something follows"],
    );

    let ran = bench.run(&with(&["decode", "bad.bsq", "--recover", "-o", "rest.png"]));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("tile 65 of 65"), "{}", ran.stderr);
    let load = |name| image_io::load(bench.path(name)).unwrap().picture;
    let [rest, good] = [load("rest.png"), load("d.png")].map(|picture| {
        let part = image_io::crop(&picture, 0, 0, 64 * 256, 20);
        (part, image_io::crop(&picture, 64 * 256, 0, 256, 20))
    });
    assert!(rest.0 == good.0 && rest.1 != good.1);
}

/// What can be read only once is not read for a look at its header.
#[cfg(unix)]
#[test]
fn pictures_and_streams_come_through_pipes() {
    let bench = Bench::new();
    bench.picture("a.png", 40, 30);
    let piped = |file: &str, arguments: &[&str]| {
        let mut command = bench.command(&with(arguments));
        let input = fs::File::open(bench.path(file)).unwrap();
        let mut cat = std::process::Command::new("cat")
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = command.stdin(cat.stdout.take().unwrap()).output().unwrap();
        cat.wait().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
    };
    piped("a.png", &["encode", "/dev/stdin", "--raw", "-o", "p.bsq"]);
    bench.good(&with(&["encode", "a.png", "--raw"]));
    assert!(bench.bytes("p.bsq") == bench.bytes("a.bsq"));
    piped("a.bsq", &["decode", "/dev/stdin", "-o", "p.png"]);
    bench.good(&with(&["decode", "a.bsq", "-o", "d.png"]));
    assert!(bench.bytes("p.png") == bench.bytes("d.png"));
}
