//! What a model is made of: all of [`bsq_nn::prelude`].
//!
//! ```
//! use bsq::prelude::*;
//! ```

pub use bsq_nn::prelude::*;
