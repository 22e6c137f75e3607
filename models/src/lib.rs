//! BSQ-ViT models, training, data and metrics.

pub mod config;
pub mod data;
pub mod image_io;
pub mod leech;
pub mod metrics;
pub mod schedule;
pub mod train_log;
