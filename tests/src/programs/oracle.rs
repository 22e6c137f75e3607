//! What a program must give, and every way to get it.

use super::panics::catch;
use super::tolerance::Spread;
use super::{Program, panics};
use crate::gpu::{Gpu, Target};
use bsq_codegen::cpu::microkernel::Family;
use bsq_codegen::lower::Precision;
use bsq_ir::eval::{self, Value, Values, evaluate};
use bsq_ir::{Function, NodeId, Op, Type, text, verify};
use bsq_runtime::{CompileOptions, HostTensor, Session, compile};
use std::collections::BTreeMap;
use std::fmt;

/// One way from a program to what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Printed, parsed, and the same; well formed.
    Text,
    /// Compiled for the CPU. Bit for bit if exact, else within what rounding explains.
    Cpu {
        family: Family,
        threads: usize,
        exact: bool,
    },
    /// Compiled with contractions in a narrow format: it runs, whatever it gives.
    Narrow(Precision),
    /// As PTX in the interpreter, bit for bit.
    Ptx,
    /// As PTX for tensor cores: it runs without a fault, whatever it gives.
    TensorCores(Target),
}

impl Way {
    /// All of them on this machine.
    pub fn all() -> Vec<Way> {
        let mut all = vec![Way::Text];
        for family in Family::all_supported() {
            for (threads, exact) in [(1, true), (2, true), (1, false), (2, false)] {
                all.push(Way::Cpu {
                    family,
                    threads,
                    exact,
                });
            }
        }
        let formats = [
            Precision::Bf16,
            Precision::F16,
            Precision::Int8,
            Precision::Int8All,
        ];
        all.extend(formats.map(Way::Narrow));
        all.push(Way::Ptx);
        for (precision, tf32) in [
            (Precision::F32, true),
            (Precision::Bf16, true),
            (Precision::F16, false),
        ] {
            all.push(Way::TensorCores(Target { precision, tf32 }));
        }
        all
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Text => f.write_str("text"),
            Way::Narrow(precision) => write!(f, "{precision:?}"),
            Way::Ptx => f.write_str("ptx"),
            Way::TensorCores(Target { precision, tf32 }) => {
                write!(f, "ptx, {precision:?}, tf32: {tf32}")
            }
            Way::Cpu {
                family,
                threads,
                exact,
            } => {
                let exact = if *exact { "exact" } else { "inexact" };
                write!(f, "{family}, {threads} threads, {exact}")
            }
        }
    }
}

/// What is wrong, and in which way.
#[derive(Clone, Debug)]
pub struct Failure {
    pub way: Way,
    /// `panic at FILE:LINE`, `refused`, `differs`: of one kind if the first words are.
    pub what: String,
}

impl Failure {
    /// The part by which a smaller program is known to fail alike: the place of a panic, or that
    /// something is refused or differs.
    pub fn kind(&self) -> &str {
        let line = self.what.lines().next().unwrap_or_default();
        match line.starts_with("panic at") {
            true => line,
            false => line.split_whitespace().next().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) {}", self.way, self.what)
    }
}

/// Compares a program with the evaluator in one way.
///
/// # Errors
/// With what differs, or what could not be compiled.
pub fn check(program: &Program, way: Way) -> Result<(), Failure> {
    let fail = |what: String| Failure { way, what };
    let checked = panics::catch(|| match way {
        Way::Text => same_text(program),
        Way::Cpu {
            family,
            threads,
            exact,
        } => {
            let options = CompileOptions {
                family: Some(family),
                threads,
                exact,
                ..Default::default()
            };
            on_cpu(program, &options)
        }
        Way::Narrow(precision) => {
            let options = CompileOptions {
                precision,
                threads: 1,
                ..Default::default()
            };
            on_cpu(program, &options)
        }
        Way::Ptx => on_gpu(program, Target::default()),
        Way::TensorCores(target) => on_gpu(program, target),
    });
    checked.unwrap_or_else(Err).map_err(fail)
}

fn same_text(program: &Program) -> Result<(), String> {
    let function = &program.function;
    verify::verify(function).map_err(|error| format!("malformed: {error}"))?;
    let printed = function.to_string();
    let parsed = text::parse(&printed).map_err(|error| format!("unparsable: {error}"))?;
    match parsed == *function {
        true => Ok(()),
        false => Err(format!("differs: parsed back it is\n{parsed}")),
    }
}

/// What a result must have.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Bits,
    /// What rounding explains.
    Close,
    Anything,
}

/// A program that runs on something.
trait Machine {
    fn run(&mut self, inputs: &[(&str, &HostTensor)]) -> Result<Tensors, String>;
    fn parameters(&mut self) -> Result<Tensors, String>;
    /// Gives parameters their first values; false where that cannot be done.
    fn restart(&mut self, parameters: &Tensors) -> Result<bool, String>;
}

type Tensors = BTreeMap<String, HostTensor>;

impl Machine for Session {
    fn run(&mut self, inputs: &[(&str, &HostTensor)]) -> Result<Tensors, String> {
        let outputs = Session::run(self, inputs).map_err(refused)?;
        Ok(outputs.into())
    }

    fn parameters(&mut self) -> Result<Tensors, String> {
        let all = Session::parameters(self).map_err(refused)?.into_iter();
        Ok(all.map(|(name, x)| (name.to_string(), x.clone())).collect())
    }

    fn restart(&mut self, parameters: &Tensors) -> Result<bool, String> {
        for (name, value) in parameters {
            self.set_parameter(name, value).map_err(refused)?;
        }
        Ok(true)
    }
}

impl Machine for Gpu {
    fn run(&mut self, inputs: &[(&str, &HostTensor)]) -> Result<Tensors, String> {
        let outputs = Gpu::run(self, inputs).map_err(|fault| format!("fault: {fault}"))?;
        Ok(outputs.into())
    }

    fn parameters(&mut self) -> Result<Tensors, String> {
        Gpu::parameters(self).map_err(|fault| format!("fault: {fault}"))
    }

    fn restart(&mut self, _: &Tensors) -> Result<bool, String> {
        Ok(false)
    }
}

fn refused(error: bsq_runtime::ProgramError) -> String {
    format!("refused: {error}")
}

fn on_cpu(program: &Program, options: &CompileOptions) -> Result<(), String> {
    let executable = compile(&program.function, options).map_err(refused)?;
    let parameters = hosts(&program.parameters);
    let mut session = executable.bind(parameters).map_err(refused)?;
    let wanted = match (options.precision, options.exact) {
        (Precision::F32, true) => Wanted::Bits,
        (Precision::F32, false) => Wanted::Close,
        _ => Wanted::Anything,
    };
    runs(program, &mut session, wanted)
}

fn on_gpu(program: &Program, target: Target) -> Result<(), String> {
    let parameters = hosts(&program.parameters);
    let mut gpu = Gpu::new(&program.function, target, &parameters, 1);
    let wanted = match target == Target::default() {
        true => Wanted::Bits,
        false => Wanted::Anything,
    };
    runs(program, &mut gpu, wanted)
}

/// A run, one from there with other inputs, and the first once more.
fn runs(program: &Program, machine: &mut impl Machine, wanted: Wanted) -> Result<(), String> {
    let other: Values = program
        .inputs
        .iter()
        .map(|(n, x)| (n.clone(), reversed(x)))
        .collect();
    let mut before = program.parameters.clone();
    let all = [
        ("first", &program.inputs),
        ("second", &other),
        ("third", &program.inputs),
    ];
    for (run, inputs) in all {
        if run == "third" {
            if !machine.restart(&hosts(&program.parameters))? {
                break;
            }
            before = program.parameters.clone();
        }
        let tensors = hosts(inputs);
        let given: Vec<(&str, &HostTensor)> = tensors.iter().map(|(n, x)| (&**n, x)).collect();
        let outputs = machine.run(&given)?;
        let after = machine.parameters()?;
        if wanted != Wanted::Anything {
            compare(&program.function, inputs, &before, &outputs, &after, wanted)
                .map_err(|what| format!("differs in the {run} run: {what}"))?;
        }
        // The next starts from what is there, so that differences do not add up.
        for (name, value) in &mut before {
            if let Some(now) = after.get(name) {
                *value = back(value, now);
            }
        }
    }
    Ok(())
}

/// Other values of the same kind: the elements from the last to the first.
fn reversed(value: &Value) -> Value {
    let size = value.dtype().size();
    let bytes = value.to_bytes();
    let bytes: Vec<u8> = bytes.rchunks(size).flatten().copied().collect();
    Value::from_bytes(value.ty().clone(), &bytes)
}

/// Compares outputs and parameters after a run with the evaluator's.
fn compare(
    function: &Function,
    inputs: &Values,
    before: &Values,
    outputs: &Tensors,
    after: &Tensors,
    wanted: Wanted,
) -> Result<(), String> {
    let own = |what: String| format!("the evaluator itself: {what}");
    let right = catch(|| evaluate(function, inputs, before, eval::Precision::F32)).map_err(own)?;
    let right = right.map_err(|error| own(error.to_string()))?;
    let mut spread = Spread::new(function, inputs, before);
    let updated = |id: NodeId| match &function.node(id).op {
        Op::Parameter { name, .. } => name.as_str(),
        op => unreachable!("an update of {}", op.name()),
    };
    let results = function
        .outputs()
        .iter()
        .map(|(name, _)| (&**name, &right.outputs, outputs));
    let updates = function
        .updates()
        .iter()
        .map(|&(id, _)| (updated(id), &right.updates, after));
    for (root, (name, right, got)) in results.chain(updates).enumerate() {
        let right = &right[name];
        let got = got.get(name).ok_or_else(|| format!("there is no {name}"))?;
        let got = back(right, got);
        let difference = match wanted {
            Wanted::Bits => right.first_difference(&got).map(|at| {
                let [right, got] = [right, &got].map(|value| value.to_f64()[at]);
                format!("element {at}: {got:e} for {right:e}")
            }),
            _ => spread.first_difference(root, right, &got),
        };
        if let Some(difference) = difference {
            return Err(format!("{name} {}, {difference}", right.ty()));
        }
    }
    let stays = |name: &String| !right.updates.contains_key(name);
    for (name, value) in before.iter().filter(|(name, _)| stays(name)) {
        if after
            .get(name)
            .is_some_and(|now| now.bytes() != value.to_bytes())
        {
            return Err(format!("{name} is not updated, but has changed"));
        }
    }
    Ok(())
}

/// Tensors for the runtime.
fn hosts(values: &Values) -> Tensors {
    let host = |value: &Value| {
        HostTensor::from_bytes(value.dtype(), value.shape().to_vec(), &value.to_bytes())
            .expect("as many bytes as the type says")
    };
    values.iter().map(|(n, x)| (n.clone(), host(x))).collect()
}

fn back(like: &Value, tensor: &HostTensor) -> Value {
    let ty = Type::new(tensor.dtype(), tensor.shape());
    assert_eq!(*like.ty(), ty, "a result's type");
    Value::from_bytes(ty, tensor.bytes())
}
