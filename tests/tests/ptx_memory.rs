//! Kernels of a model's forward pass and training step ask global memory for whole sectors, and
//! for many bytes at a time.

use bsq::config::Config;
use bsq::tokenizer::Tokenizer;
use bsq_codegen::lower::Precision;
use bsq_ir::{DType, Function, Graph, Scope};
use bsq_runtime::HostTensor;
use bsq_tests::gpu::{Gpu, Target, fill};
use bsq_tests::ptx::Requests;
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

impl Asked {
    /// Sectors touched, in parts of the fewest that hold what was wanted.
    fn waste(&self) -> f64 {
        self.global.sectors as f64 / self.global.ideal_sectors as f64
    }
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
    let tokenizer = Tokenizer::new(&config().model).unwrap();
    let graph = Graph::new();
    let image = graph.input("image", DType::F32, tokenizer.image_shape(BATCH));
    let forward = tokenizer.forward(&Scope::root(&graph), image);
    graph.function([("y", forward.decoded.reconstruction.id())], [])
}

fn step() -> Function {
    let (config, graph) = (config(), Graph::new());
    training_step(&graph, &config.model, &config.loss, BATCH).function()
}

/// Prints what was asked, the most wasteful kernels first, and checks it.
fn check(name: &str, function: &Function, target: Target, bounds: Bounds) {
    let mut kernels = asked(function, target);
    kernels.sort_by_key(|kernel| kernel.global.ideal_sectors as i64 - kernel.global.sectors as i64);
    let mut all = Requests::default();
    println!("{name}\n   waste  sectors  requests  bytes/request");
    for kernel in &kernels {
        let Requests {
            count,
            bytes,
            sectors,
            ..
        } = kernel.global;
        all.include(&kernel.global);
        let (waste, label) = (kernel.waste(), &kernel.label);
        println!(
            "{waste:8.2} {sectors:8} {count:9} {:8.0}  {label}",
            bytes as f64 / count as f64
        );
        if waste > 1.2 {
            for (asked, line) in &kernel.lines {
                if asked.sectors * 4 > asked.ideal_sectors * 5 {
                    println!(
                        "{:30} {:6} {:6}  {line}",
                        "", asked.sectors, asked.ideal_sectors
                    );
                }
            }
        }
    }
    let waste = all.sectors as f64 / all.ideal_sectors as f64;
    let width = all.bytes as f64 / all.count as f64;
    println!(
        "{waste:8.2} {:8} {:9} {width:8.0}  all",
        all.sectors, all.count
    );
}

struct Bounds {
    /// Of any kernel, and of all.
    waste: f64,
    waste_of_all: f64,
    /// Bytes of a request, on average.
    width: f64,
}

const TF32: Target = Target {
    precision: Precision::F32,
    tf32: true,
};

#[test]
fn forward_pass() {
    for (name, precision) in [
        ("f32", Precision::F32),
        ("bf16", Precision::Bf16),
        ("int8", Precision::Int8),
    ] {
        let target = Target {
            precision,
            tf32: false,
        };
        check(
            name,
            &forward(),
            target,
            Bounds {
                waste: 2.0,
                waste_of_all: 1.2,
                width: 200.0,
            },
        );
    }
}

#[test]
fn training() {
    check(
        "training f32",
        &step(),
        Target::default(),
        Bounds {
            waste: 2.0,
            waste_of_all: 1.2,
            width: 200.0,
        },
    );
    check(
        "training tf32",
        &step(),
        TF32,
        Bounds {
            waste: 2.0,
            waste_of_all: 1.2,
            width: 200.0,
        },
    );
}
