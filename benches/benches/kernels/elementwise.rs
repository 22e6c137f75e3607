//! Layer norm and GELU by themselves: what they cost where nothing takes them in.

use bsq_benches::data::tensor;
use bsq_benches::{Agreement, Candidate, Comparison, Measure, OurProgram, Suite, Tensors, Work};
use bsq_ir::{DType, Graph};

const ROWS: usize = 1024;
const WIDTH: usize = 768;
const HIDDEN: usize = 3072;
const EPSILON: f64 = 1e-5;

pub fn compare(suite: &mut Suite) {
    let ours = |name, measure| Candidate::new(name, move || layer_norm(measure));
    suite.compare(Comparison {
        name: "layer norm 1024x768",
        work: streaming(WIDTH),
        agreement: Agreement::Within(1e-5),
        rounds: 30,
        candidates: vec![
            ours("bsq", Measure::Run),
            ours("bsq, launches", Measure::Launches),
            #[cfg(feature = "peers")]
            Candidate::new("candle", peers::layer_norm),
        ],
    });
    let ours = |name, measure| Candidate::new(name, move || gelu(measure));
    suite.compare(Comparison {
        name: "GELU 1024x3072",
        work: streaming(HIDDEN),
        agreement: Agreement::Within(1e-5),
        rounds: 30,
        candidates: vec![
            ours("bsq", Measure::Run),
            ours("bsq, launches", Measure::Launches),
            #[cfg(feature = "peers")]
            Candidate::new("candle", peers::gelu),
        ],
    });
}

/// Reads and writes a matrix, and contracts nothing.
fn streaming(columns: usize) -> Work {
    Work {
        flops: 0.0,
        bytes: 2.0 * 4.0 * (ROWS * columns) as f64,
    }
}

fn given(columns: usize) -> Tensors {
    Tensors::from([("x".to_string(), tensor(1, &[ROWS, columns], 3.0))])
}

/// Gain and bias.
fn affine() -> Tensors {
    let named = [("weight", 2), ("bias", 3)].into_iter();
    let named = named.map(|(name, stream)| (name.to_string(), tensor(stream, &[WIDTH], 1.0)));
    named.collect()
}

fn layer_norm(measure: Measure) -> OurProgram {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [ROWS, WIDTH]);
    let [weight, bias] = ["weight", "bias"].map(|name| g.parameter(name, DType::F32, [WIDTH]));
    let function = g.function([("y", x.layer_norm_with(weight, bias, EPSILON).id())], []);
    OurProgram::new(&function, true, measure, &affine(), &given(WIDTH))
}

fn gelu(measure: Measure) -> OurProgram {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [ROWS, HIDDEN]);
    let function = g.function([("y", x.gelu().id())], []);
    OurProgram::new(&function, true, measure, &Tensors::new(), &given(HIDDEN))
}

#[cfg(feature = "peers")]
mod peers {
    use super::{EPSILON, HIDDEN, WIDTH, affine, given};
    use bsq_benches::peers::{candle_tensor, read_tensor};
    use bsq_benches::{Implementation, Peer};
    use candle_nn::ops;

    pub fn layer_norm() -> impl Implementation {
        let x = candle_tensor(&given(WIDTH)["x"]);
        let affine = affine();
        let [weight, bias] = ["weight", "bias"].map(|name| candle_tensor(&affine[name]));
        let work = move || ops::layer_norm(&x, &weight, &bias, EPSILON as f32).expect("shapes fit");
        Peer::new(work, read_tensor)
    }

    pub fn gelu() -> impl Implementation {
        let x = candle_tensor(&given(HIDDEN)["x"]);
        Peer::new(move || x.gelu_erf().expect("an f32 tensor"), read_tensor)
    }
}
