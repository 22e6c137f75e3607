//! The masked language model: pictures sampled from a class, over a tokenizer's tokens.
//!
//! A tokenizer's token of L bits is cut into G *sub-tokens*, most significant bits first. The
//! network sees a class and all sub-tokens of a picture, of which some are masked, and predicts the
//! masked ones; training masks a random share of them. A picture is made by beginning with
//! everything masked and predicting again and again: each step keeps the predictions that are surest,
//! with noise on what is sure, and masks the others again (MaskGIT, Chang et al. 2022; BSQ, Zhao et
//! al. 2024, section 4.4).
//!
//! [`MaskedLm`] is the network, [`sample`] the rule of a step, [`MaskedLmSession`] runs both, and a
//! [`Generator`] makes pictures of the tokens. Every
//! picture draws its own noise, from the seed and its number, so that it does not depend on what it is
//! batched with; and all arithmetic is the compiler's `f32` and software functions in `f64`, so that a
//! seed gives the same pictures on every machine.
//!
//! ```
//! use bsq::config::MaskedLmConfig;
//! use bsq::masked_lm::{MaskedLmFile, MaskedLmSession, SampleSettings, Start};
//! use bsq::pipeline::CompileOptions;
//!
//! let config = MaskedLmConfig::from_toml("
//!     [masked_lm]
//!     bits = 8
//!     tokens = 4
//!     classes = ['cat', 'dog']
//!     width = 16
//!     layers = 1
//!     heads = 2
//! ")?;
//! let file = MaskedLmFile::untrained("tiny", config, "some tokenizer")?;
//! let mut session = MaskedLmSession::new(&file, &CompileOptions::default())?;
//! let settings = SampleSettings { steps: 4, ..SampleSettings::default() };
//! let starts = [Start::empty(&file.model, Some(1)), Start::empty(&file.model, Some(0))];
//! let pictures = session.sample(&starts, 0, &settings, &mut |_, _| {})?;
//! assert_eq!(pictures[0].len(), 4); // indices of tokens, below 2^8
//! let second = session.sample(&starts[1..], 1, &settings, &mut |_, _| {})?;
//! assert_eq!(second[0], pictures[1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod file;
mod functions;
mod generator;
mod model;
pub mod sample;
mod session;
mod sub_tokens;

pub use error::MaskedLmError;
pub use file::MaskedLmFile;
pub(crate) use file::TOKENIZER;
pub(crate) use functions::{DROPOUT, batch_loss};
pub use functions::{guided_logits_function, parameter_specs, probabilities_function};
pub use generator::{GenerateError, Generator, Inpainting};
pub use model::{MaskedLm, MaskedLmOutputs};
pub use sample::{Guidance, SampleSettings};
pub use session::{MaskedLmSession, Start};
pub use sub_tokens::{index_of, sub_tokens_of};
