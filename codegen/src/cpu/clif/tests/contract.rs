//! Contractions through generated code.

use super::run::{check, check_moderate};
use crate::kernel::{
    Affine, Array, Axis, Contract, Element, Extent, Format, Kernel, PANEL, Place, Stmt,
};
use crate::kernel::{Inst, Value, Var};
use bsq_ir::{DType, Op};
use proptest::prelude::*;

const GRID: Var = Var(0);
const TERMS: Var = Var(1);
const ROW: Var = Var(2);
const COLUMN: Var = Var(3);

/// `C = tanh(A B)` in blocks of rows on the grid and blocks of terms; A transposed where its terms
/// may lie apart.
fn blocked([m, n, k]: [usize; 3], rows: usize, terms: usize, format: Format) -> Kernel {
    let side = format.terms();
    let (terms, whole) = (terms.next_multiple_of(side), k.next_multiple_of(side));
    let (row_stride, k_stride) = if side > 1 { (whole, 1) } else { (1, m) };
    let array = |dtype, elements, written| Array {
        dtype,
        elements,
        written,
    };
    let element = |index, at| Element::new(Place::Buffer(index), at);
    let block = |var, size, limit| Extent::Block {
        size,
        start: Affine::var(var).scale(size as i64),
        limit,
    };
    let first_row = Affine::var(GRID).scale(rows as i64);
    let contract = |first: Affine, k_extent, accumulate| {
        Stmt::Contract(Box::new(Contract {
            format,
            a: element(
                0,
                first_row
                    .scale(row_stride as i64)
                    .add(&first.scale(k_stride as i64)),
            ),
            a_row_stride: row_stride as i64,
            a_k_stride: k_stride as i64,
            a_groups: Vec::new(),
            a_row_groups: Vec::new(),
            b: element(1, first.scale(PANEL as i64)),
            b_panel_stride: (whole * PANEL) as i64,
            columns: format.columns().map(|_| element(3, Affine::constant(0))),
            c: element(2, first_row.scale(n as i64)),
            c_row_stride: n as i64,
            m: block(GRID, rows, m),
            n: Extent::Static(n),
            k: k_extent,
            accumulate,
        }))
    };
    // Block 0 starts from zero, the others from C.
    let later = Affine::var(TERMS).offset(1).scale(terms as i64);
    let rest = Extent::Block {
        size: terms,
        start: later.clone(),
        limit: k,
    };
    let blocks = k.div_ceil(terms);
    let at = first_row
        .add(&Affine::var(ROW))
        .scale(n as i64)
        .add(&Affine::var(COLUMN));
    let (sum, result) = (Value(0), Value(1));
    let epilogue = vec![
        Stmt::load(sum, format.c(), element(2, at.clone())),
        Stmt::Let {
            value: result,
            dtype: format.c(),
            inst: match format {
                Format::Int8 => Inst::Map(Op::Neg, vec![sum]),
                _ => Inst::Map(Op::Tanh, vec![sum]),
            },
        },
        Stmt::store(element(2, at), result),
    ];
    Kernel {
        buffers: vec![
            array(format.a(), whole * m, false),
            array(format.b(), n.div_ceil(PANEL) * whole * PANEL, false),
            array(format.c(), m * n, true),
            array(format.columns().unwrap_or(DType::F32), n, false),
        ],
        scratch: Vec::new(),
        grid: vec![Axis {
            var: GRID,
            extent: m.div_ceil(rows),
        }],
        body: vec![
            contract(Affine::constant(0), Extent::Static(terms.min(k)), false),
            Stmt::serial_loop(
                TERMS,
                Extent::Static(blocks - 1),
                vec![contract(later, rest, true)],
            ),
            Stmt::serial_loop(
                ROW,
                block(GRID, rows, m),
                vec![Stmt::vector_loop(COLUMN, Extent::Static(n), epilogue)],
            ),
        ],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn contractions_equal_the_interpreter(
        shape in [1usize..40, 1usize..70, 1usize..40],
        rows in 1usize..20,
        terms in 1usize..20,
        format in 0..Format::ALL.len(),
        seed in any::<u64>(),
    ) {
        let format = Format::ALL[format];
        let kernel = blocked(shape, rows, terms, format);
        match format {
            Format::Bf16 => check_moderate(&kernel, seed)?,
            _ => check(&kernel, seed)?,
        }
    }
}
