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

#[cfg(test)]
mod tests {
    use super::Dropout;
    use bsq_ir::eval::{Precision, Value, Values, evaluate};
    use bsq_ir::{DType, Graph, Shape};

    /// Which of 400 elements are dropped at two places in a row, for a key and a counter.
    fn dropped(key: u64, counter: u64) -> [Vec<bool>; 2] {
        let g = Graph::new();
        let names = ["key", "counter"];
        let [own_key, own_counter] = names.map(|name| g.input(name, DType::U64, Shape::scalar()));
        let mut dropout = Dropout::new(0.25, own_key, own_counter);
        let ones = g.full(1.0, DType::F32, [400]);
        let places = [dropout.apply(ones), dropout.apply(ones)];
        let function = g.function([("a", places[0].id()), ("b", places[1].id())], []);
        let inputs = names.into_iter().zip([key, counter]);
        let inputs =
            inputs.map(|(name, x)| (name.to_string(), Value::new(Shape::scalar(), vec![x])));
        let inputs: Values = inputs.collect();
        let run = evaluate(&function, &inputs, &Values::new(), Precision::F32).unwrap();
        ["a", "b"].map(|name| {
            let values = run.outputs[name].as_f32().iter();
            values.map(|&x| x == 0.0).collect()
        })
    }

    #[test]
    fn every_place_and_every_step_drops_others() {
        let [first, second] = dropped(3, 0);
        let both = first
            .iter()
            .zip(&second)
            .filter(|(a, b)| **a && **b)
            .count();
        // A quarter of a quarter, and not all or none.
        assert!((10..45).contains(&both), "{both} of 400 at both places");
        assert_eq!(dropped(3, 0)[0], first);
        assert_ne!(dropped(3, 1 << 32)[0], first);
        assert_ne!(dropped(4, 0)[0], first);
    }
}
