//! A program with its parameters and memory, ready to run.

use super::checked::check_values;
use super::compile::{Code, Executable};
use super::cpu::CpuBound;
use super::outdated::mark_outdated;
use super::{BoundProgram, LaunchTime, Outputs, ProgramError};
use crate::cuda::CudaBound;
use crate::names::known_names;
use crate::tensor_data::HostTensor;
use bsq_codegen::program::{BufferKind, Program};
use bsq_ir::{Function, Type};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A bound program. Parameters that the program updates change with every run.
pub struct Session {
    program: Arc<Program>,
    bound: Box<dyn BoundProgram>,
    names: Names,
    /// Invariant launches that the next run begins with, by position.
    outdated: Vec<bool>,
    /// Parameters that were replaced since the last run.
    changed: Vec<usize>,
    /// The function, if runs are checked.
    checked: Option<Arc<Function>>,
}

/// Buffers of inputs and parameters by name.
#[derive(Default)]
struct Names {
    inputs: BTreeMap<String, usize>,
    parameters: BTreeMap<String, usize>,
}

impl Names {
    fn of(program: &Program) -> Names {
        let mut names = Names::default();
        for (index, buffer) in program.buffers.iter().enumerate() {
            match &buffer.kind {
                BufferKind::Input(name) => names.inputs.insert(name.clone(), index),
                BufferKind::Parameter(name) => names.parameters.insert(name.clone(), index),
                BufferKind::Constant(_) | BufferKind::Invariant | BufferKind::Temporary { .. } => {
                    None
                }
            };
        }
        names
    }
}

impl Session {
    pub(super) fn new(
        executable: Executable,
        mut parameters: BTreeMap<String, HostTensor>,
    ) -> Result<Self, ProgramError> {
        let program = executable.program;
        let checked = executable.checked;
        let names = Names::of(&program);
        // First what is not known: it is often the misspelled name of what is missing.
        let is_unknown = |name: &&String| !names.parameters.contains_key(*name);
        if let Some(name) = parameters.keys().find(is_unknown) {
            return Err(unexpected("parameter", name, &names.parameters));
        }
        let mut values = BTreeMap::new();
        for (name, &index) in &names.parameters {
            let ty = &program.buffers[index].ty;
            let tensor = parameters
                .remove(name)
                .ok_or_else(|| missing("parameter", name, ty))?;
            check("parameter", name, ty, &tensor)?;
            values.insert(index, tensor);
        }
        let bound: Box<dyn BoundProgram> = match executable.code {
            Code::Cpu { code, threads } => {
                Box::new(CpuBound::new(program.clone(), code, threads, values)?)
            }
            Code::Cuda(code) => Box::new(CudaBound::new(program.clone(), code, &values)?),
        };
        let outdated = program.launches.iter().map(|launch| launch.invariant);
        Ok(Session {
            outdated: outdated.collect(),
            changed: Vec::new(),
            program,
            bound,
            names,
            checked,
        })
    }

    /// The current value of a parameter.
    ///
    /// # Errors
    /// If the program has no such parameter, or a device does not give it back.
    pub fn parameter(&self, name: &str) -> Result<&HostTensor, ProgramError> {
        match self.names.parameters.get(name) {
            Some(&index) => self.bound.parameter(index),
            None => Err(unexpected("parameter", name, &self.names.parameters)),
        }
    }

    /// Every parameter with its current value, by name.
    ///
    /// # Errors
    /// If a device does not give them back.
    pub fn parameters(&self) -> Result<Vec<(&str, &HostTensor)>, ProgramError> {
        let names = self.names.parameters.iter();
        let values = names.map(|(name, &index)| Ok((&**name, self.bound.parameter(index)?)));
        values.collect()
    }

    /// Replaces the value of a parameter.
    pub fn set_parameter(&mut self, name: &str, value: &HostTensor) -> Result<(), ProgramError> {
        let Some(&index) = self.names.parameters.get(name) else {
            return Err(unexpected("parameter", name, &self.names.parameters));
        };
        check("parameter", name, &self.program.buffers[index].ty, value)?;
        self.bound.write_parameter(index, value)?;
        self.changed.push(index);
        Ok(())
    }

    /// Runs once. All inputs must be given, each by its name.
    pub fn run(&mut self, inputs: &[(&str, &HostTensor)]) -> Result<Outputs, ProgramError> {
        self.collect(inputs, None)
    }

    /// Runs once and gives each output to `ready` by its name as soon as it is there, while the rest still
    /// runs: of a program on a CPU in the order in which they are computed, which is the same in every run;
    /// of one on a GPU at the end.
    pub fn run_each(
        &mut self,
        inputs: &[(&str, &HostTensor)],
        mut ready: impl FnMut(&str, HostTensor),
    ) -> Result<(), ProgramError> {
        let program = self.program.clone();
        self.run_with(inputs, None, &mut |output, tensor| {
            ready(&program.outputs[output].0, tensor);
        })
    }

    /// Runs once and measures each launch, and on a CPU in it each thread.
    pub fn profile(
        &mut self,
        inputs: &[(&str, &HostTensor)],
    ) -> Result<(Outputs, Vec<LaunchTime>), ProgramError> {
        let mut launches = Vec::new();
        let outputs = self.collect(inputs, Some(&mut launches))?;
        Ok((outputs, launches))
    }

    fn collect(
        &mut self,
        inputs: &[(&str, &HostTensor)],
        profile: Option<&mut Vec<LaunchTime>>,
    ) -> Result<Outputs, ProgramError> {
        let (program, mut outputs) = (self.program.clone(), Outputs::new());
        self.run_with(inputs, profile, &mut |output, tensor| {
            outputs.insert(program.outputs[output].0.clone(), tensor);
        })?;
        Ok(outputs)
    }

    fn run_with(
        &mut self,
        inputs: &[(&str, &HostTensor)],
        profile: Option<&mut Vec<LaunchTime>>,
        ready: &mut dyn FnMut(usize, HostTensor),
    ) -> Result<(), ProgramError> {
        let mut given = Vec::with_capacity(inputs.len());
        for &(name, value) in inputs {
            let Some(&index) = self.names.inputs.get(name) else {
                return Err(unexpected("input", name, &self.names.inputs));
            };
            check("input", name, &self.program.buffers[index].ty, value)?;
            if given.iter().any(|&(other, _)| other == index) {
                let name = name.to_string();
                return Err(ProgramError::Twice { name });
            }
            given.push((index, value));
        }
        let is_given = |index: usize| given.iter().any(|input| input.0 == index);
        let missing_one = self.names.inputs.iter().find(|input| !is_given(*input.1));
        if let Some((name, &index)) = missing_one {
            return Err(missing("input", name, &self.program.buffers[index].ty));
        }
        if let Some(function) = &self.checked {
            let parameters = self.parameters()?.into_iter().collect();
            check_values(function, &inputs.iter().copied().collect(), &parameters)?;
        }
        mark_outdated(&self.program, &self.changed, &mut self.outdated);
        self.changed.clear();
        self.bound.run(&given, &self.outdated, profile, ready)?;
        self.outdated.fill(false);
        Ok(())
    }
}

fn missing(kind: &'static str, name: &str, wanted: &Type) -> ProgramError {
    ProgramError::Missing {
        kind,
        name: name.to_string(),
        wanted: wanted.clone(),
    }
}

fn check(
    kind: &'static str,
    name: &str,
    wanted: &Type,
    got: &HostTensor,
) -> Result<(), ProgramError> {
    if got.dtype() == wanted.dtype && *got.shape() == *wanted.shape {
        return Ok(());
    }
    let got = Type::new(got.dtype(), got.shape());
    Err(ProgramError::Mismatch {
        kind,
        name: name.to_string(),
        wanted: wanted.clone(),
        got,
    })
}

fn unexpected(kind: &'static str, name: &str, known: &BTreeMap<String, usize>) -> ProgramError {
    ProgramError::Unexpected {
        kind,
        name: name.to_string(),
        known: known_names(name, known.keys().map(String::as_str)),
    }
}
