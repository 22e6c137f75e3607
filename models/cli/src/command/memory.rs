//! `--memory`: a budget for a training step.

use clap::Args;

/// How much memory a training step may need.
#[derive(Args, Clone, Copy, Debug)]
pub struct MemoryArgument {
    /// The most memory that the programs of a training step may need, such as 8G or 500M: what does not fit
    /// is computed again instead of being kept. Bits are the same
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub memory: Option<usize>,
}

/// A size such as `8G`, in powers of 1000.
fn bytes(text: &str) -> Result<usize, String> {
    let units = [("G", 1e9), ("M", 1e6), ("K", 1e3), ("", 1.0)];
    let upper = text.to_ascii_uppercase();
    let of = units
        .into_iter()
        .find_map(|(unit, scale)| Some((upper.strip_suffix(unit)?, scale)));
    let (number, scale) = of.expect("every text ends in nothing");
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok((number * scale) as usize),
        _ => Err("a size, such as 8G or 500M".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_units() {
        for (text, size) in [("8G", 8_000_000_000), ("1.5m", 1_500_000), ("300", 300)] {
            assert_eq!(bytes(text), Ok(size));
        }
        for text in ["", "G", "-1G", "8GB", "1e400", "much"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
