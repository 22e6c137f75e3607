//! The loops around a register tile: groups of B panels, blocks of k, tiles of rows.
//!
//! For each block of k and each group of panels, all row tiles run before the next: that part of B
//! stays in the second-level cache, and so does the block of A, which is read once per group. A
//! block of k after the first reloads C, which changes no bit. The row tiles also fetch what
//! the next group reads, each its share: it comes from farther away, and they would all wait for it.
//!
//! k is counted in steps here: a step is as many terms as lie side by side in a panel.

use super::gathered::{GatheredArgs, LEVELS, Level, offsets};
use super::microarchitecture::Microarchitecture;
use super::{ContractArgs, PANEL_WIDTH};
use crate::kernel::Format;

/// One register tile: `C[rows, columns] (+)= A[rows, k] * B[k, columns]`; the number of rows and
/// of panels is fixed by the [`TileFn`] that runs it. Strides of A and B count bytes.
pub(super) struct Tile {
    pub a: *const u8,
    pub a_row_stride: isize,
    pub a_step_stride: isize,
    /// Where A is gathered: bytes to each of the tile's rows, and to each of its steps, instead of
    /// strides.
    pub a_rows: *const isize,
    pub a_steps: *const isize,
    pub b: *const u8,
    pub b_panel_stride: isize,
    /// The first column's own value, where columns have one: `f32` or `i32`.
    pub own: *const f32,
    /// `f32`, or `i32` of the same size.
    pub c: *mut f32,
    pub c_row_stride: isize,
    /// Columns of C to load and store; only the last panel may be partial.
    pub columns: usize,
    pub steps: usize,
    /// Start from C instead of from zero, or from the columns' own values in `Int8`.
    pub reload: bool,
    /// What to fetch meanwhile, and how many bytes further with each step: only a hint.
    pub fetch: *const u8,
    pub fetch_step: usize,
    /// Where a tile that widens weights leaves them, panel behind panel.
    pub widened: *mut f32,
}

/// Runs a tile. Safe to call under the conditions of [`super::ContractFn`] for the tile's part.
pub(super) type TileFn = unsafe fn(&Tile);

/// How the operands of a contraction lie in memory.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Terms side by side.
    pub terms: usize,
    /// Bytes of an element of A and of B.
    pub a_size: usize,
    pub b_size: usize,
}

impl Layout {
    pub const fn of(format: Format) -> Layout {
        Layout {
            terms: format.terms(),
            a_size: format.a().size(),
            b_size: format.b().size(),
        }
    }
}

/// What a family provides: its tile in every size up to the full one.
pub(super) trait Tiles {
    const LAYOUT: Layout;
    /// Rows of a full tile.
    const ROWS: usize;
    /// Steps of k for which a group of panels stays in a near cache, if that is large enough.
    const K_BLOCK: usize;

    /// Panels of a full tile in a contraction of that many rows.
    fn panels(rows: usize) -> usize;

    /// The function for a tile of `1..=ROWS` rows and of panels up to a full tile's.
    fn tile(rows: usize, panels: usize) -> TileFn;
}

/// What a caller reads after a contraction, as many panels as a group has: only a hint.
#[derive(Clone, Copy)]
pub(super) struct After {
    pub panels: *const u8,
    /// Bytes from panel to panel, and of what each step of the contraction may fetch of one.
    pub stride: isize,
    pub step: usize,
}

/// The whole contraction, tile by tile.
///
/// # Safety
/// Those of [`super::ContractFn`].
pub(super) unsafe fn contract<T: Tiles>(args: &ContractArgs) {
    // SAFETY: passed on from the caller.
    unsafe { tiles::<T>(args, None, None) }
}

/// [`contract`], after which a caller reads something else than the columns beside these.
///
/// # Safety
/// Those of [`super::ContractFn`].
pub(super) unsafe fn contract_before<T: Tiles>(args: &ContractArgs, after: After) {
    // SAFETY: passed on from the caller.
    unsafe { tiles::<T>(args, None, Some(after)) }
}

/// Rows and steps of A whose offsets are made at a time.
const GATHERED_ROWS: usize = 96;
const GATHERED_STEPS: usize = 1024;

/// The whole contraction, tile by tile, of an A that steps by levels.
///
/// # Safety
/// Those of [`super::GatheredFn`].
pub(super) unsafe fn gathered<T: Tiles>(gather: &GatheredArgs) {
    let size = T::LAYOUT.a_size;
    let (mut rows, mut steps) = ([0; GATHERED_ROWS], [0; GATHERED_STEPS]);
    for (row, count) in pieces(gather.args.m, GATHERED_ROWS) {
        offsets(&gather.rows, size, row, &mut rows[..count]);
        let down = row as isize * gather.args.c_row_stride * size_of::<f32>() as isize;
        let part = ContractArgs {
            c: gather.args.c.wrapping_offset(down),
            m: count,
            ..gather.args
        };
        let found = Found {
            rows: &rows[..count],
            levels: &gather.terms,
            steps: &mut steps,
        };
        // SAFETY: passed on from the caller for these rows.
        unsafe { tiles::<T>(&part, Some(found), None) };
    }
}

/// Where A is gathered: offsets of rows in bytes, the levels of terms, and a place for offsets of steps.
struct Found<'t> {
    rows: &'t [isize],
    levels: &'t [Level; LEVELS],
    steps: &'t mut [isize; GATHERED_STEPS],
}

/// # Safety
/// Those of [`super::ContractFn`] or, with the offsets of rows and the levels of terms, of
/// [`super::GatheredFn`].
#[inline]
unsafe fn tiles<T: Tiles>(
    args: &ContractArgs,
    mut gather: Option<Found<'_>>,
    after: Option<After>,
) {
    let Layout {
        terms,
        a_size,
        b_size,
    } = T::LAYOUT;
    let a_row_stride = args.a_row_stride * a_size as isize;
    let a_step_stride = args.a_k_stride * (terms * a_size) as isize;
    let b_panel_stride = args.b_panel_stride * b_size as isize;
    let b_step = PANEL_WIDTH * terms * b_size;
    let steps = args.k.div_ceil(terms);
    let full = T::panels(args.m);
    let step = terms * (args.m * a_size + full * PANEL_WIDTH * b_size);
    let k_block = fitting(step, Microarchitecture::this().second_level_cache).min(T::K_BLOCK);
    // With one tile of rows nothing of B is read twice.
    let k_block = match args.m <= T::ROWS {
        _ if gather.is_some() => k_block.min(GATHERED_STEPS),
        true => steps.max(1),
        false => k_block,
    };
    let all_panels = args.n.div_ceil(PANEL_WIDTH);
    let mut done = 0;
    // Runs once for k = 0, which has to set C.
    loop {
        let count = piece(steps - done, k_block);
        if let Some(found) = &mut gather {
            offsets(found.levels, a_size, done, &mut found.steps[..count]);
        }
        for (panel, panels) in pieces(all_panels, full) {
            let column = panel * PANEL_WIDTH;
            let columns = (panels * PANEL_WIDTH).min(args.n - column);
            let panel_at = |panel: usize, step: usize| {
                args.b
                    .wrapping_offset(panel as isize * b_panel_stride)
                    .wrapping_add(step * b_step)
            };
            let b = panel_at(panel, done);
            let (last_group, last_block) = (panel + panels >= all_panels, done + count >= steps);
            let at = |panels| After {
                panels,
                stride: b_panel_stride,
                step: b_step,
            };
            let next = match (last_group, last_block) {
                (false, _) => at(panel_at(panel + panels, done)),
                (true, false) => at(panel_at(0, done + count)),
                // What a caller reads next that goes on to the columns beside these.
                (true, true) => after.unwrap_or_else(|| at(panel_at(panel + panels, 0))),
            };
            // Tiles of rows that fetch a panel together: evenly, as bandwidth to afar is scarce.
            let sharing = (args.m.div_ceil(T::ROWS) / full).max(1);
            let fetch_step = next.step / sharing;
            for (number, (row, rows)) in pieces(args.m, T::ROWS).enumerate() {
                let fetches = number / sharing < full;
                let none = std::ptr::null();
                let (a, a_rows, a_steps) = match &gather {
                    Some(found) => (args.a, found.rows[row..].as_ptr(), found.steps.as_ptr()),
                    None => {
                        let down = args.a.wrapping_offset(row as isize * a_row_stride);
                        (
                            down.wrapping_offset(done as isize * a_step_stride),
                            none,
                            none,
                        )
                    }
                };
                let tile = Tile {
                    a,
                    a_row_stride,
                    a_step_stride,
                    a_rows,
                    a_steps,
                    b,
                    b_panel_stride,
                    own: args.columns.cast::<f32>().wrapping_add(column),
                    c: args
                        .c
                        .cast::<f32>()
                        .wrapping_offset(row as isize * args.c_row_stride)
                        .wrapping_add(column),
                    c_row_stride: args.c_row_stride,
                    columns,
                    steps: count,
                    reload: args.accumulate != 0 || done != 0,
                    fetch: match fetches {
                        true => next
                            .panels
                            .wrapping_offset((number / sharing) as isize * next.stride)
                            .wrapping_add(number % sharing * count * fetch_step),
                        false => b,
                    },
                    fetch_step: if fetches { fetch_step } else { 0 },
                    widened: std::ptr::null_mut(),
                };
                // SAFETY: the tile's rows, columns and terms lie within those of `args`, for which
                // the caller vouches, and `rows` and `panels` are what the function was chosen for.
                unsafe { T::tile(rows, panels)(&tile) };
            }
        }
        done += count;
        if done >= steps {
            break;
        }
    }
}

/// Steps of so many bytes that a cache holds: whole hundreds of them, so that sums are not put down too often.
fn fitting(step: usize, cache: usize) -> usize {
    const LEAST: usize = 256;
    (cache / step.max(1) / LEAST * LEAST).max(LEAST)
}

/// Cuts `0..total` into `(start, length)` pieces of at most `largest`.
pub(super) fn pieces(total: usize, largest: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let length = piece(total - start, largest);
        start += length;
        (length > 0).then_some((start - length, length))
    })
}

/// The length of the next piece: the largest, except that the last two share what is left evenly,
/// because a nearly empty tile has too few sums in flight to keep the multipliers busy.
fn piece(left: usize, largest: usize) -> usize {
    if left >= 2 * largest {
        largest
    } else if left > largest {
        left.div_ceil(2)
    } else {
        left
    }
}

#[cfg(test)]
mod tests {
    use super::{fitting, pieces};

    #[test]
    fn blocks_fit_the_cache() {
        // 96 rows of A and three panels, in f32.
        let step = 4 * (96 + 48);
        assert_eq!(fitting(step, 2 << 20), 3584);
        assert_eq!(fitting(step, 512 << 10), 768);
        assert_eq!(fitting(step, 256 << 10), 256);
        assert_eq!(fitting(step, 16 << 10), 256);
    }

    #[test]
    fn pieces_cover_the_whole_in_order_and_end_evenly() {
        let cut = |total, largest| pieces(total, largest).collect::<Vec<_>>();
        assert_eq!(cut(0, 6), []);
        assert_eq!(cut(5, 6), [(0, 5)]);
        assert_eq!(cut(8, 6), [(0, 4), (4, 4)]);
        assert_eq!(cut(13, 6), [(0, 6), (6, 4), (10, 3)]);
        assert_eq!(cut(18, 6), [(0, 6), (6, 6), (12, 6)]);
    }
}
