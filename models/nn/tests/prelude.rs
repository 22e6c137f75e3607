//! A model with nothing but the prelude: defined, trained, saved, loaded, and run in batches of any
//! size, as a program does it whose `Cargo.toml` names `bsq-nn` alone.

use bsq_nn::prelude::*;

/// Guesses `[batch, 1]` of points `[batch, 2]`.
fn guess<'g>(model: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    Mlp::new(16, 1).forward(model, x)
}

#[test]
fn a_perceptron_is_trained_saved_and_loaded() {
    const BATCH: usize = 8;
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [BATCH, 2]);
    let y = g.input("y", DType::F32, [BATCH, 1]);
    let loss = (guess(&model, x) - y).square().mean(..);
    let step = minimize(loss, &model.parameters(), &AdamW::new(g.scalar("lr")));

    let batch = |step: u64| {
        let x: Vec<f32> = (0..2 * BATCH as u64)
            .map(|i| ((step * 16 + i) as f32).sin())
            .collect();
        let y: Vec<f32> = x.chunks(2).map(|x| x[0] * x[1]).collect();
        Ok(vec![
            ("x", HostTensor::from_slice([BATCH, 2], &x)?),
            ("y", HostTensor::from_slice([BATCH, 1], &y)?),
        ])
    };
    let folder = tempfile::tempdir().unwrap();
    let parameters = init(&model.specs(), 1).unwrap();
    let outcome = Training::new(folder.path(), &step, parameters)
        .unwrap()
        .steps(400)
        .learning_rate(|_| 0.02)
        .run(by_step(batch), &mut Silent)
        .unwrap();
    assert!(outcome.loss.unwrap() < 0.02, "{outcome:?}");

    // Another program, from the file.
    let specs = model.specs();
    let weights = weights::load(&outcome.checkpoint, &specs).unwrap();
    let file = folder.path().join("weights.safetensors");
    weights::save(&file, &weights, Weights::Raw).unwrap();
    let weights = weights::load(&file, &specs).unwrap();
    let function = |batch: usize| {
        let g = Graph::new();
        let x = g.input("x", DType::F32, [batch, 2]);
        g.function([("y", guess(&Scope::root(&g), x).id())], [])
    };
    let sizes = powers_of_two(4);
    let options = CompileOptions::default();
    let mut model = BatchedProgram::new(function, weights, options, &sizes).unwrap();
    let points = [[0.5f32, 0.5], [-0.5, 0.5], [0.9, -0.9]];
    let x = HostTensor::from_slice([3, 2], &points.concat()).unwrap();
    let outputs = model.run(&[("x", &x)]).unwrap();
    for (guess, [x, y]) in outputs["y"].as_slice::<f32>().unwrap().iter().zip(points) {
        assert!((guess - x * y).abs() < 0.3, "{guess} for {}", x * y);
    }
}
