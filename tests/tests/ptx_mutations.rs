//! Generated kernels with one line changed: the interpreter must notice.

use bsq_codegen::lower::{Options, Precision};
use bsq_codegen::pipeline;
use bsq_codegen::ptx;
use bsq_ir::DType::F32;
use bsq_ir::{Function, Graph, Tensor};
use bsq_runtime::HostTensor;
use bsq_tests::gpu::{self, Gpu, Target};
use std::collections::BTreeMap;

type Tensors = BTreeMap<String, HostTensor>;

const F32_BITS: Target = Target {
    precision: Precision::F32,
    tf32: false,
};
const TF32: Target = Target {
    tf32: true,
    ..F32_BITS
};
const BF16: Target = Target {
    precision: Precision::Bf16,
    ..F32_BITS
};
const F16: Target = Target {
    precision: Precision::F16,
    ..F32_BITS
};

/// What a program gives with some kernel's text changed, or the fault.
fn run(
    function: &Function,
    target: Target,
    change: impl Fn(&mut Vec<ptx::Entry>),
    seed: u64,
) -> Result<Tensors, String> {
    let inputs = gpu::inputs(function);
    let generation = ptx::Options {
        tf32: target.tf32,
        ..Default::default()
    };
    let options = Options {
        narrow_activations: true,
        precision: target.precision,
        tiling: generation.tiling(target.precision),
        memory: None,
    };
    let parameters = gpu::parameters(function);
    let program = pipeline::program(function, false, &options).unwrap();
    let mut entries = ptx::compile(&program, &generation).unwrap();
    change(&mut entries);
    let mut gpu = Gpu::load(program, entries, &parameters, seed);
    let inputs: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, x)| (n.as_str(), x)).collect();
    Ok(gpu.run(&inputs)?.into())
}

/// Lines of the kernels that `wanted` picks, by kernel.
fn lines(function: &Function, target: Target, wanted: &str) -> Vec<(usize, usize, String)> {
    let found = std::cell::RefCell::new(Vec::new());
    let _ = run(
        function,
        target,
        |entries| {
            for (kernel, entry) in entries.iter().enumerate() {
                // Packing is not looked at: its fill with zeros and its copies are spread in
                // different ways that give a thread the same elements in some shapes.
                let is_main = ["contract", "attend", "reduce"]
                    .iter()
                    .any(|k| entry.text.contains(k));
                for (line, text) in entry.text.lines().enumerate() {
                    if is_main && text.contains(wanted) {
                        found
                            .borrow_mut()
                            .push((kernel, line, text.trim().to_string()));
                    }
                }
            }
        },
        0,
    );
    found.into_inner()
}

fn replace(entry: &mut ptx::Entry, line: usize, by: &str) {
    let mut lines: Vec<&str> = entry.text.lines().collect();
    lines[line] = by;
    entry.text = lines.join("\n");
}

/// Every line with `wanted` is changed in turn; the ones that nothing notices.
fn unnoticed(
    function: &Function,
    target: Target,
    wanted: &str,
    change: impl Fn(&str) -> String,
) -> (usize, Vec<String>) {
    let right = run(function, target, |_| {}, 0).unwrap_or_else(|fault| panic!("{fault}"));
    let lines = lines(function, target, wanted);
    let mut missed = Vec::new();
    for (kernel, line, text) in &lines {
        let by = change(text);
        let noticed = (0..4).any(|seed| {
            let changed =
                |entries: &mut Vec<ptx::Entry>| replace(&mut entries[*kernel], *line, &by);
            match run(function, target, changed, seed) {
                Err(_) => true,
                Ok(got) => got.iter().any(|(name, x)| x.bytes() != right[name].bytes()),
            }
        });
        if !noticed {
            missed.push(format!("kernel {kernel}, line {}: {text}", line + 1));
        }
    }
    (lines.len(), missed)
}

fn contraction(g: &Graph) -> Tensor<'_> {
    let y = g
        .input("x", F32, [70, 40])
        .matmul(g.parameter("w", F32, [40, 150]));
    (y + g.input("b", F32, [150])).gelu()
}

fn attention(g: &Graph) -> Tensor<'_> {
    let part = |name| g.input(name, F32, [1, 2, 80, 16]);
    part("q").attention(part("k"), part("v"), 0.25, None)
}

/// The gradients of keys and values, and with them those of queries.
fn attention_backward() -> Function {
    let g = Graph::new();
    let [q, k, v] = ["q", "k", "v"].map(|name| g.input(name, F32, [1, 1, 80, 16]));
    let y = q.attention(k, v, 0.25, None).square().sum(..);
    let gradients = bsq_ir::autodiff::gradients(y, &[q, k, v]);
    let named = ["q", "k", "v"].into_iter().zip(gradients);
    g.function(named.map(|(name, d)| (name, d.id())), [])
}

fn function(build: impl for<'g> Fn(&'g Graph) -> Tensor<'g>) -> Function {
    let g = Graph::new();
    let y = build(&g);
    g.function([("y", y.id())], [])
}

/// Programs whose kernels between them have every kind of main loop.
fn programs() -> Vec<(&'static str, Function, Target)> {
    vec![
        ("contraction", function(contraction), F32_BITS),
        (
            "contraction in bf16",
            function(|g| contraction(g).matmul(g.parameter("v", F32, [150, 24]))),
            BF16,
        ),
        (
            "contraction in f16",
            function(|g| contraction(g).matmul(g.parameter("v", F32, [150, 24]))),
            F16,
        ),
        (
            "large contraction in bf16",
            function(|g| {
                let x = g
                    .input("x", F32, [130, 40])
                    .matmul(g.parameter("w", F32, [40, 96]));
                let y = x.matmul(g.parameter("v", F32, [96, 136])).gelu();
                y.matmul(g.parameter("u", F32, [136, 8]))
            }),
            BF16,
        ),
        ("attention", function(attention), F32_BITS),
        ("attention in bf16", function(attention), BF16),
        ("attention in f16", function(attention), F16),
        ("attention in tf32", function(attention), TF32),
        ("gradients of attention in tf32", attention_backward(), TF32),
        (
            "softmax",
            function(|g| g.input("x", F32, [3, 2100]).softmax()),
            F32_BITS,
        ),
        (
            "mean",
            function(|g| g.input("x", F32, [70, 300]).mean(..)),
            F32_BITS,
        ),
        (
            "sums down columns",
            function(|g| g.input("x", F32, [2100, 20]).sum([0])),
            F32_BITS,
        ),
        (
            "one row",
            function(|g| g.input("x", F32, [1, 9000]).softmax()),
            F32_BITS,
        ),
    ]
}

/// Changes every line with `wanted` in every program: each must be noticed.
fn all_noticed(wanted: &str, change: impl Fn(&str) -> String) {
    let mut count = 0;
    for (name, function, target) in programs() {
        let (changed, missed) = unnoticed(&function, target, wanted, &change);
        count += changed;
        assert!(missed.is_empty(), "{name}: {missed:#?}");
    }
    assert!(count > 0, "no line has {wanted}");
}

/// The compiler places no barrier that a program could do without.
#[test]
fn removed_barriers() {
    all_noticed("bar.", |_| String::new());
}

#[test]
fn removed_waits_for_copies() {
    all_noticed("cp.async.wait_group", |_| String::new());
}

#[test]
fn swapped_fragments() {
    all_noticed("mma.sync", |line| {
        let (head, rest) = line.split_once("}, {").unwrap();
        let (left, rest) = rest.split_once('}').unwrap();
        let mut registers: Vec<&str> = left.split(", ").collect();
        registers.swap(0, 1);
        format!("{head}}}, {{{}}}{rest}", registers.join(", "))
    });
}

#[test]
fn f16_taken_for_bf16() {
    for of in [".f16.f16.", ".f16x2."] {
        all_noticed(of, |line| line.replace(".f16", ".bf16"));
    }
}

/// In a sum, that is: a maximum may be in several lanes.
#[test]
fn exchanges_that_exchange_nothing() {
    let function = function(|g| g.input("x", F32, [70, 300]).mean(..));
    let (count, missed) = unnoticed(&function, F32_BITS, "shfl.sync", |line| {
        let parts: Vec<&str> = line.split(", ").collect();
        [parts[0], parts[1], "0", parts[3], parts[4]].join(", ")
    });
    assert!(count > 0 && missed.is_empty(), "{missed:#?}");
}

#[test]
fn stores_in_the_wrong_place() {
    all_noticed("st.global", |line| {
        let (head, rest) = line.split_once('[').unwrap();
        let (address, rest) = rest.split_once(']').unwrap();
        let (base, offset) = address.split_once(" + ").unwrap_or((address, "0"));
        let offset: i64 = offset.parse().unwrap();
        format!("{head}[{base} + {}]{rest}", offset + 16)
    });
}

/// What a thread takes together is stored in its order.
#[test]
fn swapped_elements() {
    for wanted in ["ld.global.nc.v4", "st.global.v4"] {
        all_noticed(wanted, |line| {
            let (head, rest) = line.split_once('{').unwrap();
            let (list, rest) = rest.split_once('}').unwrap();
            let mut registers: Vec<&str> = list.split(", ").collect();
            registers.swap(0, 1);
            format!("{head}{{{}}}{rest}", registers.join(", "))
        });
    }
}

/// All 16 lanes of a column know its sum; one stores it.
#[test]
fn stores_by_all_lanes() {
    let function = function(|g| g.input("x", F32, [2100, 20]).sum([0]));
    let (count, missed) = unnoticed(&function, F32_BITS, "st.global", |line| {
        line.split_once(' ').unwrap().1.to_string()
    });
    assert!(count > 0 && missed.is_empty(), "{missed:#?}");
}

/// Rows and columns beyond the result: all bounds of a kernel at once, as each one alone may
/// concern elements that are far inside.
#[test]
fn bounds_off_by_one() {
    let function = function(|g| {
        g.input("x", F32, [70, 40])
            .matmul(g.parameter("w", F32, [40, 150]))
    });
    let changed = |entries: &mut Vec<ptx::Entry>| {
        let further = |line: &str| match line.contains("setp.lt.s32") {
            true => line.replace("setp.lt", "setp.le"),
            false => line.to_string(),
        };
        let lines: Vec<String> = entries[1].text.lines().map(further).collect();
        entries[1].text = lines.join("\n");
    };
    let fault = run(&function, F32_BITS, changed, 0).unwrap_err();
    let named = ["bounds", "race"]
        .iter()
        .any(|what| fault.lines().next().unwrap().contains(what));
    assert!(named, "{fault}");
}
