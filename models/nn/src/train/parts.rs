//! The programs of a step, one after another, over one state.
//!
//! Each program keeps its parameters where it runs. What one of them updates and another reads is
//! carried over before the other runs; programs that share nothing carry nothing.
//!
//! A step of several micro-batches has two programs for one: see [`Halves`](crate::optimizer::Halves).

use super::TrainError;
use super::averaged::Averaged;
use super::task::{Program, Turn};
use crate::optimizer::MEAN_PREFIX;
use bsq_collectives::{Order, PairwiseSum, Ranks, mean};
use bsq_ir::{Function, Op};
use bsq_runtime::executor::Tensors;
use bsq_runtime::program::CompileReport;
use bsq_runtime::{CompileOptions, Executable, HostTensor, Session, compile};
use std::collections::{BTreeMap, BTreeSet};

/// The programs of a step, bound to their state.
pub(super) struct Parts {
    members: Vec<Member>,
    order: Vec<(Turn, Runs)>,
    /// Which member holds a tensor that several have as it is now.
    newest: BTreeMap<String, usize>,
    /// Parameters that no program changes and no checkpoint holds.
    fixed: BTreeSet<String>,
    /// Who shares the micro-batches, and how their sum is made.
    together: Option<Together>,
}

/// Ranks that share the micro-batches of a step.
pub(super) struct Together {
    pub ranks: Ranks,
    /// Of all ranks.
    pub micro_batches: usize,
    pub order: Order,
}

/// Which members a part is.
enum Runs {
    /// One, on the only batch.
    Whole(usize),
    /// One on each micro-batch, and one on the mean.
    Halves {
        micro_batch: usize,
        update: usize,
        averaged: Averaged,
    },
}

struct Member {
    session: Session,
    inputs: Vec<String>,
    updated: Vec<String>,
    /// Tensors that another member has updated since this one ran.
    stale: BTreeSet<String>,
    parameters: BTreeSet<String>,
}

/// What programs have made, by name.
type Outputs = BTreeMap<String, HostTensor>;

impl Parts {
    /// Compiles and binds the programs of a step: whole ones, or halves if the micro-batches of several
    /// come `together`. Gives the report on the first, too.
    pub fn new(
        program: &Program,
        state: &Tensors,
        together: Option<Together>,
        options: &CompileOptions,
    ) -> Result<(Parts, CompileReport), TrainError> {
        let first = [(&program.function, &program.halves, Turn::Always)];
        let others = program.parts.iter();
        let others = others.map(|part| (&part.function, &part.halves, part.turn));
        let (mut members, mut order, mut report) = (Vec::new(), Vec::new(), None);
        let mut add = |function: &Function| -> Result<usize, TrainError> {
            let executable = compile(function, options)?;
            report.get_or_insert_with(|| executable.report().clone());
            members.push(Member::new(&executable, function, state, &program.fixed)?);
            Ok(members.len() - 1)
        };
        for (function, halves, turn) in first.into_iter().chain(others) {
            let runs = match together {
                None => Runs::Whole(add(function)?),
                Some(_) => Runs::Halves {
                    micro_batch: add(&halves.micro_batch)?,
                    update: add(&halves.update)?,
                    averaged: Averaged::of(halves, &program.scalars),
                },
            };
            order.push((turn, runs));
        }
        // What comes before the first step's program.
        order.sort_by_key(|(turn, _)| *turn != Turn::First);
        let mut newest = BTreeMap::new();
        for (own, member) in members.iter().enumerate() {
            for name in &member.parameters {
                newest.entry(name.clone()).or_insert(own);
            }
        }
        let parts = Parts {
            members,
            order,
            newest,
            fixed: program.fixed.keys().cloned().collect(),
            together,
        };
        Ok((parts, report.expect("a step has a program")))
    }

    /// Runs the programs whose turn it is on the batches of a step that are this rank's. An output of one
    /// is an input of those behind it that have an input of that name. Returns all outputs that are no
    /// batch's own; of several micro-batches their means.
    pub fn run(
        &mut self,
        step: u64,
        batches: &[Vec<(&str, &HostTensor)>],
    ) -> Result<Outputs, TrainError> {
        let mut outputs = Outputs::new();
        let mut of_batch = vec![Outputs::new(); batches.len()];
        let order = std::mem::take(&mut self.order);
        let mut run = |runs: &Runs| match runs {
            Runs::Whole(member) => {
                outputs.extend(self.run_member(*member, &batches[0], &outputs)?);
                Ok(())
            }
            Runs::Halves {
                micro_batch,
                update,
                averaged,
            } => {
                let mut sum = PairwiseSum::default();
                for (inputs, own) in batches.iter().zip(&mut of_batch) {
                    let mut found = self.run_member(*micro_batch, inputs, own)?;
                    sum.push(averaged.pack(&found)?);
                    found.retain(|name, _| !averaged.has(name));
                    own.extend(found);
                }
                let together = self.together.as_ref().expect("halves are of several");
                let (ranks, count) = (&together.ranks, together.micro_batches);
                let mean = mean(&**ranks, sum.finish(), count, together.order)?;
                let mut means = averaged.unpack(&mean)?;
                self.run_member(*update, &batches[0], &means)?;
                means.retain(|name, _| !name.starts_with(MEAN_PREFIX));
                outputs.extend(means);
                Ok(())
            }
        };
        let mut turns = order.iter().filter(|(turn, _)| turn.is_at(step));
        let ran = turns.try_for_each(|(_, runs)| run(runs));
        self.order = order;
        ran.map(|()| outputs)
    }

    /// Runs one program on what it takes of `inputs` and of what others have made.
    fn run_member(
        &mut self,
        own: usize,
        inputs: &[(&str, &HostTensor)],
        made: &Outputs,
    ) -> Result<Outputs, TrainError> {
        self.refresh(own)?;
        let member = &mut self.members[own];
        let made = made.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let wanted = |(name, _): &(&str, &HostTensor)| member.inputs.iter().any(|own| own == name);
        let given = inputs.iter().copied().chain(made);
        let given: Vec<_> = given.filter(wanted).collect();
        let found = member.session.run(&given)?;
        let found = found.into_iter().collect();
        for name in self.members[own].updated.clone() {
            for (other, member) in self.members.iter_mut().enumerate() {
                if other != own && member.parameters.contains(&name) {
                    member.stale.insert(name.clone());
                }
            }
            self.newest.insert(name, own);
        }
        Ok(found)
    }

    /// Takes over what others have updated.
    fn refresh(&mut self, own: usize) -> Result<(), TrainError> {
        for name in std::mem::take(&mut self.members[own].stale) {
            let holder = self.newest[&name];
            let value = self.members[holder].session.parameter(&name)?.clone();
            self.members[own].session.set_parameter(&name, &value)?;
        }
        Ok(())
    }

    /// The state as it is now, by name.
    pub fn parameters(&self) -> Result<Vec<(&str, &HostTensor)>, TrainError> {
        if let ([member], true) = (&self.members[..], self.fixed.is_empty()) {
            return Ok(member.session.parameters()?);
        }
        let changing = self
            .newest
            .iter()
            .filter(|(name, _)| !self.fixed.contains(*name));
        let value =
            |(name, &holder): (&'_ String, &usize)| self.members[holder].session.parameter(name);
        let mut state = Vec::new();
        for entry in changing {
            state.push((entry.0.as_str(), value(entry)?));
        }
        Ok(state)
    }
}

impl Member {
    fn new(
        executable: &Executable,
        function: &Function,
        state: &Tensors,
        fixed: &Tensors,
    ) -> Result<Member, TrainError> {
        let names: BTreeSet<String> = function
            .parameters()
            .map(|(_, name, _)| name.to_string())
            .collect();
        let all = state.iter().chain(fixed);
        let own = all.filter(|(name, _)| names.contains(*name));
        let own: Tensors = own
            .map(|(name, tensor)| (name.clone(), tensor.clone()))
            .collect();
        let updated =
            function
                .updates()
                .iter()
                .filter_map(|&(id, _)| match &function.node(id).op {
                    Op::Parameter { name, .. } => Some(name.clone()),
                    _ => None,
                });
        Ok(Member {
            session: executable.bind(own)?,
            inputs: function
                .inputs()
                .map(|(_, name, _)| name.to_string())
                .collect(),
            updated: updated.collect(),
            stale: BTreeSet::new(),
            parameters: names,
        })
    }
}
