//! What a wrong shape or element type looks like to the person who wrote it.

use crate::op::Op;
use crate::shape::Type;
use std::fmt;
use std::panic::Location;

/// An op applied to operands that do not fit: names the op, the operands' types, the axis, and,
/// once the graph builder has added it, the caller's own line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct TypeError {
    op: &'static str,
    operands: Vec<Type>,
    what: String,
    help: Option<String>,
    location: Option<&'static Location<'static>>,
}

impl TypeError {
    /// An error of a call that is more than one op, such as `matmul`.
    pub(crate) fn of_call<'t>(
        name: &'static str,
        operands: impl IntoIterator<Item = &'t Type>,
        what: impl Into<String>,
    ) -> Self {
        TypeError {
            op: name,
            operands: operands.into_iter().cloned().collect(),
            what: what.into(),
            help: None,
            location: None,
        }
    }

    pub(crate) fn new<'t>(
        op: &Op,
        operands: impl IntoIterator<Item = &'t Type>,
        what: impl Into<String>,
    ) -> Self {
        TypeError::of_call(op.name(), operands, what)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Panics with this error at the caller's line.
    #[track_caller]
    pub(crate) fn raise(self) -> ! {
        panic!("{}", self.at(Location::caller()))
    }

    pub(crate) fn at(mut self, location: &'static Location<'static>) -> Self {
        self.location = Some(location);
        self
    }

    pub(crate) fn with_operands(mut self, operands: &[&Type]) -> Self {
        if self.operands.is_empty() {
            self.operands = operands.iter().map(|&ty| ty.clone()).collect();
        }
        self
    }

    /// The op's name in the text form.
    pub fn op(&self) -> &'static str {
        self.op
    }

    /// What is wrong, without the place: one line.
    pub fn problem(&self) -> String {
        let types: Vec<String> = self.operands.iter().map(Type::to_string).collect();
        match types.is_empty() {
            true => format!("{}: {}", self.op, self.what),
            false => format!(
                "{}: {} (operands: {})",
                self.op,
                self.what,
                types.join(", ")
            ),
        }
    }

    /// The line in the user's program that asked for the op.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.op, self.what)?;
        for (index, ty) in self.operands.iter().enumerate() {
            let lead = if index == 0 { "\n  operands: " } else { ", " };
            write!(f, "{lead}{ty}")?;
        }
        if let Some(location) = self.location {
            write!(f, "\n  at {}:{}", location.file(), location.line())?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}
