//! Main loops on a GPU go to shared memory without bank conflicts, and to global memory in whole
//! sectors.

use bsq_codegen::lower::Precision;
use bsq_ir::DType::F32;
use bsq_ir::{Graph, Tensor};
use bsq_tests::gpu::{Gpu, Target, fill};

/// Runs a program and checks every kernel that `main` recognises by its Kernel IR.
fn check(main: &str, target: Target, build: impl for<'g> Fn(&'g Graph) -> Tensor<'g>) {
    let g = Graph::new();
    let y = build(&g);
    let function = g.function([("y", y.id())], []);
    let tensors = |name: &str, ty: &bsq_ir::Type| fill(name, ty.dtype, &ty.shape);
    let parameters = function
        .parameters()
        .map(|(_, n, ty)| (n.to_string(), tensors(n, ty)));
    let parameters = parameters.collect();
    let inputs: Vec<_> = function
        .inputs()
        .map(|(_, n, ty)| (n, tensors(n, ty)))
        .collect();
    let inputs: Vec<_> = inputs.iter().map(|(n, x)| (*n, x)).collect();
    let mut gpu = Gpu::new(&function, target, &parameters, 1);
    gpu.run(&inputs).unwrap_or_else(|fault| panic!("{fault}"));
    let mut checked = 0;
    for (stats, entry) in gpu.stats.iter().zip(gpu.entries()) {
        if !entry.text.contains(main) {
            continue;
        }
        checked += 1;
        let lines: Vec<&str> = entry.text.lines().map(str::trim).collect();
        for (&line, &conflicts) in &stats.conflicts_by_line {
            let text = lines[line as usize - 1];
            // A tile's result is left in shared memory once, after the loop.
            assert!(
                conflicts == 0 || text.contains("st.shared"),
                "{conflicts} at {text}"
            );
        }
        let (sectors, ideal) = (stats.global.sectors, stats.global.ideal_sectors);
        assert!(
            sectors * 4 <= ideal * 5,
            "{sectors} sectors instead of {ideal}:\n{}",
            entry.text
        );
    }
    assert!(checked > 0, "no kernel has {main}");
}

fn f32() -> Target {
    Target::default()
}

#[test]
fn contractions() {
    let tf32 = Target {
        tf32: true,
        ..f32()
    };
    for target in [f32(), tf32] {
        check("contract", target, |g| {
            g.input("x", F32, [128, 96])
                .matmul(g.parameter("w", F32, [96, 256]))
                .gelu()
        });
    }
}

#[test]
fn contractions_in_narrow_formats() {
    for (main, precision) in [
        ("contract bf16", Precision::Bf16),
        ("contract f16", Precision::F16),
        ("contract int8", Precision::Int8All),
    ] {
        let target = Target {
            precision,
            tf32: false,
        };
        check(main, target, |g| {
            let x = g
                .input("x", F32, [128, 64])
                .matmul(g.parameter("w", F32, [64, 128]));
            let y = x.matmul(g.parameter("v", F32, [128, 256])).gelu();
            y.matmul(g.parameter("u", F32, [256, 16]))
        });
    }
}

#[test]
fn attention_by_blocks_of_keys() {
    let narrow = |precision| Target {
        precision,
        tf32: false,
    };
    let tf32 = Target {
        tf32: true,
        ..f32()
    };
    for target in [narrow(Precision::Bf16), narrow(Precision::F16), tf32] {
        check("attend", target, |g| {
            let part = |name| g.input(name, F32, [1, 2, 128, 64]);
            part("q").attention(part("k"), part("v"), 0.25, None)
        });
    }
}

#[test]
fn rows() {
    check("reduce", f32(), |g| g.input("x", F32, [128, 768]).softmax());
}
