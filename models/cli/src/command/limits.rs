//! The option `--max-pixels`.

use bsq::image_io::LoadLimits;
use clap::Args;

/// How large a picture may be.
#[derive(Args, Clone, Copy, Debug)]
pub struct LimitArgument {
    /// Largest picture in pixels, at most 65535 a side. PNG files are read row by row; of others a
    /// pixel takes 3 to 9 bytes of memory
    #[arg(long, value_name = "N", default_value_t = LoadLimits::default().max_pixels)]
    max_pixels: u64,
}

impl LimitArgument {
    pub fn max_pixels(self) -> u64 {
        self.max_pixels
    }

    /// Those that pictures are read with.
    pub fn load(self) -> LoadLimits {
        LoadLimits {
            max_pixels: self.max_pixels,
            ..LoadLimits::default()
        }
    }
}
