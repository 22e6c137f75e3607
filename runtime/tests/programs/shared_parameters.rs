//! Parameters that several programs and their readers share: nobody sees what another writes.

use bsq_ir::{DType, Function, Graph};
use bsq_runtime::{BoundPrograms, CompileOptions, HostTensor, Session, compile};

/// `p <- p + x`, and `y`, the old `p` times two.
fn accumulate() -> Function {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [4]);
    let p = g.parameter("p", DType::F32, [4]);
    g.function([("y", (p * 2.0).id())], [(p.id(), (p + x).id())])
}

fn tensor(value: f32) -> HostTensor {
    HostTensor::from_slice([4], &[value; 4]).unwrap()
}

fn value(tensor: &HostTensor) -> f32 {
    tensor.as_slice::<f32>().unwrap()[0]
}

fn bound(p: &HostTensor) -> Session {
    let executable = compile(&accumulate(), &CompileOptions::default()).unwrap();
    executable
        .bind([("p".to_string(), p.clone())].into())
        .unwrap()
}

#[test]
fn an_update_leaves_every_other_holder_of_the_value_as_it_was() {
    let start = tensor(1.0);
    let (mut first, mut second) = (bound(&start), bound(&start));
    let x = tensor(10.0);
    assert_eq!(value(&first.run(&[("x", &x)]).unwrap()["y"]), 2.0);
    let read = first.parameter("p").unwrap().clone();
    assert_eq!(value(&first.run(&[("x", &x)]).unwrap()["y"]), 22.0);
    assert_eq!(value(&read), 11.0, "what was read stays");
    assert_eq!(value(first.parameter("p").unwrap()), 21.0);
    assert_eq!(value(&start), 1.0, "the start stays");
    assert_eq!(value(&second.run(&[("x", &x)]).unwrap()["y"]), 2.0);
}

#[test]
fn a_parameter_that_is_set_is_read_and_not_written_through() {
    let (start, other) = (tensor(1.0), tensor(5.0));
    let mut session = bound(&start);
    let x = tensor(1.0);
    session.run(&[("x", &x)]).unwrap();
    session.set_parameter("p", &other).unwrap();
    for expected in [10.0, 12.0, 14.0] {
        assert_eq!(value(&session.run(&[("x", &x)]).unwrap()["y"]), expected);
    }
    assert_eq!(value(&other), 5.0);
}

#[test]
fn programs_are_kept_as_long_as_there_is_room() {
    let parameters = [("p".to_string(), tensor(1.0))].into();
    let mut programs = BoundPrograms::new(parameters, CompileOptions::default(), 2);
    let x = tensor(10.0);
    let run = |programs: &mut BoundPrograms<u8>, key| {
        let session = programs.get(key, accumulate).unwrap();
        value(&session.run(&[("x", &x)]).unwrap()["y"])
    };
    assert_eq!(run(&mut programs, 1), 2.0);
    assert_eq!(run(&mut programs, 2), 2.0);
    assert_eq!(run(&mut programs, 1), 22.0, "its state is its program's");
    assert_eq!(run(&mut programs, 3), 2.0);
    assert_eq!(programs.keys().copied().collect::<Vec<_>>(), [1, 3]);
    assert_eq!(run(&mut programs, 1), 42.0);
    assert_eq!(run(&mut programs, 2), 2.0, "it was dropped and begins anew");
    assert_eq!(value(&programs.parameters()["p"]), 1.0);
}

#[test]
fn a_missing_parameter_is_named() {
    let mut programs = BoundPrograms::new(Default::default(), CompileOptions::default(), 1);
    let error = programs.get((), accumulate).err().unwrap().to_string();
    assert!(error.contains("`p`"), "{error}");
}
