//! Convolutions of VGG16 and of a discriminator on 64 x 64 pixels: forward, and both gradients.
//!
//! Parameters do not change from run to run, so weights are packed once; a training packs them at every
//! step.

use bsq_benches::convolutions::{ConvolutionLayer, ConvolutionPass, DISCRIMINATOR, VGG16};
use bsq_benches::{Agreement, Candidate, Comparison, Measure, OurProgram, Suite, Tensors, Work};

pub fn compare(suite: &mut Suite) {
    let mut seen: Vec<ConvolutionLayer> = Vec::new();
    for layer in VGG16.into_iter().chain(DISCRIMINATOR) {
        if seen.contains(&layer) {
            continue;
        }
        seen.push(layer);
        for batch in [1, 8] {
            for pass in ConvolutionPass::ALL {
                compare_pass(suite, layer, batch, pass);
            }
        }
    }
}

fn compare_pass(suite: &mut Suite, layer: ConvolutionLayer, batch: usize, pass: ConvolutionPass) {
    let ConvolutionLayer {
        inputs,
        outputs,
        side,
        kernel,
        stride,
        ..
    } = layer;
    let shape =
        format!("{batch}x{inputs}x{side}x{side} to {outputs}, {kernel}x{kernel} / {stride}");
    suite.compare(Comparison {
        name: &format!("convolution {shape}, {}", pass.name()),
        work: Work {
            flops: layer.flops(batch),
            bytes: layer.bytes(batch),
        },
        agreement: Agreement::Within(1e-5),
        rounds: 10,
        candidates: vec![
            Candidate::new("bsq", move || program(layer, batch, pass, Measure::Run)),
            Candidate::new("bsq, launches", move || {
                program(layer, batch, pass, Measure::Launches)
            }),
            #[cfg(feature = "peers")]
            Candidate::new("candle", move || peers::candle(layer, batch, pass)),
        ],
    });
}

fn program(
    layer: ConvolutionLayer,
    batch: usize,
    pass: ConvolutionPass,
    measure: Measure,
) -> OurProgram {
    let mut given = layer.data(batch);
    let weight = given.remove_entry("weight").expect("every layer has one");
    let function = layer.function(batch, pass);
    OurProgram::new(&function, true, measure, &Tensors::from([weight]), &given)
}

#[cfg(feature = "peers")]
mod peers {
    use super::{ConvolutionLayer, ConvolutionPass};
    use bsq_benches::peers::{candle_tensor, read_tensor};
    use bsq_benches::{Implementation, Peer};
    use candle_core::{Result, Tensor, Var};

    pub fn candle(
        layer: ConvolutionLayer,
        batch: usize,
        pass: ConvolutionPass,
    ) -> impl Implementation {
        let data = layer.data(batch);
        let [x, weight, cotangent] =
            ["x", "weight", "cotangent"].map(|name| candle_tensor(&data[name]));
        let work = move || -> Result<Tensor> {
            let forward = |x: &Tensor, w: &Tensor| x.conv2d(w, layer.padding, layer.stride, 1, 1);
            let by = match pass {
                ConvolutionPass::Forward => return forward(&x, &weight),
                ConvolutionPass::ByInput => Var::from_tensor(&x)?,
                ConvolutionPass::ByWeight => Var::from_tensor(&weight)?,
            };
            let y = match pass {
                ConvolutionPass::ByWeight => forward(&x, by.as_tensor())?,
                _ => forward(by.as_tensor(), &weight)?,
            };
            let gradients = (y * &cotangent)?.sum_all()?.backward()?;
            Ok(gradients.get(&by).expect("the sum reads it").clone())
        };
        Peer::new(move || work().expect("shapes fit"), read_tensor)
    }
}
