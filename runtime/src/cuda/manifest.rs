//! A program for GPUs as data: what memory to take, and what to launch on it in which order.
//! `docs/export.md` describes every field.

use super::ptx::{PtxOptions, PtxProgram};
use bsq_codegen::program::{Buffer, BufferKind, Launch};
use bsq_codegen::ptx::Entry;
use serde_json::{Value, json};

/// The version of the format: raised when a loader must know of a change.
pub const VERSION: u32 = 1;

/// A program, and what it was made from.
pub struct Manifest<'a> {
    pub model: &'a str,
    /// Which of the model's functions.
    pub function: &'a str,
    pub batch: usize,
    pub precision: &'a str,
    pub options: &'a PtxOptions,
    pub compiled: &'a PtxProgram,
}

impl Manifest<'_> {
    /// The file of a kernel.
    pub fn file_of(entry: &Entry) -> String {
        format!("{}.ptx", entry.name)
    }

    /// The tensor of a constant, by its buffer.
    pub fn constant(buffer: usize) -> String {
        format!("constant.{buffer}")
    }

    pub fn to_json(&self) -> Value {
        let PtxProgram {
            program, entries, ..
        } = self.compiled;
        let kernels = program.kernels.iter().zip(entries);
        let kernels = kernels.map(|(kernel, entry)| {
            json!({
                "name": entry.name,
                "file": Self::file_of(entry),
                "blocks": entry.blocks,
                "threads": entry.threads,
                "shared_bytes": entry.shared_bytes,
                "dynamic_shared_bytes": entry.dynamic_shared_bytes,
                "workspace_bytes": entry.workspace_bytes,
                "buffers": kernel.buffers.len(),
            })
        });
        let buffers = program.buffers.iter().enumerate().map(buffer);
        let outputs = program.outputs.iter();
        let outputs = outputs.map(|(name, id)| json!({ "name": name, "buffer": id.0 }));
        let copies = program.copies.iter();
        let copies = copies.map(|(from, to)| json!({ "from": from.0, "to": to.0 }));
        json!({
            "format": "bsq program",
            "version": VERSION,
            "producer": concat!("bsq ", env!("CARGO_PKG_VERSION")),
            "model": self.model,
            "function": self.function,
            "batch": self.batch,
            "precision": self.precision,
            "tf32": self.options.target.tf32,
            "target": format!("sm_{}", self.options.target.sm),
            "weights": "weights.safetensors",
            "arena_bytes": program.arena_bytes,
            "workspace_bytes": self.compiled.workspace_bytes(),
            "peak_bytes": self.compiled.report.peak_bytes,
            "kernels": kernels.collect::<Vec<Value>>(),
            "buffers": buffers.collect::<Vec<Value>>(),
            "launches": program.launches.iter().map(launch).collect::<Vec<Value>>(),
            "copies": copies.collect::<Vec<Value>>(),
            "outputs": outputs.collect::<Vec<Value>>(),
        })
    }
}

fn buffer((index, buffer): (usize, &Buffer)) -> Value {
    let mut value = json!({
        "dtype": buffer.ty.dtype.to_string(),
        "shape": buffer.ty.shape.to_vec(),
        "bytes": buffer.ty.bytes(),
    });
    let kind = match &buffer.kind {
        BufferKind::Input(name) => {
            value["name"] = json!(name);
            "input"
        }
        BufferKind::Parameter(name) => {
            value["name"] = json!(name);
            "parameter"
        }
        BufferKind::Constant(_) => {
            value["name"] = json!(Manifest::constant(index));
            "constant"
        }
        BufferKind::Temporary { offset } => {
            value["offset"] = json!(offset);
            "temporary"
        }
        BufferKind::Invariant => "stable",
    };
    value["kind"] = json!(kind);
    value
}

fn launch(launch: &Launch) -> Value {
    let buffers: Vec<u32> = launch.arguments.iter().map(|id| id.0).collect();
    json!({
        "kernel": launch.kernel,
        "buffers": buffers,
        "stable": launch.invariant,
        "label": launch.label,
        "flops": launch.flops,
    })
}
