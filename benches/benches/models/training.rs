//! A whole training step: forward, loss, backward, AdamW and the moving average.

use super::coding::work;
use bsq::pipeline::ModelFile;
use bsq::train::StepProgram;
use bsq_benches::data::tensor;
use bsq_benches::{Agreement, Candidate, Comparison, Measure, OurProgram, Suite, Tensors};
use bsq_runtime::HostTensor;

const LEARNING_RATE: f32 = 1e-4;
const CODEBOOK_WEIGHT: f32 = 0.1;

/// The peer trains the default model only: it lacks the entropies of the others' losses.
pub fn compare(suite: &mut Suite, name: &str, model: &ModelFile, batch: usize, rounds: usize) {
    let mut config = model.config.clone();
    config.data.batch_size = batch;
    let function = StepProgram::function_of(&config, &model.tokenizer);
    let ours = || {
        let parameters = model.parameters.clone();
        let step = StepProgram::new(&config, &model.tokenizer, parameters).expect("memory");
        let scalar = |value| HostTensor::scalar(value).expect("memory");
        let image = tensor(1, &model.tokenizer.image_shape(batch), 1.0);
        let inputs = Tensors::from([
            ("image".to_string(), image),
            ("lr".to_string(), scalar(LEARNING_RATE)),
            ("codebook_weight".to_string(), scalar(CODEBOOK_WEIGHT)),
        ]);
        let program = OurProgram::new(
            &step.function,
            config.train.exact,
            Measure::Run,
            &step.start,
            &inputs,
        );
        Loss(program)
    };
    #[cfg(feature = "peers")]
    let peer = || peers::step(&config, model, batch);
    #[cfg(feature = "peers")]
    let peers = match peers::trains(&config) {
        true => vec![Candidate::new("candle", peer)],
        false => Vec::new(),
    };
    #[cfg(not(feature = "peers"))]
    let peers = Vec::new();
    suite.compare(Comparison {
        name: &format!("training step {name}, batch {batch}"),
        work: work(&function),
        agreement: Agreement::Within(1e-4),
        rounds,
        candidates: [vec![Candidate::new("bsq", ours)], peers]
            .into_iter()
            .flatten()
            .collect(),
    });
}

/// Of a step's scalars, the loss: what steps are compared by.
struct Loss(OurProgram);

impl bsq_benches::Implementation for Loss {
    fn run(&mut self) -> std::time::Duration {
        self.0.run()
    }

    fn result(&mut self) -> Vec<f64> {
        self.0.output("loss")
    }
}

#[cfg(feature = "peers")]
mod peers;
