//! `bsq`: a tensor compiler embedded in Rust, and on it the BSQ-ViT image tokenizer and its codec.
//!
//! This package is all that a `Cargo.toml` names. A new model takes
//! [`prelude`]; the compiler's packages are [`ir`], [`nn`] and [`runtime`].
//!
//! | for | module |
//! |---|---|
//! | models, losses, optimizers, trainings | [`prelude`], [`nn`] |
//! | tokenizers: the paper's, and those that ship | [`config`], [`tokenizer`], [`pretrained`], [`pipeline`] |
//! | a model of whatever kind, by name or path | [`any_model`] |
//! | photos as small files, and back | [`codec`], [`prior`] |
//! | pictures sampled from a class | [`masked_lm`] |
//! | the learned transform codec, and what codes its levels | [`transform_codec`] |
//! | pictures in and out, and how close two are | [`image_io`], [`metrics`], [`lpips`], [`inception`], [`i3d`] |
//! | the lapped transform of tokenizers and codecs | [`lapped`] |
//! | training tokenizers and priors | [`train`], [`data`], [`losses`], [`discriminator`], [`schedule`] |
//!
//! # Compile, run, save, load
//!
//! ```
//! use bsq::prelude::*;
//!
//! let g = Graph::new();
//! let x = g.input("x", DType::F32, [4, 3]);
//! let model = Scope::root(&g);
//! let y = Linear::new(2).forward(&model / "layer", x).gelu();
//! let function = g.function([("y", y.id())], []);
//!
//! let executable = compile(&function, &CompileOptions::default())?;
//! let mut session = executable.bind(init(&model.specs(), 7)?)?;
//! let x = HostTensor::from_slice([4, 3], &[1.0_f32; 12])?;
//! assert_eq!(session.run(&[("x", &x)])?["y"].shape(), [4, 2]);
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("model.safetensors");
//! weights::save(&file, session.parameters()?, Weights::Raw)?;
//! let loaded = weights::load(&file, &model.specs())?;
//! assert_eq!(&loaded["layer.bias"], session.parameter("layer.bias")?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod any_model;
pub mod clip_codec;
pub mod codec;
pub mod config;
pub mod data;
pub mod discriminator;
pub mod i3d;
pub mod image_io;
pub mod inception;
pub mod lapped;
pub mod leech;
pub mod losses;
pub mod lpips;
pub mod masked_lm;
pub mod metrics;
pub mod photo;
pub mod pipeline;
pub mod prelude;
pub mod pretrained;
pub mod prior;
pub mod raster;
pub mod schedule;
pub mod token_grid;
pub mod tokenizer;
pub mod train;
pub mod transform_codec;
pub mod video_io;
pub mod weights_file;

pub use bsq_ir as ir;
pub use bsq_nn as nn;
pub use bsq_runtime as runtime;

/// README's examples, as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
