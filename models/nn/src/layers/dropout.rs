//! Dropout at many places of a network.

use bsq_ir::Tensor;

/// Zeros at random, in training: each call of [`drop`](Dropout::apply) is another place and draws other
/// numbers. They are functions of a key and a counter, so a training that is resumed has the same.
///
/// ```
/// use bsq_ir::{DType, Graph, Shape};
/// use bsq_nn::layers::Dropout;
///
/// let g = Graph::new();
/// let x = g.input("x", DType::F32, [4, 8]);
/// let [key, counter] = ["key", "counter"].map(|name| g.input(name, DType::U64, Shape::scalar()));
/// let mut dropout = Dropout::new(0.1, key, counter);
/// let first = dropout.apply(x);
/// let second = dropout.apply(first);
/// # let _ = second;
/// ```
pub struct Dropout<'g> {
    probability: f64,
    key: Tensor<'g>,
    counter: Tensor<'g>,
    places: u32,
}

impl<'g> Dropout<'g> {
    /// `key` and `counter` are `u64[]`: a seed, and a number that grows from step to step by a quarter of
    /// a tensor's elements or more; 2^32 always does.
    pub fn new(probability: f64, key: Tensor<'g>, counter: Tensor<'g>) -> Dropout<'g> {
        Dropout {
            probability,
            key,
            counter,
            places: 0,
        }
    }

    /// The tensor with some of its elements 0 and the others larger, so that the mean stays.
    ///
    /// # Panics
    /// As [`Tensor::dropout`].
    #[track_caller]
    pub fn apply(&mut self, x: Tensor<'g>) -> Tensor<'g> {
        let key = self.key + f64::from(self.places);
        self.places += 1;
        x.dropout(self.probability, key, self.counter)
    }
}
