//! What the tests share: the same function on the CPU and on the interpreted GPU.

use bsq_ir::{Function, Graph, Tensor};
use bsq_runtime::{CompileOptions, HostTensor, compile};
use bsq_tests::gpu::{self, Gpu, Target};
use std::collections::BTreeMap;

pub type Tensors = BTreeMap<String, HostTensor>;

/// Outputs and new parameters on the CPU.
pub fn on_cpu(function: &Function, inputs: &Tensors, parameters: &Tensors) -> (Tensors, Tensors) {
    let executable = compile(function, &CompileOptions::default()).unwrap();
    let mut session = executable.bind(parameters.clone()).unwrap();
    let given: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, x)| (n.as_str(), x)).collect();
    let outputs = session.run(&given).unwrap();
    let updated = session.parameters().unwrap().into_iter();
    let updated = updated.map(|(name, x)| (name.to_string(), x.clone()));
    (outputs.into(), updated.collect())
}

/// Runs a function on both; everything must be equal, bit for bit.
pub fn check(function: &Function) {
    let inputs = gpu::inputs(function);
    let parameters = gpu::parameters(function);
    let (outputs, updated) = on_cpu(function, &inputs, &parameters);
    let mut gpu = Gpu::new(function, Target::default(), &parameters, 1);
    let given: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, x)| (n.as_str(), x)).collect();
    let got = gpu.run(&given).unwrap_or_else(|fault| panic!("{fault}"));
    same(&outputs, &got.into());
    same(&updated, &gpu.parameters().unwrap());
}

pub fn same(wanted: &Tensors, got: &Tensors) {
    for (name, wanted) in wanted {
        let got = &got[name];
        assert_eq!(wanted.shape(), got.shape(), "{name}");
        let size = wanted.dtype().size();
        let elements = wanted.bytes().chunks(size).zip(got.bytes().chunks(size));
        let differs = elements
            .enumerate()
            .find(|(_, (wanted, got))| wanted != got);
        if let Some((at, (wanted, got))) = differs {
            panic!("{name} differs at element {at}: {wanted:02x?}, on the GPU {got:02x?}");
        }
    }
}

pub fn check_output(build: impl for<'g> Fn(&'g Graph) -> Tensor<'g>) {
    let g = Graph::new();
    let y = build(&g);
    check(&g.function([("y", y.id())], []));
}
