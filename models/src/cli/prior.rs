//! Priors by the name of one that ships, or by path.

use super::error::CliError;
use super::output::Output;
use bsq::pretrained;
use bsq::prior::PriorFile;
use clap::Args;
use std::path::Path;

/// Which prior to use.
#[derive(Args, Clone, Debug)]
pub struct PriorArgument {
    /// A prior that ships (default), or a file that `bsq train` wrote
    #[arg(long, value_name = "NAME|PATH", default_value = "default")]
    prior: String,
}

impl PriorArgument {
    pub fn open(&self, output: &Output) -> Result<PriorFile, CliError> {
        let shipped: Vec<&str> = pretrained::prior_names().collect();
        if !Path::new(&self.prior).exists() && !shipped.contains(&self.prior.as_str()) {
            return Err(CliError::new(format_args!(
                "{}: neither a file nor a prior that ships ({})",
                self.prior,
                shipped.join(", ")
            )));
        }
        let prior = pretrained::open_prior(&self.prior)?;
        output.detail(format_args!(
            "prior {}: {} parameters, identity {:016x}",
            prior.name,
            prior.parameter_count(),
            prior.identity()
        ));
        Ok(prior)
    }
}
