//! What `benches/instructions/check.sh` counts the instructions of: one run of a small program.
//!
//! `counted encode|decode|train`. Only what [`counted_run`] does is counted: not compiling, not
//! binding, and not the first run, which packs weights.

use bsq::config::Config;
use bsq::pipeline::{decode_function, encode_function};
use bsq::tokenizer::Tokenizer;
use bsq::train::StepProgram;
use bsq_benches::data::tensor;
use bsq_ir::DType;
use bsq_runtime::executor::Tensors;
use bsq_runtime::{CompileOptions, HostTensor, Outputs, Session, compile};
use std::error::Error;
use std::hint::black_box;

/// All kinds of kernels of the full-size model, and sizes that no tile divides.
const CONFIG: &str = "
[model]
embed_dim = 36
embed_group_size = 1
persample_entropy_compute = 'analytical'
l2_norm = true
post_q_l2_norm = true
[model.vitconfig]
image_size = 72
patch_size = 8
width = 96
layers = 2
heads = 3
mlp_ratio = 4
dim_ffn_output = 200
[loss]
codebook_weight = 0.1
skip_disc = true
perceptual_weight = 0.0
[train]
use_ema = true
";

fn main() -> Result<(), Box<dyn Error>> {
    let program = std::env::args().nth(1).unwrap_or_default();
    let mut config = Config::from_toml(CONFIG)?;
    config.data.batch_size = 1;
    let tokenizer = Tokenizer::new(&config.model);
    let parameters = tokenizer.init(0)?;
    let (function, parameters) = match program.as_str() {
        "encode" => (encode_function(&tokenizer, 1), parameters),
        "decode" => (decode_function(&tokenizer, 1), parameters),
        "train" => {
            let step = StepProgram::new(&config, &tokenizer, parameters)?;
            (step.function, step.start)
        }
        _ => return Err("usage: counted encode|decode|train".into()),
    };
    // A second thread would spin, and waiting is no work.
    let options = CompileOptions {
        exact: program != "train" || config.train.exact,
        threads: 1,
        ..CompileOptions::default()
    };
    let read = function.parameters();
    let bound = read.map(|(_, name, _)| (name.to_string(), parameters[name].clone()));
    let mut session = compile(&function, &options)?.bind(bound.collect())?;
    let mut inputs = Tensors::new();
    for (_, name, ty) in function.inputs() {
        let value = match ty.dtype {
            DType::F32 => tensor(1, &ty.shape, 0.5),
            dtype => HostTensor::zeros(dtype, ty.shape.to_vec())?,
        };
        inputs.insert(name.to_string(), value);
    }
    let given: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, t)| (&**n, t)).collect();
    session.run(&given)?;
    black_box(counted_run(&mut session, &given));
    Ok(())
}

/// The name that the script looks for.
#[unsafe(no_mangle)]
#[inline(never)]
fn counted_run(session: &mut Session, given: &[(&str, &HostTensor)]) -> Option<Outputs> {
    session.run(given).ok()
}
