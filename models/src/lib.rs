//! BSQ-ViT models, training, data and metrics.

pub mod check;
pub mod codec;
pub mod config;
pub mod data;
pub mod executor;
pub mod image_io;
pub mod init;
pub mod leech;
pub mod losses;
pub mod machine;
pub mod metrics;
pub mod optimizer;
pub mod photo;
pub mod pipeline;
pub mod pretrained;
pub mod prior;
pub mod raster;
pub mod rate_distortion;
pub mod schedule;
pub mod token_grid;
pub mod tokenizer;
pub mod train;
pub mod train_log;
