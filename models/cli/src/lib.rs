//! The command `bsq`, and the measurements that it makes: a library so that benchmarks and tests
//! make the same ones.
//!
//! | module | |
//! |---|---|
//! | [`command`] | subcommands, their options and exit codes |
//! | [`check`] | a model beside recorded tensors |
//! | [`evaluation`] | a tokenizer on a folder of pictures |
//! | [`rate_distortion`] | our streams beside JPEG, WebP and JPEG 2000 |
//! | [`machine`] | what this machine can do, measured |

pub mod check;
pub mod command;
pub mod evaluation;
mod html;
pub mod machine;
pub mod rate_distortion;
