//! The same step in candle: reverse-mode autodiff, its AdamW, and a moving average.

use super::LEARNING_RATE;
use bsq::config::{Config, QuantizerConfig, ReconstructionLoss};
use bsq::pipeline::ModelFile;
use bsq_benches::data::tensor;
use bsq_benches::peers::{CandleWeights, candle_tensor, read_tensor};
use bsq_benches::{Implementation, Peer};
use candle_core::{D, Result, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use std::collections::BTreeMap;

/// Whether the peer's loss is all of the configuration's.
pub fn trains(config: &Config) -> bool {
    let mse = config.loss.reconstruction == ReconstructionLoss::Mse;
    mse && config.loss.codebook_weight == 0.0 && config.train.freeze == ["encoder.", "quant_embed."]
}

pub fn step(config: &Config, model: &ModelFile, batch: usize) -> impl Implementation + use<> {
    let image = tensor(1, &model.tokenizer.image_shape(batch), 1.0);
    let image = candle_tensor(&image);
    let (frozen, trained): (BTreeMap<_, _>, BTreeMap<_, _>) =
        model.parameters.clone().into_iter().partition(|(name, _)| {
            let mut keys = config.train.freeze.iter();
            keys.any(|key| name.starts_with(key.as_str()))
        });
    let variable = |tensor| Var::from_tensor(&candle_tensor(tensor)).expect("memory");
    let variables: BTreeMap<String, Var> = trained
        .iter()
        .map(|(name, tensor)| (name.clone(), variable(tensor)))
        .collect();
    let rule = ParamsAdamW {
        lr: f64::from(LEARNING_RATE),
        beta1: config.optimizer.betas[0],
        beta2: config.optimizer.betas[1],
        eps: config.optimizer.eps,
        weight_decay: config.optimizer.weight_decay,
    };
    let all = variables.values().cloned().collect();
    let mut training = Training {
        encoder: CandleWeights::new(&frozen, false),
        averages: variables
            .values()
            .map(|variable| variable.as_tensor().copy().expect("memory"))
            .collect(),
        optimizer: AdamW::new(all, rule).expect("memory"),
        variables,
        decay: config.train.ema_decay,
        model: config.clone(),
    };
    let work = move || training.step(&image).expect("shapes fit");
    Peer::new(work, read_tensor)
}

struct Training {
    encoder: CandleWeights,
    variables: BTreeMap<String, Var>,
    optimizer: AdamW,
    averages: Vec<Tensor>,
    decay: f64,
    model: Config,
}

impl Training {
    fn step(&mut self, image: &Tensor) -> Result<Tensor> {
        let (encoder, decoder) = (&self.model.model.encoder, &self.model.model.decoder);
        let codes = self.codes(&self.encoder.projected(encoder, image)?)?;
        let weights = self.variables.iter();
        let weights = weights.map(|(name, variable)| (name.clone(), variable.as_tensor().clone()));
        let weights = CandleWeights::differentiable(weights.collect());
        let decoded = weights.decode_codes(decoder, &codes)?;
        let loss = (image - decoded)?.sqr()?.mean_all()?;
        self.optimizer.backward_step(&loss)?;
        for (average, variable) in self.averages.iter_mut().zip(self.variables.values()) {
            let moved = ((variable.as_tensor() - &*average)? * (1.0 - self.decay))?;
            *average = (&*average + moved)?.detach();
        }
        Ok(loss)
    }

    /// Signs of features, at unit length.
    fn codes(&self, projected: &Tensor) -> Result<Tensor> {
        let QuantizerConfig::Bsq(_) = &self.model.model.quantizer else {
            panic!("the peer has binary spherical quantization only");
        };
        let bits = projected.dim(D::Minus1)?;
        let unit = 1.0 / (bits as f64).sqrt();
        let set = projected.gt(0f64)?.to_dtype(projected.dtype())?;
        set.affine(2.0 * unit, -unit)
    }
}
