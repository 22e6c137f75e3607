//! What attention by blocks means: in the interpreter of Kernel IR it is attention by query tiles.

use bsq_codegen::interpret::interpret;
use bsq_codegen::kernel::verify::verify;
use bsq_codegen::lower::{Options, Precision, TilingPolicy};
use bsq_codegen::pipeline;
use bsq_codegen::program::{BufferKind, Program};
use bsq_codegen::ptx;
use bsq_ir::DType::{F32, I32};
use bsq_ir::{Function, Graph};
use bsq_tests::gpu;

/// Runs a program's kernels one after the other; its outputs in order.
fn run(program: &Program, function: &Function) -> Vec<Vec<f32>> {
    let inputs = gpu::inputs(function);
    let contents = |buffer: &bsq_codegen::program::Buffer| match &buffer.kind {
        BufferKind::Input(name) => inputs[name].bytes().to_vec(),
        BufferKind::Constant(bytes) => bytes.to_vec(),
        _ => vec![0xa5; buffer.ty.bytes()],
    };
    let mut memory: Vec<Vec<u8>> = program.buffers.iter().map(contents).collect();
    for launch in &program.launches {
        let kernel = &program.kernels[launch.kernel];
        verify(kernel).unwrap_or_else(|error| panic!("{error}\n{kernel}"));
        let ids = launch.arguments.iter().map(|id| id.0 as usize);
        let mut given: Vec<Vec<u8>> = ids.clone().map(|id| memory[id].clone()).collect();
        let mut slices: Vec<&mut [u8]> = given.iter_mut().map(|bytes| &mut bytes[..]).collect();
        interpret(kernel, &mut slices, 0, kernel.items());
        let changed = ids.zip(given).zip(&kernel.buffers);
        changed
            .filter(|(_, array)| array.written)
            .for_each(|((id, bytes), _)| memory[id] = bytes);
    }
    let number = |word: &[u8]| f32::from_le_bytes(word.try_into().unwrap());
    let outputs = program.outputs.iter();
    outputs
        .map(|(_, id)| memory[id.0 as usize].chunks(4).map(number).collect())
        .collect()
}

#[test]
fn attention_and_its_gradients_by_blocks_are_those_by_query_tiles() {
    let options = ptx::Options {
        tf32: true,
        ..Default::default()
    };
    for (queries, keys, causal) in [(70, 70, false), (70, 70, true), (20, 90, false)] {
        let g = Graph::new();
        let part = |name, length, depth| g.input(name, F32, [2, length, depth]);
        let q = part("q", queries, 32);
        let (k, v) = (part("k", keys, 32), part("v", keys, 16));
        let mask = causal.then(|| {
            let [query, key] = [0, 1].map(|axis| g.iota(I32, [queries, keys], axis));
            key.le(query)
        });
        let y = q.attention(k, v, 0.35, mask);
        let sum = (y * part("g", queries, 16)).sum(..);
        let gradients = bsq_ir::autodiff::gradients(sum, &[q, k, v]);
        let named = ["q", "k", "v"].into_iter().zip(&gradients);
        let outputs = named.map(|(name, d)| (name, d.id()));
        let function = g.function(outputs.chain([("y", y.id())]), []);
        let [tiles, blocks] = [TilingPolicy::CPU, options.tiling(Precision::F32)].map(|tiling| {
            let precision = Default::default();
            pipeline::program(
                &function,
                false,
                &Options {
                    narrow_activations: true,
                    precision,
                    tiling,
                    memory: None,
                },
            )
            .unwrap()
        });
        let text = |program: &Program| -> String {
            program
                .kernels
                .iter()
                .map(|kernel| kernel.to_string())
                .collect()
        };
        for statement in [
            "attend f32",
            "attend backward by queries",
            "attend backward by keys",
        ] {
            assert!(text(&blocks).contains(statement), "no {statement}");
            assert!(
                !text(&tiles).contains(statement),
                "{statement} by query tiles"
            );
        }
        let (wanted, got) = (run(&tiles, &function), run(&blocks, &function));
        for (x, y) in wanted.iter().flatten().zip(got.iter().flatten()) {
            let bound = 1e-5 * x.abs().max(1.0);
            assert!(
                (x - y).abs() <= bound,
                "{x} by query tiles, {y}: {queries} {keys} {causal}"
            );
        }
    }
}
