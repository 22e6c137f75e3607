//! A small tokenizer and a small prior, both random, and their codec.

use bsq::codec::{Codec, CodecError, Damage, Decoder, Encoder, Header, StreamReport, TileArea};
use bsq::config::{Config, PriorConfig};
use bsq::pipeline::{CompileOptions, ModelFile, fingerprint};
use bsq::prior::{PriorFile, PriorSession, PriorSessionError, SubTokenPosition};
use bsq::token_grid::GridShape;
use bsq_ir::philox::random_word;

/// 16x16 windows with 2x2 tokens of 12 bits.
pub const TOKENIZER: &str = include_str!("../tiny.toml");

/// Tiles of 4x4 tokens, 4 sub-tokens of 3 bits.
pub const PRIOR: &str = "
[prior]
bits = 12
sub_token_bits = 3
side = 4
slope = 2
neighbours = 3
width = 16
layers = 1
heads = 2
head_width = 8
position = \"rotary\"
[train]
seed = 5
";

pub fn tokenizer() -> ModelFile {
    ModelFile::untrained("tokenizer", Config::from_toml(TOKENIZER).unwrap(), 3).unwrap()
}

/// A random prior that has opinions: weights five times as large as training starts with.
pub fn prior(tokenizer: &ModelFile) -> PriorFile {
    prior_of(PRIOR, tokenizer)
}

/// The same of another configuration.
pub fn prior_of(config: &str, tokenizer: &ModelFile) -> PriorFile {
    let own = fingerprint(tokenizer.tokenizer.config(), &tokenizer.parameters);
    let config = PriorConfig::from_toml(config).unwrap();
    let mut prior = PriorFile::untrained("prior", config, &own).unwrap();
    for tensor in prior.parameters.values_mut() {
        for x in tensor.as_mut_slice::<f32>().unwrap() {
            *x *= 5.0;
        }
    }
    prior
}

pub fn codec(raw: bool, threads: usize) -> Codec {
    let tokenizer = tokenizer();
    let prior = prior(&tokenizer);
    let prior = (!raw).then_some(&prior);
    Codec::new(
        &tokenizer,
        prior,
        &CompileOptions {
            threads,
            ..Default::default()
        },
    )
    .unwrap()
}

/// Random tokens of a picture, rows of its grid.
pub fn tokens(width: usize, height: usize, seed: u64) -> Vec<u64> {
    let count = width.div_ceil(16) * height.div_ceil(16) * 4;
    let word = |i: usize| u64::from(random_word(seed, 0, i as u64));
    (0..count).map(|i| word(i) >> 20).collect()
}

/// Draws sub-tokens, each as often as a prior says.
pub fn draw(seed: u64) -> impl FnMut(SubTokenPosition, &[f32]) -> Result<usize, PriorSessionError> {
    let mut count = 0;
    move |_, probabilities| {
        let mut left = f64::from(random_word(seed, 2, count)) / 4_294_967_296.0;
        count += 1;
        let passed = probabilities.iter().take_while(|p| {
            left -= f64::from(**p);
            left >= 0.0
        });
        Ok(passed.count().min(probabilities.len() - 1))
    }
}

/// Puts a tile's tokens into a grid of so many columns.
pub fn place(area: &TileArea, tokens: &[u64], columns: usize, grid: &mut [u64]) {
    for (row, tokens) in tokens.chunks_exact(area.columns).enumerate() {
        let start = (area.top + row) * columns + area.left;
        grid[start..start + area.columns].copy_from_slice(tokens);
    }
}

/// Tokens that the prior itself draws: those that coding with it is good for.
pub fn drawn(width: usize, height: usize, seed: u64) -> Vec<u64> {
    let header = codec(false, 0).header(width, height, None).unwrap();
    drawn_of(&prior(&tokenizer()), &header, seed)
}

/// The same of any prior, for a picture with this header.
pub fn drawn_of(prior: &PriorFile, header: &Header, seed: u64) -> Vec<u64> {
    let areas: Vec<_> = (0..header.tiles()).map(|s| header.area(s)).collect();
    let sizes: Vec<_> = areas.iter().map(|area| (area.rows, area.columns)).collect();
    let mut session = PriorSession::new(prior, &CompileOptions::default()).unwrap();
    let mut draw = draw(seed);
    let tiles = session
        .step_by_step(
            &sizes,
            prior.model.config().sub_tokens(),
            &mut draw,
            &mut |_| {},
        )
        .unwrap();
    let GridShape { rows, columns, .. } = header.grid();
    let words = header.words();
    let mut grid = vec![0; columns * rows * words];
    for (area, tile) in areas.iter().zip(&tiles) {
        let area = TileArea {
            left: area.left * words,
            columns: area.columns * words,
            ..*area
        };
        let tokens = tile.indices(&prior.model);
        place(&area, &tokens, columns * words, &mut grid);
    }
    grid
}

pub fn encode(
    codec: &mut Codec,
    size: (usize, usize),
    tokens: &[u64],
    coded_sub_tokens: Option<usize>,
) -> (Vec<u8>, StreamReport) {
    let mut encoder = Encoder::new(codec, Vec::new(), size.0, size.1, coded_sub_tokens).unwrap();
    // In uneven parts: rows may come as they will.
    for part in tokens.chunks(5) {
        encoder.write(part).unwrap();
    }
    encoder.finish().unwrap()
}

pub fn decode(codec: &mut Codec, stream: &[u8]) -> Result<Vec<u64>, CodecError> {
    Ok(decode_with(codec, stream, false)?.0)
}

pub fn recover(codec: &mut Codec, stream: &[u8]) -> Result<(Vec<u64>, Vec<Damage>), CodecError> {
    decode_with(codec, stream, true)
}

pub fn decode_with(
    codec: &mut Codec,
    stream: &[u8],
    recover: bool,
) -> Result<(Vec<u64>, Vec<Damage>), CodecError> {
    let mut decoder = Decoder::new(codec, stream, recover)?;
    let mut tokens = Vec::new();
    while let Some(rows) = decoder.next_rows()? {
        tokens.extend(rows);
    }
    let damage = decoder.damage().to_vec();
    Ok((tokens, damage))
}
