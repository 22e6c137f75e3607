//! Devices and their figures, from their makers' data sheets. Nothing is measured.

/// What multiplies, each with a peak rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Multiply-adds of f32.
    Fma,
    Tf32,
    Bf16,
    F16,
    Int8,
}

impl Unit {
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Fma => "fma",
            Unit::Tf32 => "tf32",
            Unit::Bf16 => "bf16",
            Unit::F16 => "f16",
            Unit::Int8 => "int8",
        }
    }

    /// Operations of one instruction of a warp.
    pub(super) const fn operations(self) -> f64 {
        match self {
            Unit::Fma => 64.0,
            Unit::Tf32 => 2048.0,
            Unit::Bf16 | Unit::F16 => 4096.0,
            Unit::Int8 => 8192.0,
        }
    }
}

/// A device's figures: dense peaks at boost clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Device {
    /// The name on the command line.
    pub key: &'static str,
    /// The name that the driver gives it.
    pub name: &'static str,
    /// Compute capability times ten.
    pub sm: u32,
    pub multiprocessors: u32,
    /// Operations per second of contractions, a multiply-add counted as two: f32 on the FMA units,
    /// and on the tensor cores tf32, bf16 and f16 with sums in f32, and 8-bit integers.
    pub fma: f64,
    pub tf32: f64,
    pub half: f64,
    pub int8: f64,
    pub clock: f64,
    pub bytes_per_second: f64,
    pub memory_bytes: f64,
    pub shared_per_sm: u32,
    pub threads_per_sm: u32,
    pub blocks_per_sm: u32,
    /// Between the starts of dependent launches of one graph: an assumption, of no data sheet.
    pub launch_seconds: f64,
}

/// Registers of a multiprocessor, in units that a warp takes.
pub const REGISTERS_PER_SM: u32 = 65_536;
const REGISTER_UNIT: u32 = 256;
/// Shared memory that the system takes for each block.
const SHARED_RESERVED: u32 = 1024;
const LAUNCH_SECONDS: f64 = 2.5e-6;

/// The device that code is chosen for, so that every machine builds the same program.
pub const A5000: Device = DEVICES[0];

/// Every known device. The first is the default.
pub const DEVICES: [Device; 5] = [
    Device {
        key: "a5000",
        name: "NVIDIA RTX A5000",
        sm: 86,
        multiprocessors: 64,
        fma: 27.8e12,
        tf32: 55.5e12,
        half: 111e12,
        int8: 222e12,
        clock: 1.695e9,
        bytes_per_second: 768e9,
        memory_bytes: 24e9,
        shared_per_sm: 100 * 1024,
        threads_per_sm: 1536,
        blocks_per_sm: 16,
        launch_seconds: LAUNCH_SECONDS,
    },
    Device {
        key: "a6000",
        name: "NVIDIA RTX A6000",
        sm: 86,
        multiprocessors: 84,
        fma: 38.7e12,
        tf32: 77.4e12,
        half: 154.8e12,
        int8: 309.7e12,
        clock: 1.8e9,
        bytes_per_second: 768e9,
        memory_bytes: 48e9,
        shared_per_sm: 100 * 1024,
        threads_per_sm: 1536,
        blocks_per_sm: 16,
        launch_seconds: LAUNCH_SECONDS,
    },
    Device {
        key: "a100",
        name: "NVIDIA A100-SXM4-80GB",
        sm: 80,
        multiprocessors: 108,
        fma: 19.5e12,
        tf32: 156e12,
        half: 312e12,
        int8: 624e12,
        clock: 1.41e9,
        bytes_per_second: 2039e9,
        memory_bytes: 80e9,
        shared_per_sm: 164 * 1024,
        threads_per_sm: 2048,
        blocks_per_sm: 32,
        launch_seconds: LAUNCH_SECONDS,
    },
    // Its tensor peaks are those of instructions that no other device has; the ones used here
    // reach about two thirds of them.
    Device {
        key: "h100",
        name: "NVIDIA H100 80GB HBM3",
        sm: 90,
        multiprocessors: 132,
        fma: 66.9e12,
        tf32: 494.7e12,
        half: 989.4e12,
        int8: 1978.9e12,
        clock: 1.98e9,
        bytes_per_second: 3350e9,
        memory_bytes: 80e9,
        shared_per_sm: 228 * 1024,
        threads_per_sm: 2048,
        blocks_per_sm: 32,
        launch_seconds: LAUNCH_SECONDS,
    },
    Device {
        key: "rtx4090",
        name: "NVIDIA GeForce RTX 4090",
        sm: 89,
        multiprocessors: 128,
        fma: 82.6e12,
        tf32: 82.6e12,
        half: 165.2e12,
        int8: 660.6e12,
        clock: 2.52e9,
        bytes_per_second: 1008e9,
        memory_bytes: 24e9,
        shared_per_sm: 100 * 1024,
        threads_per_sm: 1536,
        blocks_per_sm: 24,
        launch_seconds: LAUNCH_SECONDS,
    },
];

impl Device {
    /// A device by the name on the command line, or by the one that the driver gives it.
    pub fn find(name: &str) -> Option<&'static Device> {
        DEVICES
            .iter()
            .find(|device| device.key == name || device.name == name)
    }

    pub fn peak(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Fma => self.fma,
            Unit::Tf32 => self.tf32,
            Unit::Bf16 | Unit::F16 => self.half,
            Unit::Int8 => self.int8,
        }
    }

    /// Cycles that an instruction of `operations` keeps a sub-core's unit busy. A multiprocessor
    /// has four sub-cores, each of which issues one instruction a cycle.
    pub fn cycles(&self, unit: Unit, operations: f64) -> f64 {
        let sub_cores = f64::from(4 * self.multiprocessors);
        operations / (self.peak(unit) / sub_cores / self.clock)
    }

    /// Blocks that fit a multiprocessor at once, of so many threads, bytes of shared memory, and registers of a
    /// thread.
    pub fn resident_blocks(&self, threads: u32, shared_bytes: usize, registers: u32) -> u32 {
        let warps = threads.div_ceil(32).max(1);
        let of_warp = (32 * registers.max(1)).next_multiple_of(REGISTER_UNIT);
        let shared = (shared_bytes as u32 + SHARED_RESERVED).next_multiple_of(128);
        let limits = [
            self.blocks_per_sm,
            self.threads_per_sm / (32 * warps),
            // Registers are given out per sub-core, to whole warps.
            REGISTERS_PER_SM / 4 / of_warp * 4 / warps,
            self.shared_per_sm / shared,
        ];
        limits.into_iter().min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data sheets' figures fit one another: peaks are whole operations a cycle.
    #[test]
    fn peaks_are_whole_operations_a_cycle() {
        for device in &DEVICES {
            let sub_cores = f64::from(4 * device.multiprocessors);
            for unit in [Unit::Fma, Unit::Tf32, Unit::Bf16, Unit::F16, Unit::Int8] {
                let each = device.peak(unit) / sub_cores / device.clock;
                let power = each.log2().round().exp2();
                assert!(
                    (each / power - 1.0).abs() < 0.12,
                    "{} {unit:?}: {each} operations a cycle",
                    device.key
                );
            }
        }
        let a5000 = Device::find("a5000").unwrap();
        // m16n8k16, m16n8k8 and m16n8k32 take as long; a multiply-add of a warp one cycle.
        for (unit, operations, cycles) in [
            (Unit::Bf16, 4096.0, 16.0),
            (Unit::F16, 4096.0, 16.0),
            (Unit::Tf32, 2048.0, 16.0),
            (Unit::Int8, 8192.0, 16.0),
            (Unit::Fma, 64.0, 1.0),
        ] {
            let got = a5000.cycles(unit, operations);
            assert!((got / cycles - 1.0).abs() < 0.01, "{unit:?}: {got}");
        }
    }

    #[test]
    fn whatever_is_scarce_limits_resident_blocks() {
        let a5000 = Device::find("a5000").unwrap();
        assert_eq!(a5000.resident_blocks(32, 0, 16), 16);
        assert_eq!(a5000.resident_blocks(256, 0, 32), 6);
        assert_eq!(a5000.resident_blocks(128, 0, 128), 4);
        assert_eq!(a5000.resident_blocks(128, 0, 255), 2);
        assert_eq!(a5000.resident_blocks(128, 49 * 1024, 32), 2);
        assert_eq!(a5000.resident_blocks(128, 50 * 1024, 32), 1);
    }
}
