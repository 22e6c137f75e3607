//! Residual binary quantization: each sign is that of what the earlier ones left.

use super::straight_through;
use bsq_ir::{DType, Tensor};

/// A quantizer that codes coordinate `i` by `bits[i]` signs of steps `a, a/2, a/4 ..`:
///
/// ```text
/// r = x;   for k in 0..K:   s_k = r > 0 ? 1 : -1;   r = r - s_k a / 2^k
/// value = a (s_0 + s_1 / 2 + .. )
/// ```
///
/// It is the uniform quantizer of `2^K` levels at the odd multiples of `a / 2^(K - 1)`; the signs
/// are the binary digits of a level's place, most significant first. With one sign for each
/// coordinate, `a = 1` and features of unit length it is BSQ.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualBinary {
    /// Signs of each coordinate, at most 24: a level is exact in `f32`.
    bits: Vec<usize>,
    step: f64,
}

impl ResidualBinary {
    /// `bits[i]` signs for coordinate `i`, the first of step `step`.
    ///
    /// # Panics
    /// If there are no coordinates, one has more than 24 signs, or the step is not positive.
    pub fn new(bits: Vec<usize>, step: f64) -> ResidualBinary {
        assert!(!bits.is_empty(), "a quantizer of no coordinates");
        assert!(bits.iter().all(|&k| k <= 24), "at most 24 signs: {bits:?}");
        assert!(step > 0.0, "a step of {step}");
        ResidualBinary { bits, step }
    }

    /// Signs of a whole vector.
    pub fn total_bits(&self) -> usize {
        self.bits.iter().sum()
    }

    /// Signs (`bool`, set for plus) and values of `x`: `[.., coordinates, K]` for the largest `K`,
    /// and `x`'s shape. Signs that a coordinate does not have are unset. Of zero the sign is unset,
    /// as BSQ's. No gradient passes; see [`quantize`](ResidualBinary::quantize).
    ///
    /// # Panics
    /// If the last axis is not that of the coordinates.
    #[track_caller]
    pub fn encode<'g>(&self, x: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
        let shape = x.shape();
        let x = x.stop_gradient();
        let (mut signs, mut value) = (Vec::new(), None);
        for k in 0..self.depth() {
            let rest = value.map_or(x, |value: Tensor<'g>| x - value);
            let set = self.has(x, k).and(rest.gt(0.0));
            let part = self.part(set, k);
            value = Some(value.map_or(part, |value| value + part));
            signs.push(set.unsqueeze(-1));
        }
        let value = value.unwrap_or_else(|| x.full_like(0.0));
        let signs = match signs.is_empty() {
            true => panic!("a quantizer of no signs encodes nothing in {shape}"),
            false => x.graph().concat(&signs, -1),
        };
        (signs, value)
    }

    /// The values `[.., coordinates]` of signs `[.., coordinates, K]`.
    ///
    /// # Panics
    /// If the last two axes are not coordinates and the largest `K`.
    #[track_caller]
    pub fn decode<'g>(&self, signs: Tensor<'g>) -> Tensor<'g> {
        let part = |k: usize| self.part(signs.slice(-1, k..k + 1).squeeze(-1), k);
        let parts = (0..self.depth()).map(part);
        let sum = parts.reduce(|sum, part| sum + part);
        sum.expect("a quantizer of at least one sign")
    }

    /// The value of `x` in training: that of its signs, with the gradient of `x`.
    ///
    /// # Panics
    /// As [`encode`](ResidualBinary::encode).
    #[track_caller]
    pub fn quantize<'g>(&self, x: Tensor<'g>) -> Tensor<'g> {
        straight_through(self.encode(x).1, x)
    }

    fn depth(&self) -> usize {
        self.bits.iter().copied().max().unwrap_or(0)
    }

    /// What the signs of step `k` add: plus or minus `a / 2^k`, zero where there is none.
    #[track_caller]
    fn part<'g>(&self, set: Tensor<'g>, k: usize) -> Tensor<'g> {
        let step = self.step * 0.5_f64.powi(k as i32);
        let plus = set.graph().full(step, DType::F32, set.shape());
        let part = plus.where_(set, -step);
        match self.bits.iter().all(|&own| own > k) {
            true => part,
            false => part.where_(self.has(part, k), 0.0),
        }
    }

    /// Which coordinates have a sign of step `k`, in the shape of `x`.
    #[track_caller]
    fn has<'g>(&self, x: Tensor<'g>, k: usize) -> Tensor<'g> {
        let has: Vec<f32> = self.bits.iter().map(|&own| f32::from(own > k)).collect();
        let graph = x.graph();
        let table = graph.constant_f32(&has, [has.len()]).gt(0.5);
        table.broadcast_to(x.shape())
    }
}
