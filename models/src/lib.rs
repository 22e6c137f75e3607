//! BSQ-ViT models, training, data and metrics.
