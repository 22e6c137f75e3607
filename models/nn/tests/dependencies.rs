//! What a `Cargo.toml` with `bsq-nn` brings in.

use std::collections::BTreeSet;
use std::process::Command;

/// Names of the packages that are built for a package, other than for its tests; itself included.
fn built(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none"])
        .args(["--edges", "normal,build", "--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    // A line for each: name, version, and where it is from.
    let text = String::from_utf8(output.stdout).expect("names");
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.map(String::from).collect()
}

/// Of images and video, of the command line, entropy coding, and what only the `bsq` package needs.
const NOT_WANTED: [&str; 18] = [
    "bsq",
    "bsq-cli",
    "clap",
    "constriction",
    "ctrlc",
    "image",
    "indicatif",
    "jpeg-decoder",
    "jpeg-encoder",
    "jxl-oxide",
    "moxcms",
    "nalgebra",
    "npyz",
    "png",
    "saphyr-parser",
    "toml",
    "y4m",
    "zune-jpeg",
];

#[test]
fn a_model_of_ones_own_needs_no_images_command_line_or_entropy_coder() {
    let not_wanted = |package: &str| -> Vec<String> {
        let packages = built(package).into_iter();
        packages
            .filter(|name| NOT_WANTED.contains(&&**name))
            .collect()
    };
    assert_eq!(not_wanted("bsq-nn"), [""; 0]);
    // They are found where they are.
    let command = not_wanted("bsq-cli");
    assert!(command.len() > 10, "{command:?}");
}
