//! All positions at once, and step by step with a cache.

use bsq::pipeline::CompileOptions;
use bsq::prior::{
    PriorFile, PriorModel, PriorSession, PriorSessionError, Storage, TileTokens,
    sub_token_function, tile_function, wavefront_function,
};
use bsq_benches::{Agreement, Candidate, Comparison, Implementation, Suite, Work, threads};
use bsq_codegen::pipeline;
use bsq_ir::Function;
use bsq_ir::philox::random_word;
use std::time::{Duration, Instant};

/// Bits of all tokens may differ by this much between ways to keep weights.
const ROUNDING: f64 = 0.02;

/// A prior, and the tiles that it is run on.
pub struct Case<'a> {
    pub name: &'a str,
    pub model: PriorModel,
    /// Called only if the group is selected.
    pub make: &'a dyn Fn(Storage) -> PriorFile,
    pub storages: &'a [Storage],
    /// Rows and columns of each tile.
    pub tiles: Vec<(usize, usize)>,
    pub rounds: usize,
}

#[derive(Clone, Copy)]
enum Pass {
    TeacherForced,
    Cached,
}

/// The two groups of a case.
pub fn compare(suite: &mut Suite, case: &Case<'_>) {
    for pass in [Pass::TeacherForced, Pass::Cached] {
        let (what, work) = match pass {
            Pass::TeacherForced => ("teacher-forced", whole(case)),
            Pass::Cached => ("cached", steps(case)),
        };
        let candidates = case.storages.iter().map(|&storage| {
            let name = match storage {
                Storage::F32 => "bsq, weights f32",
                Storage::Bf16 => "bsq, weights bf16",
                Storage::U8 => "bsq, weights u8",
            };
            Candidate::new(name, move || Run::new(case, pass, storage))
        });
        let comparison = Comparison {
            name: &format!("prior {}, {what}, batch {}", case.name, case.tiles.len()),
            work,
            agreement: Agreement::Within(ROUNDING),
            rounds: case.rounds,
            candidates: candidates.collect(),
        };
        suite.compare_items(comparison, tokens(case) as f64, "tokens");
    }
}

fn tokens(case: &Case<'_>) -> usize {
    case.tiles
        .iter()
        .map(|(rows, columns)| rows * columns)
        .sum()
}

/// All positions of a tile, with those that hold no token; weights are read once.
fn whole(case: &Case<'_>) -> Work {
    let function = tile_function(&case.model, case.tiles.len());
    Work {
        flops: flops(&function),
        bytes: weight_bytes(&function),
    }
}

/// Each step reads all weights as `f32`, and keys and values of the positions before it.
fn steps(case: &Case<'_>) -> Work {
    let (model, batch) = (&case.model, case.tiles.len());
    let (order, config) = (model.order(), model.config());
    // A step has half of the positions before it, on average.
    let half = order.wavefronts().div_ceil(2);
    let wavefront = wavefront_function(model, batch, half);
    let sub_token = sub_token_function(model, batch * order.wavefront_width());
    let times = case
        .tiles
        .iter()
        .map(|&(rows, columns)| order.wavefronts_of(rows, columns));
    let times = times.max().unwrap_or(0);
    let step = flops(&wavefront) + config.sub_tokens() as f64 * flops(&sub_token);
    // The weights of the chain are used one slice at a time, each slice once a step.
    let weights = weight_bytes(&wavefront) + weight_bytes(&sub_token);
    let kept = 2 * config.layers * config.width * size_of::<f32>() * batch;
    let cache: usize = (1..=times)
        .map(|time| time * order.wavefront_width() * kept)
        .sum();
    Work {
        flops: times as f64 * step,
        bytes: times as f64 * weights + cache as f64,
    }
}

fn flops(function: &Function) -> f64 {
    let program = pipeline::program(function, false, &Default::default());
    program.expect("a program").flops() as f64
}

fn weight_bytes(function: &Function) -> f64 {
    let weights = function.parameters();
    let weights = weights.filter(|(_, name, _)| !name.starts_with(bsq::prior::CACHE_PREFIX));
    weights.map(|(_, _, ty)| ty.bytes()).sum::<usize>() as f64
}

/// One way to run a prior. The result is the bits that each tile's tokens cost.
struct Run {
    pass: Pass,
    session: PriorSession,
    tiles: Vec<TileTokens>,
    bits: Vec<f64>,
}

impl Run {
    fn new(case: &Case<'_>, pass: Pass, storage: Storage) -> Run {
        let prior = (case.make)(storage);
        let bits = prior.config.prior.bits;
        let token = |i: u64| {
            let word = |half| u64::from(random_word(3, 0, 2 * i + half));
            (word(0) << 32 | word(1)) >> (64 - bits)
        };
        let tile = |(number, &(rows, columns)): (usize, &(usize, usize))| {
            let first = (number * rows * columns) as u64;
            let tokens: Vec<u64> = (0..(rows * columns) as u64)
                .map(|i| token(first + i))
                .collect();
            let depth = prior.config.prior.sub_tokens();
            TileTokens::new(&prior.model, rows, columns, &tokens, depth)
        };
        let options = CompileOptions {
            threads: threads(),
            ..CompileOptions::default()
        };
        Run {
            pass,
            session: PriorSession::new(&prior, &options).expect("exact options"),
            tiles: case.tiles.iter().enumerate().map(tile).collect(),
            bits: Vec::new(),
        }
    }
}

impl Implementation for Run {
    fn run(&mut self) -> Duration {
        let Run {
            pass,
            session,
            tiles,
            bits,
        } = self;
        bits.clear();
        bits.resize(tiles.len(), 0.0);
        let depth = session.model().config().sub_tokens();
        let sizes: Vec<_> = tiles.iter().map(|s| (s.rows, s.columns)).collect();
        let mut decide = |place: bsq::prior::SubTokenPosition, probabilities: &[f32]| {
            let token = tiles[place.tile].token(place.row, place.column);
            let value = token[place.index] as usize;
            bits[place.tile] -= f64::from(probabilities[value]).log2();
            Ok::<_, PriorSessionError>(value)
        };
        let start = Instant::now();
        match pass {
            Pass::TeacherForced => session
                .teacher_forced(tiles, depth, &mut |place, p| decide(place, p).map(drop))
                .expect("the program runs"),
            Pass::Cached => drop(
                session
                    .step_by_step(&sizes, depth, &mut decide, &mut |_| {})
                    .expect("the programs run"),
            ),
        }
        start.elapsed()
    }

    fn result(&mut self) -> Vec<f64> {
        self.bits.clone()
    }
}
