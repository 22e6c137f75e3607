//! What changes from step to step: the learning rate and the weight of the quantizer's loss.
//!
//! Steps count from 0, and a value is set before the step that it names. Everything is a pure
//! function of the step, in f64, so that a resumed training needs no state of it.

use crate::config::{
    Config, LossConfig, LrSchedule, MaskedLmConfig, OptimizerConfig, PriorConfig,
    TransformCodecConfig,
};
use bsq_nn::schedule::WarmupCosine;

impl Config {
    /// The learning rate of a step, at the configured batch size and number of micro-batches.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let batch = self.data.batch_size * self.train.micro_batches();
        learning_rate(&self.optimizer, self.schedule.as_ref(), batch, step)
    }
}

impl PriorConfig {
    /// The learning rate of a step, at the configured batch size and number of micro-batches.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let batch = self.data.batch_size * self.train.micro_batches();
        learning_rate(&self.optimizer, self.schedule.as_ref(), batch, step)
    }
}

impl MaskedLmConfig {
    /// The learning rate of a step, at the configured batch size and number of micro-batches.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let batch = self.data.batch_size * self.train.micro_batches();
        learning_rate(&self.optimizer, self.schedule.as_ref(), batch, step)
    }
}

impl TransformCodecConfig {
    /// The learning rate of a step, at the configured batch size and number of micro-batches.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let batch = self.data.batch_size * self.train.micro_batches();
        learning_rate(&self.optimizer, self.schedule.as_ref(), batch, step)
    }
}

fn learning_rate(
    optimizer: &OptimizerConfig,
    schedule: Option<&LrSchedule>,
    batch_size: usize,
    step: u64,
) -> f64 {
    let multiplier = schedule.map_or(1.0, |schedule| schedule.multiplier(step));
    optimizer.learning_rate(batch_size) * multiplier
}

impl LrSchedule {
    /// What the learning rate of a step is multiplied by.
    pub fn multiplier(&self, step: u64) -> f64 {
        let schedule = WarmupCosine {
            warmup_steps: self.warm_up_steps,
            last_step: self.max_decay_steps,
            start: self.lr_start,
            peak: self.lr_max,
            end: self.lr_min,
        };
        schedule.multiplier(step)
    }
}

impl LossConfig {
    /// The weight of the quantizer's loss: it starts at `codebook_weight` times the ramp's
    /// multiplier and comes to `codebook_weight` over the ramp, linearly.
    pub fn codebook_weight_at(&self, step: u64) -> f64 {
        let steps = self.codebook_rampup_steps;
        if step >= steps {
            return self.codebook_weight;
        }
        let done = step as f64 / steps as f64;
        let multiplier = done + self.codebook_rampup_multiplier * (1.0 - done);
        self.codebook_weight * multiplier
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASED: &str = include_str!("../configs/reference/bsq_128_b18.yaml");

    fn released() -> Config {
        Config::from_reference_yaml(RELEASED).unwrap().0
    }

    #[test]
    fn recorded_learning_rates_are_reproduced() {
        let recorded = include_str!("../../tests/fixtures/parity/lr_schedule.json");
        let recorded: serde_json::Value = serde_json::from_str(recorded).unwrap();
        let config = released();
        let schedule = config.schedule.as_ref().unwrap();
        let params = &recorded["params"];
        assert_eq!(params["warm_up_steps"], schedule.warm_up_steps);
        assert_eq!(params["max_decay_steps"], schedule.max_decay_steps);
        assert_eq!(params["lr_min"], schedule.lr_min);
        let table = recorded["table"].as_array().unwrap();
        assert_eq!(table.len(), 20);
        for row in table {
            let (step, expected) = (row[0].as_u64().unwrap(), row[1].as_f64().unwrap());
            let value = schedule.multiplier(step);
            assert!(
                (value - expected).abs() < 1e-15,
                "{step}: {value}, not {expected}"
            );
            let rate = config.learning_rate(step);
            assert!((rate / (4e-7 * 32.0 * expected) - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn without_a_schedule_the_learning_rate_is_constant() {
        let mut config = released();
        config.schedule = None;
        assert_eq!(config.learning_rate(0), 4e-7 * 32.0);
        assert_eq!(config.learning_rate(999_999), 4e-7 * 32.0);
    }

    #[test]
    fn the_codebook_weight_comes_down_over_its_ramp() {
        let mut loss = released().loss;
        for (step, expected) in [(0, 0.3), (500, 0.25), (1000, 0.2), (2000, 0.1), (9999, 0.1)] {
            assert!(
                (loss.codebook_weight_at(step) - expected).abs() < 1e-15,
                "{step}"
            );
        }
        loss.codebook_rampup_steps = 0;
        assert_eq!(loss.codebook_weight_at(0), 0.1);
    }
}
