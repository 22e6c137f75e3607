//! A picture's results do not depend on the batch that it is in.

use bsq::tokenizer::Tokenizer;
use bsq_ir::batch::{BatchAxis, batch_axes};
use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_ir::{DType, Function, Graph, Scope, Type};
use bsq_runtime::program::powers_of_two;
use bsq_runtime::{BatchedProgram, CompileOptions, HostTensor, Outputs, compile};
use bsq_tests::programs::{Choices, Limits, Program, generate};
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

/// A tokenizer serves any number of pictures with the programs of three sizes.
#[test]
fn pictures_in_any_number() {
    let tokenizer = Tokenizer::new(&small_config().model);
    let function = {
        let tokenizer = Tokenizer::new(&small_config().model);
        move |batch| reconstruct(&tokenizer, batch)
    };
    let parameters = tokenizer.init(3).unwrap();
    let sizes = powers_of_two(4);
    let mut batched =
        BatchedProgram::new(function, parameters, CompileOptions::default(), &sizes).unwrap();
    for batch in [1, 3, 5] {
        let pictures = picture(tokenizer.image_shape(batch), 11);
        let served = batched.run(&[("image", &pictures)]).unwrap();
        assert_eq!(
            served,
            run(&tokenizer, &pictures, batch),
            "{batch} pictures"
        );
    }
}

/// The bytes of one sample, or those of all others.
fn bytes_of(value: &Value, at: BatchAxis, samples: usize, of: impl Fn(usize) -> bool) -> Vec<u8> {
    let (shape, bytes) = (value.shape(), value.to_bytes());
    let blocks: usize = shape[..at.axis].iter().product();
    let row = bytes.len() / (blocks * samples).max(1);
    let rows = (0..blocks * samples).filter(|row| of(row % samples));
    rows.flat_map(|number| bytes[number * row..][..row].to_vec())
        .collect()
}

/// An input with the elements of its second sample as its first one too.
fn with_another_first(value: &Value, ty: &Type, at: BatchAxis, samples: usize) -> Value {
    let mut bytes = value.to_bytes();
    let blocks: usize = ty.shape[..at.axis].iter().product();
    let row = bytes.len() / (blocks * samples).max(1);
    for block in 0..blocks {
        let first = block * samples * row;
        bytes.copy_within(first + row..first + 2 * row, first);
    }
    Value::from_bytes(ty.clone(), &bytes)
}

/// What is said to have samples apart has: another first sample changes no other's results. Returns whether
/// anything is said of the program.
fn samples_are_apart(program: &Program, name: &str, ty: &Type, at: BatchAxis) -> bool {
    let function = &program.function;
    let samples = ty.shape[at.axis] / at.each;
    let Ok(axes) = batch_axes(function, samples, &[(name, at)].into()) else {
        return false;
    };
    let run = |inputs: &Values| {
        let run = evaluate(function, inputs, &program.parameters, Precision::F32);
        run.unwrap().outputs
    };
    let mut changed = program.inputs.clone();
    let other = with_another_first(&program.inputs[name], ty, at, samples);
    changed.insert(name.to_string(), other);
    let (one, two) = (run(&program.inputs), run(&changed));
    for (output, at) in &axes {
        let parts = [&one, &two].map(|run| match *at {
            Some(at) => bytes_of(&run[output], at, samples, |sample| sample > 0),
            None => run[output].to_bytes(),
        });
        assert!(parts[0] == parts[1], "`{output}` of\n{function}");
    }
    axes.values().any(Option::is_some)
}

#[test]
fn samples_of_random_programs_are_apart_where_it_is_said() {
    let mut said = 0;
    for seed in 0..4000u64 {
        let program = generate(&mut Choices::from_seed(seed), &Limits::default());
        for (_, name, ty) in program.function.inputs() {
            for (axis, &extent) in ty.shape.iter().enumerate() {
                let divides = |&each: &usize| extent >= 2 * each && extent.is_multiple_of(each);
                for each in (1..=3).filter(divides) {
                    let at = BatchAxis { axis, each };
                    said += usize::from(samples_are_apart(&program, name, ty, at));
                }
            }
        }
    }
    assert!(said > 300, "something is said of {said} programs only");
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
