//! A folder with a model, pictures in it, and the command.

use bsq::config::Config;
use bsq::image_io::{Picture, save_png};
use bsq::pipeline::ModelFile;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A random model of 16x16 windows with 2x2 tokens of 12 bits in groups of 3.
pub const CONFIG: &str = include_str!("../../../tests/tiny.toml");

/// A prior of tokens of 12 bits, in tiles of 4x4.
pub const PRIOR: &str = "
[prior]
bits = 12
side = 4
width = 16
layers = 1
heads = 2
head_width = 8
";

/// A test's folder.
pub struct Bench {
    folder: TempDir,
}

/// What a run of the command left.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    /// A folder with `model.safetensors`.
    pub fn new() -> Self {
        let bench = Bench {
            folder: tempfile::tempdir().unwrap(),
        };
        bench
            .model(1)
            .save(&bench.path("model.safetensors"), bsq_ir::DType::F32)
            .unwrap();
        bench
    }

    pub fn model(&self, seed: u64) -> ModelFile {
        ModelFile::untrained("random", Config::from_toml(CONFIG).unwrap(), seed).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a picture without any regularity.
    pub fn picture(&self, name: &str, width: usize, height: usize) -> PathBuf {
        let path = self.path(name);
        save_png(&noise(width, height), &path).unwrap();
        path
    }

    /// The command, in the folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bsq"));
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Runs what must succeed.
    pub fn good(&self, arguments: &[&str]) -> Ran {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
        ran
    }

    /// Runs what must be refused: exit code 2, one line that has all of `words`, no new file.
    pub fn refused(&self, arguments: &[&str], words: &[&str]) {
        let before = self.files();
        let ran = self.run(arguments);
        assert_eq!(
            ran.code,
            Some(2),
            "{arguments:?}: {}{}",
            ran.stdout,
            ran.stderr
        );
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(ran.stderr.starts_with("bsq: "), "{}", ran.stderr);
        assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
        for word in words {
            assert!(
                ran.stderr.contains(word),
                "{word} is not in: {}",
                ran.stderr
            );
        }
        assert_eq!(self.files(), before, "{arguments:?}");
    }

    /// Everything in the folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    pub fn picture_of(&self, name: &str) -> Picture {
        bsq::image_io::load(self.path(name)).unwrap().picture
    }

    /// The lines that a script leaves as the text of `<pre id="result">` in a page, when a browser has run it.
    pub fn browse(&self, page: &str, script: &str) -> Vec<String> {
        let page = self.path(page);
        let text = std::fs::read_to_string(&page).unwrap();
        let tried = page.with_file_name("tried.html");
        let text = text.replace("</body>", &format!("<script>{script}</script></body>"));
        std::fs::write(&tried, text).unwrap();
        let shown = Command::new("chromium")
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--virtual-time-budget=20000", "--dump-dom"])
            .arg(format!(
                "--user-data-dir={}",
                self.path("browser").display()
            ))
            .arg(format!("file://{}", tried.display()))
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let result = shown.split_once("<pre id=\"result\">");
        let (_, result) = result.expect("the script ran");
        let (result, _) = result.split_once("</pre>").unwrap();
        result.trim().lines().map(str::to_string).collect()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

pub fn noise(width: usize, height: usize) -> Picture {
    let words = (0..3 * width * height).map(|i| bsq_ir::philox::random_word(6, 0, i as u64));
    Picture::new(width, height, words.map(|word| word as u8).collect())
}

/// A file of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

/// Whether a program is there; says so if not.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("-version").output().is_ok();
    if !found {
        println!("skipped: {program} is not on PATH");
    }
    found
}
