//! What can go wrong with a GPU.

use std::fmt;

/// Why a GPU cannot be used, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    #[error("there is no CUDA driver on this machine (no libcuda was found): use the device cpu")]
    NoDriver,
    /// The driver is there, but cannot start: no permission, or its kernel module is another's.
    #[error("the CUDA driver does not start: {0}")]
    Start(DriverMessage),
    #[error(
        "the CUDA driver is one of CUDA {}.{}; {}.{} is the oldest that will do (driver 470)",
        .version / 1000, .version % 1000 / 10, .oldest / 1000, .oldest % 1000 / 10
    )]
    OldDriver { version: i32, oldest: i32 },
    #[error("there is no GPU cuda:{ordinal}: the driver has {}", count_of_gpus(*.count))]
    NoDevice { ordinal: u32, count: u32 },
    #[error("{name} has compute capability {}.{}: 8.0 is the least that will do", .capability / 10, .capability % 10)]
    Capability { name: String, capability: u32 },
    #[error(
        "the driver is older than the PTX of this program: update it (CUDA {}.{} now)",
        .version / 1000, .version % 1000 / 10
    )]
    UnsupportedPtx { version: i32 },
    #[error(
        "{name} has {:.1} MB free, the program needs {:.1} MB: take a smaller batch",
        *.free as f64 / 1e6, *.needed as f64 / 1e6
    )]
    Memory {
        name: String,
        needed: usize,
        free: usize,
    },
    /// The driver's assembler does not take what was generated: a fault of this library.
    #[error("the driver refuses the PTX of {kernel}: {log}")]
    InvalidPtx { kernel: String, log: String },
    /// Nothing works on this device any more, in this process.
    #[error("the GPU is lost: {call}: {message}")]
    Lost {
        call: &'static str,
        message: DriverMessage,
    },
    #[error("{call}: {message}")]
    Call {
        call: &'static str,
        message: DriverMessage,
    },
}

/// An error of the driver: its name and what the driver says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverMessage {
    pub name: String,
    pub text: String,
}

impl fmt::Display for DriverMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.name)
    }
}

fn count_of_gpus(count: u32) -> String {
    match count {
        0 => "none".to_string(),
        1 => "one, cuda:0".to_string(),
        count => format!("{count}, cuda:0 to cuda:{}", count - 1),
    }
}
