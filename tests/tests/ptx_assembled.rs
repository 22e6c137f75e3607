//! NVIDIA's assembler takes every kernel of every configuration that ships, without spilling, and
//! with at most the registers that the cost model predicts.
//!
//! `BSQ_PTXAS` names the assembler, else the path is searched; without one these tests say so and
//! pass. After a change that is meant, `BSQ_BLESS=1 cargo test -p bsq-tests --test ptx_assembled`
//! writes the table of kernels anew.

use bsq::config::{Config, MaskType, MaskedLmConfig, PriorConfig, QuantizerConfig};
use bsq::masked_lm::{MaskedLm, probabilities_function};
use bsq::pipeline::{decode_clip_function, decode_function, encode_clip_function, encode_function};
use bsq::prior::{PriorModel, sub_token_function, tile_function, wavefront_function};
use bsq::tokenizer::Tokenizer;
use bsq::train::{StepProgram, masked_lm_step_function, prior_step_function, step_parts};
use bsq_codegen::ptx::Device;
use bsq_codegen::ptx::cost::KernelCost;
use bsq_ir::Function;
use bsq_ptx_interpreter::ptxas::{Assembled, Ptxas};
use bsq_runtime::Precision;
use bsq_runtime::cuda::{PtxOptions, compile_ptx};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A kernel that some programs have in common.
struct Kernel {
    /// Where it was seen first, and what it computes there.
    origin: String,
    label: String,
    text: String,
    threads: u32,
    shared_bytes: usize,
    dynamic_shared_bytes: usize,
    cost: KernelCost,
}

/// Kernels by their text, all under one name.
#[derive(Default)]
struct Kernels(BTreeMap<String, Kernel>);

impl Kernels {
    fn add(&mut self, origin: &str, function: &Function, options: &PtxOptions) {
        let compiled = compile_ptx(function, options).unwrap();
        for (index, entry) in compiled.entries.iter().enumerate() {
            let text = entry.text.replace(&format!("{}(", entry.name), "kernel(");
            let launches = &compiled.program.launches;
            let launch = launches.iter().find(|launch| launch.kernel == index);
            self.0.entry(text.clone()).or_insert_with(|| Kernel {
                origin: origin.to_string(),
                label: launch.unwrap().label.clone(),
                threads: entry.threads,
                shared_bytes: entry.shared_bytes,
                dynamic_shared_bytes: entry.dynamic_shared_bytes,
                cost: KernelCost::new(&compiled.program.kernels[index], entry, device()),
                text,
            });
        }
    }

    /// What the assembler says of each, in the order of `self`. The first refusal stops everything.
    fn assemble(&self, ptxas: &Ptxas) -> Vec<Assembled> {
        let next = Mutex::new(self.0.values().enumerate());
        let done = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some((index, kernel)) = { next.lock().unwrap().next() } {
                        let mut said = ptxas
                            .assemble(&kernel.text, "sm_86")
                            .unwrap_or_else(|error| panic!("{}: {error}", kernel.place()));
                        assert_eq!(said.len(), 1);
                        done.lock().unwrap().insert(index, said.remove(0));
                    }
                });
            }
        });
        done.into_inner().unwrap().into_values().collect()
    }
}

impl Kernel {
    fn place(&self) -> String {
        format!("{}: {}", self.origin, self.label)
    }
}

fn device() -> &'static Device {
    Device::find("a5000").unwrap()
}

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/configs")
}

fn options(precision: Precision, tf32: bool, exact: bool) -> PtxOptions {
    let mut options = PtxOptions {
        exact,
        precision,
        ..PtxOptions::default()
    };
    options.target.tf32 = tf32;
    options
}

const FORMATS: [(&str, Precision, bool); 5] = [
    ("f32", Precision::F32, false),
    ("tf32", Precision::F32, true),
    ("bf16", Precision::Bf16, false),
    ("f16", Precision::F16, false),
    ("int8", Precision::Int8, false),
];

/// Those of training steps.
const TRAINING: [(&str, Precision, bool); 3] = [
    ("f32", Precision::F32, false),
    ("tf32", Precision::F32, true),
    ("bf16", Precision::Bf16Training, false),
];

/// Encoding and decoding of a tokenizer in every format, and its training step.
fn add_tokenizer(kernels: &mut Kernels, path: &Path) {
    let (config, _) = Config::load(path).unwrap();
    let tokenizer = Tokenizer::new(&config.model);
    let name = path.file_name().unwrap().to_string_lossy();
    for (format, precision, tf32) in FORMATS {
        let options = options(precision, tf32, true);
        for (half, function) in [
            ("encode", encode_function(&tokenizer, 1)),
            ("decode", decode_function(&tokenizer, 1)),
        ] {
            kernels.add(&format!("{name} {half} {format}"), &function, &options);
        }
    }
    for (format, precision, tf32) in TRAINING {
        let mut config = config.clone();
        config.data.batch_size = 4;
        let function = StepProgram::function_of(&config, &tokenizer);
        let options = options(precision, tf32, config.train.exact);
        kernels.add(&format!("{name} training {format}"), &function, &options);
    }
}

/// Encoding, decoding and a training step of a tokenizer of clips, of all of its frames.
fn add_clips(kernels: &mut Kernels, name: &str, mut config: Config) {
    config.data.batch_size = 1;
    let tokenizer = Tokenizer::new(&config.model);
    let frames = tokenizer.frames();
    let plain = options(Precision::F32, false, true);
    for (half, function) in [
        ("encode", encode_clip_function(&tokenizer, 1, frames)),
        ("decode", decode_clip_function(&tokenizer, 1, frames)),
        ("training", StepProgram::function_of(&config, &tokenizer)),
    ] {
        kernels.add(&format!("{name} {half}"), &function, &plain);
    }
}

/// All programs of a training step against a discriminator with LPIPS, in f32 and in bf16.
fn add_step(kernels: &mut Kernels, config: &Config) {
    let tokenizer = Tokenizer::new(&config.model);
    for part in step_parts(config, &tokenizer).unwrap() {
        for (format, precision, tf32) in [TRAINING[0], TRAINING[2]] {
            let options = options(precision, tf32, config.train.exact);
            let origin = format!("{} {format}", part.name);
            kernels.add(&origin, &part.function, &options);
        }
    }
}

/// Encoding without the one contraction that `int8` leaves in bf16; decoding has none.
fn add_all_bytes(kernels: &mut Kernels, path: &Path) {
    let (config, _) = Config::load(path).unwrap();
    let tokenizer = Tokenizer::new(&config.model);
    let name = path.file_name().unwrap().to_string_lossy();
    let options = options(Precision::Int8All, false, true);
    let function = encode_function(&tokenizer, 1);
    kernels.add(&format!("{name} encode int8-all"), &function, &options);
}

fn add_prior(kernels: &mut Kernels, path: &Path, train: bool) {
    let mut config = PriorConfig::load_for(path, 36).unwrap();
    let model = PriorModel::new(&config.prior);
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let exact = options(Precision::F32, false, true);
    for (part, function) in [
        ("tile", tile_function(&model, 1)),
        (
            "wavefront",
            wavefront_function(&model, 1, model.order().wavefronts()),
        ),
        (
            "sub-token",
            sub_token_function(&model, model.order().wavefront_width()),
        ),
    ] {
        kernels.add(&format!("{name} {part}"), &function, &exact);
    }
    if train {
        config.data.batch_size = 2;
        let function = prior_step_function(&config);
        let options = options(Precision::F32, false, config.train.exact);
        kernels.add(&format!("{name} training"), &function, &options);
    }
}

/// A sampler's step with guidance, in f32 and tf32, and the training step.
fn add_masked_lm(kernels: &mut Kernels, path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut config = MaskedLmConfig::from_toml(&text).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let model = MaskedLm::new(&config.masked_lm);
    config.data.batch_size = 2;
    for (format, precision, tf32) in &FORMATS[..2] {
        let sampling = options(*precision, *tf32, true);
        let function = probabilities_function(&model, 2, true);
        kernels.add(&format!("{name} sampling {format}"), &function, &sampling);
    }
    for (format, precision, tf32) in TRAINING {
        let training = options(precision, tf32, config.train.exact);
        let function = masked_lm_step_function(&config);
        kernels.add(&format!("{name} training {format}"), &function, &training);
    }
}

#[test]
fn every_kernel_is_assembled_without_spilling() {
    let Some(ptxas) = Ptxas::find_or_skip() else {
        return;
    };
    let mut kernels = Kernels::default();
    add_tokenizer(&mut kernels, &configs().join("default-1.toml"));
    add_all_bytes(&mut kernels, &configs().join("default-1.toml"));
    add_prior(&mut kernels, &configs().join("prior.toml"), true);
    add_prior(&mut kernels, &configs().join("prior_paper.toml"), false);
    add_masked_lm(&mut kernels, &configs().join("masked_lm_paper.toml"));
    let mut reference: Vec<PathBuf> = std::fs::read_dir(configs().join("reference"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    reference.sort();
    for path in &reference {
        add_tokenizer(&mut kernels, path);
    }
    let ratio = check(&kernels, &ptxas);
    // A bound that is far off says nothing.
    assert!(ratio < 2.0, "{ratio} times the registers are predicted");
}

/// The paper's 16 frames of 128x128 pixels, of 18 and 36 bits, and the model of clips that ships.
#[test]
fn clips_are_assembled_without_spilling() {
    let Some(ptxas) = Ptxas::find_or_skip() else {
        return;
    };
    let load = |path: &str| Config::load(configs().join(path)).unwrap().0;
    let mut kernels = Kernels::default();
    for bits in [18, 36] {
        let mut config = load("reference/bsq_128_b18.yaml");
        for vit in [&mut config.model.encoder, &mut config.model.decoder] {
            (vit.num_frames, vit.mask_type) = (16, MaskType::BlockCausal);
        }
        let QuantizerConfig::Bsq(bsq) = &mut config.model.quantizer else {
            unreachable!("binary spherical quantization");
        };
        (bsq.embed_dim, bsq.embed_group_size) = (bits, 9);
        add_clips(&mut kernels, &format!("16 frames, {bits} bits"), config);
    }
    add_clips(&mut kernels, "video36", load("video36.toml"));
    check(&kernels, &ptxas);
}

/// The recipe's three programs, of the size that a configuration of the reference has, and smaller.
#[test]
fn a_step_against_a_discriminator_is_assembled_without_spilling() {
    let Some(ptxas) = Ptxas::find_or_skip() else {
        return;
    };
    let mut config = recipe();
    for vit in [&mut config.model.encoder, &mut config.model.decoder] {
        (vit.image_size.width, vit.image_size.height) = (64, 64);
        vit.layers = 1;
    }
    config.loss.disc_input_size = 64;
    let mut kernels = Kernels::default();
    add_step(&mut kernels, &config);
    check(&kernels, &ptxas);
}

/// Some minutes: `cargo test -p bsq-tests --test ptx_assembled -- --ignored --nocapture`.
#[test]
#[ignore = "minutes"]
fn a_step_of_full_size_against_a_discriminator_is_assembled_without_spilling() {
    let Some(ptxas) = Ptxas::find_or_skip() else {
        return;
    };
    let mut kernels = Kernels::default();
    add_step(&mut kernels, &recipe());
    check(&kernels, &ptxas);
}

/// Pictures of 256x256 pixels, 18 bits, a discriminator of channel base 32768, LPIPS, R1; 8 pictures.
fn recipe() -> Config {
    let path = configs().join("reference/bsq_256_b18g18.yaml");
    let mut config = Config::load(path).unwrap().0;
    config.data.batch_size = 8;
    assert_eq!(config.loss.disc_channel_base, 32768);
    config
}

/// Nothing is spilled, and the cost model's bounds hold; how many registers it predicts, times those that are
/// taken.
fn check(kernels: &Kernels, ptxas: &Ptxas) -> f64 {
    let said = kernels.assemble(ptxas);
    let mut wrong = String::new();
    let (mut predicted, mut taken) = (0, 0);
    for (kernel, said) in kernels.0.values().zip(&said) {
        let mut complain = |what: String| writeln!(wrong, "{}: {what}", kernel.place()).unwrap();
        if (said.spill_stores, said.spill_loads, said.stack) != (0, 0, 0) {
            let (stores, stack) = (said.spill_stores, said.stack);
            complain(format!("{stores} bytes spilled, {stack} bytes of stack"));
        }
        if said.registers > kernel.cost.registers {
            let (taken, predicted) = (said.registers, kernel.cost.registers);
            complain(format!("{taken} registers, {predicted} were predicted"));
        }
        let declared = kernel.shared_bytes - kernel.dynamic_shared_bytes;
        if said.shared as usize != declared {
            let shared = said.shared;
            complain(format!("{shared} bytes of shared memory, not {declared}"));
        }
        predicted += kernel.cost.registers;
        taken += said.registers;
    }
    println!("{} kernels", said.len());
    assert!(wrong.is_empty(), "\n{wrong}");
    f64::from(predicted) / f64::from(taken)
}

/// Registers, shared memory and occupancy of two models' kernels, for people to review.
#[test]
fn the_table_of_kernels_is_as_recorded() {
    let Some(ptxas) = Ptxas::find_or_skip() else {
        return;
    };
    let mut table = String::from(
        "# Kernels on sm_86: threads and registers (predicted) of a thread, bytes of shared memory,\n\
         # and theoretical occupancy on an A5000. Written by BSQ_BLESS=1.\n",
    );
    for path in ["default-1.toml", "reference/bsq_128_b18.yaml"] {
        for (format, precision, tf32) in [FORMATS[0], FORMATS[2], FORMATS[3]] {
            let (config, _) = Config::load(configs().join(path)).unwrap();
            let tokenizer = Tokenizer::new(&config.model);
            let mut kernels = Kernels::default();
            let options = options(precision, tf32, true);
            kernels.add("", &encode_function(&tokenizer, 1), &options);
            kernels.add("", &decode_function(&tokenizer, 1), &options);
            writeln!(table, "\n{path} {format}").unwrap();
            let mut rows: Vec<String> = (kernels.0.values().zip(kernels.assemble(&ptxas)))
                .map(|(kernel, said)| row(kernel, &said))
                .collect();
            rows.sort_by(|a, b| label(a).cmp(label(b)));
            table += &rows.concat();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ptx_kernels.txt");
    if std::env::var_os("BSQ_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap();
    let differs = wanted.lines().zip(table.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(wanted.lines().count(), table.lines().count());
}

fn row(kernel: &Kernel, said: &Assembled) -> String {
    let warps = kernel.threads.div_ceil(32);
    let resident = device().resident_blocks(kernel.threads, kernel.shared_bytes, said.registers);
    let occupancy = f64::from(resident * warps) / f64::from(device().threads_per_sm / 32);
    format!(
        "{:4} threads, {:3} ({:3}) registers, {:6} bytes, {:3.0}%  {}\n",
        kernel.threads,
        said.registers,
        kernel.cost.registers,
        kernel.shared_bytes,
        100.0 * occupancy,
        kernel.label
    )
}

/// The label of a row: its order is that of the program.
fn label(row: &str) -> &str {
    row.split_once("%  ").map_or(row, |(_, label)| label)
}

/// The version of PTX is one that knows the target.
#[test]
fn every_target_is_known_to_the_assembler() {
    let Some(ptxas) = Ptxas::find_or_skip() else {
        return;
    };
    let g = bsq_ir::Graph::new();
    let x = g.input("x", bsq_ir::DType::F32, [70, 40]);
    let y = x
        .matmul(g.parameter("w", bsq_ir::DType::F32, [40, 150]))
        .softmax();
    let function = g.function([("y", y.id())], []);
    for sm in bsq_codegen::ptx::TARGETS {
        for tf32 in [false, true] {
            let options = PtxOptions {
                target: bsq_codegen::ptx::Options { sm, tf32 },
                ..PtxOptions::default()
            };
            for entry in compile_ptx(&function, &options).unwrap().entries {
                let assembled = ptxas.assemble(&entry.text, &format!("sm_{sm}"));
                assert!(assembled.is_ok(), "sm_{sm}: {:?}", assembled.err());
            }
        }
    }
}
