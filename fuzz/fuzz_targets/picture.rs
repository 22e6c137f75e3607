//! Any file as a picture: an error or a picture of the size that it says.
#![no_main]

use bsq::image_io::{LoadLimits, load_from_bytes};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let limits = LoadLimits { max_pixels: 1 << 20, ..LoadLimits::default() };
    if let Ok(loaded) = load_from_bytes(bytes, Path::new("fuzzed"), limits) {
        let picture = loaded.picture;
        assert_eq!(picture.rgb.len(), 3 * picture.width * picture.height);
    }
});
