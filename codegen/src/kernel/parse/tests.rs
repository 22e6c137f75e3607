//! What is printed parses back to an equal kernel; what is not Kernel IR is refused with its place.

use super::*;
use crate::kernel::{Attend, AttendBackward, Contract, Format, Groups, Panels, StridedRows};
use proptest::prelude::*;

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), Just(1), -40..40i64, any::<i64>()]
}

/// Terms ascend by variable, and none is zero.
fn affine() -> impl Strategy<Value = Affine> {
    let terms = proptest::collection::btree_map(0..9u32, number(), 0..4);
    (number(), terms).prop_map(|(constant, terms)| Affine {
        constant,
        terms: (terms.into_iter())
            .filter(|term| term.1 != 0)
            .map(|(var, coefficient)| (Var(var), coefficient))
            .collect(),
    })
}

fn element() -> impl Strategy<Value = Element> {
    let place = prop_oneof![
        (0..3u32).prop_map(Place::Buffer),
        (0..3u32).prop_map(Place::Scratch)
    ];
    let dynamic = proptest::option::of((0..9u32).prop_map(Value));
    (place, affine(), dynamic).prop_map(|(place, at, dynamic)| Element { place, at, dynamic })
}

fn extent() -> impl Strategy<Value = Extent> {
    prop_oneof![
        any::<usize>().prop_map(Extent::Static),
        (any::<usize>(), affine(), any::<usize>()).prop_map(|(size, start, limit)| Extent::Block {
            size,
            start,
            limit
        }),
    ]
}

fn strided_rows() -> impl Strategy<Value = StridedRows> {
    (element(), number(), number()).prop_map(|(first, row_stride, column_stride)| StridedRows {
        first,
        row_stride,
        column_stride,
    })
}

fn panels() -> impl Strategy<Value = Panels> {
    (element(), number()).prop_map(|(first, stride)| Panels { first, stride })
}

fn format() -> impl Strategy<Value = Format> {
    proptest::sample::select(&Format::ALL[..])
}

fn contract() -> impl Strategy<Value = Stmt> {
    let all = |pairs: Vec<(usize, i64)>| -> Vec<Groups> {
        let pairs = pairs.into_iter();
        pairs
            .map(|(terms, stride)| Groups { terms, stride })
            .collect()
    };
    let groups = || proptest::collection::vec((any::<usize>(), number()), 0..3);
    let more = (
        (groups(), groups()),
        proptest::option::of(element()),
        any::<bool>(),
    );
    let extents = [extent(), extent(), extent()];
    (format(), strided_rows(), panels(), panels(), more, extents).prop_map(
        move |(format, a, b, c, ((groups, row_groups), columns, accumulate), [m, n, k])| {
            Stmt::Contract(Box::new(Contract {
                format,
                a: a.first,
                a_row_stride: a.row_stride,
                a_k_stride: a.column_stride,
                a_groups: all(groups),
                a_row_groups: all(row_groups),
                b: b.first,
                b_panel_stride: b.stride,
                columns,
                c: c.first,
                c_row_stride: c.stride,
                m,
                n,
                k,
                accumulate,
            }))
        },
    )
}

/// The widths, the bits of the scale, the mask.
fn scores() -> impl Strategy<Value = ([usize; 3], u32, Option<usize>, Affine)> {
    let causal = proptest::option::of(any::<usize>());
    (any::<[usize; 3]>(), any::<u32>(), causal, affine())
}

fn attend() -> impl Strategy<Value = Stmt> {
    let elements = [element(), element(), element()];
    (
        format(),
        strided_rows(),
        [panels(), panels()],
        elements,
        extent(),
        scores(),
    )
        .prop_map(
            |(format, q, [k, v], [output, maxima, sums], rows, scores)| {
                let ([keys, depth, value_depth], scale, causal, first) = scores;
                Stmt::Attend(Box::new(Attend {
                    format,
                    q: q.first,
                    q_row_stride: q.row_stride,
                    q_column_stride: q.column_stride,
                    k: k.first,
                    k_panel_stride: k.stride,
                    v: v.first,
                    v_panel_stride: v.stride,
                    output,
                    maxima,
                    sums,
                    rows,
                    keys,
                    depth,
                    value_depth,
                    scale,
                    causal,
                    first,
                }))
            },
        )
}

fn attend_backward() -> impl Strategy<Value = Stmt> {
    let elements = [element(), element(), element(), element(), element()];
    let sides = ([strided_rows(), strided_rows()], [panels(), panels()]);
    (any::<bool>(), sides, elements, extent(), scores()).prop_map(
        |(by_keys, (lhs, rhs), elements, rows, scores)| {
            let [maxima, sums, inner, x, y] = elements;
            let ([columns, depth, value_depth], scale, causal, first) = scores;
            Stmt::AttendBackward(Box::new(AttendBackward {
                by_keys,
                lhs,
                rhs,
                maxima,
                sums,
                inner,
                results: if by_keys { vec![x, y] } else { vec![x] },
                rows,
                first,
                columns,
                depths: [depth, value_depth],
                scale,
                causal,
            }))
        },
    )
}

fn kernel_of(body: Vec<Stmt>) -> Kernel {
    Kernel {
        buffers: Vec::new(),
        scratch: Vec::new(),
        grid: Vec::new(),
        body,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn blocks_come_back(stmt in prop_oneof![contract(), attend(), attend_backward()]) {
        let kernel = kernel_of(vec![stmt]);
        let text = kernel.to_string();
        prop_assert_eq!(parse(&text), Ok(kernel), "{}", text);
    }

    #[test]
    fn elements_extents_and_indices_come_back(
        from in element(), extent in extent(), at in affine(), bits in any::<u64>(),
    ) {
        let instructions = [
            (DType::F32, Inst::Load(from.clone())),
            (DType::I64, Inst::Index(at)),
            (DType::U64, Inst::Constant(bits)),
        ];
        let define = |(number, (dtype, inst))| Stmt::Let { value: Value(number), dtype, inst };
        let mut body: Vec<Stmt> = (0..).zip(instructions).map(define).collect();
        body.push(Stmt::store(from, Value(2)));
        let (var, vector) = (Var(3), true);
        let kernel = kernel_of(vec![Stmt::loop_over(vector, var, extent, body)]);
        let text = kernel.to_string();
        prop_assert_eq!(parse(&text), Ok(kernel), "{}", text);
    }

    /// Mutilated text is refused or understood, and never a panic.
    #[test]
    fn mutilated_text_does_not_panic(at in 0..TEXT.len(), with in any::<char>(), cut in 0..9usize) {
        let end = (at + cut).min(TEXT.len());
        let text = format!("{}{with}{}", &TEXT[..at], &TEXT[end..]);
        let _ = parse_all(&text);
    }
}

const TEXT: &str = "\
buffer b0: f32[64]
buffer b1: f32[64] written
scratch s0: bool[3] written
grid i0 < 4, i1 < 2
  v0: i64 = constant 0x3
  vector for i2 < min(8, 20 - (8*i0 + -2*i1 - 3))
    v1: f32 = load b0[2*i2 - 1 + v0]
    v2: f32 = max v1, v1
    b1[0] = v2
  vector reduce i3 < visible(8*i0 + 7, 16, min(7, 64 - (8*i1)))
    v3: i32 = index i3 + 1
    v4: f32 = cast v3
  v5: f32 = sum v4
  v6: f32 = max v4
  v7: f32 = neg v6
  parallel for i4 < 3
    for i5 < 2
      b1[i4] = v7
  contract bf16 weights b1[0] by 16 += b0[0] by (16, 1) * panels b1[i1] by 256 over m 4 n 16 k 16
";

#[test]
fn text_comes_back_as_it_is() {
    let kernel = parse(TEXT).unwrap();
    assert_eq!(kernel.to_string(), TEXT);
    // Both results of the reduction, and the op behind them.
    assert!(matches!(&kernel.body[2], Stmt::Reduce(reduce) if reduce.results.len() == 2));
    assert_eq!(kernel.body.len(), 6);
    let several = format!("# kernel 0\n{TEXT}\n# kernel 1\n{TEXT}\n");
    assert_eq!(parse_all(&several).unwrap(), [kernel.clone(), kernel]);
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    let cases = [
        ("", "line 1, column 1: one kernel was expected, there are 0"),
        (
            "buffer b1: f32[4]",
            "line 1, column 7: expected `b0`, found `b1: f32[4]`",
        ),
        (
            "buffer b0: f31[4]",
            "line 1, column 11: expected a type such as `f32`, found `f31[4]`",
        ),
        (
            "buffer b0: f32[4]",
            "line 1, column 1: expected `buffer`, `scratch` or `grid` at the start of a line",
        ),
        (
            "grid\n  v0: f32 = sum v1, v2",
            "line 2, column 12: expected `constant`, `index`, `load` or an elementwise op, \
             found `sum v1, v2`",
        ),
        (
            "grid\n  b0[i1 + ] = v0",
            "line 2, column 10: expected a number, found `] = v0`",
        ),
        (
            "grid\n    b0[0] = v0",
            "line 2, column 5: this is indented too far",
        ),
        (
            "grid\n  vector b0[0] = v0",
            "line 2, column 9: expected `for` or `reduce`, found `b0[0] = v0`",
        ),
        (
            "grid\n  parallel reduce i1 < 4",
            "line 2, column 11: expected `for`, found `reduce i1 < 4`",
        ),
    ];
    for (text, expected) in cases {
        let error = parse(text).unwrap_err();
        assert_eq!(error.to_string(), expected, "{text}");
    }
}
