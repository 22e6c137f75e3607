//! Contractions whose sides are widened before they are multiplied.
//!
//! A tile that unpacks its operands in registers does so again for every few rows. Here a block of
//! each narrow side is widened once, into a buffer in a near cache, and the family's tile for the
//! wide type runs on that: `f32`, or pairs of 16-bit integers for bytes. Terms keep their order
//! and their rounding, so the results have the bits of [`Format`]'s definition.
//!
//! With so few rows that nothing of B is read twice, weights are widened in registers after all.

use std::mem::MaybeUninit;

use super::blocks::{After, pieces};
use super::gathered::{Level, offsets};
use super::{
    BF16, BF16_WEIGHTS, ContractArgs, ContractFn, F16, GatheredArgs, INT8, LEVELS, PANEL_WIDTH,
    U8_WEIGHTS, format,
};
use super::{avx2, avx2_pairs, avx512, widen};
use crate::kernel::Format;

/// Rows, terms and panels of a block. That of A takes 96 KB, a panel of B 16 KB; where A is as it is, a panel has
/// more terms, and all rows share it.
const ROWS: usize = 96;
const TERMS: usize = 256;
const TERMS_OF_WEIGHTS: usize = 512;
const PANELS: usize = 3;

/// Bytes of the widest element.
pub(super) const WIDEST: usize = size_of::<f32>();

#[repr(align(64))]
struct Buffer<const BYTES: usize>([MaybeUninit<u8>; BYTES]);

impl<const BYTES: usize> Buffer<BYTES> {
    const fn new() -> Self {
        Buffer([const { MaybeUninit::uninit() }; BYTES])
    }

    fn at(&mut self, byte: usize) -> *mut u8 {
        debug_assert!(byte < BYTES);
        self.0.as_mut_ptr().wrapping_add(byte).cast()
    }
}

/// Bytes of a widened element.
const fn wide_size(format: Format) -> usize {
    match format {
        Format::Int8 => size_of::<i16>(),
        _ => WIDEST,
    }
}

/// Whether A is narrow, too.
const fn widens_a(format: u8) -> bool {
    matches!(format, BF16 | F16 | INT8)
}

/// What widens weights in registers, and up to how many rows.
fn narrow<const FORMAT: u8, const AVX512: bool>() -> (usize, ContractFn) {
    match (FORMAT, AVX512) {
        (BF16_WEIGHTS, true) => (8, avx512::contract::<BF16_WEIGHTS>),
        (U8_WEIGHTS, true) => (8, avx512::contract::<U8_WEIGHTS>),
        (U8_WEIGHTS, false) => (6, avx2::contract::<U8_WEIGHTS>),
        _ => (0, contract::<FORMAT, AVX512>),
    }
}

/// A contraction of any format but `F32`, for CPUs with AVX2 or, if `AVX512`, AVX-512F.
///
/// # Safety
/// Those of [`super::ContractFn`]; the CPU has AVX2 and FMA, AVX-512F if `AVX512`, and F16C for
/// `F16`.
pub(super) unsafe extern "C" fn contract<const FORMAT: u8, const AVX512: bool>(
    args: *const ContractArgs,
) {
    // SAFETY: the caller vouches for the pointer.
    let args = unsafe { &*args };
    let (rows, few) = narrow::<FORMAT, AVX512>();
    if args.m <= rows {
        // SAFETY: passed on from the caller.
        unsafe { few(args) };
        return;
    }
    let most = if widens_a(FORMAT) { ROWS } else { args.m };
    for (row, rows) in pieces(args.m, most) {
        let size = format(FORMAT).a().size() as isize;
        let own = ContractArgs {
            a: args
                .a
                .wrapping_offset(row as isize * args.a_row_stride * size),
            c: args.c.wrapping_offset(row as isize * args.c_row_stride * 4),
            m: rows,
            ..*args
        };
        // SAFETY: some rows of what the caller vouches for.
        unsafe { rows_of::<FORMAT, AVX512>(&own, None) };
    }
}

/// A contraction of pairs of bf16 whose A steps by levels.
///
/// # Safety
/// Those of [`super::GatheredFn`]; the CPU has AVX2 and FMA, AVX-512F if `AVX512`.
pub(super) unsafe extern "C" fn gathered<const AVX512: bool>(gather: *const GatheredArgs) {
    // SAFETY: the caller vouches for the pointer.
    let gather = unsafe { &*gather };
    let mut offsets_of_rows = [0; ROWS];
    for row in (0..gather.args.m).step_by(ROWS) {
        let rows = ROWS.min(gather.args.m - row);
        offsets(&gather.rows, BF16_SIZE, row, &mut offsets_of_rows[..rows]);
        let down = row as isize * gather.args.c_row_stride * 4;
        let own = ContractArgs {
            c: gather.args.c.wrapping_offset(down),
            m: rows,
            ..gather.args
        };
        let found = Found {
            rows: &offsets_of_rows[..rows],
            levels: &gather.terms,
        };
        // SAFETY: some rows of what the caller vouches for.
        unsafe { rows_of::<BF16, AVX512>(&own, Some(found)) };
    }
}

/// Bytes of a bf16.
const BF16_SIZE: usize = format(BF16).a().size();

/// Where A is gathered: offsets of rows in bytes, and the levels of pairs of terms.
struct Found<'t> {
    rows: &'t [isize],
    levels: &'t [Level; LEVELS],
}

impl Found<'_> {
    /// Widens `count` terms of each row, those behind the first `done`, to rows of a block.
    ///
    /// # Safety
    /// The levels lead to elements that can be read; the block has as many rows of as many `f32`; the CPU has AVX2,
    /// AVX-512F if `AVX512`.
    unsafe fn widen<const AVX512: bool>(
        &self,
        a: *const u8,
        done: usize,
        count: usize,
        to: *mut f32,
    ) {
        let mut steps = [0; TERMS / 2];
        let (first, steps) = (done / 2, &mut steps[..count / 2]);
        offsets(self.levels, BF16_SIZE, first, steps);
        // Pairs that lie side by side are widened together.
        let run = match self.levels[0].stride {
            2 => self.levels[0].count,
            _ => 1,
        };
        for (row, &of_row) in self.rows.iter().enumerate() {
            let (a, to) = (a.wrapping_offset(of_row), to.wrapping_add(row * count));
            let mut at = 0;
            while at < steps.len() {
                let length = (run - (first + at) % run).min(steps.len() - at);
                let from = a.wrapping_offset(steps[at]);
                // SAFETY: passed on from the caller.
                unsafe {
                    widen_row::<BF16, AVX512>(from, to.wrapping_add(2 * at).cast(), 2 * length);
                }
                at += length;
            }
        }
    }
}

/// At most [`ROWS`] rows, if A is narrow.
///
/// # Safety
/// Those of [`contract`], or [`gathered`].
unsafe fn rows_of<const FORMAT: u8, const AVX512: bool>(
    args: &ContractArgs,
    found: Option<Found<'_>>,
) {
    let (narrow, size) = (format(FORMAT), wide_size(format(FORMAT)));
    let mut a_block = Buffer::<{ ROWS * TERMS * WIDEST }>::new();
    let mut b_block = Buffer::<{ PANELS * PANEL_WIDTH * TERMS_OF_WEIGHTS * WIDEST }>::new();
    let terms = args.k.next_multiple_of(narrow.terms());
    let panels = args.n.div_ceil(PANEL_WIDTH);
    let term_size = PANEL_WIDTH * narrow.b().size();
    let panel_at = |panel: usize, term: usize| {
        let elements = panel as isize * args.b_panel_stride + (term * PANEL_WIDTH) as isize;
        args.b
            .wrapping_offset(elements * narrow.b().size() as isize)
    };
    let most = match widens_a(FORMAT) {
        true => TERMS,
        false => TERMS_OF_WEIGHTS,
    };
    let mut done = 0;
    // Runs once for k = 0, which has to set C.
    loop {
        let count = most.min(terms - done);
        let mut block = ContractArgs {
            a: args
                .a
                .wrapping_offset(done as isize * args.a_k_stride * narrow.a().size() as isize),
            b: b_block.at(0),
            b_panel_stride: (PANEL_WIDTH * count) as isize,
            k: count,
            accumulate: usize::from(args.accumulate != 0 || done != 0),
            ..*args
        };
        if let Some(found) = &found {
            // SAFETY: passed on from the caller; the buffer has ROWS rows of TERMS elements.
            unsafe { found.widen::<AVX512>(args.a, done, count, a_block.at(0).cast()) };
        }
        if widens_a(FORMAT) {
            for row in (0..args.m).filter(|_| found.is_none()) {
                let from = row as isize * args.a_row_stride * narrow.a().size() as isize;
                let from = block.a.wrapping_offset(from);
                // SAFETY: the row is one of A, readable to a multiple of a step; the buffer has
                // ROWS rows of TERMS elements.
                unsafe { widen_row::<FORMAT, AVX512>(from, a_block.at(row * count * size), count) };
            }
            block.a = a_block.at(0);
            (block.a_row_stride, block.a_k_stride) = (count as isize, 1);
        }
        let a = block.a;
        for (panel, group) in pieces(panels, PANELS) {
            let column = panel * PANEL_WIDTH;
            let columns = (group * PANEL_WIDTH).min(args.n - column);
            block.n = columns;
            block.c = args.c.wrapping_add(column * 4);
            block.columns = args.columns.wrapping_add(column * 4);
            // The first rows leave what they widen for the others.
            let leaves = AVX512 && !widens_a(FORMAT);
            if leaves {
                let first = ContractArgs {
                    a,
                    b: panel_at(panel, done),
                    b_panel_stride: args.b_panel_stride,
                    m: avx512::ROWS,
                    ..block
                };
                // SAFETY: more rows than a tile has are A's and C's; the buffer has TERMS_OF_WEIGHTS rows for each panel.
                unsafe { widen_with_rows::<FORMAT>(&first, b_block.at(0).cast()) };
                let down = |stride: isize| stride * (avx512::ROWS * size_of::<f32>()) as isize;
                block.a = a.wrapping_offset(down(args.a_row_stride));
                block.c = first.c.wrapping_offset(down(args.c_row_stride));
                block.m = args.m - avx512::ROWS;
            }
            for own in (0..group).filter(|_| !leaves) {
                let from = panel_at(panel + own, done);
                let to = b_block.at(own * PANEL_WIDTH * count * size);
                let first = block.columns.wrapping_add(own * PANEL_WIDTH * 4).cast();
                let columns = columns - own * PANEL_WIDTH;
                // SAFETY: the panel is one of B, readable over its full width; the columns are C's.
                unsafe { widen_panel::<FORMAT, AVX512>(from, (first, columns), to, count) };
            }
            let next = match panel + group < panels {
                true => panel_at(panel + group, done),
                false => panel_at(0, done + count),
            };
            let after = After {
                panels: next,
                stride: args.b_panel_stride * narrow.b().size() as isize,
                step: term_size,
            };
            // SAFETY: the blocks are as large as `block` says, and C is what it was.
            unsafe {
                match (FORMAT, AVX512) {
                    (INT8, _) => avx2_pairs::contract(&block),
                    (_, true) => avx512::contract_near(&block, after),
                    (_, false) => avx2::contract_near(&block),
                }
            }
        }
        done += count;
        if done >= terms {
            break;
        }
    }
}

/// # Safety
/// Those of [`avx512::contract_widening`].
unsafe fn widen_with_rows<const FORMAT: u8>(args: &ContractArgs, to: *mut f32) {
    // SAFETY: passed on from the caller.
    unsafe {
        match FORMAT {
            BF16_WEIGHTS => avx512::contract_widening::<BF16_WEIGHTS>(args, to),
            _ => avx512::contract_widening::<U8_WEIGHTS>(args, to),
        }
    }
}

/// # Safety
/// Those of [`widen::row`]; the CPU has AVX-512F if `AVX512`.
unsafe fn widen_row<const FORMAT: u8, const AVX512: bool>(
    from: *const u8,
    to: *mut u8,
    terms: usize,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        match (FORMAT, AVX512) {
            (BF16, true) => widen::row_of_bf16(from, to, terms),
            _ => widen::row::<FORMAT>(from, to, terms),
        }
    }
}

/// # Safety
/// Those of [`widen::panel`], `columns` with a value each from `own`; the CPU has AVX-512F if `AVX512`.
unsafe fn widen_panel<const FORMAT: u8, const AVX512: bool>(
    from: *const u8,
    (own, columns): (*const f32, usize),
    to: *mut u8,
    terms: usize,
) {
    // SAFETY: passed on from the caller.
    unsafe {
        match (FORMAT, AVX512) {
            (BF16, true) => widen::panel_of_bf16(from, to, terms),
            _ => widen::panel::<FORMAT>(from, own, columns, to, terms),
        }
    }
}
