//! `bsq plan --devices`: a step that several devices share, and what they exchange.

use super::{CliError, Output, Plan};
use bsq_codegen::ptx::Device;
use clap::Args;
use serde_json::{Value, json};

/// Bytes a second of a device's link to its host, PCIe 4.0 of 16 lanes as measured, not as it is sold.
const HOST_BYTES_PER_SECOND: f64 = 20e9;

/// Devices that share the steps of a training.
#[derive(Args)]
pub struct DevicesArguments {
    /// How many devices share a training step, a micro-batch of --batch each; the step is planned, too
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    devices: Option<u16>,
    /// Devices of a server
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    per_server: u16,
    /// The network between servers, in bits a second: 100G, 400G, 10G
    #[arg(long, value_name = "RATE", default_value = "100G", value_parser = bits_per_second)]
    network: f64,
}

impl DevicesArguments {
    /// How many share a step.
    pub fn count(&self) -> usize {
        usize::from(self.devices.unwrap_or(1))
    }

    /// Whether devices are asked for.
    pub fn are_given(&self) -> bool {
        self.devices.is_some()
    }
}

/// A rate such as `100G`.
fn bits_per_second(text: &str) -> Result<f64, String> {
    let (number, unit) = match text.strip_suffix(['G', 'g']) {
        Some(number) => (number, 1e9),
        None => match text.strip_suffix(['M', 'm']) {
            Some(number) => (number, 1e6),
            None => (text, 1.0),
        },
    };
    match number.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate * unit),
        _ => Err("bits a second, such as 100G".to_string()),
    }
}

/// What is planned of one device: the whole step alone, and the halves of a shared one.
pub struct Programs<'a> {
    pub whole: &'a Plan,
    /// What is run first, where a step has means over all of its batches.
    pub statistics: Option<&'a Plan>,
    pub micro_batch: &'a Plan,
    pub update: &'a Plan,
    /// The update of what one of the devices owns, with `--shard-optimizer`.
    pub share: &'a Plan,
    /// Bytes of what is averaged: the gradients, and a few scalars.
    pub exchanged: usize,
}

/// A step that devices share.
pub struct Shared {
    devices: usize,
    servers: usize,
    batch: usize,
    memory: f64,
    /// With a share of the optimizer's state on each device.
    sharded_memory: f64,
    bytes: f64,
    statistics: f64,
    gradients: f64,
    update: f64,
    /// From a device to its host and back.
    host: f64,
    /// Between devices in the fixed order, and in a ring.
    fixed: f64,
    ring: f64,
    /// Of the same step on a device alone.
    alone: f64,
}

impl Shared {
    /// The step of devices that each take a micro-batch, exchange after it, and update.
    pub fn of(programs: &Programs<'_>, arguments: &DevicesArguments) -> Shared {
        let devices = arguments.count();
        let local = usize::from(arguments.per_server).min(devices);
        let (count, bytes) = (devices as f64, programs.exchanged as f64);
        let network = arguments.network / 8.0;
        // A device sends a share to each other one, and then its own sum to each: twice this. Devices of
        // a server share its network.
        let inside = bytes * (local - 1) as f64 / count / HOST_BYTES_PER_SECOND;
        let outside = bytes * (devices - local) as f64 / count * local as f64 / network;
        // A ring passes the network once in each direction, whatever the devices of a server.
        let slowest = match devices > local {
            true => network.min(HOST_BYTES_PER_SECOND),
            false => HOST_BYTES_PER_SECOND,
        };
        let is_alone = devices == 1;
        let of_statistics = programs.statistics;
        // The programs of a step keep parameters and memory of their own.
        let peak =
            programs.micro_batch.peak_bytes + of_statistics.map_or(0, |plan| plan.peak_bytes);
        Shared {
            devices,
            servers: devices.div_ceil(local),
            batch: programs.micro_batch.batch,
            memory: (peak + programs.update.peak_bytes) as f64,
            sharded_memory: (peak + programs.share.peak_bytes) as f64,
            bytes: 2.0 * bytes * (count - 1.0) / count,
            statistics: of_statistics.map_or(0.0, |plan| plan.seconds),
            gradients: programs.micro_batch.seconds,
            update: programs.update.seconds,
            host: if is_alone {
                0.0
            } else {
                2.0 * bytes / HOST_BYTES_PER_SECOND
            },
            fixed: 2.0 * f64::max(inside, outside),
            ring: 2.0 * bytes * (count - 1.0) / count / slowest,
            alone: programs.whole.seconds,
        }
    }

    fn step(&self, exchange: f64) -> f64 {
        self.statistics + self.gradients + self.update + self.host + exchange
    }

    /// How much of `devices` times one device's speed is left.
    fn efficiency(&self, exchange: f64) -> f64 {
        self.alone / self.step(exchange)
    }

    pub fn say(&self, device: &Device, output: &Output) -> Result<(), CliError> {
        let (fixed, ring) = (self.step(self.fixed), self.step(self.ring));
        output.say(format_args!(
            "\n{} devices in {} servers, a micro-batch of {} each: {:.1} ms a step, {:.0}/s, efficiency {:.0}%",
            self.devices,
            self.servers,
            self.batch,
            fixed * 1e3,
            (self.devices * self.batch) as f64 / fixed,
            100.0 * self.efficiency(self.fixed),
        ))?;
        let statistics = match self.statistics {
            0.0 => String::new(),
            seconds => format!("{:.1} ms means over the step, ", seconds * 1e3),
        };
        output.say(format_args!(
            "  {statistics}{:.1} ms gradients, {:.1} update, {:.1} to the host and back, {:.1} between devices",
            self.gradients * 1e3,
            self.update * 1e3,
            self.host * 1e3,
            self.fixed * 1e3,
        ))?;
        output.say(format_args!(
            "  each sends {:.1} MB a step; {:.2} of {:.0} GB of memory, {:.2} with --shard-optimizer",
            self.bytes / 1e6,
            self.memory / 1e9,
            device.memory_bytes / 1e9,
            self.sharded_memory / 1e9,
        ))?;
        output.say(format_args!(
            "  in the order of a ring, whose bits depend on the number of devices: {:.1} ms, {:.0}%",
            ring * 1e3,
            100.0 * self.efficiency(self.ring),
        ))
    }

    pub fn to_json(&self) -> Value {
        json!({
            "devices": self.devices,
            "servers": self.servers,
            "memory_bytes": self.memory,
            "sharded_memory_bytes": self.sharded_memory,
            "sent_bytes": self.bytes,
            "statistics_seconds": self.statistics,
            "gradient_seconds": self.gradients,
            "update_seconds": self.update,
            "host_seconds": self.host,
            "exchange_seconds": self.fixed,
            "step_seconds": self.step(self.fixed),
            "efficiency": self.efficiency(self.fixed),
            "ring_step_seconds": self.step(self.ring),
            "ring_efficiency": self.efficiency(self.ring),
        })
    }
}
