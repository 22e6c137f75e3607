//! A prior ready to run: probabilities of known sections, or of sections as they become known.

use super::steps::{Parts, Steps};
use super::{PriorFile, PriorModel, SectionTokens, section_function, sub_token_function};
use crate::pipeline::SessionOptions;
use bsq_ir::Function;
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use bsq_runtime::{CompileOptions, Device, ProgramError, Session, compile};
use std::collections::BTreeMap;
use std::time::Duration;

/// Positions that are run together at most, over all sections: bounds memory.
const POSITIONS_PER_BATCH: usize = 16_384;

/// Why a prior could not be run.
#[derive(Debug, thiserror::Error)]
pub enum PriorSessionError {
    /// Compiling or running failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Memory ran out.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// Which of the sub-tokens of a batch of sections is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the sections.
    pub section: usize,
    pub row: usize,
    pub column: usize,
    /// Which of the token's sub-tokens.
    pub index: usize,
}

/// Is given the probabilities of a sub-token's values.
pub type Ask<'a, T, E> = dyn FnMut(Place, &[f32]) -> Result<T, E> + 'a;

/// A prior with its programs, each compiled when a batch size first occurs.
///
/// [`teacher_forced`](PriorSession::teacher_forced) and [`step_by_step`](PriorSession::step_by_step)
/// ask for the same sub-tokens in the same order with the same probabilities, bit for bit.
pub struct PriorSession {
    model: PriorModel,
    parameters: BTreeMap<String, HostTensor>,
    threads: usize,
    device: Device,
    section: Option<(usize, Session)>,
    steps: Option<Steps>,
    rungs: Option<usize>,
    sub_token: Option<(usize, Session)>,
    compile_time: Duration,
}

impl PriorSession {
    /// A session of a prior. Nothing is compiled yet.
    pub fn new(prior: &PriorFile, options: &SessionOptions) -> PriorSession {
        PriorSession {
            model: prior.model.clone(),
            parameters: prior.parameters.clone(),
            threads: options.threads,
            device: options.device,
            section: None,
            steps: None,
            rungs: None,
            sub_token: None,
            compile_time: Duration::ZERO,
        }
    }

    pub fn model(&self) -> &PriorModel {
        &self.model
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// How many programs with caches of growing length run the wavefronts of a section; `None`
    /// leaves it to what is worth compiling. It changes speed, never results.
    pub fn set_rungs(&mut self, rungs: Option<usize>) {
        self.rungs = rungs;
    }

    /// Sections that are best run together.
    pub fn batch_limit(&self) -> usize {
        (POSITIONS_PER_BATCH / self.model.order().positions()).max(1)
    }

    /// Gives `visit` the probabilities of the first `kept` sub-tokens of every token, all
    /// evaluated in one pass.
    ///
    /// The order: times ascending; within a time, sub-tokens by index; within an index, sections,
    /// and in a section slots.
    ///
    /// # Errors
    /// If the program cannot be compiled or run, or `visit` fails.
    pub fn teacher_forced<E: From<PriorSessionError>>(
        &mut self,
        sections: &[SectionTokens],
        kept: usize,
        visit: &mut Ask<'_, (), E>,
    ) -> Result<(), E> {
        let probabilities = self.section_probabilities(sections)?;
        let probabilities = probabilities.as_slice::<f32>().map_err(from_tensor)?;
        let (order, classes) = (self.model.order(), self.model.config().classes());
        let (tokens, positions, batch) = (order.tokens(), order.positions(), sections.len());
        for wavefront in 0..order.times() {
            let slots = wavefront * order.slots()..(wavefront + 1) * order.slots();
            for index in 0..kept {
                for (number, section) in sections.iter().enumerate() {
                    for position in slots.clone() {
                        let token = tokens[position].filter(|&token| section.contains(token));
                        let Some((row, column)) = token else {
                            continue;
                        };
                        let place = Place {
                            section: number,
                            row,
                            column,
                            index,
                        };
                        let at = ((index * batch + number) * positions + position) * classes;
                        visit(place, &probabilities[at..at + classes])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// `f32[sub_tokens, sections, positions, classes]`.
    fn section_probabilities(
        &mut self,
        sections: &[SectionTokens],
    ) -> Result<HostTensor, PriorSessionError> {
        let (known, tokens) = section_inputs(&self.model, sections)?;
        let batch = sections.len();
        let model = &self.model;
        let session = bound(
            &mut self.section,
            batch,
            || section_function(model, batch),
            &self.parameters,
            (self.threads, self.device),
            &mut self.compile_time,
        )?;
        let mut outputs = session.run(&[("known", &known), ("tokens", &tokens)])?;
        Ok(outputs.take("probabilities"))
    }

    /// Gives `decide` the probabilities of every sub-token in turn, and takes from it what the
    /// sub-token is. Later tokens see of a token only its first `kept` sub-tokens. The order is
    /// that of [`teacher_forced`](PriorSession::teacher_forced) with all sub-tokens.
    ///
    /// `sections` are numbers of rows and columns. `progress` hears the share of the work that is
    /// done.
    ///
    /// # Errors
    /// If a program cannot be compiled or run, or `decide` fails.
    pub fn step_by_step<E: From<PriorSessionError>>(
        &mut self,
        sections: &[(usize, usize)],
        kept: usize,
        decide: &mut Ask<'_, usize, E>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Vec<SectionTokens>, E> {
        let model = self.model.clone();
        let (order, batch) = (model.order(), sections.len());
        let tokens = order.tokens();
        let unknown =
            |&(rows, columns): &(usize, usize)| SectionTokens::unknown(&model, rows, columns);
        // What the model sees, and what comes out; they differ in sub-tokens that are not kept.
        let mut seen: Vec<SectionTokens> = sections.iter().map(unknown).collect();
        let mut decided = seen.clone();
        let times = sections
            .iter()
            .map(|&(rows, columns)| order.times_of(rows, columns));
        let times = times.max().unwrap_or(0);
        let old = self.steps.take();
        let mut steps = Steps::of(
            old,
            &self.model,
            &self.parameters,
            self.rungs,
            (batch, times),
        );
        for time in 0..times {
            let slots = &tokens[time * order.slots()..(time + 1) * order.slots()];
            let projected = self.wavefront(&mut steps, &seen, slots, time)?;
            let projected = projected.as_slice::<f32>().map_err(from_tensor)?;
            for index in 0..model.config().sub_tokens() {
                let probabilities = self.sub_token(projected, &decided, slots, index)?;
                let probabilities = probabilities.as_slice::<f32>().map_err(from_tensor)?;
                let rows = probabilities.chunks_exact(model.config().classes());
                for (row, probabilities) in rows.enumerate() {
                    let (number, slot) = (row / slots.len(), row % slots.len());
                    let token = slots[slot].filter(|&token| seen[number].contains(token));
                    let Some((row, column)) = token else {
                        continue;
                    };
                    let place = Place {
                        section: number,
                        row,
                        column,
                        index,
                    };
                    let value = decide(place, probabilities)? as i32;
                    decided[number].token_mut(row, column)[index] = value;
                    if index < kept {
                        seen[number].token_mut(row, column)[index] = value;
                    }
                }
            }
            progress((time + 1) as f64 / times as f64);
        }
        self.steps = Some(steps);
        Ok(decided)
    }

    /// `f32[sections, slots, sub_tokens, hidden]`; time 0 comes first and the others follow.
    fn wavefront(
        &mut self,
        steps: &mut Steps,
        sections: &[SectionTokens],
        slots: &[Option<(usize, usize)>],
        time: usize,
    ) -> Result<HostTensor, PriorSessionError> {
        let (batch, config) = (sections.len(), self.model.config());
        let mut known = Vec::new();
        for section in sections {
            for &token in slots {
                section.append_known(&self.model, token, &mut known);
            }
        }
        let (neighbours, depth) = (self.model.neighbours().len(), config.sub_tokens());
        let known = HostTensor::from_slice([batch, slots.len(), neighbours, depth], &known)?;
        let parts = Parts {
            model: &self.model,
            parameters: &self.parameters,
            at: (self.threads, self.device),
            compile_time: &mut self.compile_time,
        };
        steps.run(parts, time, &known)
    }

    /// `f32[sections * slots, classes]`.
    fn sub_token(
        &mut self,
        projected: &[f32],
        decided: &[SectionTokens],
        slots: &[Option<(usize, usize)>],
        index: usize,
    ) -> Result<HostTensor, PriorSessionError> {
        let (depth, hidden) = (
            self.model.config().sub_tokens(),
            self.model.config().head_width,
        );
        let rows = decided.len() * slots.len();
        let mut tokens = Vec::with_capacity(rows * depth);
        for section in decided {
            for &token in slots {
                section.append_token(token, &mut tokens);
            }
        }
        let tokens = HostTensor::from_slice([rows, depth], &tokens)?;
        let own = projected.chunks_exact(depth * hidden);
        let own = own.flat_map(|all| &all[index * hidden..(index + 1) * hidden]);
        let own: Vec<f32> = own.copied().collect();
        let own = HostTensor::from_slice([rows, hidden], &own)?;
        let index = HostTensor::scalar(index as i32)?;
        let model = &self.model;
        let session = bound(
            &mut self.sub_token,
            rows,
            || sub_token_function(model, rows),
            &self.parameters,
            (self.threads, self.device),
            &mut self.compile_time,
        )?;
        let inputs = [("projected", &own), ("tokens", &tokens), ("index", &index)];
        let mut outputs = session.run(&inputs)?;
        Ok(outputs.take("probabilities"))
    }
}

/// The inputs `known` and `tokens` of [`section_function`].
pub(crate) fn section_inputs(
    model: &PriorModel,
    sections: &[SectionTokens],
) -> Result<(HostTensor, HostTensor), TensorError> {
    let positions = model.order().tokens();
    let (mut known, mut tokens) = (Vec::new(), Vec::new());
    for section in sections {
        for &token in &positions {
            section.append_known(model, token, &mut known);
            section.append_token(token, &mut tokens);
        }
    }
    let (neighbours, depth) = (model.neighbours().len(), model.config().sub_tokens());
    let (batch, count) = (sections.len(), positions.len());
    Ok((
        HostTensor::from_slice([batch, count, neighbours, depth], &known)?,
        HostTensor::from_slice([batch, count, depth], &tokens)?,
    ))
}

/// The session of a program for this size, compiled if the one at hand is for another.
fn bound<'a>(
    bound: &'a mut Option<(usize, Session)>,
    size: usize,
    build: impl Fn() -> Function,
    parameters: &BTreeMap<String, HostTensor>,
    at: (usize, Device),
    compile_time: &mut Duration,
) -> Result<&'a mut Session, PriorSessionError> {
    if bound.as_ref().is_none_or(|(current, _)| *current != size) {
        // The old program's memory is free before the new one's is taken.
        *bound = None;
        let session = bind(&build(), parameters, at, compile_time)?;
        *bound = Some((size, session));
    }
    Ok(&mut bound.as_mut().expect("bound above").1)
}

/// A program with those of the parameters that it has.
pub(super) fn bind(
    function: &Function,
    parameters: &BTreeMap<String, HostTensor>,
    (threads, device): (usize, Device),
    compile_time: &mut Duration,
) -> Result<Session, PriorSessionError> {
    let options = CompileOptions {
        threads,
        device,
        ..CompileOptions::default()
    };
    let executable = compile(function, &options)?;
    *compile_time += executable.report().total();
    let mut own = BTreeMap::new();
    for (_, name, ty) in function.parameters() {
        let tensor = match parameters.get(name) {
            Some(tensor) => tensor.clone(),
            // A cache. What it holds does not matter: nothing reads a time before it is
            // written, but it must be finite, as a masked key counts zero times its value.
            None => HostTensor::zeros(ty.dtype, ty.shape.to_vec())?,
        };
        own.insert(name.to_string(), tensor);
    }
    Ok(executable.bind(own)?)
}

fn from_tensor<E: From<PriorSessionError>>(error: TensorError) -> E {
    PriorSessionError::from(error).into()
}
