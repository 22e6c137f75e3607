//! The programs of a step, one after another, over one state.
//!
//! Each program keeps its parameters where it runs. What one of them updates and another reads is
//! carried over before the other runs; programs that share nothing carry nothing.
//!
//! A step of several micro-batches has two programs for one: see [`Halves`](crate::optimizer::Halves).

use super::TrainError;
use super::averaged::Averaged;
use super::exchange::averages;
use super::sharded::{Sharded, Spread};
use super::task::{Program, Turn};
use super::timeline::{Lane, Timeline};
use crate::optimizer::{Halves, MEAN_PREFIX};
use bsq_collectives::{Order, Ranks};
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
    /// Tensors that one rank each has.
    sharded: Sharded,
    /// What happens when, while that is recorded.
    pub timeline: Option<Timeline>,
}

/// Ranks that share the micro-batches of a step.
pub(super) struct Together {
    pub ranks: Ranks,
    /// Of all ranks.
    pub micro_batches: usize,
    pub order: Order,
    /// Whether each rank keeps a share of the optimizer's state.
    pub shards_state: bool,
    /// Elements of a bucket, which is exchanged when it is full.
    pub bucket: usize,
}

/// Which members a part is.
enum Runs {
    /// One, on the only batch.
    Whole(usize),
    /// One on each micro-batch, and one on the mean.
    Halves {
        /// One on each micro-batch before the others, whose means they take.
        statistics: Option<(usize, Averaged)>,
        micro_batch: usize,
        update: usize,
        averaged: Averaged,
        /// What ranks have computed for one another, where they share the update.
        spread: Option<Spread>,
    },
}

struct Member {
    session: Session,
    inputs: Vec<String>,
    updated: Vec<String>,
    /// Tensors that another member has updated since this one ran.
    stale: BTreeSet<String>,
    parameters: BTreeSet<String>,
    planned_bytes: usize,
}

/// What a program is given of a batch, by name.
type Inputs<'a> = Vec<(&'a str, &'a HostTensor)>;

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
        let (mut functions, mut order, mut main) = (Vec::new(), Vec::new(), None);
        let mut sharded = Sharded::default();
        let mut add = |function: &Function| {
            functions.push(function.clone());
            functions.len() - 1
        };
        for (function, halves, turn) in first.into_iter().chain(others) {
            let runs = match &together {
                None => {
                    let whole = add(function);
                    main.get_or_insert(whole);
                    Runs::Whole(whole)
                }
                Some(together) => {
                    let bucket = together.bucket;
                    let statistics = halves.statistics.as_ref();
                    let statistics = statistics.map(|function| {
                        let averaged = Averaged::of(function, &[], bucket);
                        (add(function), averaged)
                    });
                    let micro_batch = add(&halves.micro_batch);
                    main.get_or_insert(micro_batch);
                    let shared = together.shards_state.then(|| shared(halves, together));
                    let (update, spread) = match shared {
                        None => (add(&halves.update), None),
                        Some(Shared {
                            update,
                            spread,
                            sharded: own,
                        }) => {
                            sharded.add(own.iter().map(|(name, rank)| (&**name, *rank)), state);
                            (add(&update), Some(spread))
                        }
                    };
                    let function = &halves.micro_batch;
                    Runs::Halves {
                        statistics,
                        micro_batch,
                        update,
                        averaged: Averaged::of(function, &program.scalars, bucket),
                        spread,
                    }
                }
            };
            order.push((turn, runs));
        }
        let main = main.expect("a step has a program");
        let (members, report) = bound(&functions, main, (state, &program.fixed), options)?;
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
            sharded,
            timeline: None,
        };
        Ok((parts, report))
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
                statistics,
                micro_batch,
                update,
                averaged,
                spread,
            } => {
                if let Some((member, averaged)) = statistics {
                    let (name, batches) = ("statistics", (batches, &mut of_batch[..]));
                    let means = self.run_batches(*member, name, averaged, batches)?;
                    for own in &mut of_batch {
                        own.extend(means.clone());
                    }
                }
                let (name, own) = ("micro-batch", (batches, &mut of_batch[..]));
                let mut means = self.run_batches(*micro_batch, name, averaged, own)?;
                let timeline = self.timeline.take();
                let at = timeline.as_ref();
                let run = || self.run_member(*update, &batches[0], &means);
                let ran = Timeline::measure(at, Lane::Compute, || "update".to_string(), run);
                let ran = ran.and_then(|made| {
                    if let Some(spread) = spread {
                        let run = || self.spread(spread, *update, *micro_batch);
                        Timeline::measure(at, Lane::Exchange, || "parameters".to_string(), run)?;
                    }
                    Ok(made)
                });
                self.timeline = timeline;
                means.retain(|name, _| !name.starts_with(MEAN_PREFIX));
                outputs.extend(means);
                outputs.extend(ran?);
                Ok(())
            }
        };
        let mut turns = order.iter().filter(|(turn, _)| turn.is_at(step));
        let ran = turns.try_for_each(|(_, runs)| run(runs));
        self.order = order;
        ran.map(|()| outputs)
    }

    /// Runs one program on each of a rank's batches, with what others have made of each, to which it adds;
    /// the means over all ranks of what is `averaged`. A timeline shows it as `name`.
    fn run_batches(
        &mut self,
        member: usize,
        name: &str,
        averaged: &Averaged,
        (batches, of_batch): (&[Inputs<'_>], &mut [Outputs]),
    ) -> Result<Outputs, TrainError> {
        let together = self.together.take().expect("halves are of several");
        let timeline = self.timeline.take();
        let at = timeline.as_ref();
        let means = averages(averaged, &together, at, |sums| {
            let last = batches.len() - 1;
            for (number, (inputs, own)) in batches.iter().zip(of_batch).enumerate() {
                let made = sums.take(number == last, |ready| {
                    let name = || format!("{name} {number}");
                    let run = || self.run_each(member, inputs, own, ready);
                    Timeline::measure(at, Lane::Compute, name, run)
                })?;
                own.extend(made);
            }
            Ok(())
        });
        self.together = Some(together);
        self.timeline = timeline;
        means
    }

    /// Runs one program on what it takes of `inputs` and of what others have made.
    fn run_member(
        &mut self,
        own: usize,
        inputs: &[(&str, &HostTensor)],
        made: &Outputs,
    ) -> Result<Outputs, TrainError> {
        let mut found = Outputs::new();
        self.run_each(own, inputs, made, &mut |name, tensor| {
            found.insert(name.to_string(), tensor);
        })?;
        Ok(found)
    }

    /// The same, and gives each output away as soon as it is there.
    fn run_each(
        &mut self,
        own: usize,
        inputs: &[(&str, &HostTensor)],
        made: &Outputs,
        ready: &mut dyn FnMut(&str, HostTensor),
    ) -> Result<(), TrainError> {
        self.refresh(own)?;
        let member = &mut self.members[own];
        let made = made.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let wanted = |(name, _): &(&str, &HostTensor)| member.inputs.iter().any(|own| own == name);
        let given = inputs.iter().copied().chain(made);
        let given: Vec<_> = given.filter(wanted).collect();
        member.session.run_each(&given, ready)?;
        for name in self.members[own].updated.clone() {
            for (other, member) in self.members.iter_mut().enumerate() {
                if other != own && member.parameters.contains(&name) {
                    member.stale.insert(name.clone());
                }
            }
            self.newest.insert(name, own);
        }
        Ok(())
    }

    /// Has what each rank has updated brought to the micro-batches' program on all, which has it newest.
    fn spread(
        &mut self,
        spread: &Spread,
        update: usize,
        micro_batch: usize,
    ) -> Result<(), TrainError> {
        let together = self.together.as_ref().expect("halves are of several");
        let own = &self.members[update].session;
        let values = spread.exchange(&together.ranks, |name| Ok(own.parameter(name)?))?;
        for (name, value) in values {
            self.members[micro_batch]
                .session
                .set_parameter(name, &value)?;
            self.members[micro_batch].stale.remove(name);
            for (other, member) in self.members.iter_mut().enumerate() {
                if ![update, micro_batch].contains(&other) && member.parameters.contains(name) {
                    member.stale.insert(name.to_string());
                }
            }
            self.newest.insert(name.to_string(), micro_batch);
        }
        Ok(())
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

    /// Of the state as it is now what every rank has.
    pub fn common(&self) -> Result<Vec<(&str, &HostTensor)>, TrainError> {
        let mut state = self.parameters()?;
        state.retain(|(name, _)| !self.sharded.has(name));
        Ok(state)
    }

    /// Memory of all programs, as planned.
    pub fn planned_bytes(&self) -> usize {
        self.members.iter().map(|member| member.planned_bytes).sum()
    }

    /// Whether some of the state is one rank's each.
    pub fn are_sharded(&self) -> bool {
        !self.sharded.is_empty()
    }

    /// Of the state what other ranks have and `wanted` names, if `keeps`; nothing where all have all. All
    /// ranks call it together.
    pub fn elsewhere(
        &self,
        wanted: impl Fn(&str) -> bool,
        keeps: bool,
    ) -> Result<Tensors, TrainError> {
        match &self.together {
            Some(together) if self.are_sharded() => {
                let own = self.parameters()?.into_iter().collect();
                self.sharded.gather(&together.ranks, &own, wanted, keeps)
            }
            _ => Ok(Tensors::new()),
        }
    }

    /// The state as it is now, by name, as far as this rank has it.
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

/// Programs that are compiled and bound, and the report on the main one. A budget of memory is that of all:
/// the main one has what the others leave.
fn bound(
    functions: &[Function],
    main: usize,
    (state, fixed): (&Tensors, &Tensors),
    options: &CompileOptions,
) -> Result<(Vec<Member>, CompileReport), TrainError> {
    let with = |memory| CompileOptions {
        memory,
        ..options.clone()
    };
    let (mut executables, mut needed) = (Vec::new(), 0);
    for (number, function) in functions.iter().enumerate() {
        let is_main = number == main;
        let executable = (!is_main)
            .then(|| compile(function, &with(None)))
            .transpose()?;
        needed += executable
            .as_ref()
            .map_or(0, |other| other.report().peak_bytes);
        executables.push(executable);
    }
    let left = options.memory.map(|budget| budget.saturating_sub(needed));
    let own = compile(&functions[main], &with(left)).map_err(|error| {
        match (options.memory, error.smallest_memory()) {
            (Some(budget), Some(smallest)) => TrainError::Memory {
                budget,
                smallest: smallest + needed,
            },
            _ => error.into(),
        }
    })?;
    let report = own.report().clone();
    executables[main] = Some(own);
    let members = functions.iter().zip(executables);
    let members = members.map(|(function, executable)| {
        let executable = executable.expect("all are compiled");
        Member::new(&executable, function, state, fixed)
    });
    Ok((members.collect::<Result<_, _>>()?, report))
}

/// A rank's share of an update.
struct Shared {
    update: Function,
    spread: Spread,
    /// Who has what nobody else has.
    sharded: Vec<(String, usize)>,
}

/// The share of this rank. What a micro-batch looks at all have; the rest is its owner's alone.
fn shared(halves: &Halves, together: &Together) -> Shared {
    let (rank, size) = (together.ranks.rank(), together.ranks.size());
    let shard = halves.shard(rank, size);
    let seen = halves.micro_batch.parameters();
    let seen: BTreeMap<&str, Vec<usize>> = seen
        .map(|(_, name, ty)| (name, ty.shape.to_vec()))
        .collect();
    let (mut spread, mut sharded) = (Vec::new(), Vec::new());
    for (name, owner) in shard.owners {
        match seen.get(name.as_str()) {
            Some(shape) => spread.push((name, shape.clone(), owner)),
            None => sharded.push((name, owner)),
        }
    }
    Shared {
        update: shard.update,
        spread: Spread::of(spread, size),
        sharded,
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
            planned_bytes: executable.report().peak_bytes,
        })
    }
}
