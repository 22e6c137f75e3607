//! Any text as a configuration; what reads as TOML is written and read back unchanged.
#![no_main]

use bsq::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Config::from_reference_yaml(text);
    if let Ok(config) = Config::from_toml(text) {
        assert_eq!(Config::from_toml(&config.to_toml()), Ok(config));
    }
});
