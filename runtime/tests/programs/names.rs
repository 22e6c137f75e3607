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
