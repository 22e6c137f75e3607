//! A program as text: buffers, launches, and each kernel once.

use super::{BufferId, BufferKind, Launch, Program};
use std::fmt::{self, Display, Formatter};

/// Buffers with where their memory is, launches in order, outputs and copies. Kernels are numbers
/// here: [`Program::kernels_text`] has them.
impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, buffer) in self.buffers.iter().enumerate() {
            writeln!(f, "b{number} : {} = {}", buffer.ty, buffer.kind)?;
        }
        writeln!(f, "arena of {} bytes", self.arena_bytes)?;
        for (number, launch) in self.launches.iter().enumerate() {
            writeln!(f, "launch {number}: {launch}")?;
        }
        for (name, buffer) in &self.outputs {
            writeln!(f, "output {name:?} = {buffer}")?;
        }
        for (from, to) in &self.copies {
            writeln!(f, "copy {from} to {to}")?;
        }
        Ok(())
    }
}

impl Program {
    /// Every kernel in Kernel IR, below its number, how often it is launched, and what it computes.
    pub fn kernels_text(&self) -> impl Display + '_ {
        self.listing(|kernel, f| self.kernels[kernel].fmt(f))
    }

    /// As [`kernels_text`](Self::kernels_text), with what `text` says about the kernel at a position.
    pub fn listing<'a>(
        &'a self,
        text: impl Fn(usize, &mut Formatter<'_>) -> fmt::Result + 'a,
    ) -> impl Display + 'a {
        fmt::from_fn(move |f| {
            for number in 0..self.kernels.len() {
                let launches = self.launches.iter().filter(|l| l.kernel == number);
                let label = launches.clone().next().map_or("", |launch| &launch.label);
                writeln!(f, "# kernel {number}, {} times: {label}", launches.count())?;
                let text = fmt::from_fn(|f| text(number, f)).to_string();
                writeln!(f, "{}\n", text.trim_end())?;
            }
            Ok(())
        })
    }
}

impl Display for BufferId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.0)
    }
}

/// Where the memory comes from.
impl Display for BufferKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            BufferKind::Input(name) => write!(f, "input {name:?}"),
            BufferKind::Parameter(name) => write!(f, "parameter {name:?}"),
            BufferKind::Constant(bytes) => write!(f, "constant of {} bytes", bytes.len()),
            BufferKind::Temporary { offset } => write!(f, "arena at {offset}"),
            BufferKind::Invariant => f.write_str("kept between runs"),
        }
    }
}

impl Display for Launch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let arguments: Vec<String> = self.arguments.iter().map(BufferId::to_string).collect();
        let once = if self.invariant { ", once" } else { "" };
        write!(
            f,
            "kernel {}({}){once}  # {}, {:.3} MFLOP",
            self.kernel,
            arguments.join(", "),
            self.label,
            self.flops as f64 / 1e6
        )
    }
}
