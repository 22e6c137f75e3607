//! Whole models: encoding, decoding, and training steps.
//!
//! The default model always; the full-size one (36 bits, 256x256 pixels, width 768, 12 + 12
//! layers) only where the environment has `BSQ_BENCH_FULL=1`, since it takes minutes.

mod coding;
mod training;

use bsq::config::Config;
use bsq::pipeline::ModelFile;
use bsq::pretrained;
use bsq_benches::Suite;
use bsq_runtime::checkpoint::Weights;

fn main() {
    let mut suite = Suite::from_arguments();
    let default = pretrained::open("default", Weights::Ema).expect("the default model ships");
    for batch in [1, 64] {
        coding::compare(&mut suite, "default", &default, batch, 30);
    }
    training::compare(&mut suite, "default", &default, 64, 10);
    if std::env::var("BSQ_BENCH_FULL").is_ok_and(|value| value == "1") {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../models/configs/reference/bsq_256_b36g36.yaml"
        );
        let (config, _) = Config::load(path).expect("the configuration ships");
        let full = ModelFile::untrained("b36g36", config, 0).expect("a model");
        coding::compare(&mut suite, "b36g36", &full, 1, 10);
        training::compare(&mut suite, "b36g36", &full, 1, 10);
    }
    suite.finish();
}
