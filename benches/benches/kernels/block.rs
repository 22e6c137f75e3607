//! One block of the transformer, as the model spells it out: 17.7 GFLOP.

use bsq_benches::data::tensor;
use bsq_benches::{Agreement, Candidate, Comparison, Measure, OurProgram, Suite, Tensors, Work};
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_nn::layers::Block;

const TOKENS: usize = 1024;
const WIDTH: usize = 768;
const HEADS: usize = 12;

pub fn compare(suite: &mut Suite) {
    let (tokens, width) = (TOKENS as f64, WIDTH as f64);
    let weights = 12.0 * width * width;
    let ours = |name, exact| {
        Candidate::new(name, move || {
            OurProgram::new(&function().0, exact, Measure::Run, &parameters(), &given())
        })
    };
    suite.compare(Comparison {
        name: "ViT block 1024x768",
        work: Work {
            flops: 2.0 * tokens * weights + 4.0 * tokens * tokens * width,
            bytes: 4.0 * (weights + 2.0 * tokens * width),
        },
        agreement: Agreement::Within(1e-5),
        rounds: 15,
        candidates: vec![
            ours("bsq", true),
            ours("bsq, inexact", false),
            #[cfg(feature = "peers")]
            Candidate::new("candle", || peers::block(false)),
            #[cfg(feature = "peers")]
            Candidate::new("candle, flash_attn", || peers::block(true)),
        ],
    });
}

fn given() -> Tensors {
    Tensors::from([("x".to_string(), tensor(1, &[1, TOKENS, WIDTH], 1.0))])
}

/// Random, with gains about one.
fn parameters() -> Tensors {
    let specs = function().1.into_iter().enumerate();
    let named = specs.map(|(stream, (name, shape))| {
        let mut value = tensor(stream as u64 + 2, &shape, 0.05);
        if name.contains("ln_") && name.ends_with("weight") {
            let gains = value.as_mut_slice::<f32>().expect("an f32 tensor");
            gains.iter_mut().for_each(|gain| *gain += 1.0);
        }
        (name, value)
    });
    named.collect()
}

/// The block, and names and shapes of its parameters.
fn function() -> (Function, Vec<(String, Vec<usize>)>) {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let x = g.input("x", DType::F32, [1, TOKENS, WIDTH]);
    let y = Block::pre_norm(WIDTH, HEADS).forward(&scope, x, &mut |heads| heads.attend(None));
    let specs = scope.specs().into_iter();
    let specs = specs.map(|spec| (spec.name, spec.ty.shape.to_vec()));
    (g.function([("y", y.id())], []), specs.collect())
}

#[cfg(feature = "peers")]
mod peers {
    use super::{HEADS, given, parameters};
    use bsq_benches::peers::{CandleWeights, candle_tensor, read_tensor};
    use bsq_benches::{Implementation, Peer};

    pub fn block(flash: bool) -> impl Implementation {
        let weights = CandleWeights::new(&parameters(), flash);
        let x = candle_tensor(&given()["x"]);
        let work = move || weights.block("", HEADS, &x).expect("shapes fit");
        Peer::new(work, read_tensor)
    }
}
