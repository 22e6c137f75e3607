//! A program that is ready to run, and the times of its samples.

use super::super::error::CliError;
use super::kernels::{KernelShare, shares};
use crate::machine::median;
use bsq_codegen::program::Program;
use bsq_ir::{DType, Function, Op};
use bsq_runtime::executor::Tensors;
use bsq_runtime::program::LaunchTime;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use bsq_runtime::{CompileOptions, Executable, Session, compile};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A program, ready to run, with its samples.
pub struct Measured {
    pub name: String,
    pub executable: Executable,
    session: Session,
    inputs: Tensors,
    /// What the first sample took, which also does what is done only once.
    first: Duration,
    /// Seconds of each run as a whole.
    times: Vec<f64>,
    /// The launches of each run in which they were measured.
    profiles: Vec<Vec<LaunchTime>>,
}

impl Measured {
    pub fn new(
        name: impl Into<String>,
        function: &Function,
        parameters: &Tensors,
        options: &CompileOptions,
    ) -> Result<Measured, CliError> {
        let executable = compile(function, options)?;
        let mut bound = Tensors::new();
        for (_, name, ty) in function.parameters() {
            // The optimizer's state is no parameter of the model: it starts as zeros.
            let tensor = match parameters.get(name) {
                Some(tensor) => tensor.clone(),
                None => HostTensor::zeros(ty.dtype, ty.shape.to_vec())?,
            };
            bound.insert(name.to_string(), tensor);
        }
        let mut measured = Measured {
            name: name.into(),
            session: executable.bind(bound)?,
            executable,
            inputs: some_inputs(function)?,
            first: Duration::ZERO,
            times: Vec::new(),
            profiles: Vec::new(),
        };
        let start = Instant::now();
        measured.sample()?;
        measured.first = start.elapsed();
        measured.times.clear();
        measured.profiles.clear();
        Ok(measured)
    }

    /// What a sample takes at most.
    pub fn first_run(&self) -> Duration {
        self.first
    }

    /// One run as a whole, and one with each launch measured.
    pub fn sample(&mut self) -> Result<(), CliError> {
        let inputs: Vec<(&str, &HostTensor)> =
            self.inputs.iter().map(|(name, t)| (&**name, t)).collect();
        let start = Instant::now();
        black_box(self.session.run(&inputs)?);
        self.times.push(start.elapsed().as_secs_f64());
        let (_, launches) = self.session.profile(&inputs)?;
        self.profiles.push(launches);
        Ok(())
    }

    pub fn program(&self) -> &Program {
        self.executable.program()
    }

    pub fn seconds(&self) -> f64 {
        median(&self.times)
    }

    pub fn gflops(&self) -> f64 {
        self.program().flops() as f64 / self.seconds() / 1e9
    }

    /// The kernels, those that take longest first.
    pub fn kernels(&self) -> Vec<KernelShare> {
        shares(self.program(), &self.profiles)
    }

    /// Of the runs in which launches were measured, the one whose launches took the median time.
    pub fn typical_run(&self) -> &[LaunchTime] {
        let total = |launches: &Vec<LaunchTime>| -> f64 {
            let times = launches.iter().map(|l| l.span.time().as_secs_f64());
            times.sum()
        };
        let middle = median(&self.profiles.iter().map(total).collect::<Vec<_>>());
        let typical = self.profiles.iter().find(|run| total(run) == middle);
        typical.map_or(&[], Vec::as_slice)
    }
}

/// Pictures of a fixed pattern; zeros for everything else.
fn some_inputs(function: &Function) -> Result<Tensors, TensorError> {
    let mut inputs = Tensors::new();
    for node in function.nodes() {
        if let Op::Input { name, ty } = &node.op {
            let mut tensor = HostTensor::zeros(ty.dtype, ty.shape.to_vec())?;
            if ty.dtype == DType::F32 && !ty.shape.is_empty() {
                let pixels = tensor.as_mut_slice::<f32>()?.iter_mut();
                for (i, pixel) in pixels.enumerate() {
                    *pixel = ((i * 7919) % 2003) as f32 / 1001.0 - 1.0;
                }
            }
            inputs.insert(name.clone(), tensor);
        }
    }
    Ok(inputs)
}
