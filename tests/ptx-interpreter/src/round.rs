//! Formats of 16 bits: to and from f32, to nearest, ties to even.

/// A binary floating-point format of 16 bits.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
}

impl Format {
    pub const F16: Format = Format {
        exponent_bits: 5,
        fraction_bits: 10,
    };
    pub const BF16: Format = Format {
        exponent_bits: 8,
        fraction_bits: 7,
    };

    fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    fn infinity(self) -> u16 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    /// The value of bits in this format; exact.
    pub fn decode(self, bits: u16) -> f64 {
        let fraction = bits & ((1 << self.fraction_bits) - 1);
        let exponent = (bits >> self.fraction_bits) & ((1 << self.exponent_bits) - 1);
        let magnitude = if exponent == (1 << self.exponent_bits) - 1 {
            if fraction == 0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        } else {
            let scale = i32::from(exponent.max(1)) - self.bias() - self.fraction_bits as i32;
            let hidden = if exponent == 0 {
                0
            } else {
                1 << self.fraction_bits
            };
            f64::from(fraction | hidden) * 2f64.powi(scale)
        };
        if bits >> 15 == 1 {
            -magnitude
        } else {
            magnitude
        }
    }

    /// The bits of the nearest value in this format; NaN is the one of NVIDIA's GPUs.
    pub fn encode(self, value: f32) -> u16 {
        if value.is_nan() {
            return 0x7fff;
        }
        let sign = u16::from(value.is_sign_negative()) << 15;
        let value = f64::from(value.abs());
        if value == 0.0 {
            return sign;
        }
        if value.is_infinite() {
            return sign | self.infinity();
        }
        // An f32 is a normal f64, and scaling that by a power of two is exact.
        let exponent = (value.to_bits() >> 52) as i32 - 1023;
        // The exponent of the last bit that the format can hold.
        let last = exponent.max(1 - self.bias()) - self.fraction_bits as i32;
        let kept = (value * 2f64.powi(-last)).round_ties_even() as u32;
        let field = (last + self.fraction_bits as i32 + self.bias()) as u32;
        let bits = (field << self.fraction_bits) + kept - (1 << self.fraction_bits);
        sign | bits.min(u32::from(self.infinity())) as u16
    }
}

/// Sign-extends the low `bits` bits.
pub fn sign_extend(value: u64, bits: u32) -> i64 {
    ((value << (64 - bits)) as i64) >> (64 - bits)
}

/// The low `bits` bits.
pub fn truncate(value: u64, bits: u32) -> u64 {
    if bits == 64 {
        value
    } else {
        value & ((1 << bits) - 1)
    }
}
