//! Statements on blocks: contractions and attention.

use super::super::{
    Attend, AttendBackward, Contract, Element, Format, Groups, Panels, StridedRows,
};
use super::cursor::Cursor;
use super::{ParseError, affine, element, extent};

/// What follows `contract`.
pub(super) fn contract(cursor: &mut Cursor) -> Result<Contract, ParseError> {
    let format = format(cursor);
    let c = element(cursor)?;
    let c_row_stride = cursor.after("by", Cursor::number)?;
    let accumulate = cursor.accept("+=");
    if !accumulate {
        cursor.expect("=")?;
    }
    let a = strided_rows(cursor)?;
    let b = cursor.after("* panels", panels)?;
    let a_groups = groups(cursor, "groups")?;
    let a_row_groups = groups(cursor, "rows")?;
    let columns = match cursor.accept("columns") {
        true => Some(element(cursor)?),
        false => None,
    };
    let m = cursor.after("over m", extent)?;
    let n = cursor.after("n", extent)?;
    let k = cursor.after("k", extent)?;
    Ok(Contract {
        format: format.unwrap_or(Format::F32),
        a: a.first,
        a_row_stride: a.row_stride,
        a_k_stride: a.column_stride,
        a_groups,
        a_row_groups,
        b: b.first,
        b_panel_stride: b.stride,
        columns,
        c,
        c_row_stride,
        m,
        n,
        k,
        accumulate,
    })
}

/// What follows `attend`.
pub(super) fn attend(cursor: &mut Cursor) -> Result<Attend, ParseError> {
    let format = format(cursor).ok_or_else(|| cursor.expected("a format such as `f32`"))?;
    let output = element(cursor)?;
    let maxima = cursor.after(",", element)?;
    let sums = cursor.after(",", element)?;
    let q = cursor.after("=", strided_rows)?;
    let k = cursor.after(", keys", panels)?;
    let v = cursor.after(", values", panels)?;
    let scale = cursor.after("scale", Cursor::float_bits)?;
    let rows = cursor.after("rows", extent)?;
    let keys = cursor.after("keys", Cursor::number)?;
    let depth = cursor.after("depths", Cursor::number)?;
    let value_depth = cursor.after(",", Cursor::number)?;
    let causal = causal(cursor)?;
    cursor.expect("from")?;
    Ok(Attend {
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
        first: affine(cursor)?,
    })
}

/// What follows `attend backward by`.
pub(super) fn attend_backward(cursor: &mut Cursor) -> Result<AttendBackward, ParseError> {
    let by_keys = cursor.accept("keys");
    if !by_keys {
        cursor.expect("queries")?;
    }
    let mut results: Vec<Element> = Vec::new();
    while !cursor.accept("=") {
        results.push(element(cursor)?);
    }
    let written = if by_keys { None } else { results.pop() };
    let lhs = [strided_rows(cursor)?, strided_rows(cursor)?];
    let rhs = [panels(cursor)?, panels(cursor)?];
    let maxima = cursor.after(",", element)?;
    let sums = cursor.after(",", element)?;
    let inner = match written {
        Some(inner) => inner,
        None if by_keys => {
            cursor.expect(",")?;
            element(cursor)?
        }
        None => return Err(cursor.error("the inner products of queries are written nowhere")),
    };
    let scale = cursor.after("scale", Cursor::float_bits)?;
    let rows = cursor.after("rows", extent)?;
    let columns = cursor.after("columns", Cursor::number)?;
    let depth = cursor.after("depths", Cursor::number)?;
    let value_depth = cursor.after(",", Cursor::number)?;
    let causal = causal(cursor)?;
    cursor.expect("from")?;
    Ok(AttendBackward {
        by_keys,
        lhs,
        rhs,
        maxima,
        sums,
        inner,
        results,
        rows,
        first: affine(cursor)?,
        columns,
        depths: [depth, value_depth],
        scale,
        causal,
    })
}

/// The longest name first: one is the beginning of another.
fn format(cursor: &mut Cursor) -> Option<Format> {
    let mut formats = Format::ALL;
    formats.sort_by_key(|format| std::cmp::Reverse(format.name().len()));
    formats
        .into_iter()
        .find(|format| cursor.accept(format.name()))
}

/// `b0[0] by (8, 1)`
fn strided_rows(cursor: &mut Cursor) -> Result<StridedRows, ParseError> {
    let first = element(cursor)?;
    let row_stride = cursor.after("by (", Cursor::number)?;
    let column_stride = cursor.after(",", Cursor::number)?;
    cursor.expect(")")?;
    Ok(StridedRows {
        first,
        row_stride,
        column_stride,
    })
}

/// `b0[0] by 128`
fn panels(cursor: &mut Cursor) -> Result<Panels, ParseError> {
    let first = element(cursor)?;
    let stride = cursor.after("by", Cursor::number)?;
    Ok(Panels { first, stride })
}

/// `groups 3 by 10 groups 9 by 100`, with that name.
fn groups(cursor: &mut Cursor, name: &str) -> Result<Vec<Groups>, ParseError> {
    let mut groups = Vec::new();
    while cursor.accept(name) {
        let terms = cursor.number()?;
        let stride = cursor.after("by", Cursor::number)?;
        groups.push(Groups { terms, stride });
    }
    Ok(groups)
}

fn causal(cursor: &mut Cursor) -> Result<Option<usize>, ParseError> {
    let is_causal = cursor.accept("causal");
    is_causal.then(|| cursor.number()).transpose()
}
