//! A training step under construction: outputs, updates, and the state that it keeps.

use super::{Halves, global_norm};
use bsq_ir::graph::Function;
use bsq_ir::shape::Type;
use bsq_ir::{DType, Graph, Op, Shape, Tensor};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::{BTreeMap, BTreeSet};

/// What one run of a training step computes and what it replaces.
#[derive(Clone)]
pub struct Step<'g> {
    graph: &'g Graph,
    outputs: Vec<(String, Tensor<'g>)>,
    /// Results of the gradients, of several micro-batches of their means.
    of_gradients: Vec<(String, Tensor<'g>)>,
    /// Parameters and state with their new values.
    updates: Vec<(Tensor<'g>, Tensor<'g>)>,
    /// Which of the updates are the model's own parameters.
    model: Vec<usize>,
    state: Vec<StateSpec>,
    /// What a step of several micro-batches takes the mean of, by the parameter that it changes.
    averaged: Vec<(String, Tensor<'g>)>,
    /// Means over the batch that are taken over all micro-batches before any of them goes on, by name.
    over_step: Vec<(String, Tensor<'g>)>,
    /// What updated tensors belong to, by name: a parameter or, of what all share, an owner.
    serves: BTreeMap<String, String>,
}

/// A tensor that a step keeps between runs beside the model's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpec {
    /// Dotted name, such as `adamw.exp_avg.encoder.conv1.weight`.
    pub name: String,
    pub ty: Type,
    pub start: StateStart,
}

/// What state is before the first step.
#[derive(Clone, Debug, PartialEq)]
pub enum StateStart {
    /// Zeros.
    Zero,
    /// The parameter of this name.
    CopyOf(String),
}

impl<'g> Step<'g> {
    /// A step without outputs and updates yet.
    pub fn new(graph: &'g Graph) -> Self {
        Step {
            graph,
            outputs: Vec::new(),
            of_gradients: Vec::new(),
            updates: Vec::new(),
            model: Vec::new(),
            state: Vec::new(),
            averaged: Vec::new(),
            over_step: Vec::new(),
            serves: BTreeMap::new(),
        }
    }

    /// Says which of the tensors are the gradients: see [`halves`](Step::halves).
    pub(super) fn with_gradients(
        mut self,
        parameters: &[Tensor<'g>],
        gradients: &[Tensor<'g>],
    ) -> Self {
        let pairs = parameters.iter().zip(gradients);
        let named = pairs.map(|(&parameter, &gradient)| (name_of(parameter), gradient));
        self.averaged.extend(named);
        self
    }

    /// Adds a result of every run.
    pub fn output(mut self, name: &str, tensor: Tensor<'g>) -> Self {
        self.outputs.push((name.to_string(), tensor));
        self
    }

    /// Adds the Euclidean norm of all gradients as one vector, before it is limited: an output
    /// `gradient_norm` (`f32[]`). Of several micro-batches it is that of the mean gradient.
    #[must_use]
    pub fn with_gradient_norm(mut self) -> Self {
        let of_parameters = self.averaged.iter();
        let of_parameters = of_parameters.filter(|(name, _)| self.serves.contains_key(name));
        let gradients: Vec<Tensor<'g>> = of_parameters.map(|(_, g)| *g).collect();
        if !gradients.is_empty() {
            let norm = ("gradient_norm".to_string(), global_norm(&gradients));
            self.of_gradients.push(norm);
        }
        self
    }

    /// Adds new values of parameters that no optimizer changes, such as what batch norms remember. Of
    /// several micro-batches the new value is the mean of those that each would give.
    pub fn replacing(mut self, updates: &[(Tensor<'g>, Tensor<'g>)]) -> Self {
        for &(old, new) in updates {
            self.update(old, new);
            self.averaged.push((name_of(old), new));
        }
        self
    }

    /// Has `mean`, a mean over the batch, be that over all samples of a step: of several micro-batches each
    /// sees the mean of all, which a pass before the others finds. With one nothing changes.
    ///
    /// Gradients go through the micro-batch's own samples, so the step's gradient is that of one large batch
    /// where the loss depends on the mean alike for all micro-batches (an entropy of it), and not where it
    /// meets their samples again (a normalisation).
    #[must_use]
    pub fn over_step(mut self, name: &str, mean: Tensor<'g>) -> Self {
        self.over_step.push((name.to_string(), mean));
        self
    }

    /// Adds an exponential moving average of every parameter of the model, after its update:
    /// `average <- average + (parameter - average) (1 - decay)`, as `ema.NAME`.
    ///
    /// It starts as the parameters do and has no bias correction.
    #[must_use]
    pub fn with_average(mut self, decay: f64) -> Self {
        for index in self.model.clone() {
            let (parameter, new) = self.updates[index];
            let name = name_of(parameter);
            let start = StateStart::CopyOf(name.clone());
            let average = self.state(&format!("ema.{name}"), DType::F32, new.shape(), start);
            let moved = || average + (new - average) * (1.0 - decay);
            let moved = self.graph.in_new_region(moved);
            self.update_for(&name, average, moved);
        }
        self
    }

    /// The function to compile: the outputs, and all updates.
    pub fn function(&self) -> Function {
        let outputs = self.outputs.iter().chain(&self.of_gradients);
        let updates = self.updates.iter();
        self.graph.function(
            outputs.map(|(name, tensor)| (name.as_str(), tensor.id())),
            updates.map(|(old, new)| (old.id(), new.id())),
        )
    }

    /// The same in two programs, for a step of several micro-batches: see [`Halves`].
    ///
    /// # Panics
    /// If an update depends on a batch other than by gradients and by what [`replacing`](Step::replacing)
    /// was told.
    #[track_caller]
    pub fn halves(&self) -> Halves {
        let of_model = self
            .model
            .iter()
            .map(|&index| name_of(self.updates[index].0));
        let of_model: BTreeSet<String> = of_model.collect();
        let mut serves = self.serves.clone();
        serves.retain(|_, parameter| of_model.contains(parameter));
        Halves::new(
            self.graph,
            [&self.outputs, &self.of_gradients],
            &self.updates,
            &self.averaged,
            &self.over_step,
            serves,
        )
    }

    /// Names of the outputs, in order.
    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        let all = self.outputs.iter().chain(&self.of_gradients);
        all.map(|(name, _)| name.as_str())
    }

    /// The state before the first step, given the model's parameters.
    ///
    /// # Errors
    /// If memory runs out.
    ///
    /// # Panics
    /// If a parameter that the state starts from is missing.
    pub fn initial_state(
        &self,
        parameters: &BTreeMap<String, HostTensor>,
    ) -> Result<BTreeMap<String, HostTensor>, TensorError> {
        let start = |spec: &StateSpec| {
            let tensor = match &spec.start {
                StateStart::Zero => HostTensor::zeros(spec.ty.dtype, spec.ty.shape.to_vec())?,
                StateStart::CopyOf(name) => match parameters.get(name) {
                    Some(parameter) => parameter.clone(),
                    None => panic!("no parameter `{name}` to start `{}` from", spec.name),
                },
            };
            Ok((spec.name.clone(), tensor))
        };
        self.state.iter().map(start).collect()
    }

    /// A tensor that is kept between runs.
    pub(super) fn state(
        &mut self,
        name: &str,
        dtype: DType,
        shape: impl Into<Shape>,
        start: StateStart,
    ) -> Tensor<'g> {
        let ty = Type::new(dtype, shape);
        let tensor = self.graph.parameter(name, dtype, &ty.shape);
        let name = name.to_string();
        self.state.push(StateSpec { name, ty, start });
        tensor
    }

    pub(super) fn update(&mut self, old: Tensor<'g>, new: Tensor<'g>) {
        self.updates.push((old, new));
    }

    /// An update of what belongs to a parameter, or to an owner of what all share.
    pub(super) fn update_for(&mut self, parameter: &str, old: Tensor<'g>, new: Tensor<'g>) {
        self.serves.insert(name_of(old), parameter.to_string());
        self.update(old, new);
    }

    pub(super) fn update_parameter(&mut self, old: Tensor<'g>, new: Tensor<'g>) {
        self.model.push(self.updates.len());
        self.update_for(&name_of(old), old, new);
    }
}

/// The name of a parameter.
#[track_caller]
pub(super) fn name_of(parameter: Tensor<'_>) -> String {
    match parameter.graph().node(parameter.id()).op {
        Op::Parameter { name, .. } => name,
        op => panic!(
            "{parameter:?} is no parameter but the result of {}",
            op.name()
        ),
    }
}
