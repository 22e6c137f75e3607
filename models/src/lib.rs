//! BSQ-ViT models, training, data and metrics.

pub mod image_io;
pub mod metrics;
