//! What a launch should take on a device that is not there: a static roofline.
//!
//! Nothing here is measured and nothing here decides what is generated. A launch takes the longest
//! of three times: that of its arithmetic at the rate at which its main loop can issue it, that of
//! moving every element that it touches once, and that of starting it. Caches, latencies that
//! occupancy does not hide, and clocks are left out, so a launch takes this long at least.
//!
//! | file | what is in it |
//! |---|---|
//! | `traffic` | bytes and elementwise operations, from Kernel IR |
//! | `mix` | the main loop's instructions, from a kernel's body |
//! | `registers` | registers of a thread, from a kernel's body |
//!
//! What is read is the body that was emitted, as data: PTX text from elsewhere has no prediction.

mod mix;
mod registers;
mod traffic;

pub use super::devices::Unit;
pub use mix::Mix;
pub use traffic::Traffic;

use super::Entry;
use super::devices::Device;
use crate::kernel::Kernel;

/// What is known of a kernel without running it.
#[derive(Clone, Debug)]
pub struct KernelCost {
    pub traffic: Traffic,
    /// The loop that does most of the arithmetic of contractions, if there is any.
    pub mix: Option<Mix>,
    /// Registers of a thread: at least as many as the assembler will take.
    pub registers: u32,
    /// Blocks that run on a multiprocessor at once.
    pub resident_blocks: u32,
    /// Warps of those, as a fraction of what a multiprocessor can hold.
    pub occupancy: f64,
    /// Blocks of the launch.
    pub blocks: u32,
}

/// What takes a launch's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// Contractions on the tensor cores or the FMA units, or elementwise arithmetic.
    Arithmetic,
    Memory,
    /// Starting it.
    Launch,
}

impl Bottleneck {
    pub const fn name(self) -> &'static str {
        match self {
            Bottleneck::Arithmetic => "arith",
            Bottleneck::Memory => "memory",
            Bottleneck::Launch => "launch",
        }
    }
}

/// The time of a launch, and what takes it.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    pub seconds: f64,
    pub bottleneck: Bottleneck,
}

impl KernelCost {
    pub fn new(kernel: &Kernel, entry: &Entry, device: &Device) -> KernelCost {
        let registers = registers::predicted(&entry.body);
        let resident_blocks = device.resident_blocks(entry.threads, entry.shared_bytes, registers);
        let warps = resident_blocks * entry.threads.div_ceil(32);
        KernelCost {
            traffic: Traffic::of(kernel),
            mix: Mix::of_main_loop(&entry.body, device),
            registers,
            resident_blocks,
            occupancy: f64::from(warps) / f64::from(device.threads_per_sm / 32),
            blocks: entry.blocks,
        }
    }

    /// The time of a launch whose contractions take `flops` operations.
    pub fn predict(&self, flops: u64, device: &Device) -> Prediction {
        let contraction = match &self.mix {
            Some(mix) if flops > 0 => flops as f64 / (device.peak(mix.unit) * mix.share),
            _ => 0.0,
        };
        // An elementwise operation takes the place of a multiply-add.
        let elementwise = 2.0 * self.traffic.operations / device.peak(Unit::Fma);
        let arithmetic = (contraction + elementwise) / self.busy(device);
        let memory = self.traffic.bytes / device.bytes_per_second;
        let mut longest = (arithmetic, Bottleneck::Arithmetic);
        for time in [
            (memory, Bottleneck::Memory),
            (device.launch_seconds, Bottleneck::Launch),
        ] {
            if time.0 >= longest.0 {
                longest = time;
            }
        }
        let (seconds, bottleneck) = longest;
        Prediction {
            seconds,
            bottleneck,
        }
    }

    /// The part of the multiprocessors that have something to do, over the waves of blocks: the
    /// last wave is rarely full.
    fn busy(&self, device: &Device) -> f64 {
        let (blocks, sms) = (self.blocks.max(1), device.multiprocessors);
        let waves = blocks.div_ceil(sms);
        f64::from(blocks) / f64::from(waves * sms)
    }
}
