//! Contractions whose A does not step evenly: windows of a picture are read where they are.
//!
//! A convolution is a contraction of windows, and an element of a window is a sum of two offsets: that
//! of its row, the position of the window, and that of its term, the channel and the place in the
//! window. So A is never copied: a tile keeps its rows' offsets in registers and reads those of terms from
//! a table, of a block of terms at a time.

use super::ContractArgs;

/// Levels of rows, and of terms, at most.
pub const LEVELS: usize = 6;

/// How many indices a level counts before the next one does, and elements from one to the next.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Level {
    pub count: usize,
    pub stride: isize,
}

impl Level {
    /// Of what nothing counts beyond: the last one, and those that are not used.
    pub const fn last(stride: isize) -> Level {
        let count = usize::MAX;
        Level { count, stride }
    }
}

/// Operands whose A steps by levels, innermost first, instead of by its strides in `args`. Terms that a format takes
/// together lie side by side and count as one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct GatheredArgs {
    pub args: ContractArgs,
    pub rows: [Level; LEVELS],
    pub terms: [Level; LEVELS],
}

/// A family's contraction whose A steps by levels.
///
/// # Safety
/// Those of [`ContractFn`](super::ContractFn), for the elements of A that the levels lead to.
pub type GatheredFn = unsafe extern "C" fn(*const GatheredArgs);

/// Offsets in bytes of the indices from `start` on.
pub(super) fn offsets(levels: &[Level; LEVELS], size: usize, start: usize, to: &mut [isize]) {
    let size = size as isize;
    let (mut digits, mut rest, mut at) = ([0; LEVELS], start, 0);
    for (digit, level) in digits.iter_mut().zip(levels) {
        (*digit, rest) = (rest % level.count, rest / level.count);
        at += *digit as isize * level.stride * size;
    }
    for place in to {
        *place = at;
        for (digit, level) in digits.iter_mut().zip(levels) {
            let step = level.stride * size;
            *digit += 1;
            at += step;
            if *digit < level.count {
                break;
            }
            at -= level.count as isize * step;
            *digit = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LEVELS, Level, offsets};
    use crate::kernel::Groups;

    #[test]
    fn offsets_are_those_of_groups() {
        let groups = [(3, 10), (12, 100)].map(|(terms, stride)| Groups { terms, stride });
        let mut levels = [Level::last(0); LEVELS];
        let level = |count, stride| Level { count, stride };
        levels[..3].copy_from_slice(&[level(3, -2), level(4, 10), Level::last(100)]);
        for start in [0, 1, 5, 12, 40] {
            let mut found = [0; 30];
            offsets(&levels, 4, start, &mut found);
            for (index, &found) in found.iter().enumerate() {
                let expected = 4 * Groups::offset(&groups, -2, start + index);
                assert_eq!(found as i64, expected, "{start} + {index}");
            }
        }
    }
}
