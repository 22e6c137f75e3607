//! Our implementation: functions, compiled and bound.

use super::implementation::Implementation;
use super::threads;
use bsq_ir::{DType, Function};
use bsq_runtime::{CompileOptions, HostTensor, Outputs, Session, compile};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Tensors by name.
pub type Tensors = BTreeMap<String, HostTensor>;

/// What is measured of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// All of it, from taking the inputs to handing out the results, both of which are copied.
    Run,
    /// The launches of its kernels: what the work costs inside a larger program.
    Launches,
}

/// Compiled functions that run one after the other, each on what the one before computed.
pub struct OurProgram {
    stages: Vec<Stage>,
    inputs: Tensors,
    measure: Measure,
    outputs: Outputs,
}

struct Stage {
    session: Session,
    inputs: Vec<String>,
}

impl OurProgram {
    /// One function with its parameters and inputs by name; a parameter that is not given starts
    /// as zeros. With `exact`, rewriting keeps every bit.
    ///
    /// # Panics
    /// If it cannot be compiled, or an input is missing.
    pub fn new(
        function: &Function,
        exact: bool,
        measure: Measure,
        parameters: &Tensors,
        inputs: &Tensors,
    ) -> OurProgram {
        let functions = std::slice::from_ref(function);
        OurProgram::chain(functions, exact, measure, parameters, inputs)
    }

    /// Several functions; outputs of one are inputs of the next, by name.
    ///
    /// # Panics
    /// As [`new`](OurProgram::new).
    pub fn chain(
        functions: &[Function],
        exact: bool,
        measure: Measure,
        parameters: &Tensors,
        inputs: &Tensors,
    ) -> OurProgram {
        let stage = |function: &Function| {
            let options = CompileOptions {
                exact,
                threads: threads(),
                ..CompileOptions::default()
            };
            let executable = compile(function, &options).expect("the program compiles");
            let bound = function.parameters().map(|(_, name, ty)| {
                let zeros = || HostTensor::zeros(ty.dtype, ty.shape.to_vec()).expect("memory");
                let tensor = parameters.get(name).cloned().unwrap_or_else(zeros);
                (name.to_string(), tensor)
            });
            let session = executable.bind(bound.collect()).expect("parameters fit");
            let inputs = function.inputs().map(|(_, name, _)| name.to_string());
            Stage {
                session,
                inputs: inputs.collect(),
            }
        };
        OurProgram {
            stages: functions.iter().map(stage).collect(),
            inputs: inputs.clone(),
            measure,
            outputs: Outputs::new(),
        }
    }

    /// The elements of one output of the last run.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn output(&self, name: &str) -> Vec<f64> {
        numbers(&self.outputs[name])
    }
}

impl Implementation for OurProgram {
    fn run(&mut self) -> Duration {
        let mut total = Duration::ZERO;
        for stage in &mut self.stages {
            let given = stage.inputs.iter().map(|name| {
                let computed = self.outputs.get(name);
                let tensor = self.inputs.get(name).or(computed);
                (name.as_str(), tensor.expect("every input is given"))
            });
            let given: Vec<(&str, &HostTensor)> = given.collect();
            let (outputs, time) = match self.measure {
                Measure::Run => {
                    let start = Instant::now();
                    let outputs = stage.session.run(&given).expect("the inputs fit");
                    (outputs, start.elapsed())
                }
                Measure::Launches => {
                    let profile = stage.session.profile(&given);
                    let (outputs, launches) = profile.expect("the inputs fit");
                    (outputs, launches.iter().map(|l| l.span.time()).sum())
                }
            };
            total += time;
            self.outputs = outputs;
        }
        total
    }

    /// All outputs, in the order of their names.
    fn result(&mut self) -> Vec<f64> {
        self.outputs.values().flat_map(numbers).collect()
    }
}

/// Every element as a number.
fn numbers(tensor: &HostTensor) -> Vec<f64> {
    let read = "the element type is asked first";
    match tensor.dtype() {
        DType::F32 => {
            let elements = tensor.as_slice::<f32>().expect(read).iter();
            elements.map(|&x| f64::from(x)).collect()
        }
        DType::U64 => {
            let elements = tensor.as_slice::<u64>().expect(read).iter();
            elements.map(|&x| x as f64).collect()
        }
        other => panic!("no bench compares tensors of {other}"),
    }
}
