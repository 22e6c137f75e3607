//! Attention without a mask: 12 heads, 1,024 queries and keys of 64 features.

use bsq_benches::data::tensor;
use bsq_benches::{Agreement, Candidate, Comparison, Measure, OurProgram, Suite, Tensors, Work};
use bsq_ir::{DType, Graph};

const SHAPE: [usize; 4] = [1, 12, 1024, 64];

pub fn compare(suite: &mut Suite) {
    let [_, heads, tokens, d] = SHAPE.map(|size| size as f64);
    let ours = |name, measure| Candidate::new(name, move || program(measure));
    suite.compare(Comparison {
        name: "attention 12x1024x64",
        work: Work {
            flops: 4.0 * heads * tokens * tokens * d,
            bytes: 4.0 * 4.0 * heads * tokens * d,
        },
        agreement: Agreement::Within(1e-5),
        rounds: 15,
        candidates: vec![
            ours("bsq", Measure::Run),
            ours("bsq, launches", Measure::Launches),
            #[cfg(feature = "peers")]
            Candidate::new("candle, softmax of scores", peers::scores),
            #[cfg(feature = "peers")]
            Candidate::new("candle, flash_attn", peers::flash),
        ],
    });
}

fn scale() -> f64 {
    1.0 / (SHAPE[3] as f64).sqrt()
}

fn inputs() -> Tensors {
    let streams = [("q", 1), ("k", 2), ("v", 3)].into_iter();
    let named = streams.map(|(name, stream)| (name.to_string(), tensor(stream, &SHAPE, 1.0)));
    named.collect()
}

fn program(measure: Measure) -> OurProgram {
    let g = Graph::new();
    let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, DType::F32, SHAPE));
    let attended = q.attention(k, v, scale(), None);
    let function = g.function([("y", attended.id())], []);
    OurProgram::new(&function, true, measure, &Tensors::new(), &inputs())
}

#[cfg(feature = "peers")]
mod peers {
    use super::{inputs, scale};
    use bsq_benches::peers::{candle_tensor, read_tensor};
    use bsq_benches::{Implementation, Peer};
    use candle_core::Tensor;
    use candle_nn::attention::{AttnMask, flash_attn};
    use candle_nn::ops::softmax_last_dim;

    fn operands() -> [Tensor; 3] {
        let inputs = inputs();
        ["q", "k", "v"].map(|name| candle_tensor(&inputs[name]))
    }

    pub fn scores() -> impl Implementation {
        let [q, k, v] = operands();
        let work = move || -> candle_core::Result<Tensor> {
            let scores = (q.matmul(&k.t()?)? * scale())?;
            softmax_last_dim(&scores)?.matmul(&v)
        };
        Peer::new(move || work().expect("shapes fit"), read_tensor)
    }

    /// Takes `[batch, tokens, heads, features]`; its operands are laid out so beforehand, and the
    /// result is read as the others are.
    pub fn flash() -> impl Implementation {
        let by_token = |x: Tensor| x.transpose(1, 2).and_then(|x| x.contiguous());
        let [q, k, v] = operands().map(|x| by_token(x).expect("four axes"));
        let scale = scale() as f32;
        let work = move || {
            flash_attn::<f32>(&q, &k, &v, scale, AttnMask::None, None, None).expect("shapes fit")
        };
        Peer::new(work, |y: &Tensor| {
            // Its result is by head already, whatever its operands are.
            let [_, first, ..] = *y.dims() else {
                panic!("four axes")
            };
            match first == super::SHAPE[1] {
                true => read_tensor(y),
                false => read_tensor(&y.transpose(1, 2).expect("four axes")),
            }
        })
    }
}
