//! PTX for GPUs of compute capability 8.0 and up, from the Kernel IR that CPUs run.
//!
//! A work item is run by a block of threads, by a tile of 16 lanes, or by a thread, as its loops
//! allow (`plan`). Vector loops are spread over lanes; other loops whose iterations touch
//! different elements are spread over groups of lanes, the rest is run by the whole block in
//! step. Barriers are placed where a statement needs what another thread has stored. How many
//! neighbouring elements a thread takes at once is decided in `plan/vector_access`.
//!
//! In f32 the results have the bits of every other target: the same fused multiply-adds in the
//! same order (`contract`), the same partial sums (`reduce`), the same polynomials
//! (`math`); roundings are spelled, so that the assembler joins nothing. Narrower formats run
//! on the tensor cores, whose order of summation is their own.

mod attend;
mod code;
mod contract;
pub mod cost;
mod devices;
mod emit;
mod integers;
mod listing;
mod loops;
mod map;
mod math;
mod memory;
mod plan;
mod reduce;
mod reduce_lanes;
mod tensor_cores;
mod thread_group;
mod vector_body;
mod work_items;

pub use code::{Body, Instruction, Opcode};
pub use devices::{DEVICES, Device};
pub use listing::listing;
pub use plan::MOST_SHARED;

use crate::kernel::{Format, Kernel};
use crate::lower::{Precision, TilingPolicy};
use crate::program::Program;
use emit::Emitter;
use plan::{Aliases, Geometry, attention};
use std::fmt::Write;

/// Compute capabilities that the generated code runs on, as `sm_86` names them.
pub const TARGETS: [u32; 7] = [80, 86, 87, 89, 90, 100, 120];

/// The oldest version of PTX that has what is used here, or the first that knows the target: that
/// of CUDA 11.4 (driver 470), 11.8, 12.7 and 12.8.
fn version(sm: u32) -> &'static str {
    match sm {
        ..=87 => "7.4",
        88..=90 => "7.8",
        91..=100 => "8.6",
        _ => "8.7",
    }
}

/// Shared memory that needs no request at the launch.
const STATIC_SHARED: usize = 48 * 1024;

/// What to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Compute capability times ten.
    pub sm: u32,
    /// Contractions in f32 on the tensor cores, their operands rounded to 10 bits of mantissa:
    /// faster, and outside the promise of the same bits everywhere.
    pub tf32: bool,
}

impl Default for Options {
    /// For the A5000, keeping bits.
    fn default() -> Self {
        Options {
            sm: 86,
            tf32: false,
        }
    }
}

impl Options {
    /// How the program must be lowered: a block's result fits shared memory several times over,
    /// and so do the scores of a tile of queries. In a training in bf16 attention's backward pass is on the tensor
    /// cores, too, in tf32, which has all bits of its operands.
    pub fn tiling(&self, precision: Precision) -> TilingPolicy {
        let rounds = self.tf32 || precision == Precision::Bf16Training;
        TilingPolicy {
            of_contraction: if self.tf32 {
                plan::block_tf32
            } else {
                plan::block
            },
            row_unit: 16,
            most_results: 128 * 128,
            scores: 16_384,
            least_queries: 4,
            most_queries: 16,
            copies_far_lhs: false,
            lhs_groups: |format| match format {
                Format::Bf16 => [2; 2],
                _ => [1, 0],
            },
            lhs_backwards: false,
            windows_as_lhs: precision == Precision::Bf16Training,
            lanes_along_rows: false,
            online_queries: match self.tf32 {
                true => |_| Some(attention::QUERIES),
                // In f32 the order of sums is that of other targets.
                false => |format| (format != Format::F32).then_some(attention::QUERIES),
            },
            columns: plan::columns_of_block,
            backward_block: Some(64),
            backward_tiles: rounds.then_some(attention::QUERIES),
        }
    }
}

/// Why a program has no PTX.
#[derive(Debug, thiserror::Error)]
pub enum PtxError {
    #[error("no code for sm_{sm}; known are {known}")]
    Target { sm: u32, known: String },
    #[error("kernel {kernel} has {items} work items, more than a launch can have")]
    Items { kernel: usize, items: usize },
    #[error("kernel {kernel} needs {bytes} bytes of shared memory, a block has {MOST_SHARED}")]
    Shared { kernel: usize, bytes: usize },
}

/// One kernel, ready to be assembled and launched.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    /// A whole PTX module with this one entry. Its parameters are the addresses of the kernel's
    /// buffers in order, and then of the workspace, if it has one.
    pub text: String,
    /// The instructions of the text, as data.
    pub body: Body,
    /// Blocks of the launch, in x; 0 means that there is nothing to launch.
    pub blocks: u32,
    /// Threads of a block, in x.
    pub threads: u32,
    /// Shared memory of a block in bytes, all of it.
    pub shared_bytes: usize,
    /// Of it, what must be asked for at the launch.
    pub dynamic_shared_bytes: usize,
    /// Global memory that the launch needs for itself, uninitialised.
    pub workspace_bytes: usize,
}

/// Every kernel of a program, in the program's order.
pub fn compile(program: &Program, options: &Options) -> Result<Vec<Entry>, PtxError> {
    if !TARGETS.contains(&options.sm) {
        let known: Vec<String> = TARGETS.iter().map(|sm| format!("sm_{sm}")).collect();
        return Err(PtxError::Target {
            sm: options.sm,
            known: known.join(", "),
        });
    }
    (0..program.kernels.len())
        .map(|index| entry(program, index, options))
        .collect()
}

fn entry(program: &Program, index: usize, options: &Options) -> Result<Entry, PtxError> {
    let kernel = &program.kernels[index];
    let aliases = Aliases::new(program, index);
    let items = kernel.items();
    if i32::try_from(items).is_err() {
        return Err(PtxError::Items {
            kernel: index,
            items,
        });
    }
    let geometry = Geometry::new(kernel, &aliases, options);
    if geometry.shared_bytes > MOST_SHARED {
        return Err(PtxError::Shared {
            kernel: index,
            bytes: geometry.shared_bytes,
        });
    }
    let name = format!("kernel_{index}");
    let shared_bytes = geometry.shared_bytes;
    let dynamic_shared_bytes = match shared_bytes > STATIC_SHARED {
        true => shared_bytes,
        false => 0,
    };
    let workspace_bytes = geometry.workspace_bytes * geometry.blocks as usize;
    let body = Emitter::new(kernel, &aliases, &geometry, options).run();
    let text = module(&name, kernel, &geometry, (options, &body));
    Ok(Entry {
        name,
        text,
        body,
        blocks: geometry.blocks,
        threads: geometry.threads,
        shared_bytes,
        dynamic_shared_bytes,
        workspace_bytes,
    })
}

fn module(
    name: &str,
    kernel: &Kernel,
    geometry: &Geometry,
    (options, body): (&Options, &Body),
) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        ".version {}\n.target sm_{}\n.address_size 64\n",
        version(options.sm),
        options.sm
    );
    let shared = match geometry.shared_bytes {
        0 => String::new(),
        bytes if bytes > STATIC_SHARED => {
            let _ = writeln!(text, ".extern .shared .align 16 .b8 shared[];\n");
            String::new()
        }
        bytes => format!("    .shared .align 16 .b8 shared[{bytes}];\n"),
    };
    let mut parameters: Vec<String> = Vec::new();
    for (index, array) in kernel.buffers.iter().enumerate() {
        let written = if array.written { ", written" } else { "" };
        let _ = writeln!(
            text,
            "// b{index}: {}[{}]{written}",
            array.dtype, array.elements
        );
        parameters.push(format!(".param .u64 b{index}"));
    }
    if geometry.workspace_bytes > 0 {
        parameters.push(".param .u64 workspace".to_string());
    }
    let threads = geometry.threads;
    let _ = writeln!(
        text,
        ".visible .entry {name}(\n    {}\n)\n.maxntid {threads}, 1, 1\n.minnctapersm 1\n{{\n{shared}{body}}}",
        parameters.join(",\n    ")
    );
    text
}
