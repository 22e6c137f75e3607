//! The block-causal tokenizer: what comes later changes nothing, frame by frame or at once, on any family of
//! instructions and any number of threads.

use crate::common::TOKENIZER;
use crate::token_clips::frames;
use bsq::config::Config;
use bsq::image_io::Picture;
use bsq::pipeline::{
    ChunkDecoder, ChunkEncoder, ClipTokens, CompileOptions, ModelFile, TokenStream,
    TokenizerSession,
};
use bsq_codegen::cpu::microkernel::Family;
use proptest::prelude::*;

fn model(frames: usize, seed: u64) -> ModelFile {
    let section = "[model.vitconfig]\n";
    let keys = format!("num_frames = {frames}\nmask_type = \"block-causal\"\n");
    let config = TOKENIZER.replace(section, &format!("{section}{keys}"));
    let mut model =
        ModelFile::untrained("clips", Config::from_toml(&config).unwrap(), seed).unwrap();
    // As it begins a model sees too little of other frames.
    for (name, tensor) in &mut model.parameters {
        let values = tensor.as_mut_slice::<f32>().unwrap();
        values.iter_mut().for_each(|x| *x *= 4.0);
        if name.contains("temporal") {
            let place = |i: usize| (i * 5 % 7) as f32 - 3.0;
            (0..).zip(values).for_each(|(i, x)| *x = place(i));
        }
    }
    model
}

fn options((family, threads): (Family, usize)) -> CompileOptions {
    CompileOptions {
        family: Some(family),
        threads,
        ..CompileOptions::default()
    }
}

/// Families that this CPU has, and numbers of threads.
fn machine() -> impl Strategy<Value = (Family, usize)> {
    let families: Vec<Family> = Family::all_supported();
    (prop::sample::select(families), 1..=3_usize)
}

/// Tokens and pixels of a clip, chunk by chunk.
fn chunked(
    session: &mut TokenizerSession,
    frames: &[Picture],
    overlap: usize,
) -> (Vec<u64>, Vec<Picture>) {
    let chunks = session.chunks(overlap).unwrap();
    let (mut encoder, mut decoder) = (ChunkEncoder::new(chunks), ChunkDecoder::new(chunks));
    let (mut indices, mut pixels, mut done) = (Vec::new(), Vec::new(), 0);
    while done < frames.len() {
        let end = frames.len().min(done + encoder.wanted());
        let tokens: ClipTokens = encoder.encode(session, frames[done..end].to_vec()).unwrap();
        indices.extend(&tokens.grid.indices);
        pixels.extend(decoder.decode(session, tokens).unwrap());
        done = end;
    }
    (indices, pixels)
}

/// What is tested below is no tautology: frames do see those before, and context.
#[test]
fn earlier_frames_change_later_ones() {
    let (model, frames) = (model(3, 1), frames(7, 30, 20));
    let mut session = TokenizerSession::new(&model, CompileOptions::default());
    let [apart, whole] = [0, 1].map(|overlap| chunked(&mut session, &frames, overlap));
    let still = session.encode_picture(&frames[1], &mut |_| {}).unwrap();
    let each = still.grid.indices.len();
    assert_ne!(still.grid.indices, apart.0[each..2 * each]);
    // Frame 3 begins a chunk, or is the first new one behind context.
    assert_eq!(apart.0[..3 * each], whole.0[..3 * each]);
    assert_ne!(apart.0[3 * each..], whole.0[3 * each..]);
    assert!(apart.1[3..] != whole.1[3..]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..Default::default() })]

    /// A clip, a clip that ends earlier, and the same frames one by one, each on a machine of its own.
    #[test]
    fn later_frames_change_no_earlier_one(
        (most, overlap) in (2..=5_usize).prop_flat_map(|most| (Just(most), 0..most)),
        (count, kept) in (1..=9_usize).prop_flat_map(|count| (Just(count), 1..=count)),
        (width, height) in (1..=40_usize, 1..=40_usize),
        seed in any::<u64>(),
        machines in [machine(), machine(), machine()],
    ) {
        let model = model(most, seed);
        let frames = frames(count, width, height);
        let [whole, part, stream] = machines.map(options);
        let (indices, pixels) = chunked(&mut TokenizerSession::new(&model, whole), &frames, overlap);
        let mut session = TokenizerSession::new(&model, part);
        let (first, shown) = chunked(&mut session, &frames[..kept], overlap);
        prop_assert_eq!(&first[..], &indices[..first.len()]);
        prop_assert_eq!(&shown[..], &pixels[..kept]);
        let mut stream = TokenStream::new(&model, stream).unwrap();
        stream.set_overlap(overlap).unwrap();
        let each = indices.len() / count;
        for (time, frame) in frames.iter().enumerate() {
            let tokens = stream.encode(frame).unwrap();
            prop_assert_eq!(&tokens.grid.indices[..], &indices[time * each..][..each], "frame {}", time);
            prop_assert_eq!(&stream.decode(&tokens).unwrap(), &pixels[time], "frame {}", time);
        }
    }
}
