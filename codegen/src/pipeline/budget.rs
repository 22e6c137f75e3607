//! A program within a budget of memory: activations are computed again, as few as suffice.

use super::{Pass, Pipeline, PipelineError, Rewritten, Watch};
use crate::lower::{self, Options, Part};
use crate::program::Program;
use bsq_ir::Function;

/// What is computed again to keep within a budget of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recomputed {
    /// Parts of the forward pass, and how many there are.
    pub parts: usize,
    pub of: usize,
    /// Operations of contractions beside those of a program that computes nothing again.
    pub flops: u64,
    /// The most memory that one needs, in bytes.
    pub without_bytes: usize,
}

impl<W: Watch> Pipeline<W> {
    /// The program that computes the fewest parts of a function again of those within `budget`; `whole` computes
    /// none.
    pub(super) fn within(
        &mut self,
        budget: usize,
        (rewritten, function): (&Rewritten, &Function),
        options: &Options,
        whole: &Program,
    ) -> Result<Program, PipelineError> {
        let mut parts = lower::parts(function);
        let of = parts.len();
        // What saves most for its operations comes first.
        let value = |part: &Part| part.bytes as f64 / part.flops.max(1) as f64;
        parts.sort_by(|a, b| value(b).total_cmp(&value(a)));
        let mut smallest = whole.peak_bytes();
        let mut found: Option<(usize, Program)> = None;
        let (mut low, mut count) = (0, of);
        if of == 0 {
            return Err(PipelineError::Memory { budget, smallest });
        }
        loop {
            let chosen = self.pass(Pass::Recompute, function, |function| {
                lower::recompute(function, &parts[..count])
            });
            let program = self.lower_function(rewritten, &chosen, options)?;
            smallest = smallest.min(program.peak_bytes());
            if program.peak_bytes() <= budget {
                found = Some((count, program));
            } else if found.is_some() {
                low = count;
            }
            count = match &found {
                Some((high, _)) if high - low > 1 => usize::midpoint(low, *high),
                // More that is computed again at once may need more: with less it is known what can be had.
                None if count > of / 2 + 1 => count - (of / 8).max(1),
                _ => break,
            };
        }
        let Some((parts, program)) = found else {
            return Err(PipelineError::Memory { budget, smallest });
        };
        self.recomputed = Some(Recomputed {
            parts,
            of,
            flops: program.flops().saturating_sub(whole.flops()),
            without_bytes: whole.peak_bytes(),
        });
        Ok(program)
    }
}
