//! Any text: parsing never panics, and what parses prints to text that parses to the same.
#![no_main]

use bsq_ir::text::parse;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(function) = parse(text) {
        let printed = function.to_string();
        assert!(parse(&printed).expect("printed text parses") == function);
    }
});
