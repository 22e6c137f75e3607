//! Our side of `benches/peers/prior.py`: a prior teacher-forced or with its cache, run on demand.
//!
//! `ours_prior FOLDER write CONFIG SIDE ROWS BATCH` stores weights, tokens and the
//! description of a random prior whose tiles have SIDE x SIDE tokens, of which ROWS are coded.
//! `ours_prior FOLDER serve PASS STORAGE` answers commands; results are the bits that each tile's tokens
//! cost.

use bsq::config::PriorConfig;
use bsq::pipeline::CompileOptions;
use bsq::prior::{
    PriorFile, PriorSession, PriorSessionError, Storage, SubTokenPosition, TileTokens,
};
use bsq_benches::{Served, Tensors, serve, threads};
use bsq_ir::DType;
use bsq_ir::philox::random_word;
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::{Weights, load, safetensors};
use serde_json::json;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [folder, "write", config, side, rows, batch] => {
            let sizes = [side.parse()?, rows.parse()?, batch.parse()?];
            write(Path::new(folder), Path::new(config), sizes)
        }
        [folder, "serve", pass, storage] => {
            let storage = Storage::from_name(storage).ok_or("f32, bf16 or u8")?;
            let coded = Coded::new(Path::new(folder), pass == "cached", storage)?;
            serve(coded, json!({}))
        }
        _ => Err("see the first lines of benches/src/bin/ours_prior.rs".into()),
    }
}

fn write(folder: &Path, config: &Path, sizes: [usize; 3]) -> Result<(), Box<dyn Error>> {
    let [side, rows, batch] = sizes;
    let mut config = PriorConfig::load_for(config, 36)?;
    // Raster order: what the peer has.
    (config.prior.side, config.prior.slope) = (side, side);
    let prior = PriorFile::untrained("random", config, "none")?;
    prior.save(&folder.join("prior.safetensors"), DType::F32)?;
    let (model, own) = (prior.model.config(), &prior.config.prior);
    let shape = [batch, rows, side, own.sub_tokens()];
    let value = |i| (random_word(1, 0, i) as usize % own.classes()) as i32;
    let tokens: Vec<i32> = (0..shape.iter().product::<usize>() as u64)
        .map(value)
        .collect();
    let tokens = HostTensor::from_slice(shape, &tokens)?;
    let tokens = Tensors::from([("tokens".to_string(), tokens)]);
    safetensors::save(
        &folder.join("tokens.safetensors"),
        &tokens,
        &BTreeMap::new(),
    )?;
    let description = json!({
        "side": side,
        "sub_tokens": model.sub_tokens(),
        "classes": model.classes(),
        "neighbours": prior.model.neighbours(),
        "width": model.width,
        "layers": model.layers,
        "heads": model.heads,
        "head_width": model.head_width,
        "learned_positions": model.position == bsq::config::PositionEncoding::Learned,
    });
    let text = format!("{description:#}\n");
    Ok(std::fs::write(folder.join("prior.json"), text)?)
}

/// Tiles, and the prior that predicts their tokens.
struct Coded {
    session: PriorSession,
    tiles: Vec<TileTokens>,
    /// Of each tile.
    sizes: Vec<(usize, usize)>,
    /// Sub-tokens.
    depth: usize,
    cached: bool,
    bits: Vec<f32>,
}

impl Coded {
    fn new(folder: &Path, cached: bool, storage: Storage) -> Result<Coded, Box<dyn Error>> {
        let prior = PriorFile::open(&folder.join("prior.safetensors"))?.stored_as(storage)?;
        let tokens = load(folder.join("tokens.safetensors"), Weights::Raw)?;
        let tokens = &tokens.tensors["tokens"];
        let [batch, rows, columns, depth] = tokens.shape()[..] else {
            return Err("tokens have four axes".into());
        };
        let values = tokens.as_slice::<i32>()?;
        let mut tiles = vec![TileTokens::unknown(&prior.model, rows, columns); batch];
        for (i, own) in values.chunks_exact(depth).enumerate() {
            let (tile, token) = (i / (rows * columns), i % (rows * columns));
            let place = tiles[tile].token_mut(token / columns, token % columns);
            place.copy_from_slice(own);
        }
        let options = CompileOptions {
            threads: threads(),
            ..CompileOptions::default()
        };
        Ok(Coded {
            session: PriorSession::new(&prior, &options)?,
            tiles,
            sizes: vec![(rows, columns); batch],
            depth,
            cached,
            bits: vec![0.0; batch],
        })
    }
}

impl Served for Coded {
    fn run(&mut self) -> Result<(), Box<dyn Error>> {
        let Coded { tiles, bits, .. } = self;
        bits.fill(0.0);
        let mut decide = |place: SubTokenPosition, probabilities: &[f32]| {
            let token = tiles[place.tile].token(place.row, place.column);
            let value = token[place.index] as usize;
            bits[place.tile] -= probabilities[value].log2();
            Ok::<_, PriorSessionError>(value)
        };
        let (session, depth) = (&mut self.session, self.depth);
        if self.cached {
            session.step_by_step(&self.sizes, depth, &mut decide, &mut |_| {})?;
        } else {
            let visit = &mut |place, p: &[f32]| decide(place, p).map(drop);
            session.teacher_forced(tiles, depth, visit)?;
        }
        Ok(())
    }

    fn results(&self) -> Result<Tensors, Box<dyn Error>> {
        let bits = HostTensor::from_slice([self.bits.len()], &self.bits)?;
        Ok(Tensors::from([("bits".to_string(), bits)]))
    }
}
