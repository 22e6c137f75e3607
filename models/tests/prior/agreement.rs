//! All positions at once, and step by step with a cache: the same probabilities, bit for bit.

use bsq::config::PriorConfig;
use bsq::pipeline::CompileOptions;
use bsq::prior::{
    PriorFile, PriorSession, PriorSessionError, Storage, SubTokenPosition, TileTokens,
};
use bsq_ir::DType;
use bsq_ir::philox::random_word;
use proptest::prelude::*;

/// A model whose weights are large enough for its probabilities to differ.
pub fn prior(text: &str, seed: u64) -> PriorFile {
    let mut config = PriorConfig::from_toml(text).unwrap();
    config.train.seed = seed;
    let mut prior = PriorFile::untrained("random", config, "none").unwrap();
    for tensor in prior.parameters.values_mut() {
        for x in tensor.as_mut_slice::<f32>().unwrap() {
            *x *= 4.0;
        }
    }
    prior
}

fn tile(
    prior: &PriorFile,
    rows: usize,
    columns: usize,
    coded_sub_tokens: usize,
    seed: u64,
) -> TileTokens {
    let bits = prior.config.prior.bits;
    let word = |i: usize| u64::from(random_word(seed, 0, i as u64));
    let token = |i: usize| (word(2 * i) << 32 | word(2 * i + 1)) >> (64 - bits);
    let tokens: Vec<u64> = (0..rows * columns).map(token).collect();
    TileTokens::new(&prior.model, rows, columns, &tokens, coded_sub_tokens)
}

type Asked = Vec<(SubTokenPosition, Vec<u32>)>;

fn bits(probabilities: &[f32]) -> Vec<u32> {
    probabilities.iter().map(|p| p.to_bits()).collect()
}

fn all_at_once(
    prior: &PriorFile,
    tiles: &[TileTokens],
    coded_sub_tokens: usize,
    threads: usize,
) -> Asked {
    let options = CompileOptions {
        threads,
        ..Default::default()
    };
    let mut session = PriorSession::new(prior, &options).unwrap();
    let mut asked = Asked::new();
    let visited = session.teacher_forced(tiles, coded_sub_tokens, &mut |place, probabilities| {
        asked.push((place, bits(probabilities)));
        Ok::<_, PriorSessionError>(())
    });
    visited.unwrap();
    asked
}

/// Twice with one session: caches that hold another picture must not show.
fn step_by_step(
    prior: &PriorFile,
    tiles: &[TileTokens],
    coded_sub_tokens: usize,
    threads: usize,
    cache_lengths: Option<usize>,
) -> Asked {
    let options = CompileOptions {
        threads,
        ..Default::default()
    };
    let mut session = PriorSession::new(prior, &options).unwrap();
    session.set_cache_lengths(cache_lengths);
    let unknown: Vec<TileTokens> = tiles.iter().map(TileTokens::forgotten).collect();
    let mut last = Asked::new();
    for round in 0..2 {
        let mut asked = Asked::new();
        let decided = session.step_by_step_from(
            unknown.clone(),
            coded_sub_tokens,
            &mut |place, probabilities| {
                let known = tiles[place.tile].token(place.row, place.column);
                if place.index < coded_sub_tokens {
                    asked.push((place, bits(probabilities)));
                }
                let value = known[place.index].max(0) as usize;
                Ok::<_, PriorSessionError>(if round == 0 { 0 } else { value })
            },
            &mut |_| {},
        );
        decided.unwrap();
        last = asked;
    }
    last
}

fn configurations() -> impl Strategy<Value = String> {
    let sizes = (2..=9_usize).prop_flat_map(|side| (Just(side), 1..=side));
    let tokens = prop::sample::select(vec![
        (6, 1),
        (12, 3),
        (12, 4),
        (12, 12),
        (35, 5),
        (36, 4),
        (36, 6),
    ]);
    let widths = prop::sample::select(vec![(8, 1), (24, 3), (32, 2), (40, 5)]);
    let rest = (
        1..=3_usize,
        (1..=12_usize, 0..=9_usize),
        prop::sample::select(vec![3, 16, 33]),
        any::<bool>(),
    );
    (sizes, tokens, widths, rest).prop_map(
        |(
            (side, slope),
            (bits, sub),
            (width, heads),
            (layers, (neighbours, before), hidden, rotary),
        )| {
            let position = if rotary { "rotary" } else { "learned" };
            format!(
                "[prior]\nbits = {bits}\nsub_token_bits = {sub}\nside = {side}\nslope = {slope}\n\
                 width = {width}\nheads = {heads}\nlayers = {layers}\nneighbours = {neighbours}\n\
                 frame_before = {before}\n\
                 head_width = {hidden}\nposition = \"{position}\"\n"
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 30, ..Default::default() })]

    #[test]
    fn teacher_forcing_and_the_cache_agree(
        text in configurations(),
        seed in any::<u64>(),
        sizes in prop::collection::vec((1..=9_usize, 1..=9_usize), 1..4),
        (one, other) in prop::sample::select(vec![(1, 1), (1, 2), (2, 1), (2, 2)]),
        coded_sub_tokens in 1..=40_usize,
        storage in prop::sample::select(Storage::ALL.to_vec()),
        cache_lengths in prop::option::of(1..6_usize),
    ) {
        let prior = prior(&text, seed).stored_as(storage).unwrap();
        let (side, depth) = (prior.config.prior.side, prior.config.prior.sub_tokens());
        let coded_sub_tokens = (coded_sub_tokens - 1) % depth + 1;
        let tiles: Vec<TileTokens> = sizes.iter().enumerate()
            .map(|(i, &(rows, columns))| {
                let of = |seed: u64| {
                    tile(&prior, rows.min(side), columns.min(side), coded_sub_tokens, seed ^ i as u64)
                };
                // Some are of a clip's first frame, some of a later one.
                if i % 2 == 0 { of(seed).after(&of(seed ^ 77)) } else { of(seed) }
            })
            .collect();
        let parallel = all_at_once(&prior, &tiles, coded_sub_tokens, one);
        let tokens: usize = tiles.iter().map(|s| s.rows * s.columns).sum();
        prop_assert_eq!(parallel.len(), tokens * coded_sub_tokens);
        prop_assert_eq!(step_by_step(&prior, &tiles, coded_sub_tokens, other, cache_lengths), parallel.clone());
        // A tile alone has the probabilities that it has in company.
        let alone = all_at_once(&prior, &tiles[..1], coded_sub_tokens, other);
        let first: Asked = parallel.into_iter().filter(|(place, _)| place.tile == 0).collect();
        prop_assert_eq!(alone, first);
    }
}

const STORED: &str = "[prior]\nbits = 12\nsub_token_bits = 4\nside = 6\nwidth = 24\nheads = 3\n\
                      layers = 2\nhead_width = 8\n";

/// Narrow weights are widened to the numbers that they stand for, and nothing else changes.
#[test]
fn narrow_weights_have_the_bits_of_the_numbers_that_they_stand_for() {
    let wide = prior(STORED, 1);
    let tiles = [tile(&wide, 6, 5, 3, 9)];
    let plain = all_at_once(&wide, &tiles, 3, 1);
    let mut fingerprints = vec![wide.fingerprint()];
    for storage in [Storage::Bf16, Storage::U8] {
        let narrow = wide.stored_as(storage).unwrap();
        let mut widened = wide.clone();
        for (name, tensor) in &mut widened.parameters {
            let kept = &narrow.parameters[name];
            *tensor = match kept.dtype() {
                DType::U8 => {
                    let scales = &narrow.parameters[&format!("{name}_scales")];
                    let scales = scales.as_slice::<f32>().unwrap();
                    let row = tensor.shape()[1];
                    let bytes = kept.as_slice::<u8>().unwrap().iter().enumerate();
                    let values = bytes.map(|(i, &x)| (f32::from(x) - 128.0) * scales[i / row]);
                    let values: Vec<f32> = values.collect();
                    bsq_runtime::HostTensor::from_slice(tensor.shape(), &values).unwrap()
                }
                _ => kept.to_dtype(DType::F32).unwrap(),
            };
            // Rounded, but not to something else.
            let (old, new) = (&wide.parameters[name], &*tensor);
            for (a, b) in old
                .as_slice::<f32>()
                .unwrap()
                .iter()
                .zip(new.as_slice().unwrap())
            {
                let b: &f32 = b;
                assert!((a - b).abs() <= 0.01, "{name}: {a} {b}");
            }
        }
        let asked = all_at_once(&narrow, &tiles, 3, 1);
        assert_eq!(asked, all_at_once(&widened, &tiles, 3, 1), "{storage:?}");
        assert_ne!(asked, plain, "{storage:?}");
        // Files keep them as they are.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prior.safetensors");
        narrow.save(&path, DType::F32).unwrap();
        let read = PriorFile::open(&path).unwrap();
        assert_eq!(read.model.storage(), storage);
        assert_eq!(read.parameters, narrow.parameters);
        fingerprints.push(read.fingerprint());
    }
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 3);
}

#[test]
fn what_would_change_probabilities_is_refused() {
    let prior = prior(STORED, 3);
    for options in [
        CompileOptions {
            precision: bsq_runtime::Precision::Bf16,
            ..Default::default()
        },
        CompileOptions {
            tf32: true,
            ..Default::default()
        },
        CompileOptions {
            exact: false,
            ..Default::default()
        },
    ] {
        let refused = PriorSession::new(&prior, &options);
        assert!(matches!(refused, Err(PriorSessionError::NotExact)));
    }
}
