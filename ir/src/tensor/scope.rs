//! Parameters by dotted name: `&model / "blocks" / 0 / "fc"`.

use super::Tensor;
use crate::dtype::DType;
use crate::graph::Graph;
use crate::op::TypeError;
use crate::shape::{Shape, Type};
use std::cell::RefCell;
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
    specs: Rc<RefCell<Vec<ParameterSpec>>>,
}

impl<'g> Scope<'g> {
    pub fn root(graph: &'g Graph) -> Self {
        let specs = Rc::default();
        Scope {
            graph,
            path: String::new(),
            specs,
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
        let specs = Rc::clone(&self.specs);
        Scope {
            graph: self.graph,
            path,
            specs,
        }
    }

    /// The parameter `name` at this place. Asking twice gives the same parameter.
    ///
    /// # Panics
    /// If it was asked for before with another shape or start.
    #[track_caller]
    pub fn parameter(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Tensor<'g> {
        let (name, ty) = (self.child(name).path, Type::new(DType::F32, shape));
        let spec = ParameterSpec { name, ty, init };
        let mut specs = self.specs.borrow_mut();
        match specs.iter().find(|known| known.name == spec.name) {
            Some(known) if *known != spec => {
                let what = format!(
                    "`{}` was {} {:?} before, now {} {:?}",
                    spec.name, known.ty, known.init, spec.ty, spec.init
                );
                TypeError::of_call("parameter", [], what).raise()
            }
            Some(_) => {}
            None => specs.push(spec.clone()),
        }
        self.graph
            .parameter(&spec.name, spec.ty.dtype, spec.ty.shape)
    }

    /// Every parameter handed out so far, anywhere in the tree, in order of first mention.
    pub fn specs(&self) -> Vec<ParameterSpec> {
        self.specs.borrow().clone()
    }

    /// The same as tensors.
    pub fn parameters(&self) -> Vec<Tensor<'g>> {
        let tensor = |spec: ParameterSpec| {
            let Type { dtype, shape } = spec.ty;
            self.graph.parameter(&spec.name, dtype, shape)
        };
        self.specs().into_iter().map(tensor).collect()
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
