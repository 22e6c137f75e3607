//! A training step under construction: outputs, updates, and the state that it keeps.

use super::Halves;
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
    /// Parameters and state with their new values.
    updates: Vec<(Tensor<'g>, Tensor<'g>)>,
    /// Which of the updates are the model's own parameters.
    model: Vec<usize>,
    state: Vec<StateSpec>,
    /// What a step of several micro-batches takes the mean of, by the parameter that it changes.
    averaged: Vec<(String, Tensor<'g>)>,
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
            updates: Vec::new(),
            model: Vec::new(),
            state: Vec::new(),
            averaged: Vec::new(),
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

    /// Adds new values of parameters that no optimizer changes, such as what batch norms remember. Of
    /// several micro-batches the new value is the mean of those that each would give.
    pub fn replacing(mut self, updates: &[(Tensor<'g>, Tensor<'g>)]) -> Self {
        for &(old, new) in updates {
            self.update(old, new);
            self.averaged.push((name_of(old), new));
        }
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
        let outputs = self.outputs.iter();
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
            &self.outputs,
            &self.updates,
            &self.averaged,
            serves,
        )
    }

    /// Names of the outputs, in order.
    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|(name, _)| name.as_str())
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
