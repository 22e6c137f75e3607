//! What a public function panics with at its caller's line, its documentation says.
//!
//! `clippy::missing_panics_doc` sees a panic in the body of a function alone; `#[track_caller]` is on
//! all functions whose panics are part of what they promise, whatever calls them.

use std::path::{Path, PathBuf};

const CRATES: [&str; 7] = [
    "ir",
    "codegen",
    "runtime",
    "collectives",
    "models",
    "models/nn",
    "models/cli",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources");
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        match path.extension() {
            _ if path.is_dir() => found.extend(sources(&path)),
            Some(extension) if extension == "rs" => found.push(path),
            _ => {}
        }
    }
    found
}

/// Public functions that panic at their caller's line and do not say when.
fn undocumented(text: &str) -> Vec<String> {
    let (mut said, mut tracked) = (false, false);
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with("///") || line.starts_with("#[") {
            said |= line.starts_with("/// # Panics");
            tracked |= line.starts_with("#[track_caller]");
            continue;
        }
        // A function that gives its errors marks their place by the attribute.
        let is_public = line.starts_with("pub fn ") || line.starts_with("pub const fn ");
        let name = line
            .split("fn ")
            .nth(1)
            .and_then(|rest| rest.split(['(', '<']).next());
        if let Some(name) = name
            && is_public
            && tracked
            && !said
            && !line.contains("-> Result<")
        {
            found.push(name.to_string());
        }
        (said, tracked) = (false, false);
    }
    found
}

#[test]
fn every_panic_at_the_callers_line_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut missing = Vec::new();
    for name in CRATES {
        for path in sources(&root.join(name).join("src")) {
            let text = std::fs::read_to_string(&path).expect("a source");
            let functions = undocumented(&text).into_iter();
            missing.extend(functions.map(|name| format!("{}: {name}", path.display())));
        }
    }
    assert_eq!(missing, [""; 0]);
    let text = "    #[track_caller]\n    pub fn silent(self) {\n";
    assert_eq!(undocumented(text), ["silent"]);
}
