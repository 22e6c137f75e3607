//! Priors: tokens per second teacher-forced and cached, and entropy coding alone.
//!
//! The default prior with one tile and with sixteen, and one of the paper's shape (24 layers of
//! width 768, random weights) on a few tokens, its weights kept as f32, bf16 and bytes. *of memory*
//! compares what f32 weights and the caches, as far as they are filled, amount to with the
//! bandwidth of copying memory that was measured between the samples: decoding is a matter of
//! reading. What fits into the CPU's caches, and narrow weights, exceed it.

mod coding;
mod passes;

use bsq::config::PriorConfig;
use bsq::pretrained;
use bsq::prior::{PriorFile, PriorModel, Storage};
use bsq_benches::Suite;
use passes::Case;

/// Tiles of the paper's shape have 8x8 tokens here: with 32x32 a pass takes a minute.
const PAPER_SIDE: usize = 8;

fn main() {
    let mut suite = Suite::from_arguments();
    let default = pretrained::open_prior("default").expect("the default prior ships");
    for batch in [1, 16] {
        let case = Case {
            name: "default",
            model: default.model.clone(),
            make: &|_| default.clone(),
            storages: &[Storage::F32],
            tiles: vec![(32, 32); batch],
            rounds: 10,
        };
        passes::compare(&mut suite, &case);
    }
    let text = include_str!("../../../models/configs/prior_paper.toml");
    let mut config = PriorConfig::from_toml(text).expect("the configuration ships");
    config.prior.side = PAPER_SIDE;
    config.prior.slope = PAPER_SIDE;
    for batch in [1, 16] {
        let case = Case {
            name: "24x768",
            model: PriorModel::new(&config.prior),
            make: &|storage| {
                let prior = PriorFile::untrained("24x768", config.clone(), "none");
                let prior = prior.expect("memory");
                prior.stored_as(storage).expect("memory")
            },
            storages: &Storage::ALL,
            tiles: vec![(2, PAPER_SIDE); batch],
            rounds: 10,
        };
        passes::compare(&mut suite, &case);
    }
    coding::compare(&mut suite);
    suite.finish();
}
