//! Attention with a block-causal mask: what is masked is not computed, and the rest has the bits of
//! unmasked attention over what a block sees.

use super::attention::fused;
use super::common::{fill, host};
use bsq_codegen::kernel::{Kernel, Stmt, Var};
use bsq_codegen::lower::{Options, Precision, TilingPolicy};
use bsq_codegen::{pipeline, ptx};
use bsq_ir::{DType, Float, Function, Graph, Mask, Op, Tensor};
use bsq_runtime::{CompileOptions, compile};
use proptest::prelude::*;
use std::collections::HashMap;

/// Output, maxima, sums and the gradients of q, k and v.
const RESULTS: [&str; 6] = ["o", "m", "z", "dq", "dk", "dv"];

/// Attention and its backward pass, or only the first.
fn results<'g>(
    g: &'g Graph,
    mask: Mask,
    [q, k, v, gradient]: [Tensor<'g>; 4],
    backward: bool,
) -> Vec<Tensor<'g>> {
    let scale = Float::new(0.37);
    let operands = [q, k, v].map(|x| x.id());
    let forward = g.add_node(Op::Attention { scale, mask }, &operands);
    let mut all = [0, 1, 2].map(|index| g.result(forward, index)).to_vec();
    if backward {
        let operands = [q, k, v, all[1], all[2], gradient].map(|x| x.id());
        let backward = g.add_node(Op::AttentionBackward { scale, mask }, &operands);
        all.extend([0, 1, 2].map(|index| g.result(backward, index)));
    }
    all
}

trait Nodes {
    fn add_node(&self, op: Op, operands: &[bsq_ir::NodeId]) -> bsq_ir::NodeId;
    fn result(&self, node: bsq_ir::NodeId, index: usize) -> Tensor<'_>;
}

impl Nodes for Graph {
    fn add_node(&self, op: Op, operands: &[bsq_ir::NodeId]) -> bsq_ir::NodeId {
        self.add(op, operands).unwrap()
    }

    fn result(&self, node: bsq_ir::NodeId, index: usize) -> Tensor<'_> {
        Tensor::new(self, self.add_node(Op::Projection(index), &[node]))
    }
}

fn operands(g: &Graph, [queries, keys]: [usize; 2], depth: usize) -> [Tensor<'_>; 4] {
    let lengths = [("q", queries), ("k", keys), ("v", keys), ("g", queries)];
    lengths.map(|(name, length)| g.input(name, DType::F32, [2, length, depth]))
}

/// Multiply-adds of contractions and elementwise operations, of all items of the kernels that contract.
fn operations(function: &Function, tiling: TilingPolicy) -> [usize; 2] {
    let precision = Default::default();
    let program = pipeline::program(
        function,
        true,
        &Options {
            narrow_activations: true,
            precision,
            tiling,
            memory: None,
        },
    )
    .unwrap();
    let mut counted = [0; 2];
    for launch in &program.launches {
        let kernel = &program.kernels[launch.kernel];
        if kernel.to_string().contains("contract") {
            for item in 0..kernel.items() {
                let mut vars = point(kernel, item);
                count(&kernel.body, &mut vars, &mut counted);
            }
        }
    }
    assert!(counted[0] > 0, "attention contracts");
    counted
}

fn point(kernel: &Kernel, item: usize) -> HashMap<Var, i64> {
    let mut rest = item;
    let mut vars = HashMap::new();
    for axis in kernel.grid.iter().rev() {
        vars.insert(axis.var, (rest % axis.extent) as i64);
        rest /= axis.extent;
    }
    vars
}

fn count(body: &[Stmt], vars: &mut HashMap<Var, i64>, counted: &mut [usize; 2]) {
    for stmt in body {
        let (var, extent, inner) = match stmt {
            Stmt::Loop {
                var, extent, body, ..
            } => (*var, extent, body),
            Stmt::Reduce(reduce) => (reduce.var, &reduce.extent, &reduce.body),
            Stmt::Contract(c) => {
                let [m, n, k] = [&c.m, &c.n, &c.k].map(|extent| extent.evaluate(|var| vars[&var]));
                counted[0] += m * n * k;
                continue;
            }
            _ => {
                counted[1] += 1;
                continue;
            }
        };
        let turns = extent.evaluate(|var| vars[&var]);
        counted[1] += turns * usize::from(matches!(stmt, Stmt::Reduce(_)));
        for turn in 0..turns {
            vars.insert(var, turn as i64);
            count(inner, vars, counted);
        }
    }
}

/// The operations of 16 frames of 16 tokens, and those of attention without a mask of each frame to
/// the frames that it sees.
fn of_frames(tiling: TilingPolicy, backward: bool) -> ([usize; 2], [usize; 2]) {
    const FRAMES: usize = 16;
    const TOKENS: usize = 16;
    let of = |lengths: [usize; 2], mask: Mask| {
        let g = Graph::new();
        let all = results(&g, mask, operands(&g, lengths, 32), backward);
        let asked = if backward { &all[3..] } else { &all[..1] };
        let outputs = asked.iter().zip(RESULTS).map(|(x, name)| (name, x.id()));
        let function = g.function(outputs, []);
        operations(&function, tiling)
    };
    let length = FRAMES * TOKENS;
    let masked = of([length; 2], Mask::BlockCausal { size: TOKENS });
    let mut by_frames = [0; 2];
    for frame in 1..=FRAMES {
        let of_frame = of([TOKENS, frame * TOKENS], Mask::None);
        by_frames = [0, 1].map(|i| by_frames[i] + of_frame[i]);
    }
    (masked, by_frames)
}

#[test]
fn nothing_masked_is_computed_on_the_cpu() {
    let (masked, by_frames) = of_frames(TilingPolicy::CPU, false);
    assert_eq!(masked, by_frames);
    // Both count the forward pass, and unmasked frames fill gradients of their own keys with zero.
    let (masked, by_frames) = of_frames(TilingPolicy::CPU, true);
    assert_eq!(masked[0], by_frames[0]);
    assert!(masked[1] <= by_frames[1], "{masked:?} {by_frames:?}");
}

#[test]
fn nothing_masked_is_computed_beyond_a_tile_on_a_gpu() {
    let tiling = ptx::Options::default().tiling(Precision::F32);
    let (masked, by_frames) = of_frames(tiling, false);
    assert_eq!(masked, by_frames);
    let (masked, by_frames) = of_frames(tiling, true);
    // Tiles of 64 queries against blocks of keys: at most 48 keys more for each, in four products.
    let most = by_frames[0] + 2 * 256 * 48 * 4 * 32;
    assert!(masked[0] <= most, "{} of at most {most}", masked[0]);
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Compares with a block after the other: every row of queries, and the gradients of the keys of the
/// last block, which no other sees.
fn is_that_of_blocks(length: usize, size: usize, depth: usize, threads: usize) {
    let g = Graph::new();
    let [q, k, v, gradient] = operands(&g, [length; 2], depth);
    let mask = Mask::BlockCausal { size };
    let masked = results(&g, mask, [q, k, v, gradient], true);
    let mut outputs: Vec<(String, _)> = Vec::new();
    for (name, result) in RESULTS.iter().zip(&masked) {
        outputs.push((format!("{name} masked"), result.id()));
    }
    for start in (0..length).step_by(size) {
        let end = (start + size).min(length);
        let rows = |x: Tensor<'_>, start| x.slice(1, start..end).id();
        let part = |x, start| Tensor::new(&g, rows(x, start));
        let of_block = [
            part(q, start),
            part(k, 0),
            part(v, 0),
            part(gradient, start),
        ];
        for (name, result) in RESULTS.iter().zip(results(&g, Mask::None, of_block, true)) {
            outputs.push((format!("{name} {start}"), result.id()));
        }
    }
    let named = outputs.iter().map(|(name, id)| (name.as_str(), *id));
    let function = g.function(named, []);
    let options = CompileOptions {
        threads,
        ..Default::default()
    };
    let mut session = compile(&function, &options)
        .unwrap()
        .bind(Default::default())
        .unwrap();
    let given: Vec<_> = function
        .inputs()
        .map(|(_, name, ty)| (name, host(&fill(name, ty))))
        .collect();
    let given: Vec<_> = given.iter().map(|(name, value)| (*name, value)).collect();
    let outputs = session.run(&given).unwrap();
    let of = |name: &str, part: String| {
        outputs[&*format!("{name} {part}")]
            .as_slice::<f32>()
            .unwrap()
    };
    let last = (length - 1) / size * size;
    for name in RESULTS {
        let masked = of(name, "masked".into());
        let width = masked.len() / (2 * length);
        for start in (0..length).step_by(size) {
            let of_keys = ["dk", "dv"].contains(&name);
            if of_keys && start != last {
                continue;
            }
            let end = (start + size).min(length);
            let block = of(name, start.to_string());
            let rows = block.len() / (2 * width);
            for batch in 0..2 {
                let wanted = &block[batch * rows * width..][..rows * width];
                // Those of the last block itself.
                let skipped = if of_keys { start * width } else { 0 };
                let got = &masked[(batch * length + start) * width..(batch * length + end) * width];
                assert_eq!(
                    bits(got),
                    bits(&wanted[skipped..]),
                    "{name} from {start} on"
                );
            }
        }
    }
}

#[test]
fn frames_have_the_bits_of_attention_to_what_they_see() {
    is_that_of_blocks(96, 16, 16, 1);
    is_that_of_blocks(130, 64, 8, 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn blocks_have_the_bits_of_attention_to_what_they_see(
        length in 1usize..150, size in 5usize..70, depth in 1usize..40, threads in 1usize..4,
    ) {
        is_that_of_blocks(length, size, depth, threads);
    }

    #[test]
    fn the_bits_are_those_of_the_definition(
        length in 1usize..120, size in 1usize..70, depth in 1usize..24,
    ) {
        fused(length, length, depth, Mask::BlockCausal { size });
    }
}

#[test]
fn queries_and_keys_of_different_number() {
    fused(70, 33, 8, Mask::BlockCausal { size: 6 });
    fused(20, 90, 8, Mask::BlockCausal { size: 20 });
}

/// Neither does what is masked reach a result, whatever it is.
#[test]
fn masked_keys_and_values_that_are_no_numbers_do_not_matter() {
    let g = Graph::new();
    let [q, k, v, gradient] = operands(&g, [48; 2], 8);
    let mask = Mask::BlockCausal { size: 16 };
    let all = results(&g, mask, [q, k, v, gradient], true);
    let outputs = RESULTS.iter().zip(&all).map(|(name, x)| (*name, x.id()));
    let function = g.function(outputs, []);
    let mut session = compile(&function, &CompileOptions::default())
        .unwrap()
        .bind(Default::default())
        .unwrap();
    let mut run = |last: Option<f32>| {
        let given = function.inputs().map(|(_, name, ty)| {
            let host = host(&fill(name, ty));
            let mut values = host.as_slice::<f32>().unwrap().to_vec();
            if let Some(last) = last.filter(|_| ["k", "v"].contains(&name)) {
                for batch in values.chunks_mut(48 * 8) {
                    batch[32 * 8..].fill(last);
                }
            }
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            let shape = ty.shape.to_vec();
            (
                name,
                bsq_runtime::HostTensor::from_bytes(DType::F32, shape, &bytes).unwrap(),
            )
        });
        let given: Vec<_> = given.collect();
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, value)).collect();
        let outputs = session.run(&given).unwrap();
        let rows = |name: &str| -> Vec<u32> {
            let all = outputs[name].as_slice::<f32>().unwrap();
            let batches = all.chunks(all.len() / 2);
            batches
                .flat_map(|batch| bits(&batch[..batch.len() * 2 / 3]))
                .collect()
        };
        ["o", "m", "z", "dq"].map(rows)
    };
    let wanted = run(None);
    for last in [f32::NAN, f32::INFINITY] {
        assert_eq!(run(Some(last)), wanted, "{last}");
    }
}
