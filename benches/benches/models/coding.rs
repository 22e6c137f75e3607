//! Pictures to indices, and indices to pictures.

use bsq::pipeline::{ModelFile, decode_function, encode_function};
use bsq_benches::data::tensor;
use bsq_benches::{Agreement, Candidate, Comparison, Measure, OurProgram, Suite, Tensors, Work};
use bsq_codegen::pipeline;
use bsq_ir::Function;
use bsq_ir::philox::random_word;
use bsq_runtime::HostTensor;

/// Tokens of which a bit may differ: features so near to zero that rounding decides.
const FLIPPED_TOKENS: f64 = 1e-3;

pub fn compare(suite: &mut Suite, name: &str, model: &ModelFile, batch: usize, rounds: usize) {
    let encode = encode_function(&model.tokenizer, batch);
    suite.compare(Comparison {
        name: &format!("encode {name}, batch {batch}"),
        work: work(&encode),
        agreement: Agreement::EqualBut(FLIPPED_TOKENS),
        rounds,
        candidates: vec![
            Candidate::new("bsq", || ours(&encode, model, &pictures(model, batch))),
            #[cfg(feature = "peers")]
            Candidate::new("candle", || peers::encode(model, &pictures(model, batch))),
        ],
    });
    let decode = decode_function(&model.tokenizer, batch);
    suite.compare(Comparison {
        name: &format!("decode {name}, batch {batch}"),
        work: work(&decode),
        agreement: Agreement::Within(1e-4),
        rounds,
        candidates: vec![
            Candidate::new("bsq", || ours(&decode, model, &indices(model, batch))),
            #[cfg(feature = "peers")]
            Candidate::new("candle", || peers::decode(model, &indices(model, batch))),
        ],
    });
}

/// Operations of contractions, and the bytes of parameters and inputs.
pub fn work(function: &Function) -> Work {
    let program = pipeline::program(function, false, &Default::default()).expect("a program");
    let parameters = function.parameters().map(|(_, _, ty)| ty.bytes());
    let inputs = function.inputs().map(|(_, _, ty)| ty.bytes());
    Work {
        flops: program.flops() as f64,
        bytes: parameters.chain(inputs).sum::<usize>() as f64,
    }
}

fn ours(function: &Function, model: &ModelFile, inputs: &Tensors) -> OurProgram {
    let names = function.parameters().map(|(_, name, _)| name.to_string());
    let read = names.map(|name| (name.clone(), model.parameters[&name].clone()));
    OurProgram::new(function, true, Measure::Run, &read.collect(), inputs)
}

fn pictures(model: &ModelFile, batch: usize) -> Tensors {
    let shape = model.tokenizer.image_shape(batch);
    Tensors::from([("image".to_string(), tensor(1, &shape, 1.0))])
}

fn indices(model: &ModelFile, batch: usize) -> Tensors {
    let (tokens, bits) = (
        model.config.model.decoder.tokens(),
        model.config.model.quantizer.bits_per_token(),
    );
    let word =
        |i| u64::from(random_word(1, 0, 2 * i)) << 32 | u64::from(random_word(1, 0, 2 * i + 1));
    let indices: Vec<u64> = (0..(batch * tokens) as u64)
        .map(|i| word(i) >> (64 - bits))
        .collect();
    let indices = HostTensor::from_slice([batch, tokens], &indices).expect("the shape fits");
    Tensors::from([("indices".to_string(), indices)])
}

#[cfg(feature = "peers")]
mod peers {
    use super::{ModelFile, Tensors};
    use bsq_benches::peers::{CandleWeights, candle_tensor, read_indices, read_tensor};
    use bsq_benches::{Implementation, Peer};

    pub fn encode(model: &ModelFile, given: &Tensors) -> impl Implementation + use<> {
        let weights = CandleWeights::new(&model.parameters, false);
        let vit = model.config.model.encoder.clone();
        let image = candle_tensor(&given["image"]);
        let work = move || weights.encode(&vit, &image).expect("shapes fit");
        Peer::new(work, read_indices)
    }

    pub fn decode(model: &ModelFile, given: &Tensors) -> impl Implementation + use<> {
        let weights = CandleWeights::new(&model.parameters, false);
        let vit = model.config.model.decoder.clone();
        let bits = model.config.model.quantizer.bits_per_token();
        let indices = given["indices"].as_slice::<u64>();
        let indices = indices.expect("a u64 tensor").to_vec();
        let work = move || weights.decode(&vit, bits, &indices).expect("shapes fit");
        Peer::new(work, read_tensor)
    }
}
