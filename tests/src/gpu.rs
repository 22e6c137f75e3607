//! Runs programs for GPUs in the interpreter of PTX.

use bsq_codegen::lower::{self, Precision};
use bsq_codegen::pipeline::Pipeline;
use bsq_codegen::program::{BufferId, BufferKind, Program};
use bsq_codegen::ptx;
use bsq_ir::{DType, Function, Type};
use bsq_ptx_interpreter::{Device, Launch, Module, Options, Param, Stats};
use bsq_runtime::{HostTensor, Outputs};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A program with its parameters in an interpreted GPU.
pub struct Gpu {
    program: Arc<Program>,
    entries: Vec<ptx::Entry>,
    modules: Vec<Module>,
    device: Device,
    addresses: Vec<u64>,
    stale: bool,
    /// What all launches so far have done, by the program's kernel.
    pub stats: Vec<Stats>,
}

/// How a program is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    pub precision: Precision,
    pub tf32: bool,
}

impl Gpu {
    /// Compiles a function and binds its parameters. But in tf32, rewrites keep every bit.
    pub fn new(
        function: &Function,
        target: Target,
        parameters: &BTreeMap<String, HostTensor>,
        seed: u64,
    ) -> Gpu {
        let options = ptx::Options {
            tf32: target.tf32,
            ..Default::default()
        };
        let lowering = lower::Options {
            precision: target.precision,
            narrow_activations: true,
            tiling: options.tiling(target.precision),
            memory: None,
        };
        let mut pipeline = Pipeline::from_environment().expect("names of passes");
        // In tf32 bits differ anyway; training allows it too.
        let rounds = target.tf32 || target.precision == Precision::Bf16Training;
        let rewritten = pipeline.rewrite(function, !rounds);
        let rewritten = rewritten.expect("a well-formed function");
        let program = pipeline.lower(&rewritten, &lowering).expect("a program");
        let entries = pipeline.ptx(&program, &options);
        let entries = entries.expect("a kernel for every launch");
        Gpu::load(program, entries, parameters, seed)
    }

    /// Loads kernels that are ready.
    pub fn load(
        program: Program,
        entries: Vec<ptx::Entry>,
        parameters: &BTreeMap<String, HostTensor>,
        seed: u64,
    ) -> Gpu {
        let parse = |entry: &ptx::Entry| match Module::parse(&entry.text) {
            Ok(module) => module,
            Err(error) => panic!("{}: {error}\n{}", entry.name, numbered(&entry.text)),
        };
        let modules = entries.iter().map(parse).collect();
        let mut device = Device::with_options(Options {
            seed,
            ..Options::default()
        });
        // Buffers apart, so that what leaves one is seen.
        let allocate = |buffer: &bsq_codegen::program::Buffer| {
            let address = device.allocate(buffer.ty.bytes());
            match &buffer.kind {
                BufferKind::Parameter(name) => device.write(address, parameters[name].bytes()),
                BufferKind::Constant(bytes) => device.write(address, bytes),
                _ => {}
            }
            address
        };
        let addresses = program.buffers.iter().map(allocate).collect();
        Gpu {
            stats: vec![Stats::default(); program.kernels.len()],
            program: Arc::new(program),
            entries,
            modules,
            device,
            addresses,
            stale: true,
        }
    }

    /// Runs once.
    ///
    /// # Errors
    /// The first fault of a kernel, with its text.
    pub fn run(&mut self, inputs: &[(&str, &HostTensor)]) -> Result<Outputs, String> {
        for (index, buffer) in self.program.buffers.iter().enumerate() {
            match &buffer.kind {
                BufferKind::Input(name) => {
                    let given = inputs.iter().find(|input| input.0 == name);
                    let (_, value) = given.ok_or(format!("no input {name}"))?;
                    self.device.write(self.addresses[index], value.bytes());
                }
                BufferKind::Temporary { .. } => {
                    self.device.forget(self.addresses[index], buffer.ty.bytes());
                }
                _ => {}
            }
        }
        for index in 0..self.program.launches.len() {
            if !self.program.launches[index].invariant || self.stale {
                self.launch(index)?;
            }
        }
        self.stale = false;
        let program = self.program.clone();
        for &(from, to) in &program.copies {
            let bytes = self.bytes(from)?;
            self.device.write(self.addresses[to.0 as usize], &bytes);
        }
        let mut outputs = Outputs::new();
        for (name, id) in &program.outputs {
            outputs.insert(name.clone(), self.tensor(*id)?);
        }
        Ok(outputs)
    }

    fn launch(&mut self, index: usize) -> Result<(), String> {
        let program = self.program.clone();
        let launch = &program.launches[index];
        let entry = &self.entries[launch.kernel];
        if entry.blocks == 0 {
            return Ok(());
        }
        let mut params: Vec<Param> = launch
            .arguments
            .iter()
            .map(|id| Param::Pointer(self.addresses[id.0 as usize]))
            .collect();
        let workspace = match entry.workspace_bytes {
            0 => None,
            bytes => Some(self.device.allocate(bytes)),
        };
        params.extend(workspace.map(Param::Pointer));
        let geometry = Launch::new([entry.blocks, 1, 1], [entry.threads, 1, 1])
            .with_shared(entry.dynamic_shared_bytes);
        let module = &self.modules[launch.kernel];
        let done = self.device.launch(module, &entry.name, geometry, &params);
        if let Some(workspace) = workspace {
            self.device.free(workspace);
        }
        match done {
            Ok(stats) => {
                self.stats[launch.kernel] = stats;
                Ok(())
            }
            Err(error) => Err(format!(
                "{}: {error}\n{}\n{}",
                launch.label,
                program.kernels[launch.kernel],
                numbered(&entry.text)
            )),
        }
    }

    fn bytes(&mut self, id: BufferId) -> Result<Vec<u8>, String> {
        let bytes = self.program.buffer(id).ty.bytes();
        let read = self.device.read_range(self.addresses[id.0 as usize], bytes);
        read.map_err(|error| error.to_string())
    }

    fn tensor(&mut self, id: BufferId) -> Result<HostTensor, String> {
        let bytes = self.bytes(id)?;
        let ty = &self.program.buffer(id).ty;
        let tensor = HostTensor::from_bytes(ty.dtype, ty.shape.to_vec(), &bytes);
        tensor.map_err(|error| error.to_string())
    }

    /// Every parameter with its current value.
    pub fn parameters(&mut self) -> Result<BTreeMap<String, HostTensor>, String> {
        let mut parameters = BTreeMap::new();
        for index in 0..self.program.buffers.len() {
            if let BufferKind::Parameter(name) = &self.program.buffers[index].kind {
                let name = name.clone();
                parameters.insert(name, self.tensor(BufferId(index as u32))?);
            }
        }
        Ok(parameters)
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn entries(&self) -> &[ptx::Entry] {
        &self.entries
    }
}

/// A text with the numbers of its lines.
fn numbered(text: &str) -> String {
    let lines = text.lines().enumerate();
    lines
        .map(|(number, line)| format!("{:4} {line}\n", number + 1))
        .collect()
}

/// Numbers for every input of a function.
pub fn inputs(function: &Function) -> BTreeMap<String, HostTensor> {
    let filled =
        |(_, name, ty): (_, &str, &Type)| (name.to_string(), fill(name, ty.dtype, &ty.shape));
    function.inputs().map(filled).collect()
}

/// Numbers for every parameter of a function.
pub fn parameters(function: &Function) -> BTreeMap<String, HostTensor> {
    let filled =
        |(_, name, ty): (_, &str, &Type)| (name.to_string(), fill(name, ty.dtype, &ty.shape));
    function.parameters().map(filled).collect()
}

/// Uneven numbers of both signs from a name and an index, as an input or a parameter.
pub fn fill(name: &str, dtype: DType, shape: &[usize]) -> HostTensor {
    let seed = crate::fnv1a(name.bytes());
    let count: usize = shape.iter().product();
    let word = |i: usize| bsq_ir::philox::random_word(seed, 0, i as u64);
    let unit = |i: usize| (f64::from(word(i)) / 2f64.powi(31) - 1.0) as f32;
    let bytes: Vec<u8> = match dtype {
        DType::F32 => (0..count).flat_map(|i| unit(i).to_le_bytes()).collect(),
        DType::I32 => (0..count)
            .flat_map(|i| (word(i) % 7).to_le_bytes())
            .collect(),
        DType::U64 => (0..count)
            .flat_map(|i| u64::from(word(i)).to_le_bytes())
            .collect(),
        DType::I64 => (0..count)
            .flat_map(|i| i64::from(word(i) % 7).to_le_bytes())
            .collect(),
        DType::U8 => (0..count).map(|i| (word(i) >> 24) as u8).collect(),
        DType::F16 => {
            let wide = fill(name, DType::F32, shape);
            return wide.to_dtype(dtype).expect("f32 becomes f16");
        }
        DType::BF16 => (0..count)
            .flat_map(|i| ((unit(i).to_bits() >> 16) as u16).to_le_bytes())
            .collect(),
        dtype => panic!("no test data of {dtype}"),
    };
    HostTensor::from_bytes(dtype, shape.to_vec(), &bytes).expect("as many bytes as the shape says")
}
