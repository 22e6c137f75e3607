//! Linear layers without a bias: `[1024, inputs]` times the transpose of `[outputs, inputs]`.
//!
//! Weights stay the same from run to run. Ours are packed once, when they are bound; the peers
//! have no place for that and pack at every call, as their users do.

use bsq_benches::data::tensor;
use bsq_benches::{Agreement, Candidate, Comparison, Measure, OurProgram, Suite, Tensors, Work};
use bsq_ir::{DType, Function, Graph};

const ROWS: usize = 1024;
/// Inputs and outputs: attention's projections, and the two layers of the perceptron.
const SHAPES: [(usize, usize); 4] = [(768, 768), (768, 2304), (768, 3072), (3072, 768)];

pub fn compare(suite: &mut Suite) {
    for (inputs, outputs) in SHAPES {
        let (m, k, n) = (ROWS as f64, inputs as f64, outputs as f64);
        let ours = |name, measure| Candidate::new(name, move || program(inputs, outputs, measure));
        suite.compare(Comparison {
            name: &format!("contraction {ROWS}x{inputs} to {outputs}"),
            work: Work {
                flops: 2.0 * m * k * n,
                bytes: 4.0 * (m * k + k * n + m * n),
            },
            agreement: Agreement::Within(1e-5),
            rounds: 30,
            candidates: vec![
                ours("bsq", Measure::Run),
                ours("bsq, launches", Measure::Launches),
                #[cfg(feature = "peers")]
                Candidate::new("gemm", move || peers::gemm(inputs, outputs)),
                #[cfg(feature = "peers")]
                Candidate::new("matrixmultiply", move || {
                    peers::matrixmultiply(inputs, outputs)
                }),
                #[cfg(feature = "peers")]
                Candidate::new("candle", move || peers::candle(inputs, outputs)),
            ],
        });
    }
}

fn function(inputs: usize, outputs: usize) -> Function {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [ROWS, inputs]);
    let weight = g.parameter("weight", DType::F32, [outputs, inputs]);
    g.function([("y", x.matmul_transposed(weight).id())], [])
}

fn program(inputs: usize, outputs: usize, measure: Measure) -> OurProgram {
    let [x, weight] = operands(inputs, outputs);
    let parameters = Tensors::from([("weight".to_string(), weight)]);
    let given = Tensors::from([("x".to_string(), x)]);
    OurProgram::new(
        &function(inputs, outputs),
        true,
        measure,
        &parameters,
        &given,
    )
}

fn operands(inputs: usize, outputs: usize) -> [bsq_runtime::HostTensor; 2] {
    [
        tensor(1, &[ROWS, inputs], 1.0),
        tensor(2, &[outputs, inputs], 0.05),
    ]
}

#[cfg(feature = "peers")]
mod peers {
    use super::{ROWS, operands};
    use bsq_benches::peers::{candle_tensor, floats, read_tensor};
    use bsq_benches::{Implementation, Peer, threads};

    fn read(c: &[f32]) -> Vec<f64> {
        c.iter().map(|&x| f64::from(x)).collect()
    }

    pub fn gemm(inputs: usize, outputs: usize) -> impl Implementation {
        let [x, weight] = operands(inputs, outputs).map(floats);
        let parallelism = match threads() {
            1 => gemm::Parallelism::None,
            threads => gemm::Parallelism::Rayon(threads),
        };
        let work = move || {
            let mut y = vec![0.0f32; ROWS * outputs];
            let (row, column) = (outputs as isize, 1);
            // SAFETY: y, x and the weight have the elements that sizes and strides say.
            unsafe {
                gemm::gemm(
                    ROWS,
                    outputs,
                    inputs,
                    y.as_mut_ptr(),
                    column,
                    row,
                    false,
                    x.as_ptr(),
                    1,
                    inputs as isize,
                    weight.as_ptr(),
                    inputs as isize,
                    1,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    parallelism,
                );
            }
            y
        };
        Peer::new(work, |y: &Vec<f32>| read(y))
    }

    pub fn matrixmultiply(inputs: usize, outputs: usize) -> impl Implementation {
        let [x, weight] = operands(inputs, outputs).map(floats);
        let work = move || {
            let mut y = vec![0.0f32; ROWS * outputs];
            // SAFETY: y, x and the weight have the elements that sizes and strides say.
            unsafe {
                matrixmultiply::sgemm(
                    ROWS,
                    inputs,
                    outputs,
                    1.0,
                    x.as_ptr(),
                    inputs as isize,
                    1,
                    weight.as_ptr(),
                    1,
                    inputs as isize,
                    0.0,
                    y.as_mut_ptr(),
                    outputs as isize,
                    1,
                );
            }
            y
        };
        Peer::new(work, |y: &Vec<f32>| read(y))
    }

    pub fn candle(inputs: usize, outputs: usize) -> impl Implementation {
        let [x, weight] = operands(inputs, outputs).map(|tensor| candle_tensor(&tensor));
        let work = move || {
            let transposed = weight.t().expect("a matrix");
            x.matmul(&transposed).expect("shapes fit")
        };
        Peer::new(work, read_tensor)
    }
}
