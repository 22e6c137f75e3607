//! Kernels of a model's forward pass and training step ask global memory for whole sectors, and
//! for many bytes at a time.

use bsq::config::Config;
use bsq::tokenizer::Tokenizer;
use bsq_codegen::lower::Precision;
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_ptx_interpreter::Requests;
use bsq_runtime::HostTensor;
use bsq_tests::gpu::{Gpu, Target, fill};
use bsq_tests::training_step;
use std::collections::BTreeMap;

/// 1 + 1 layers of the shapes that large models have: rows of whole sectors, 64 tokens, heads of 32.
const MODEL: &str = r#"
[model]
embed_dim = 36
embed_group_size = 1
l2_norm = true
post_q_l2_norm = true

[model.vitconfig]
image_size = 64
patch_size = 8
width = 64
layers = 1
heads = 2
mlp_ratio = 4

[loss]
perceptual_weight = 0.0
skip_disc = true
"#;

const BATCH: usize = 2;

/// What one kernel's launches asked of global memory.
struct Asked {
    label: String,
    global: Requests,
    lines: Vec<(Requests, String)>,
}

/// Runs a function once.
fn asked(function: &Function, target: Target) -> Vec<Asked> {
    let parameters: BTreeMap<String, HostTensor> = (function.parameters())
        .map(|(_, name, ty)| (name.to_string(), fill(name, ty.dtype, &ty.shape)))
        .collect();
    let inputs: Vec<_> = (function.inputs())
        .map(|(_, name, ty)| (name, fill(name, ty.dtype, &ty.shape)))
        .collect();
    let inputs: Vec<_> = inputs.iter().map(|(name, x)| (*name, x)).collect();
    let mut gpu = Gpu::new(function, target, &parameters, 1);
    gpu.run(&inputs).unwrap_or_else(|fault| panic!("{fault}"));
    let launches = &gpu.program().launches;
    let kernels = gpu.stats.iter().zip(gpu.entries()).enumerate();
    let kernels = kernels.filter(|(_, (stats, _))| stats.global.count > 0);
    let asked = kernels.map(|(index, (stats, entry))| {
        let text: Vec<&str> = entry.text.lines().map(str::trim).collect();
        let lines = stats.global_by_line.iter();
        let lines = lines.map(|(&line, &asked)| (asked, text[line as usize - 1].to_string()));
        let launch = launches.iter().find(|launch| launch.kernel == index);
        Asked {
            label: launch.map_or(String::new(), |launch| launch.label.clone()),
            global: stats.global,
            lines: lines.collect(),
        }
    });
    asked.collect()
}

fn config() -> Config {
    Config::from_toml(MODEL).expect("the configuration is valid")
}

fn forward() -> Function {
    let tokenizer = Tokenizer::new(&config().model);
    let graph = Graph::new();
    let image = graph.input("image", DType::F32, tokenizer.image_shape(BATCH));
    let forward = tokenizer.forward(&Scope::root(&graph), image);
    graph.function([("y", forward.decoded.reconstruction.id())], [])
}

fn step() -> Function {
    let (config, graph) = (config(), Graph::new());
    training_step(&graph, &config.model, &config.loss, BATCH).function()
}

/// What is allowed at most, and at least.
struct Bounds {
    /// Sectors in parts of the fewest, of a kernel that asks for a hundredth of all or more.
    waste: f64,
    /// The same of the whole program.
    waste_of_all: f64,
    /// Bytes of a request, on average over the program; 512 is all that there can be.
    width: f64,
}

/// Runs a program once and checks what it asked for. The table that it prints has the most
/// wasteful kernels first, with their worst lines.
fn check(name: &str, function: &Function, target: Target, bounds: Bounds) {
    let mut kernels = asked(function, target);
    kernels.sort_by_key(|kernel| kernel.global.ideal_sectors as i64 - kernel.global.sectors as i64);
    let mut all = Requests::default();
    kernels
        .iter()
        .for_each(|kernel| all.include(&kernel.global));
    println!("{name}\n   waste  sectors requests  bytes of a request");
    for kernel in &kernels {
        println!("{}  {}", row(&kernel.global), kernel.label);
        let wasteful = |global: &&(Requests, String)| waste(&global.0) > 1.25;
        for (asked, line) in kernel.lines.iter().filter(wasteful) {
            println!("{}    {line}", row(asked));
        }
    }
    println!("{}  all", row(&all));
    for kernel in kernels {
        if kernel.global.sectors * 100 >= all.sectors {
            let (waste, label) = (waste(&kernel.global), kernel.label);
            assert!(waste <= bounds.waste, "{name}: {waste} of {label}");
        }
    }
    assert!(waste(&all) <= bounds.waste_of_all, "{name}: {}", row(&all));
    assert!(width(&all) >= bounds.width, "{name}: {}", row(&all));
}

/// Sectors touched, in parts of the fewest that hold what was wanted.
fn waste(asked: &Requests) -> f64 {
    asked.sectors as f64 / asked.ideal_sectors as f64
}

/// Bytes of a request.
fn width(asked: &Requests) -> f64 {
    asked.bytes as f64 / asked.count as f64
}

fn row(asked: &Requests) -> String {
    let (waste, width) = (waste(asked), width(asked));
    format!(
        "{waste:8.2} {:8} {:8} {width:6.0}",
        asked.sectors, asked.count
    )
}

fn target(precision: Precision, tf32: bool) -> Target {
    Target { precision, tf32 }
}

#[test]
fn forward_pass() {
    let exact = target(Precision::F32, false);
    let bounds = Bounds {
        waste: 1.05,
        waste_of_all: 1.01,
        width: 280.0,
    };
    check("forward f32", &forward(), exact, bounds);
}

/// Weights are packed once in a program's life, by threads that take 4 rows of a column: of bytes
/// those are a part of a sector.
#[test]
fn forward_pass_in_narrow_formats() {
    for (name, precision, waste, waste_of_all, width) in [
        ("forward bf16", Precision::Bf16, 2.5, 1.07, 260.0),
        ("forward int8", Precision::Int8, 3.6, 1.09, 220.0),
    ] {
        let bounds = Bounds {
            waste,
            waste_of_all,
            width,
        };
        check(name, &forward(), target(precision, false), bounds);
    }
}

#[test]
fn training() {
    for (name, tf32, width) in [
        ("training f32", false, 280.0),
        ("training tf32", true, 170.0),
    ] {
        let bounds = Bounds {
            waste: 1.05,
            waste_of_all: 1.01,
            width,
        };
        check(name, &step(), target(Precision::F32, tf32), bounds);
    }
}
