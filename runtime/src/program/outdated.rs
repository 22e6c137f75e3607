//! What of the launches that run once must run again, since parameters have changed.

use bsq_codegen::program::Program;

/// Marks in `launches` each invariant one that looks at a buffer of `changed`, or at what such a launch writes; a
/// buffer that several write is written by all of them again.
pub(super) fn mark_outdated(program: &Program, changed: &[usize], launches: &mut [bool]) {
    let mut is_changed = vec![false; program.buffers.len()];
    for &buffer in changed {
        is_changed[buffer] = true;
    }
    let mut is_done = changed.is_empty();
    while !is_done {
        is_done = true;
        let invariant = program.launches.iter().zip(&mut *launches);
        for (launch, is_outdated) in invariant.filter(|(launch, _)| launch.invariant) {
            let arguments = || launch.arguments.iter().map(|id| id.0 as usize);
            if !arguments().any(|buffer| is_changed[buffer]) {
                continue;
            }
            *is_outdated = true;
            let arrays = &program.kernels[launch.kernel].buffers;
            for (buffer, _) in arguments().zip(arrays).filter(|(_, array)| array.written) {
                is_done &= is_changed[buffer];
                is_changed[buffer] = true;
            }
        }
    }
}
