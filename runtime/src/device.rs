//! Where a program runs.

use std::fmt;
use std::str::FromStr;

/// A device that runs programs.
///
/// ```
/// use bsq_runtime::Device;
///
/// assert_eq!("cuda:1".parse(), Ok(Device::Cuda { ordinal: 1 }));
/// assert_eq!("cuda".parse(), Ok(Device::Cuda { ordinal: 0 }));
/// assert_eq!(Device::default().to_string(), "cpu");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// This machine's processor.
    #[default]
    Cpu,
    /// A GPU, by the number that the driver gives it.
    Cuda { ordinal: u32 },
}

/// A text that names no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}: no device; there are cpu, cuda (the first GPU) and cuda:N")]
pub struct UnknownDevice {
    text: String,
}

impl FromStr for Device {
    type Err = UnknownDevice;

    fn from_str(text: &str) -> Result<Device, UnknownDevice> {
        let unknown = || UnknownDevice {
            text: text.to_string(),
        };
        match text.split_once(':') {
            None if text == "cpu" => Ok(Device::Cpu),
            None if text == "cuda" => Ok(Device::Cuda { ordinal: 0 }),
            // `+1` is a number to Rust, but not a device's.
            Some(("cuda", number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                let ordinal = number.parse().map_err(|_| unknown())?;
                Ok(Device::Cuda { ordinal })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => write!(f, "cpu"),
            Device::Cuda { ordinal } => write!(f, "cuda:{ordinal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_devices_are_devices() {
        for text in [
            "",
            "gpu",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda:4294967296",
            "cpu:0",
        ] {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text}: no device")), "{error}");
        }
        for device in [Device::Cpu, Device::Cuda { ordinal: 3 }] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
    }
}
