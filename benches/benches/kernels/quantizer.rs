//! Features to token indices: L2-normalise, sign, pack into 36 bits.
//!
//! The model spells out all three. Rewriting that keeps every bit finds them in one pass; inexact
//! rewriting drops the normalisation, which no sign depends on. Not fused they are three programs.

use bsq_benches::data::tensor;
use bsq_benches::{Agreement, Candidate, Comparison, Measure, OurProgram, Suite, Tensors, Work};
use bsq_ir::{DType, Function, Graph, Tensor};

/// Sixteen pictures of 256x256 pixels.
const TOKENS: usize = 16 * 1024;
const BITS: usize = 36;
const SMALLEST_NORM: f64 = 1e-12;

pub fn compare(suite: &mut Suite) {
    let fused = |name, exact, measure| {
        Candidate::new(name, move || {
            OurProgram::new(&whole(), exact, measure, &Tensors::new(), &given())
        })
    };
    suite.compare(Comparison {
        name: "quantizer 16384x36",
        work: Work {
            flops: 0.0,
            bytes: (TOKENS * (4 * BITS + 8)) as f64,
        },
        agreement: Agreement::EqualBut(0.0),
        rounds: 30,
        candidates: vec![
            fused("bsq", true, Measure::Run),
            fused("bsq, launches", true, Measure::Launches),
            fused("bsq, inexact, launches", false, Measure::Launches),
            Candidate::new("bsq, not fused, launches", || {
                let (none, launches) = (Tensors::new(), Measure::Launches);
                OurProgram::chain(&stages(), true, launches, &none, &given())
            }),
            #[cfg(feature = "peers")]
            Candidate::new("candle", peers::quantizer),
        ],
    });
}

fn given() -> Tensors {
    Tensors::from([("h".to_string(), tensor(1, &[TOKENS, BITS], 1.0))])
}

fn features<'g>(g: &'g Graph, name: &str) -> Tensor<'g> {
    g.input(name, DType::F32, [TOKENS, BITS])
}

/// First feature most significant.
fn pack(bits: Tensor<'_>) -> Tensor<'_> {
    let position = bits.graph().iota(DType::U64, [TOKENS, BITS], 1);
    let amount = (BITS - 1) as f64 - position;
    bits.cast(DType::U64).shift_left(amount).sum(-1)
}

fn whole() -> Function {
    let g = Graph::new();
    let u = features(&g, "h").l2_normalize(SMALLEST_NORM);
    g.function([("indices", pack(u.gt(0.0)).id())], [])
}

fn stages() -> [Function; 3] {
    let normalise = Graph::new();
    let u = features(&normalise, "h").l2_normalize(SMALLEST_NORM);
    let sign = Graph::new();
    let bits = features(&sign, "u").gt(0.0);
    let packing = Graph::new();
    let given = packing.input("bits", DType::Bool, [TOKENS, BITS]);
    [
        normalise.function([("u", u.id())], []),
        sign.function([("bits", bits.id())], []),
        packing.function([("indices", pack(given).id())], []),
    ]
}

#[cfg(feature = "peers")]
mod peers {
    use super::{SMALLEST_NORM, given};
    use bsq_benches::peers::{candle_indices, candle_tensor, read_indices};
    use bsq_benches::{Implementation, Peer};

    pub fn quantizer() -> impl Implementation {
        let h = candle_tensor(&given()["h"]);
        let work = move || candle_indices(&h, SMALLEST_NORM).expect("shapes fit");
        Peer::new(work, read_indices)
    }
}
