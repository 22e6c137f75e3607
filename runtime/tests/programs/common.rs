//! Runs a function in every way there is and compares it with the evaluator, bit for bit.

use bsq_codegen::cpu::microkernel::Family;
use bsq_ir::autodiff::gradients;
use bsq_ir::eval::{Data, Precision, Value, Values, evaluate};
use bsq_ir::{DType, Function, Graph, Scope, Tensor, Type};
use bsq_runtime::{CompileOptions, HostTensor, compile};

/// Uneven numbers of both signs from a name and an index.
pub fn fill(name: &str, ty: &Type) -> Value {
    let seed = name
        .bytes()
        .fold(17u32, |h, b| h.wrapping_mul(31).wrapping_add(u32::from(b)));
    let draw = |i: usize| {
        let mut h = seed ^ (i as u32).wrapping_mul(0x9E37_79B9);
        h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
        h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
        h ^ (h >> 16)
    };
    let count = ty.shape.elements();
    let data = match ty.dtype {
        DType::F32 => {
            let value = |i| (f64::from(draw(i)) / 2f64.powi(31) - 1.0) as f32;
            Data::F32((0..count).map(value).collect())
        }
        DType::I32 => Data::I32((0..count).map(|i| (draw(i) % 7) as i32).collect()),
        DType::BF16 => {
            let value = |i| half::bf16::from_f64(f64::from(draw(i)) / 2f64.powi(31) - 1.0);
            Data::BF16((0..count).map(value).collect())
        }
        DType::F16 => {
            let value = |i| half::f16::from_f64(f64::from(draw(i)) / 2f64.powi(31) - 1.0);
            Data::F16((0..count).map(value).collect())
        }
        DType::U8 => Data::U8((0..count).map(|i| (draw(i) >> 24) as u8).collect()),
        DType::U64 => Data::U64((0..count).map(|i| u64::from(draw(i))).collect()),
        dtype => panic!("no test data for {dtype}"),
    };
    Value::new(&ty.shape, data)
}

pub fn host(value: &Value) -> HostTensor {
    HostTensor::from_bytes(value.dtype(), value.shape().to_vec(), &value.to_bytes()).unwrap()
}

/// Compares outputs and updates under every microkernel family, with 1 and 2 threads.
pub fn check(function: &Function) {
    check_on(function, fill);
}

/// The same of values that `fill` gives by name and type. Two runs in a row: the second one starts
/// from what the first one left.
pub fn check_on(function: &Function, fill: impl Fn(&str, &Type) -> Value) {
    let given = |name: &str, ty: &Type| (name.to_string(), fill(name, ty));
    let inputs: Values = function
        .inputs()
        .map(|(_, name, ty)| given(name, ty))
        .collect();
    let parameters: Values = function
        .parameters()
        .map(|(_, name, ty)| given(name, ty))
        .collect();
    let first = evaluate(function, &inputs, &parameters, Precision::F32).unwrap();
    let mut updated = parameters.clone();
    updated.extend(first.updates.clone());
    let second = evaluate(function, &inputs, &updated, Precision::F32).unwrap();
    for family in Family::all_supported() {
        for threads in [1, 2] {
            let options = CompileOptions {
                family: Some(family),
                threads,
                ..Default::default()
            };
            let executable = compile(function, &options).unwrap();
            let bound = parameters
                .iter()
                .map(|(name, value)| (name.clone(), host(value)));
            let mut session = executable.bind(bound.collect()).unwrap();
            let given: Vec<(&str, HostTensor)> = inputs
                .iter()
                .map(|(name, value)| (name.as_str(), host(value)))
                .collect();
            let given: Vec<(&str, &HostTensor)> =
                given.iter().map(|(name, value)| (*name, value)).collect();
            for (run, wanted) in [&first, &second].into_iter().enumerate() {
                let outputs = session.run(&given).unwrap();
                let way = format!("(run {run}, {family}, {threads} threads)");
                for (name, value) in &wanted.outputs {
                    same(&format!("{name} {way}"), value, &outputs[name]);
                }
                for (name, value) in &wanted.updates {
                    same(
                        &format!("new {name} {way}"),
                        value,
                        session.parameter(name).unwrap(),
                    );
                }
            }
        }
    }
}

fn same(what: &str, wanted: &Value, got: &HostTensor) {
    let got = Value::from_bytes(wanted.ty().clone(), got.bytes());
    if let Some(at) = wanted.first_difference(&got) {
        panic!(
            "{what} differs first at element {at} of {}\n{wanted:?}\n{got:?}",
            wanted.ty()
        );
    }
}

/// Compares a function of one output.
pub fn check_output(build: impl for<'g> Fn(&'g Graph) -> Tensor<'g>) {
    let g = Graph::new();
    let y = build(&g);
    check(&g.function([("y", y.id())], []));
}

/// A step of gradient descent: the loss, and every parameter less its gradient times the input `rate`.
pub fn descent<'g>(model: &Scope<'g>, loss: Tensor<'g>) -> Function {
    let g = loss.graph();
    let parameters = model.parameters();
    let steps = parameters.iter().zip(gradients(loss, &parameters));
    let updates = steps.map(|(parameter, gradient)| {
        let updated = *parameter - gradient * g.scalar("rate");
        (parameter.id(), updated.id())
    });
    let updates: Vec<_> = updates.collect();
    g.function([("loss", loss.id())], updates)
}
