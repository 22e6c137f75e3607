//! What a graph makes of training crops, for the statistics that a training starts from.

use super::TrainError;
use crate::data::Dataset;
use bsq_ir::{DType, Graph, Scope, Tensor};
use bsq_runtime::executor::Tensors;
use bsq_runtime::{CompileOptions, HostTensor, compile};

/// What `features` makes of batches of `shape`: at least `count` vectors along its last axis, one after
/// another.
pub(super) fn samples(
    shape: [usize; 4],
    dataset: &Dataset,
    parameters: &Tensors,
    count: usize,
    features: impl for<'g> Fn(&Scope<'g>, Tensor<'g>) -> Tensor<'g>,
) -> Result<Vec<f32>, TrainError> {
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let output = features(&scope, graph.input("image", DType::F32, shape));
    let length = output.shape().last().copied().unwrap_or(1);
    let function = graph.function([("features", output.id())], []);
    let own = scope.specs().into_iter();
    let own = own.map(|spec| (spec.name.clone(), parameters[&spec.name].clone()));
    let mut session = compile(&function, &CompileOptions::default())?.bind(own.collect())?;
    let mut samples = Vec::new();
    let mut step = 0;
    while samples.len() < count * length {
        let batch = dataset.batch(step)?;
        let image = HostTensor::from_slice(batch.shape, &batch.images)?;
        let outputs = session.run(&[("image", &image)])?;
        samples.extend_from_slice(outputs["features"].as_slice::<f32>()?);
        step += 1;
    }
    Ok(samples)
}
