//! Powers and reciprocal roots.

use super::Tensor;
use super::arithmetic::Operand;
use crate::op::TypeError;

/// Whole exponents up to this are products; larger ones go through the logarithm.
const MOST_PRODUCTS: f64 = 64.0;

/// An exponent as a user writes it: a number, known when the graph is built, or a tensor.
pub trait Exponent<'g>: Operand<'g> {
    fn known(self) -> Option<f64>;
}

impl<'g> Exponent<'g> for f64 {
    fn known(self) -> Option<f64> {
        Some(self)
    }
}

impl<'g> Exponent<'g> for Tensor<'g> {
    fn known(self) -> Option<f64> {
        None
    }
}

impl<'g> Tensor<'g> {
    /// `1 / sqrt(x)`, rounded twice: infinity at 0, NaN below.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn rsqrt(self) -> Tensor<'g> {
        self.sqrt().reciprocal()
    }

    /// `x^n` as products, by squaring: right for negative bases, and every derivative is right at
    /// 0 too. `x^0` is 1 for every x, a negative n gives `1 / x^-n`. Integers wrap as products do.
    ///
    /// # Panics
    /// If n is negative and this is no float.
    #[track_caller]
    pub fn powi(self, n: i32) -> Tensor<'g> {
        if n < 0 && !self.dtype().is_float() {
            let what = format!("{} to the power {n} is no {}", self.dtype(), self.dtype());
            TypeError::of_call("powi", [&self.ty()], what)
                .help("cast it first")
                .raise();
        }
        let (mut left, mut square) = (n.unsigned_abs(), self);
        let mut product: Option<Tensor<'g>> = None;
        while left > 0 {
            if left & 1 == 1 {
                product = Some(product.map_or(square, |product| product * square));
            }
            left >>= 1;
            if left > 0 {
                square = square * square;
            }
        }
        match product {
            None => self.full_like(1.0),
            Some(product) if n < 0 => product.reciprocal(),
            Some(product) => product,
        }
    }

    /// `x^y`; y is a number or a tensor, which broadcasts.
    ///
    /// A number that is whole, up to 64 in size, is [`powi`](Tensor::powi), and 0.5 is `sqrt`.
    /// All else is `exp(y ln |x|)`, whose error relative to the result grows with its logarithm: about
    /// `|y ln x| + 2` units in the last place.
    ///
    /// - A negative base to a whole power has the sign of the product; to any other it is NaN.
    /// - `x^0` is 1 for every x. 0 to a positive power is 0, to a negative one infinity. 1 to an
    ///   infinite power is NaN.
    /// - Derivatives through the logarithm are taken as 0 at a base of 0, where some are infinite and
    ///   all are of the form 0/0, and by y as `x^y ln |x|` for negative bases.
    ///
    /// # Panics
    /// If the elements are not `f32`, or the shapes do not broadcast.
    #[track_caller]
    pub fn pow(self, exponent: impl Exponent<'g>) -> Tensor<'g> {
        match exponent.known() {
            Some(n) if n.fract() == 0.0 && n.abs() <= MOST_PRODUCTS => self.powi(n as i32),
            Some(0.5) => self.sqrt(),
            _ => self.power(exponent.tensor(self)),
        }
    }

    #[track_caller]
    fn power(self, y: Tensor<'g>) -> Tensor<'g> {
        self.beside("pow", &[y]);
        let is_zero = self.eq(0.0);
        // The logarithm of 0 has no finite derivative, and times 0 it would be NaN.
        let base = self.full_like(1.0).where_(is_zero, self);
        let size = (base.abs().log() * y).exp();
        let whole = y.floor().eq(y);
        let half = y * 0.5;
        let odd = whole.and(half.floor().ne(half));
        let negative = base.lt(0.0);
        let signed = (-size).where_(negative.and(odd), size);
        let power = signed
            .full_like(f64::NAN)
            .where_(negative.and(whole.logical_not()), signed);
        let of_zero = y.full_like(0.0).where_(y.gt(0.0), f64::INFINITY);
        let power = (of_zero + power.full_like(0.0)).where_(is_zero, power);
        let is_one = y.eq(0.0);
        power.full_like(1.0).where_(is_one, power)
    }
}
