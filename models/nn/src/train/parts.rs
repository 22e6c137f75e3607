//! The programs of a step, one after another, over one state.
//!
//! Each program keeps its parameters where it runs. What one of them updates and another reads is
//! carried over before the other runs; programs that share nothing carry nothing.

use super::TrainError;
use super::task::{Part, Turn};
use bsq_ir::{Function, Op};
use bsq_runtime::executor::Tensors;
use bsq_runtime::{CompileOptions, Executable, HostTensor, Session, compile};
use std::collections::{BTreeMap, BTreeSet};

/// The programs of a step, bound to their state.
pub(super) struct Parts {
    members: Vec<Member>,
    /// Which member holds a tensor that several have as it is now.
    newest: BTreeMap<String, usize>,
    /// Parameters that no program changes and no checkpoint holds.
    fixed: BTreeSet<String>,
}

struct Member {
    turn: Turn,
    session: Session,
    inputs: Vec<String>,
    updated: Vec<String>,
    /// Tensors that another member has updated since this one ran.
    stale: BTreeSet<String>,
    parameters: BTreeSet<String>,
}

impl Parts {
    /// Binds the first program, compiled already, and compiles and binds the others.
    pub fn new(
        first: (&Executable, &Function),
        others: &[Part],
        state: &Tensors,
        fixed: &Tensors,
        options: &CompileOptions,
    ) -> Result<Parts, TrainError> {
        let mut members = vec![Member::new(first.0, first.1, Turn::Always, state, fixed)?];
        for part in others {
            let executable = compile(&part.function, options)?;
            members.push(Member::new(
                &executable,
                &part.function,
                part.turn,
                state,
                fixed,
            )?);
        }
        // What comes before the first step's program.
        members.sort_by_key(|member| member.turn != Turn::First);
        let mut newest = BTreeMap::new();
        for (own, member) in members.iter().enumerate() {
            for name in &member.parameters {
                newest.entry(name.clone()).or_insert(own);
            }
        }
        Ok(Parts {
            members,
            newest,
            fixed: fixed.keys().cloned().collect(),
        })
    }

    /// Runs the programs whose turn it is. An output of one is an input of those behind it that have
    /// an input of that name. Returns all outputs.
    pub fn run(
        &mut self,
        step: u64,
        inputs: &[(&str, &HostTensor)],
    ) -> Result<BTreeMap<String, HostTensor>, TrainError> {
        let mut outputs: BTreeMap<String, HostTensor> = BTreeMap::new();
        for own in 0..self.members.len() {
            if !self.members[own].turn.is_at(step) {
                continue;
            }
            self.refresh(own)?;
            let member = &mut self.members[own];
            let given = inputs.iter().copied();
            let made = outputs.iter().map(|(name, tensor)| (name.as_str(), tensor));
            let wanted =
                |(name, _): &(&str, &HostTensor)| member.inputs.iter().any(|own| own == name);
            let given: Vec<_> = given.chain(made).filter(wanted).collect();
            let found = member.session.run(&given)?;
            outputs.extend(
                found
                    .iter()
                    .map(|(name, tensor)| (name.clone(), tensor.clone())),
            );
            for name in self.members[own].updated.clone() {
                for (other, member) in self.members.iter_mut().enumerate() {
                    if other != own && member.parameters.contains(&name) {
                        member.stale.insert(name.clone());
                    }
                }
                self.newest.insert(name, own);
            }
        }
        Ok(outputs)
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
        turn: Turn,
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
            turn,
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
