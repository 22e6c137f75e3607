//! A picture's results do not depend on the batch that it is in.

use bsq::tokenizer::Tokenizer;
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_runtime::{CompileOptions, HostTensor, Outputs, compile};
use bsq_tests::{picture, small_config};

fn reconstruct(tokenizer: &Tokenizer, batch: usize) -> Function {
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let image = graph.input("image", DType::F32, tokenizer.image_shape(batch));
    let forward = tokenizer.forward(&scope, image);
    let outputs = [
        ("indices", forward.encoded.indices.id()),
        ("u", forward.encoded.u.id()),
        ("reconstruction", forward.decoded.reconstruction.id()),
    ];
    graph.function(outputs, [])
}

fn run(tokenizer: &Tokenizer, image: &HostTensor, batch: usize) -> Outputs {
    let function = reconstruct(tokenizer, batch);
    let executable = compile(&function, &CompileOptions::default()).unwrap();
    let mut session = executable.bind(tokenizer.init(3).unwrap()).unwrap();
    session.run(&[("image", image)]).unwrap()
}

#[test]
fn one_picture_or_five() {
    let tokenizer = Tokenizer::new(&small_config().model);
    let shape = tokenizer.image_shape(5);
    let all = picture(shape, 11);
    let together = run(&tokenizer, &all, 5);
    let pixels = all.as_slice::<f32>().unwrap();
    for (index, one) in pixels.chunks(pixels.len() / 5).enumerate() {
        let one = HostTensor::from_slice(tokenizer.image_shape(1).to_vec(), one).unwrap();
        for (name, alone) in run(&tokenizer, &one, 1) {
            let size = alone.bytes().len();
            let part = &together[&name].bytes()[index * size..(index + 1) * size];
            assert!(
                alone.bytes() == part,
                "{name} of picture {index} depends on the batch"
            );
        }
    }
}
