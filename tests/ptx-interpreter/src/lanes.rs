//! Values of the 32 lanes of a warp, and functions over them.
//!
//! An instruction's arithmetic is chosen once, when it is decoded: a function pointer that loops
//! over all lanes. Lanes that are not active are computed too and then dropped.

/// One value per lane; narrower values are zero-extended.
pub type Lanes = [u64; 32];

pub type Map1 = fn(&Lanes, &mut Lanes);
pub type Map2 = fn(&Lanes, &Lanes, &mut Lanes);
pub type Map3 = fn(&Lanes, &Lanes, &Lanes, &mut Lanes);
/// The lanes for which a comparison holds, one bit each.
pub type Compare = fn(&Lanes, &Lanes) -> u32;

/// A type that lives in a lane.
pub trait Lane: Copy {
    fn get(bits: u64) -> Self;
    fn bits(self) -> u64;
}

macro_rules! integer_lanes {
    ($($ty:ty as $unsigned:ty),*) => {
        $(impl Lane for $ty {
            fn get(bits: u64) -> Self {
                bits as $ty
            }
            fn bits(self) -> u64 {
                u64::from(self as $unsigned)
            }
        })*
    };
}

integer_lanes!(u16 as u16, u32 as u32, i32 as u32, u64 as u64, i64 as u64);

impl Lane for f32 {
    fn get(bits: u64) -> Self {
        f32::from_bits(bits as u32)
    }
    /// Results that are not numbers are the NaN of NVIDIA's GPUs.
    fn bits(self) -> u64 {
        u64::from(if self.is_nan() {
            0x7fff_ffff
        } else {
            self.to_bits()
        })
    }
}

/// `lanes!(T, R, |a, b| body)`: a [`Map1`], [`Map2`] or [`Map3`] from T to R.
macro_rules! lanes {
    ($T:ty, $R:ty, |$a:ident| $body:expr) => {
        (|x: &Lanes, out: &mut Lanes| {
            for i in 0..32 {
                let $a = <$T as Lane>::get(x[i]);
                let r: $R = $body;
                out[i] = r.bits();
            }
        }) as Map1
    };
    ($T:ty, $R:ty, |$a:ident, $b:ident| $body:expr) => {
        (|x: &Lanes, y: &Lanes, out: &mut Lanes| {
            for i in 0..32 {
                let $a = <$T as Lane>::get(x[i]);
                let $b = <$T as Lane>::get(y[i]);
                let r: $R = $body;
                out[i] = r.bits();
            }
        }) as Map2
    };
    ($T:ty, $R:ty, |$a:ident, $b:ident, $c:ident| $body:expr) => {
        (|x: &Lanes, y: &Lanes, z: &Lanes, out: &mut Lanes| {
            for i in 0..32 {
                let $a = <$T as Lane>::get(x[i]);
                let $b = <$T as Lane>::get(y[i]);
                let $c = <$T as Lane>::get(z[i]);
                let r: $R = $body;
                out[i] = r.bits();
            }
        }) as Map3
    };
}

/// `compare!(T, |a, b| body)`: a [`Compare`].
macro_rules! compare {
    ($T:ty, |$a:ident, $b:ident| $body:expr) => {
        (|x: &Lanes, y: &Lanes| {
            let mut mask = 0u32;
            for i in 0..32 {
                let $a = <$T as Lane>::get(x[i]);
                let $b = <$T as Lane>::get(y[i]);
                mask |= u32::from($body) << i;
            }
            mask
        }) as Compare
    };
}

/// `by_type!(ty, T, [U32 S32], expression with T)`: `Some` of the expression where T is the Rust
/// type of one of the listed PTX types, `None` for other types.
macro_rules! by_type {
    ($ty:expr, $T:ident, [$($variant:ident)*], $body:expr) => {
        match $ty {
            $(Type::$variant => {
                type $T = crate::lanes::rust::$variant;
                Some($body)
            })*
            _ => None,
        }
    };
}

/// The Rust types of PTX types, by the PTX type's name.
pub mod rust {
    pub type B32 = u32;
    pub type B64 = u64;
    pub type U32 = u32;
    pub type U64 = u64;
    pub type S32 = i32;
    pub type S64 = i64;
}

pub(crate) use {by_type, compare, lanes};

/// Zero with the sign of a subnormal f32, any other value as it is (.ftz).
pub fn flush(x: f32) -> f32 {
    if x.is_subnormal() {
        0f32.copysign(x)
    } else {
        x
    }
}
