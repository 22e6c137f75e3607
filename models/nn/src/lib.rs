//! Layers, optimizers and a training loop: what a model needs beside the compiler.
//!
//! | module | |
//! |---|---|
//! | [`prelude`] | all that a model of one's own needs, of this package and of those below |
//! | [`layers`] | Linear, Embedding, Attention with masks and caches, MLP, Block, Transformer, convolutions, norms, resizing |
//! | [`init`] | starting values, a pure function of seed and name |
//! | [`weights`] | a model's weights in a file, and back |
//! | [`optimizer`] | SGD, Adam, AdamW, Lion, Muon; clipping and moving averages as parts of the graph |
//! | [`quantizers`] | residual signs, levels with a dead zone, straight-through gradients |
//! | [`schedule`] | the course of the learning rate |
//! | [`train`] | the loop: batches, checkpoints, resuming, log, what diverges |
//! | [`data`] | batches by step, made ahead on another thread |
//! | [`train_log`] | JSON lines and TensorBoard events |
//!
//! The package knows the compiler ([`ir`]) and what runs programs ([`runtime`]), and nothing of
//! images. It is all that a `Cargo.toml` names.
//!
//! # Compile, run, save, load
//!
//! ```
//! use bsq_nn::prelude::*;
//!
//! // y = x1 - x2, learned from batches of four.
//! let g = Graph::new();
//! let model = Scope::root(&g);
//! let x = g.input("x", DType::F32, [4, 2]);
//! let y = g.input("y", DType::F32, [4, 1]);
//! let guess = Mlp::new(8, 1).forward(&model, x);
//! let loss = (guess - y).square().mean(..);
//! let step = minimize(loss, &model.parameters(), &AdamW::new(g.scalar("lr")));
//!
//! let batch = |step: u64| {
//!     let x: Vec<f32> = (0..8).map(|i| ((step * 8 + i) as f32).sin()).collect();
//!     let y: Vec<f32> = x.chunks(2).map(|x| x[0] - x[1]).collect();
//!     Ok(vec![("x", HostTensor::from_slice([4, 2], &x)?), ("y", HostTensor::from_slice([4, 1], &y)?)])
//! };
//! let folder = tempfile::tempdir()?;
//! let parameters = init(&model.specs(), 1)?;
//! let outcome = Training::new(folder.path(), &step, parameters)?
//!     .steps(200)
//!     .learning_rate(|_| 0.01)
//!     .run(by_step(batch), &mut Silent)?;
//! assert!(outcome.loss.unwrap() < 0.05);
//!
//! // Its weights, in another program.
//! let weights = weights::load(&outcome.checkpoint, &model.specs())?;
//! let function = g.function([("guess", guess.id())], []);
//! let executable = compile(&function, &CompileOptions::default())?;
//! let mut session = executable.bind(weights)?;
//! let x = HostTensor::from_slice([4, 2], &[0.5f32, 0.25].repeat(4))?;
//! let guess = session.run(&[("x", &x)])?["guess"].as_slice::<f32>()?[0];
//! assert!((guess - 0.25).abs() < 0.3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod data;
pub mod init;
pub mod layers;
pub mod optimizer;
pub mod prelude;
pub mod quantizers;
pub mod schedule;
pub mod train;
pub mod train_log;
pub mod weights;

pub use bsq_ir as ir;
pub use bsq_runtime as runtime;

/// An error of whatever kind, from code that this package calls but does not know.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
