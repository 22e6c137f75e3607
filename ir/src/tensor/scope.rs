//! Parameters by dotted name: `&model / "blocks" / 0 / "fc"`.

use super::Tensor;
use crate::dtype::DType;
use crate::graph::{Function, Graph};
use crate::op::TypeError;
use crate::shape::{Shape, Type};
use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::ops::Div;
use std::rc::Rc;

/// How a parameter starts. Draws come from Philox, keyed by the parameter's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// One value everywhere.
    Constant(f32),
    /// Normal with this standard deviation, mean 0.
    Normal(f32),
    /// Uniform in `-bound..bound`.
    Uniform(f32),
}

/// A parameter that a scope has handed out.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// Dotted name, as in checkpoints.
    pub name: String,
    pub ty: Type,
    pub init: Init,
}

/// A place in the tree of parameter names.
#[derive(Clone)]
pub struct Scope<'g> {
    graph: &'g Graph,
    path: String,
    specs: Rc<RefCell<Specs>>,
    sharing: bool,
}

/// What a tree has handed out, in order of first mention, and where in the list a name is.
#[derive(Default)]
struct Specs {
    list: Vec<ParameterSpec>,
    places: HashMap<String, usize>,
}

impl<'g> Scope<'g> {
    pub fn root(graph: &'g Graph) -> Self {
        Scope {
            graph,
            path: String::new(),
            specs: Rc::default(),
            sharing: false,
        }
    }

    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The dotted name of this place; empty at the root.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The place `name` below this one; `scope / name` is the same.
    pub fn child(&self, name: impl Display) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_string(),
            path => format!("{path}.{name}"),
        };
        Scope {
            path,
            ..self.clone()
        }
    }

    /// This place, but one where parameters that exist are given out again: for a layer that is
    /// used twice, or tied weights.
    ///
    /// ```
    /// # use bsq_ir::{DType, Graph, Scope};
    /// let g = Graph::new();
    /// let model = Scope::root(&g);
    /// let (a, b) = (g.input("a", DType::F32, [2, 8]), g.input("b", DType::F32, [2, 8]));
    /// let twins = [a.linear(&model, 4), b.linear(model.sharing(), 4)];
    /// assert_eq!(model.specs().len(), 2);
    /// # let _ = twins;
    /// ```
    pub fn sharing(&self) -> Self {
        Scope {
            sharing: true,
            ..self.clone()
        }
    }

    /// The parameter `name` at this place.
    ///
    /// # Panics
    /// If there is a parameter of that name already: two layers would share their weights. Where
    /// that is wanted, a place that is [`sharing`](Scope::sharing) gives the same parameter, unless
    /// its shape or start differs.
    #[track_caller]
    pub fn parameter(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Tensor<'g> {
        let (name, ty) = (self.child(name).path, Type::new(DType::F32, shape));
        let spec = ParameterSpec { name, ty, init };
        let mut specs = self.specs.borrow_mut();
        if let Some(known) = specs.get(&spec.name)
            && *known != spec
        {
            let what = format!(
                "`{}` was {} {:?} before, now {} {:?}",
                spec.name, known.ty, known.init, spec.ty, spec.init
            );
            TypeError::of_call("parameter", [], what).raise()
        }
        let known = self.graph.known_parameter(&spec.name);
        let tensor = match known.filter(|known| self.sharing && known.ty() == spec.ty) {
            Some(known) => known,
            None => self
                .graph
                .parameter(&spec.name, spec.ty.dtype, &spec.ty.shape),
        };
        specs.add(spec);
        tensor
    }

    /// Every parameter handed out so far, anywhere in the tree, in order of first mention.
    pub fn specs(&self) -> Vec<ParameterSpec> {
        self.specs.borrow().list.clone()
    }

    /// The same as tensors.
    pub fn parameters(&self) -> Vec<Tensor<'g>> {
        let specs = self.specs.borrow();
        let known = |spec: &ParameterSpec| self.graph.known_parameter(&spec.name);
        specs.list.iter().filter_map(known).collect()
    }

    /// Names of the parameters of this tree that no output of the function depends on: they were
    /// asked for, but whatever they are makes no difference.
    pub fn unused_in(&self, function: &Function) -> Vec<String> {
        let unused: HashSet<&str> = function.unused_parameters().into_iter().collect();
        let known: HashSet<&str> = function.parameters().map(|(_, name, _)| name).collect();
        let names = self.specs().into_iter().map(|spec| spec.name);
        let is_unused = |name: &str| unused.contains(name) || !known.contains(name);
        names.filter(|name| is_unused(name)).collect()
    }
}

impl Specs {
    fn get(&self, name: &str) -> Option<&ParameterSpec> {
        self.places.get(name).map(|&place| &self.list[place])
    }

    fn add(&mut self, spec: ParameterSpec) {
        let place = self.list.len();
        if let Entry::Vacant(entry) = self.places.entry(spec.name.clone()) {
            entry.insert(place);
            self.list.push(spec);
        }
    }
}

/// What a layer takes as its place: a [`Scope`], or one by reference.
///
/// ```
/// # use bsq_ir::{DType, Graph, Scope};
/// let g = Graph::new();
/// let model = Scope::root(&g);
/// let x = g.input("x", DType::F32, [2, 8]);
/// let y = x.linear(&model / "up", 16).linear(&model / "down", 8);
/// assert_eq!(model.specs()[2].name, "down.weight");
/// # let _ = y;
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no place for parameters",
    label = "expected a scope",
    note = "a layer takes a scope: `&model`, or `&model / \"name\"` for a place below it"
)]
pub trait AsScope<'g> {
    fn as_scope(&self) -> &Scope<'g>;
}

impl<'g> AsScope<'g> for Scope<'g> {
    fn as_scope(&self) -> &Scope<'g> {
        self
    }
}

impl<'g> AsScope<'g> for &Scope<'g> {
    fn as_scope(&self) -> &Scope<'g> {
        self
    }
}

impl<'g, N: Display> Div<N> for &Scope<'g> {
    type Output = Scope<'g>;

    fn div(self, name: N) -> Scope<'g> {
        self.child(name)
    }
}

impl<'g, N: Display> Div<N> for Scope<'g> {
    type Output = Scope<'g>;

    fn div(self, name: N) -> Scope<'g> {
        self.child(name)
    }
}
