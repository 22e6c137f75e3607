//! A program's kernels in PTX, each below its launch.

use super::Entry;
use crate::program::Program;
use std::fmt;

/// Each kernel's PTX below what it computes and how it is launched.
pub fn listing<'a>(program: &'a Program, entries: &'a [Entry]) -> impl fmt::Display + 'a {
    fmt::from_fn(move |f| {
        for (number, entry) in entries.iter().enumerate() {
            let launches = program.launches.iter().enumerate();
            let launches: Vec<_> = launches
                .filter(|(_, launch)| launch.kernel == number)
                .collect();
            let label = launches.first().map_or("", |(_, launch)| &launch.label);
            writeln!(f, "// kernel {number}, {} times: {label}", launches.len())?;
            write!(
                f,
                "// {} blocks of {} threads, {} bytes of shared memory each",
                entry.blocks, entry.threads, entry.shared_bytes
            )?;
            if entry.workspace_bytes > 0 {
                write!(f, ", a workspace of {} bytes", entry.workspace_bytes)?;
            }
            write!(f, "\n// launches:")?;
            for (index, launch) in launches {
                let once = if launch.invariant { " (once)" } else { "" };
                write!(f, " {index}{once}")?;
            }
            writeln!(f, "\n{}\n", entry.text.trim_end())?;
        }
        Ok(())
    })
}
