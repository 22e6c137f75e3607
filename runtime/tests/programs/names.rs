//! Names that are nearly right: what is wrong says what was perhaps meant.

use bsq_ir::{DType::F32, Graph};
use bsq_runtime::{CompileOptions, Executable, HostTensor, Outputs, compile};

fn executable() -> Executable {
    let g = Graph::new();
    let x = g.input("image", F32, [2]);
    let w = g.parameter("weight", F32, [2]);
    let function = g.function([("loss", (x * w).sum(..).id())], []);
    compile(&function, &CompileOptions::default()).unwrap()
}

fn numbers() -> HostTensor {
    HostTensor::from_slice([2], &[1.0f32, 2.0]).unwrap()
}

#[test]
fn an_unknown_parameter_or_input_names_the_nearest() {
    let bound = executable().bind([("wieght".to_string(), numbers())].into());
    let message = bound.err().unwrap().to_string();
    assert_eq!(
        message,
        "parameter `wieght` is not part of the program; it has: weight; did you mean `weight`?"
    );
    let bound = executable().bind([("weight".to_string(), numbers())].into());
    let mut session = bound.unwrap();
    let message = session.run(&[("imag", &numbers())]).unwrap_err();
    assert!(
        message
            .to_string()
            .ends_with("it has: image; did you mean `image`?")
    );
    let message = session.parameter("bias").unwrap_err().to_string();
    assert!(message.ends_with("it has: weight"), "{message}");
    let message = session.set_parameter("weights", &numbers()).unwrap_err();
    assert!(message.to_string().ends_with("did you mean `weight`?"));
}

#[test]
#[should_panic = "the program has no output `los`; it has: loss; did you mean `loss`?"]
fn an_unknown_output_names_the_nearest() {
    let bound = executable().bind([("weight".to_string(), numbers())].into());
    let outputs = bound.unwrap().run(&[("image", &numbers())]).unwrap();
    let _ = &outputs["los"];
}

#[test]
fn outputs_are_a_map() {
    let list = ["b", "a"].map(|name| (name.to_string(), numbers()));
    let mut outputs: Outputs = list.into_iter().collect();
    assert_eq!(outputs.names().collect::<Vec<_>>(), ["a", "b"]);
    assert!(outputs.contains("a") && !outputs.contains("c"));
    assert_eq!((outputs.len(), outputs.take("a")), (2, numbers()));
    assert!(outputs.get("a").is_none() && !outputs.is_empty());
    let left: Vec<(String, HostTensor)> = outputs.into_iter().collect();
    assert_eq!(left, [("b".to_string(), numbers())]);
}

#[test]
fn what_is_given_in_another_type_names_the_call_that_converts() {
    let bound = executable().bind([("weight".to_string(), numbers())].into());
    let mut session = bound.unwrap();
    let mut message = |given: HostTensor| {
        let refused = session.run(&[("image", &given)]).unwrap_err();
        refused.to_string()
    };
    let long = HostTensor::from_slice([2], &[1i64, 2]).unwrap();
    assert_eq!(
        message(long.clone()),
        "input `image` must be f32[2], got i64[2]\n  \
         help: `HostTensor::to_exact(DType::F32)` converts numbers that are f32 too"
    );
    let half = numbers().to_dtype(bsq_ir::DType::F16).unwrap();
    assert!(message(half.clone()).ends_with("`HostTensor::to_dtype(DType::F32)` rounds to f32"));
    let row = numbers().reshape([1, 2]).unwrap();
    assert!(message(row).ends_with("`HostTensor::reshape` has the same elements in the shape [2]"));
    let more = HostTensor::zeros(F32, [3]).unwrap();
    assert_eq!(message(more), "input `image` must be f32[2], got f32[3]");
    // What the messages name does convert.
    for given in [long.to_exact(F32), half.to_dtype(F32)] {
        session.run(&[("image", &given.unwrap())]).unwrap();
    }
}
