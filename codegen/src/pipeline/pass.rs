//! The passes by name, and the time of each.

use std::time::{Duration, Instant};

/// What the times of passes are summed up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Rewrite,
    Lower,
    Code,
}

/// Rows `Pass "name" stage`: one list gives passes their names and their order.
macro_rules! passes {
    ($($(#[$doc:meta])* $pass:ident $name:literal $stage:ident;)*) => {
        /// A step of the pipeline.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Pass {
            $($(#[$doc])* $pass,)*
        }

        impl Pass {
            /// Every pass, in the order in which they run.
            pub const ALL: &'static [Pass] = &[$(Pass::$pass,)*];

            /// The name by which `BSQ_DUMP` knows it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Pass::$pass => $name,)*
                }
            }

            pub const fn stage(self) -> Stage {
                match self {
                    $(Pass::$pass => Stage::$stage,)*
                }
            }
        }
    };
}

passes! {
    /// Is the function well formed? Before rewriting and before lowering.
    Verify "verify" Rewrite;
    /// Canonical form, e-graph, extraction: [`bsq_ir::rewrite`].
    Rewrite "rewrite" Rewrite;
    /// A forward pass keeps its values in bf16, if that was asked for.
    Store "store" Lower;
    /// Activations that do not fit a budget of memory are computed again.
    Recompute "recompute" Lower;
    /// Fused ops but attention become primitives again, and what a backward pass computes again
    /// becomes separate nodes.
    Prepare "prepare" Lower;
    /// Tensors without elements become constants.
    Empty "empty" Lower;
    /// Contractions get the format that was asked for.
    Precision "precision" Lower;
    /// Which nodes share a kernel.
    Schedule "schedule" Lower;
    /// When they run, and which updates may be in place then.
    Order "order" Lower;
    /// Groups to Kernel IR. What is in the way is found here, and scheduling starts over.
    Lower "lower" Lower;
    /// Which updates are in place: proven on the kernels.
    InPlace "in-place" Lower;
    /// Equal kernels become one, arrays become buffers.
    Assemble "assemble" Lower;
    /// Temporaries get their place in the arena.
    Memory "memory" Lower;
    /// In debug builds: does every launch read what it means to read?
    Check "check" Lower;
    /// Kernel IR to machine code.
    Code "code" Code;
    /// Kernel IR to PTX.
    Ptx "ptx" Code;
}

impl Pass {
    /// The pass of a name.
    pub fn from_name(name: &str) -> Option<Pass> {
        Pass::ALL.iter().copied().find(|pass| pass.name() == name)
    }
}

/// How long passes took: one row each, in the order in which they first ran; a pass that ran
/// several times has the sum.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<(Pass, Duration)>);

impl Times {
    /// Runs `work` as a part of `pass`.
    pub fn measure<T>(&mut self, pass: Pass, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.add(pass, start.elapsed());
        result
    }

    /// Counts what was measured elsewhere, such as a driver's assembler.
    pub fn add(&mut self, pass: Pass, time: Duration) {
        match self.0.iter_mut().find(|row| row.0 == pass) {
            Some(row) => row.1 += time,
            None => self.0.push((pass, time)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Pass, Duration)> + '_ {
        self.0.iter().copied()
    }

    /// The sum of a stage.
    pub fn of(&self, stage: Stage) -> Duration {
        let rows = self.iter().filter(|(pass, _)| pass.stage() == stage);
        rows.map(|(_, time)| time).sum()
    }

    pub fn total(&self) -> Duration {
        self.iter().map(|(_, time)| time).sum()
    }
}
