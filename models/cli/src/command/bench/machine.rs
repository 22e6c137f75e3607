//! What runs the programs: the CPU with its measured peaks, or a GPU with those of its data sheet.

use super::super::error::CliError;
use crate::machine::{Probe, Rates, cpu_name};
use bsq_codegen::cpu::microkernel::Family;
use bsq_codegen::ptx;
use bsq_runtime::Device;
use bsq_runtime::cuda::{GpuInfo, gpu_info};
use serde_json::{Value, json};

/// What runs the programs.
pub enum Machine {
    Cpu {
        probe: Probe,
        family: Family,
        threads: usize,
    },
    Gpu(GpuInfo),
}

impl Machine {
    pub fn new(device: Device, family: Family, threads: usize) -> Result<Machine, CliError> {
        Ok(match device {
            Device::Cpu => Machine::Cpu {
                probe: Probe::new(family, threads),
                family,
                threads,
            },
            Device::Cuda { ordinal } => Machine::Gpu(gpu_info(ordinal)?),
        })
    }

    /// Takes a sample of what is measured.
    pub fn sample(&mut self) {
        if let Machine::Cpu { probe, .. } = self {
            probe.sample();
        }
    }

    /// The peaks; not a number where nobody knows them.
    pub fn rates(&self) -> Rates {
        match self {
            Machine::Cpu { probe, .. } => probe.rates(),
            Machine::Gpu(gpu) => {
                let known = ptx::Device::find(&gpu.name);
                let of = |rate: fn(&ptx::Device) -> f64| known.map_or(f64::NAN, rate) / 1e9;
                Rates {
                    gflops: of(|device| device.fma),
                    gbytes: of(|device| device.bytes_per_second),
                }
            }
        }
    }

    /// Its name, and what of it is used.
    pub fn describe(&self) -> String {
        match self {
            Machine::Cpu {
                family, threads, ..
            } => format!("{}, {family}, {threads} threads", cpu_name()),
            Machine::Gpu(gpu) => format!("{}, {} multiprocessors", gpu.name, gpu.multiprocessors),
        }
    }

    /// Adds what is known of it to a value.
    pub fn add_to(&self, value: &mut Value) {
        match self {
            Machine::Cpu {
                family, threads, ..
            } => {
                value["cpu"] = json!(cpu_name());
                value["family"] = json!(family.to_string());
                value["threads"] = json!(threads);
            }
            Machine::Gpu(gpu) => {
                value["gpu"] = json!(gpu.name);
                value["multiprocessors"] = json!(gpu.multiprocessors);
                value["compute_capability"] = json!(f64::from(gpu.capability) / 10.0);
            }
        }
    }
}
