//! The options `--device` and `--target`.

use super::error::CliError;
use super::output::Output;
use bsq_codegen::ptx::{self, TARGETS};
use bsq_runtime::Device;
use bsq_runtime::cuda::gpu_info;
use clap::Args;

/// Where to compute.
#[derive(Args, Clone, Debug)]
pub struct DeviceArgument {
    /// Where to compute: cpu, cuda (the first GPU) or cuda:N. In f32 results are the same bits
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,
}

impl DeviceArgument {
    /// The device; that there is none is found before any work is done.
    pub fn open(&self, output: &Output) -> Result<Device, CliError> {
        let device: Device = self.device.parse()?;
        if let Device::Cuda { ordinal } = device {
            let gpu = gpu_info(ordinal)?;
            output.detail(format_args!(
                "{device}: {}, compute capability {}.{}, {:.1} GB, CUDA {}.{}",
                gpu.name,
                gpu.capability / 10,
                gpu.capability % 10,
                gpu.total_bytes as f64 / 1e9,
                gpu.driver / 1000,
                gpu.driver % 1000 / 10,
            ));
        }
        Ok(device)
    }
}

/// The GPU to generate code for.
#[derive(Args, Clone, Debug)]
pub struct TargetArgument {
    /// Compute capability of the GPU to generate code for: sm_80, sm_86, sm_87, sm_89, sm_90,
    /// sm_100 or sm_120 [default: sm_86, where one is needed; of a device, its own]
    #[arg(long, value_name = "SM")]
    target: Option<String>,
}

impl TargetArgument {
    pub fn is_given(&self) -> bool {
        self.target.is_some()
    }

    pub fn options(&self, tf32: bool) -> Result<ptx::Options, CliError> {
        self.options_for(ptx::Options::default().sm, tf32)
    }

    /// The options for the target that was given, or for `sm`.
    pub fn options_for(&self, sm: u32, tf32: bool) -> Result<ptx::Options, CliError> {
        let sm = match &self.target {
            None => sm,
            Some(name) => parse(name)?,
        };
        Ok(ptx::Options { sm, tf32 })
    }
}

fn parse(name: &str) -> Result<u32, CliError> {
    let number = name.strip_prefix("sm_").and_then(|n| n.parse::<u32>().ok());
    let known = TARGETS.into_iter();
    number
        .and_then(|number| {
            known
                .clone()
                .find(|&sm| sm == number && name == format!("sm_{sm}"))
        })
        .ok_or_else(|| {
            let names: Vec<String> = known.map(|sm| format!("sm_{sm}")).collect();
            CliError::new(format_args!(
                "{name}: no such target; there are {}",
                names.join(", ")
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_known_targets_are_taken() {
        assert_eq!(parse("sm_86").ok(), Some(86));
        assert_eq!(parse("sm_120").ok(), Some(120));
        for name in ["86", "sm_", "sm_75", "sm_086", "sm_+86", "SM_86", "sm_86a"] {
            assert!(parse(name).is_err(), "{name}");
        }
    }
}
