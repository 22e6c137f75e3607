//! The rate in a tokenizer's loss: what a frozen prior's file and the configuration make of it.

use super::{Progress, TrainError};
use crate::config::{Config, ConfigError};
use crate::losses::{Term, Weight};
use crate::pretrained;
use crate::prior::{PriorFile, bits_per_token};
use crate::token_grid::GridShape;
use crate::tokenizer::{Forward, Tokenizer};
use bsq_ir::Scope;
use bsq_runtime::executor::Tensors;

/// Where the prior's parameters are among those of a step.
const PREFIX: &str = "rate_prior";

/// A frozen prior and the weight of its bits.
pub(super) struct Rate {
    prior: PriorFile,
    weight: f64,
}

impl Rate {
    /// The term that a configuration asks for, if there is a prior, by a name that ships or by path; if not, that is
    /// said.
    ///
    /// # Errors
    /// If it cannot be read, or is for tokens of another length.
    pub fn of(
        config: &Config,
        name: Option<&str>,
        progress: &mut dyn Progress,
    ) -> Result<Option<Rate>, TrainError> {
        let weight = config.loss.rate_weight;
        let name = match (weight != 0.0, name) {
            (true, Some(name)) => name,
            (false, None) => return Ok(None),
            (true, None) => {
                progress.note(&format!(
                    "loss.rate_weight = {weight}, but there is no prior (--rate-prior NAME|PATH): this term is left out"
                ));
                return Ok(None);
            }
            (false, Some(name)) => {
                progress.note(&format!(
                    "the prior {name} is of no use: loss.rate_weight is 0"
                ));
                return Ok(None);
            }
        };
        let opened = pretrained::open_prior(name);
        let prior = opened.map_err(|error| TrainError::WeightsFile(Box::new(error)))?;
        let (of_prior, own) = (
            prior.config.prior.bits,
            config.model.quantizer.bits_per_token(),
        );
        match of_prior == own {
            true => Ok(Some(Rate { prior, weight })),
            false => {
                let reason = format!(
                    "the prior {name} is for tokens of {of_prior} bits, and those of this model have {own}: name another (--rate-prior)"
                );
                Err(ConfigError::invalid("loss.rate_weight", reason).into())
            }
        }
    }

    /// Says so if the prior knows the tokens of another tokenizer than that of this
    /// [`fingerprint`](crate::pipeline::fingerprint), with which the training begins.
    pub fn say_other(&self, start: &str, progress: &mut dyn Progress) {
        let PriorFile {
            name, tokenizer, ..
        } = &self.prior;
        if tokenizer != start {
            progress.note(&format!(
                "{name}: it knows the tokens of another tokenizer ({tokenizer}) than the training begins with ({start}), whose bits it estimates the worse"
            ));
        }
    }

    /// The term, for the tokens of a pass.
    pub fn term<'g>(
        &self,
        root: &Scope<'g>,
        tokenizer: &Tokenizer,
        forward: &Forward<'g>,
    ) -> Term<'g> {
        let (encoded, prior) = (&forward.encoded, &self.prior);
        let grid = tokenizer.config().encoder.grid();
        let grid = GridShape {
            frames: encoded.frames,
            rows: grid.rows,
            columns: grid.columns,
        };
        let bits = prior.config.prior.sub_token_bits;
        let values = tokenizer.sub_token_values(encoded.u, bits);
        let tokens = values.straight_through();
        Term {
            name: "rate",
            value: bits_per_token(&prior.model, &(root / PREFIX), tokens, grid),
            weight: Weight::Fixed(self.weight),
        }
    }

    /// The prior's parameters by their names in the step.
    pub fn weights(&self) -> Tensors {
        let own = self.prior.parameters.iter();
        own.map(|(name, tensor)| (format!("{PREFIX}.{name}"), tensor.clone()))
            .collect()
    }

    /// What tells this prior from others.
    pub fn fingerprint(&self) -> String {
        format!("{:016x}", self.prior.fingerprint())
    }
}
