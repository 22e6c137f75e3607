//! The optimizer and the course of its learning rate.

use super::checks::{Checked, below_one, not_negative, require};
use super::section::{choices, section};
use bsq_ir::Tensor;
use bsq_nn::optimizer::{Adam, AdamW, Clip, Common, Lion, Muon, Rule, Sgd};

section! {
    /// The course of the learning rate, as multiples of it.
    pub struct LrSchedule {
        /// Steps from lr_start to lr_max, linearly.
        warm_up_steps: u64 = 0,
        /// Step at which the cosine reaches lr_min.
        max_decay_steps: u64,
        /// Multiplier at step 0.
        lr_start: f64 = 0.0,
        /// Multiplier after the warm-up.
        lr_max: f64 = 1.0,
        /// Multiplier from max_decay_steps on.
        lr_min: f64 = 0.0,
    }
}

choices! {
    /// How parameters move for their gradients.
    pub enum OptimizerKind {
        /// Adam with decay beside the gradient.
        AdamW = "adamw",
        /// Adam with decay in the gradient.
        Adam = "adam",
        /// Gradient descent with momentum.
        Sgd = "sgd",
        /// The sign of a momentum.
        Lion = "lion",
        /// Orthogonalised momentum for matrices, AdamW for the rest.
        Muon = "muon",
    }
}

section! {
    /// The optimizer and its learning rate.
    pub struct OptimizerConfig {
        /// "adamw"; "adam", whose decay is part of the gradient; "sgd", with momentum; "lion", signs of
        /// a momentum; or "muon", orthogonalised momentum for matrices and AdamW for the rest.
        kind: OptimizerKind = OptimizerKind::AdamW,
        /// Learning rate per picture of the batch; multiplied by data.batch_size and
        /// train.micro_batches.
        base_lr: f64 = 4e-7,
        /// Learning rate whatever the batch size; goes before base_lr.
        lr: Option<f64> = None,
        /// Steps of the whole training.
        max_iter: u64 = 1_000_000,
        /// Shrinks every parameter by lr times this at each step.
        weight_decay: f64 = 0.01,
        /// Decay of the averages of gradients and of their squares; the two of Lion are usually 0.9
        /// and 0.99. Not of SGD.
        betas: [f64; 2] = [0.9, 0.999],
        /// What the momentum keeps of itself: of SGD, by default 0.9, and of Muon, by default 0.95.
        momentum: Option<f64> = None,
        /// Nesterov's momentum, of SGD; Muon's always is.
        nesterov: bool = false,
        /// Matrices whose names contain one of these Muon leaves to AdamW.
        adamw_keys: Vec<String> = Vec::new(),
        /// Added to the root of the averaged squares.
        eps: f64 = 1e-8,
        /// Parameters whose names contain one of these are not shrunk.
        zero_wd_keys: Vec<String> = Vec::new(),
        /// Largest norm of the gradient; longer ones are scaled down.
        grad_clip_norm: Option<f64> = None,
        /// Clip each parameter's gradient by itself instead of all together.
        grad_clip_per_layer: bool = false,
    }
}

impl OptimizerConfig {
    /// The rule that this describes, with a learning rate (`f32[]`), for an optimizer whose shared
    /// state is called after `owner`.
    pub fn rule<'g>(&self, lr: Tensor<'g>, owner: &'static str) -> Box<dyn Rule<'g> + 'g> {
        let clip = self
            .grad_clip_norm
            .map(|norm| match self.grad_clip_per_layer {
                true => Clip::PerTensor(norm),
                false => Clip::Global(norm),
            });
        let common = Common {
            lr,
            weight_decay: self.weight_decay,
            zero_decay_keys: self.zero_wd_keys.clone(),
            clip,
            owner,
        };
        let betas = self.betas;
        let adamw = || AdamW {
            lr,
            betas,
            epsilon: self.eps,
            weight_decay: self.weight_decay,
            zero_decay_keys: self.zero_wd_keys.clone(),
            clip,
            owner,
        };
        match self.kind {
            OptimizerKind::AdamW => Box::new(adamw()),
            OptimizerKind::Adam => Box::new(Adam {
                common,
                betas,
                epsilon: self.eps,
            }),
            OptimizerKind::Sgd => Box::new(Sgd {
                common,
                momentum: self.momentum.unwrap_or(0.9),
                nesterov: self.nesterov,
            }),
            OptimizerKind::Lion => Box::new(Lion { common, betas }),
            OptimizerKind::Muon => Box::new(Muon {
                momentum: self.momentum.unwrap_or(0.95),
                adamw_keys: self.adamw_keys.clone(),
                adamw: adamw(),
                ..Muon::new(lr)
            }),
        }
    }

    /// The learning rate that multipliers are applied to, at a batch size over all devices.
    pub fn learning_rate(&self, batch_size: usize) -> f64 {
        self.lr.unwrap_or(self.base_lr * batch_size as f64)
    }
}

impl OptimizerConfig {
    /// That its numbers make sense, and those of its schedule.
    pub(super) fn check(&self, schedule: Option<&LrSchedule>) -> Checked {
        let optimizer = self;
        not_negative(optimizer.base_lr, "optimizer.base_lr")?;
        not_negative(optimizer.lr.unwrap_or(0.0), "optimizer.lr")?;
        not_negative(optimizer.weight_decay, "optimizer.weight_decay")?;
        for beta in optimizer.betas {
            below_one(beta, "optimizer.betas")?;
        }
        below_one(optimizer.momentum.unwrap_or(0.0), "optimizer.momentum")?;
        let has_momentum = matches!(optimizer.kind, OptimizerKind::Sgd | OptimizerKind::Muon);
        require(
            optimizer.momentum.is_none() || has_momentum,
            "optimizer.momentum",
            || "is of the kinds \"sgd\" and \"muon\"".into(),
        )?;
        let is_sgd = optimizer.kind == OptimizerKind::Sgd;
        require(!optimizer.nesterov || is_sgd, "optimizer.nesterov", || {
            "is of the kind \"sgd\"".into()
        })?;
        let is_muon = optimizer.kind == OptimizerKind::Muon;
        let has_keys = !optimizer.adamw_keys.is_empty();
        require(!has_keys || is_muon, "optimizer.adamw_keys", || {
            "is of the kind \"muon\"".into()
        })?;
        let is_f32 = (optimizer.eps as f32).is_finite();
        require(optimizer.eps > 0.0 && is_f32, "optimizer.eps", || {
            "must be positive, and a number that f32 has".into()
        })?;
        require(
            optimizer.grad_clip_norm.is_none_or(|norm| norm > 0.0),
            "optimizer.grad_clip_norm",
            || "must be positive".into(),
        )?;
        if let Some(schedule) = schedule {
            let (warm_up, decay) = (schedule.warm_up_steps, schedule.max_decay_steps);
            require(warm_up < decay, "optimizer.schedule.warm_up_steps", || {
                format!("{warm_up} is not below max_decay_steps, {decay}")
            })?;
            for (value, key) in [
                (schedule.lr_start, "optimizer.schedule.lr_start"),
                (schedule.lr_max, "optimizer.schedule.lr_max"),
                (schedule.lr_min, "optimizer.schedule.lr_min"),
            ] {
                not_negative(value, key)?;
            }
        }
        Ok(())
    }
}
