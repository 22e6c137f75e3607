//! What runs again when parameters are set.

use bsq_ir::{DType, Graph};
use bsq_runtime::{CompileOptions, HostTensor, Session, compile};

/// Weights are packed when they are bound; one that is replaced is packed again, and no other.
#[test]
fn a_parameter_that_changes_has_its_own_launches_run_again() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [32, 64]);
    let [v, w] = ["v", "w"].map(|name| g.parameter(name, DType::F32, [64, 64]));
    let y = x.matmul(v).exp().matmul(w.exp());
    let function = g.function([("y", y.id())], []);
    let executable = compile(&function, &CompileOptions::default()).unwrap();
    let value = |rows: usize, scale: f32| {
        let values: Vec<f32> = (0..rows * 64).map(|i| (i % 7) as f32 * scale).collect();
        HostTensor::from_slice([rows, 64], &values).unwrap()
    };
    let bind = |v: &HostTensor, w: &HostTensor| {
        let parameters = [("v", v), ("w", w)];
        let parameters = parameters.map(|(name, value)| (name.to_string(), value.clone()));
        executable.bind(parameters.into()).unwrap()
    };
    let x = value(32, 0.01);
    let (v, w, other) = (value(64, 0.01), value(64, 0.02), value(64, 0.03));
    let mut session = bind(&v, &w);
    let invariant = |session: &mut Session| {
        let (_, launches) = session.profile(&[("x", &x)]).unwrap();
        let all = &executable.program().launches;
        launches
            .iter()
            .filter(|time| all[time.launch].invariant)
            .count()
    };
    let all = invariant(&mut session);
    assert!(all >= 2, "{all}");
    assert_eq!(invariant(&mut session), 0);
    let mut again = 0;
    for (name, changed) in [("v", bind(&other, &w)), ("w", bind(&v, &other))] {
        let mut changed = changed;
        session = bind(&v, &w);
        session.run(&[("x", &x)]).unwrap();
        session.set_parameter(name, &other).unwrap();
        let outputs = session.run(&[("x", &x)]).unwrap();
        assert_eq!(outputs, changed.run(&[("x", &x)]).unwrap());
        session.set_parameter(name, &other).unwrap();
        again += invariant(&mut session);
    }
    assert_eq!(again, all);
}
