//! Random numbers: pure functions of a key and a counter, which are operands, so that a step's
//! draws are another's by another key, and a recomputed one's are its own.
//!
//! A key is a seed; one for each place that draws is `key + 1.0`, `key + 2.0` and so on. Draws with
//! the same key and counter are the same numbers.

use super::{Tensor, one_graph};
use crate::dtype::DType;
use crate::graph::Graph;
use crate::op::TypeError;
use crate::shape::Shape;
use std::f64::consts::TAU;

/// Bits of a word that make a fraction: as many as an `f32` holds exactly.
const FRACTION_BITS: i32 = 24;

impl Graph {
    /// Numbers from 0 up to but without 1, multiples of 2^-24, from
    /// [`random_bits`](Graph::random_bits). Key and counter are `u64[]`.
    ///
    /// # Panics
    /// As [`Graph::random_bits`].
    #[track_caller]
    pub fn uniform<'g>(
        &'g self,
        shape: impl Into<Shape>,
        key: Tensor<'g>,
        counter: Tensor<'g>,
    ) -> Tensor<'g> {
        fraction(self.random_bits(shape, key, counter))
    }

    /// Normal numbers of mean 0 and deviation 1, from [`random_bits`](Graph::random_bits): Box and
    /// Muller's transform, which makes two of two. The largest is 5.77 from 0. Key and counter are
    /// `u64[]`; n numbers take `ceil(n / 4)` counters, two more at most.
    ///
    /// # Panics
    /// As [`Graph::random_bits`].
    #[track_caller]
    pub fn normal<'g>(
        &'g self,
        shape: impl Into<Shape>,
        key: Tensor<'g>,
        counter: Tensor<'g>,
    ) -> Tensor<'g> {
        let shape = shape.into();
        one_graph("normal", self, &[key, counter], &[]);
        let count = shape.elements();
        let pairs = count.div_ceil(2);
        let words = self.random_bits([2, pairs], key, counter);
        let row = |row: usize| fraction(words.slice(0, row..row + 1).squeeze(0));
        // From 2^-24 to 1, of which the logarithm is finite.
        let length = (row(0) + f64::from(-FRACTION_BITS).exp2()).log() * -2.0;
        let (length, angle) = (length.sqrt(), row(1) * TAU);
        let both = [length * angle.cos(), length * angle.sin()];
        self.concat(&both, 0).slice(0, 0..count).reshape(shape)
    }
}

/// The upper bits of each word as a fraction.
#[track_caller]
fn fraction(words: Tensor<'_>) -> Tensor<'_> {
    let unused = f64::from(u32::BITS as i32 - FRACTION_BITS);
    words.shift_right(unused).cast(DType::F32) * f64::from(-FRACTION_BITS).exp2()
}

impl<'g> Tensor<'g> {
    /// Each element 0 with a probability, else divided by what is left of 1, so that the mean stays:
    /// what training does and inference does not. Key and counter (`u64[]`) say which; the gradient
    /// passes where the value does.
    ///
    /// ```
    /// # use bsq_ir::{DType, Graph, Shape};
    /// let g = Graph::new();
    /// let x = g.input("x", DType::F32, [4, 8]);
    /// let [seed, step] = ["seed", "step"].map(|name| g.input(name, DType::U64, Shape::scalar()));
    /// let first = x.dropout(0.1, seed, step);
    /// let second = first.dropout(0.1, seed + 1.0, step); // another place, another key
    /// # let _ = second;
    /// ```
    ///
    /// # Panics
    /// If the probability is not from 0 to 1.
    #[track_caller]
    pub fn dropout(self, probability: f64, key: Tensor<'g>, counter: Tensor<'g>) -> Tensor<'g> {
        self.beside("dropout", &[key, counter]);
        if !(0.0..=1.0).contains(&probability) {
            let what = format!("{probability} is no probability");
            TypeError::of_call("dropout", [&self.ty()], what).raise();
        }
        if probability == 1.0 {
            return self.full_like(0.0);
        }
        let kept = self
            .graph()
            .uniform(self.shape(), key, counter)
            .ge(probability);
        (self * (1.0 / (1.0 - probability))).where_(kept, 0.0)
    }
}
