//! What optimizers have in common, and what each says for itself.

use super::step::Step;
use super::{Clip, StateStart};
use bsq_ir::{DType, Shape, Tensor};

/// How a parameter moves for its gradient. Clipping, decay and moving averages of parameters are the
/// same for every rule; state is parameters of the program, so that a checkpoint has it.
///
/// A rule of your own, sign descent:
///
/// ```
/// use bsq_ir::{Graph, Tensor};
/// use bsq_nn::optimizer::{Common, Memory, Rule, minimize};
///
/// struct SignDescent<'g>(Tensor<'g>);
///
/// impl<'g> Rule<'g> for SignDescent<'g> {
///     fn common(&self) -> Common<'g> {
///         Common::new(self.0)
///     }
///
///     fn change(
///         &self,
///         _memory: &mut Memory<'_, 'g>,
///         _shared: &[Tensor<'g>],
///         _parameter: Tensor<'g>,
///         gradient: Tensor<'g>,
///         _decays: bool,
///     ) -> Tensor<'g> {
///         gradient.sign() * self.0
///     }
/// }
///
/// let g = Graph::new();
/// let p = g.parameter("p", bsq_ir::DType::F32, [4]);
/// let step = minimize(p.square().sum(..), &[p], &SignDescent(g.scalar("lr")));
/// assert_eq!(step.function().updates().len(), 1);
/// ```
pub trait Rule<'g> {
    /// Learning rate, decay, clipping.
    fn common(&self) -> Common<'g>;

    /// What all parameters share, made once before the first: bias corrections.
    fn begin(&self, _memory: &mut Memory<'_, 'g>) -> Vec<Tensor<'g>> {
        Vec::new()
    }

    /// What is subtracted from a parameter for its gradient, which is clipped already; `shared` is what
    /// [`begin`](Rule::begin) made. `decays` says whether the parameter's decay is to be part of it.
    fn change(
        &self,
        memory: &mut Memory<'_, 'g>,
        shared: &[Tensor<'g>],
        parameter: Tensor<'g>,
        gradient: Tensor<'g>,
        decays: bool,
    ) -> Tensor<'g>;
}

/// What every rule has.
#[derive(Clone, Debug)]
pub struct Common<'g> {
    /// The learning rate, `f32[]`: a schedule is another number at each step.
    pub lr: Tensor<'g>,
    /// What parameters shrink by at each step; the rule says how.
    pub weight_decay: f64,
    /// Parameters whose names contain one of these do not shrink.
    pub zero_decay_keys: Vec<String>,
    /// Limits gradients before they are used.
    pub clip: Option<Clip>,
    /// What the names of shared state begin with behind the rule's own: empty, unless several
    /// optimizers share a state.
    pub owner: &'static str,
}

impl<'g> Common<'g> {
    /// No decay and no clipping.
    pub fn new(lr: Tensor<'g>) -> Self {
        Common {
            lr,
            weight_decay: 0.0,
            zero_decay_keys: Vec::new(),
            clip: None,
            owner: "",
        }
    }

    /// Whether a parameter of this name does not shrink.
    pub fn is_exempt(&self, name: &str) -> bool {
        let mut keys = self.zero_decay_keys.iter();
        keys.any(|key| name.contains(key.as_str()))
    }
}

/// What a rule keeps between steps, for one parameter or, at the beginning, for all.
pub struct Memory<'s, 'g> {
    step: &'s mut Step<'g>,
    /// The parameter's name, or the owner's.
    name: &'s str,
}

impl<'s, 'g> Memory<'s, 'g> {
    pub(super) fn new(step: &'s mut Step<'g>, name: &'s str) -> Self {
        Memory { step, name }
    }

    /// The name of the parameter; at the beginning that of the owner.
    pub fn name(&self) -> &str {
        self.name
    }

    /// State of the parameter's shape that starts at zero, `PREFIX KIND.NAME`. The prefix begins with
    /// `optimizer.` and ends with a dot.
    pub fn of_parameter(&mut self, prefix: &str, kind: &str, like: Tensor<'g>) -> Tensor<'g> {
        let name = format!("{prefix}{kind}.{}", self.name);
        self.state(&name, like.shape())
    }

    /// The name of state that all parameters share: `PREFIX OWNER KIND`.
    pub fn shared_name(&self, prefix: &str, kind: &str) -> String {
        format!("{prefix}{}{kind}", self.name)
    }

    /// State by its whole name, `f32`, that starts at zero.
    pub fn state(&mut self, name: &str, shape: impl Into<Shape>) -> Tensor<'g> {
        self.step.state(name, DType::F32, shape, StateStart::Zero)
    }

    /// What state becomes after the step.
    pub fn keep(&mut self, state: Tensor<'g>, next: Tensor<'g>) {
        self.step.update_for(self.name, state, next);
    }
}
