//! Checked runs find the op and the line that a bad value comes from.

use bsq_ir::{DType, Graph};
use bsq_runtime::{CompileOptions, HostTensor, Session, compile};

fn checked(graph: &Graph, output: bsq_ir::NodeId, check_values: bool) -> Session {
    let function = graph.function([("y", output)], []);
    let options = CompileOptions {
        check_values,
        ..CompileOptions::default()
    };
    let executable = compile(&function, &options).unwrap();
    executable.bind(Default::default()).unwrap()
}

fn floats(values: &[f32]) -> HostTensor {
    HostTensor::from_slice([values.len()], values).unwrap()
}

#[test]
fn indices_outside_of_their_range_are_refused_in_checked_runs() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [3]);
    let line = line!() + 1;
    let y = x.gather(0, g.input("i", DType::I32, [2]));
    let x = floats(&[1.0, 2.0, 3.0]);
    for (indices, outside) in [([0, 2], None), ([1, 3], Some(3)), ([-1, 0], Some(-1))] {
        let i = HostTensor::from_slice([2], &indices).unwrap();
        let inputs = [("x", &x), ("i", &i)];
        assert!(checked(&g, y.id(), false).run(&inputs).is_ok());
        let result = checked(&g, y.id(), true).run(&inputs);
        match outside {
            None => assert!(result.is_ok()),
            Some(index) => {
                let message = result.unwrap_err().to_string();
                let said = format!("gather: index {index} (element ");
                assert!(message.starts_with(&said), "{message}");
                assert!(
                    message.contains(&format!("checked.rs:{line}:")),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn values_that_an_op_makes_of_finite_ones_are_refused_in_checked_runs() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [3]);
    let y = x.log() * 2.0;
    let run = |values: &[f32]| checked(&g, y.id(), true).run(&[("x", &floats(values))]);
    assert!(run(&[1.0, 2.0, f32::INFINITY]).is_ok());
    for (values, said) in [
        (
            [1.0, 0.0, 1.0],
            "log: element 1 of the result is -inf\n  at ",
        ),
        (
            [1.0, 1.0, -1.0],
            "log: element 2 of the result is NaN\n  at ",
        ),
        (
            [f32::NAN, 1.0, 1.0],
            "input: element 0 of the input `x` is NaN",
        ),
    ] {
        let message = run(&values).unwrap_err().to_string();
        assert!(message.starts_with(said), "{message}");
        assert!(message.contains("checked.rs:"), "{message}");
    }
}

#[test]
fn an_input_given_twice_is_refused() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [1]);
    let y = x + 1.0;
    let value = floats(&[1.0]);
    let twice = checked(&g, y.id(), false).run(&[("x", &value), ("x", &value)]);
    assert_eq!(twice.unwrap_err().to_string(), "input `x` is given twice");
}
