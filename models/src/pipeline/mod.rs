//! Photos to tokens and back: a model that is compiled, bound and ready to run.
//!
//! A [`TokenizerSession`] takes pictures of any size. A picture is padded by repeating its edge,
//! cut into windows of the model's size, and the windows go through the encoder in batches; the
//! decoder's windows are put together and cropped again. Programs are compiled in exact mode when
//! a batch size first occurs: the tokens of a picture and the picture of tokens are the same, bit
//! for bit, on every machine, with any number of threads, and however windows are batched.
//!
//! ```
//! use bsq::config::Config;
//! use bsq::image_io::Picture;
//! use bsq::pipeline::{ModelFile, CompileOptions, TokenizerSession};
//!
//! let config = Config::from_toml(r#"
//!     [model]
//!     embed_dim = 12
//!     embed_group_size = 3
//!     l2_norm = true
//!     post_q_l2_norm = true
//!     [model.vitconfig]
//!     image_size = 16
//!     patch_size = 8
//!     width = 16
//!     layers = 1
//!     heads = 2
//!     mlp_ratio = 2
//!     dim_ffn_output = 32
//! "#)?;
//! let model = ModelFile::untrained("tiny", config, 7)?;
//! let mut session = TokenizerSession::new(&model, CompileOptions::default());
//!
//! let photo = Picture::new(20, 10, (0..600).map(|i| (i % 251) as u8).collect());
//! let tokens = session.encode_picture(&photo, &mut |_| {})?;
//! assert_eq!(tokens.grid.indices.len(), 2 * 4); // two windows of 2x2 tokens
//! let reconstruction = session.decode_picture(&tokens, &mut |_| {})?;
//! assert_eq!((reconstruction.width, reconstruction.height), (20, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunks;
mod clip;
mod fingerprint;
mod functions;
mod model_file;
mod picture;
mod session;
mod stream;
mod token_file;

pub use bsq_runtime::CompileOptions;
pub use chunks::{ChunkDecoder, ChunkEncoder, Chunks};
pub use clip::ClipTokens;
pub(crate) use fingerprint::Fnv;
pub use fingerprint::{fingerprint, fingerprint_number};
pub use functions::{
    decode_clip_function, decode_frame_function, decode_function, encode_clip_function,
    encode_frame_function, encode_function,
};
pub use model_file::{ModelError, ModelFile};
pub use picture::{PictureTokens, RunTimes};
pub use session::{PipelineError, TokenizerSession};
pub use stream::TokenStream;
pub(crate) use token_file::LEVELS;
pub use token_file::{NamedClip, NamedTokens, TokenFile, TokenFileError};

#[cfg(test)]
pub(crate) mod tests {
    //! What the tests of this folder share.

    use super::ModelFile;
    use crate::config::Config;
    use crate::image_io::Picture;
    use bsq_ir::philox::random_word;

    /// A small random model of 16x16 windows with 2x2 tokens of 12 bits in groups of 3.
    pub fn tiny(seed: u64) -> ModelFile {
        let text = include_str!("../../tests/tiny.toml");
        ModelFile::untrained("tiny", Config::from_toml(text).unwrap(), seed).unwrap()
    }

    /// Values in -1..1.
    pub fn noise(count: usize) -> Vec<f32> {
        let words = (0..count as u64).map(|i| random_word(5, 0, i));
        words
            .map(|word| word as f32 / 2.0_f32.powi(31) - 1.0)
            .collect()
    }

    pub fn picture(width: usize, height: usize) -> Picture {
        let words = (0..3 * width * height).map(|i| random_word(6, 0, i as u64));
        Picture::new(width, height, words.map(|word| word as u8).collect())
    }

    /// A frame of a clip.
    pub fn moving(time: usize) -> Picture {
        let mut frame = picture(37, 21);
        let change = |x: &mut u8| *x = x.wrapping_add(9 * time as u8);
        frame.rgb.iter_mut().for_each(change);
        frame
    }

    /// A random tokenizer of clips with a mask.
    pub fn masked(frames: usize, mask: &str) -> ModelFile {
        let text = include_str!("../../tests/tiny.toml");
        let keys = format!("num_frames = {frames}\nmask_type = \"{mask}\"\n");
        let section = |name: &str| format!("[model.{name}]\n");
        let add = |text: String, name| text.replace(&section(name), &(section(name) + &keys));
        let text = add(add(text.to_string(), "vitconfig"), "dvitconfig");
        ModelFile::untrained("clips", Config::from_toml(&text).unwrap(), 5).unwrap()
    }

    /// One that predicts patches from the frame before, with noise in all parameters.
    pub fn predicting(frames: usize) -> ModelFile {
        let transform = "[model.transform]\nbits = [3, 2, 2, 1, 1, 1, 1, 1]\nframe_delta = true\n";
        let text = masked(frames, "block-causal").config.to_toml() + transform;
        let config = Config::from_toml(&text).unwrap();
        let mut model = ModelFile::untrained("predicting", config, 5).unwrap();
        for (name, tensor) in &mut model.parameters {
            let values = tensor.as_mut_slice::<f32>().unwrap();
            let noise = noise(values.len());
            let scale = if name.ends_with("sis") { 8.0 } else { 0.25 };
            values
                .iter_mut()
                .zip(noise)
                .for_each(|(value, noise)| *value += scale * noise);
        }
        model
    }

    /// A random tokenizer of clips whose frames do not see later ones.
    pub fn tiny_clips(frames: usize) -> ModelFile {
        masked(frames, "block-causal")
    }
}
