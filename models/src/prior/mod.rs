//! The autoregressive prior: how likely each token of a photo is, given those before it.
//!
//! A photo's tokens form one grid, whatever windows the tokenizer saw; the grid is cut into
//! *tiles* of at most `side` rows and columns, and the prior is a decoder-only transformer over
//! the tokens of a tile, in the [`Order`] of wavefronts. A token of L bits is cut into K
//! *sub-tokens*, most significant bits first, and the chain rule goes over them too: a small
//! network predicts each from the transformer's features and from the token's earlier sub-tokens,
//! so there is no table of 2^L tokens.
//!
//! Of a clip each frame is a photo whose positions also see the tokens of the frame before at and around
//! their place ([`TileTokens::after`]): context is bounded, and a frame costs the same however long a clip is.
//!
//! Two ways to run one model: [`PriorSession::teacher_forced`] evaluates all positions of known
//! tiles in one pass, [`PriorSession::step_by_step`] goes from wavefront to wavefront with a
//! cache of keys and values. They are different programs and give the same bits, which is what
//! makes coding with it possible: see [`functions`](self) and the tests.
//!
//! ```
//! use bsq::config::PriorConfig;
//! use bsq::pipeline::CompileOptions;
//! use bsq::prior::{PriorFile, PriorSession, PriorSessionError, TileTokens};
//!
//! let config = PriorConfig::from_toml("
//!     [prior]
//!     bits = 12
//!     side = 4
//!     width = 16
//!     layers = 1
//!     heads = 2
//!     head_width = 8
//! ")?;
//! let prior = PriorFile::untrained("tiny", config, "some tokenizer")?;
//! let mut session = PriorSession::new(&prior, &CompileOptions::default())?;
//!
//! let tokens = [5, 0xABC, 7, 4095, 0, 1];
//! let tile = TileTokens::new(&prior.model, 2, 3, &tokens, 3);
//! let mut given = Vec::new();
//! session.teacher_forced(&[tile.clone()], 3, &mut |place, probabilities| {
//!     given.push((place, probabilities.to_vec()));
//!     Ok::<_, PriorSessionError>(())
//! })?;
//! assert_eq!(given.len(), 6 * 3);
//!
//! let mut given = given.into_iter();
//! let again = session.step_by_step(&[(2, 3)], 3, &mut |place, probabilities| {
//!     assert_eq!(given.next(), Some((place, probabilities.to_vec())));
//!     let value = tile.token(place.row, place.column)[place.index];
//!     Ok::<_, PriorSessionError>(value as usize)
//! }, &mut |_| {})?;
//! assert_eq!(again, [tile]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod file;
mod fit;
mod functions;
mod model;
mod order;
mod rate;
mod session;
mod steps;
mod storage;
mod tile;

pub use error::PriorSessionError;
pub use file::PriorFile;
pub(crate) use file::TOKENIZER;
pub use fit::{OtherBits, check_bits};
pub(crate) use functions::tile_loss;
pub use functions::{
    CACHE_PREFIX, cache_specs, parameter_specs, sub_token_function, tile_function,
    wavefront_function,
};
pub use model::PriorModel;
pub use order::Order;
pub use rate::bits_per_token;
pub(crate) use session::tile_inputs;
pub use session::{Ask, PriorSession, SubTokenPosition};
pub use storage::{store, stored_types};
pub use tile::TileTokens;

pub use bsq_nn::layers::Storage;
