//! Any file as a token file of a small model: an error or tokens, never a panic.
#![no_main]

use bsq::config::Config;
use bsq::pipeline::{ModelFile, TokenFile};
use bsq_runtime::checkpoint::{Weights, read};
use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

static MODEL: LazyLock<ModelFile> = LazyLock::new(|| {
    let config = "
        [model]
        embed_dim = 12
        embed_group_size = 3
        [model.vitconfig]
        image_size = 16
        patch_size = 8
        width = 16
        layers = 1
        heads = 2
        mlp_ratio = 2
    ";
    let config = Config::from_toml(config).expect("a valid configuration");
    ModelFile::untrained("tiny", config, 7).expect("a model")
});

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzzed");
    if let Ok(checkpoint) = read(Cursor::new(bytes), path, Weights::Raw) {
        let _ = TokenFile::from_checkpoint(path, &checkpoint, &MODEL);
    }
});
