//! A kernel from its text: what [`Kernel`]'s `Display` prints parses back to an equal kernel.
//!
//! ```text
//! buffer b0: f32[64]
//! buffer b1: f32[64] written
//! grid i0 < 4
//!   vector for i1 < 16
//!     v0: f32 = load b0[16*i0 + i1]
//!     v1: f32 = tanh v0
//!     b1[16*i0 + i1] = v1
//! ```
//!
//! Blocks are indented by two spaces; `#` starts a comment. Nothing is checked but the form:
//! [`verify`](super::verify::verify) knows what else must hold.

mod blocks;
mod cursor;
#[cfg(test)]
mod tests;

use super::{
    Affine, Array, Axis, Combine, Element, Extent, Inst, Kernel, LoopKind, Place, Reduce,
    Reduction, Stmt, Value, Var,
};
use bsq_ir::text::elementwise;
use bsq_ir::{DType, Op};
use cursor::{Cursor, Line};
use std::str::FromStr;

/// A text that is not Kernel IR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {problem}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// In bytes, counted from 1.
    pub column: usize,
    pub problem: String,
}

/// The one kernel that a text describes.
///
/// # Errors
/// With the place and what was expected there.
pub fn parse(text: &str) -> Result<Kernel, ParseError> {
    let mut kernels = parse_all(text)?;
    match (kernels.pop(), kernels.len()) {
        (Some(kernel), 0) => Ok(kernel),
        (_, more) => Err(ParseError {
            line: 1,
            column: 1,
            problem: format!(
                "one kernel was expected, there are {}",
                more + usize::from(more > 0)
            ),
        }),
    }
}

/// All kernels of a text, such as a dump has.
///
/// # Errors
/// As [`parse`].
pub fn parse_all(text: &str) -> Result<Vec<Kernel>, ParseError> {
    let mut lines = Lines::new(text);
    let mut kernels = Vec::new();
    while lines.next.is_some() {
        kernels.push(kernel(&mut lines)?);
    }
    Ok(kernels)
}

impl FromStr for Kernel {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text)
    }
}

/// The lines that are neither empty nor comments.
struct Lines<'t> {
    rest: std::iter::Enumerate<std::str::Lines<'t>>,
    next: Option<Line<'t>>,
    /// The last line's number, for what is missing at the end.
    last: usize,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str) -> Self {
        let mut lines = Lines {
            rest: text.lines().enumerate(),
            next: None,
            last: 1,
        };
        lines.advance();
        lines
    }

    fn advance(&mut self) {
        let lines = self.rest.by_ref().map(|(at, text)| Line::new(at + 1, text));
        self.next = lines.into_iter().find(|line| !line.text.is_empty());
        self.last = self.next.map_or(self.last, |line| line.number);
    }

    /// The next line, if it is indented so far.
    fn take(&mut self, indent: usize) -> Option<Cursor<'t>> {
        let line = self.next.filter(|line| line.indent == indent)?;
        self.advance();
        Some(Cursor::new(line))
    }
}

fn kernel(lines: &mut Lines) -> Result<Kernel, ParseError> {
    let mut kernel = Kernel {
        buffers: Vec::new(),
        scratch: Vec::new(),
        grid: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let last = lines.last;
        let missing = || ParseError {
            line: last,
            column: 1,
            problem: "expected `buffer`, `scratch` or `grid` at the start of a line".to_string(),
        };
        let mut cursor = lines.take(0).ok_or_else(missing)?;
        if cursor.accept("grid") {
            while !cursor.at_end() {
                let var = cursor.var()?;
                let extent = cursor.after("<", Cursor::number)?;
                kernel.grid.push(Axis { var, extent });
                if !cursor.accept(",") {
                    break;
                }
            }
            cursor.end()?;
            break;
        }
        let (arrays, letter) = match cursor.accept("buffer") {
            true => (&mut kernel.buffers, "b"),
            false => {
                cursor.expect("scratch")?;
                (&mut kernel.scratch, "s")
            }
        };
        cursor.expect(&format!("{letter}{}", arrays.len()))?;
        let dtype = cursor.after(":", Cursor::dtype)?;
        let elements = cursor.after("[", Cursor::number)?;
        cursor.expect("]")?;
        let written = cursor.accept("written");
        cursor.end()?;
        arrays.push(Array {
            dtype,
            elements,
            written,
        });
    }
    kernel.body = block(lines, 2)?;
    if let Some(line) = lines.next.filter(|line| line.indent > 0) {
        return Err(Cursor::new(line).error("this is indented too far"));
    }
    Ok(kernel)
}

fn block(lines: &mut Lines, indent: usize) -> Result<Vec<Stmt>, ParseError> {
    let mut body = Vec::new();
    while let Some(cursor) = lines.take(indent) {
        body.push(statement(cursor, lines, indent)?);
    }
    Ok(body)
}

fn statement(mut cursor: Cursor, lines: &mut Lines, indent: usize) -> Result<Stmt, ParseError> {
    let parallel = cursor.accept("parallel");
    let vector = !parallel && cursor.accept("vector");
    let stmt = if cursor.accept("for") {
        let var = cursor.var()?;
        cursor.expect("<")?;
        let extent = extent(&mut cursor)?;
        cursor.end()?;
        let kind = match (parallel, vector) {
            (true, _) => LoopKind::Parallel,
            (false, true) => LoopKind::Vector,
            (false, false) => LoopKind::Serial,
        };
        return Ok(Stmt::Loop {
            var,
            extent,
            kind,
            body: block(lines, indent + 2)?,
        });
    } else if parallel {
        return Err(cursor.expected("`for`"));
    } else if cursor.accept("reduce") {
        return reduce(cursor, vector, lines, indent).map(Stmt::Reduce);
    } else if vector {
        return Err(cursor.expected("`for` or `reduce`"));
    } else if cursor.accept("contract") {
        Stmt::Contract(Box::new(blocks::contract(&mut cursor)?))
    } else if cursor.accept("attend backward by") {
        Stmt::AttendBackward(Box::new(blocks::attend_backward(&mut cursor)?))
    } else if cursor.accept("attend") {
        Stmt::Attend(Box::new(blocks::attend(&mut cursor)?))
    } else if cursor.peek() == Some('v') {
        let (value, dtype) = definition(&mut cursor)?;
        let inst = inst(&mut cursor, dtype)?;
        Stmt::Let { value, dtype, inst }
    } else {
        let to = element(&mut cursor)?;
        let value = cursor.after("=", Cursor::value)?;
        Stmt::store(to, value)
    };
    cursor.end()?;
    Ok(stmt)
}

/// `v1: f32 =`
fn definition(cursor: &mut Cursor) -> Result<(Value, DType), ParseError> {
    let value = cursor.value()?;
    let dtype = cursor.after(":", Cursor::dtype)?;
    cursor.expect("=")?;
    Ok((value, dtype))
}

fn reduce(
    mut cursor: Cursor,
    vector: bool,
    lines: &mut Lines,
    indent: usize,
) -> Result<Reduce, ParseError> {
    let var = cursor.var()?;
    let extent = cursor.after("<", extent)?;
    cursor.end()?;
    let body = block(lines, indent + 2)?;
    let mut results = Vec::new();
    while let Some(result) = lines.next.and_then(|line| reduction(line, indent)) {
        results.push(result);
        lines.advance();
    }
    Ok(Reduce {
        var,
        extent,
        vector,
        body,
        results,
    })
}

/// `v1: f32 = sum v0`: with one operand, so that it is no op of the same name.
fn reduction(line: Line, indent: usize) -> Option<Reduction> {
    let mut cursor = Cursor::new(line);
    let (value, dtype) = definition(&mut cursor).ok()?;
    let op = match cursor.word() {
        "sum" => Combine::Sum,
        "max" => Combine::Max,
        "min" => Combine::Min,
        _ => return None,
    };
    let term = cursor.value().ok()?;
    (line.indent == indent && cursor.at_end()).then_some(Reduction {
        value,
        dtype,
        op,
        term,
    })
}

fn inst(cursor: &mut Cursor, dtype: DType) -> Result<Inst, ParseError> {
    if cursor.accept("constant") {
        return cursor.bits().map(Inst::Constant);
    }
    if cursor.accept("index") {
        return affine(cursor).map(Inst::Index);
    }
    if cursor.accept("load") {
        return element(cursor).map(Inst::Load);
    }
    let at = *cursor;
    let name = cursor.word();
    let op: Op = elementwise(name, dtype)
        .ok_or_else(|| at.expected("`constant`, `index`, `load` or an elementwise op"))?;
    let mut operands = Vec::new();
    while !cursor.at_end() {
        operands.push(cursor.value()?);
        if !cursor.accept(",") {
            break;
        }
    }
    Ok(Inst::Map(op, operands))
}

/// `b0[2*i0 + i1 + 3 + v4]`
fn element(cursor: &mut Cursor) -> Result<Element, ParseError> {
    let place = if cursor.accept("b") {
        Place::Buffer(cursor.number()?)
    } else if cursor.accept("s") {
        Place::Scratch(cursor.number()?)
    } else {
        return Err(cursor.expected("an element such as `b0[i1]`"));
    };
    let at = cursor.after("[", affine)?;
    let dynamic = match cursor.accept("+") {
        true => Some(cursor.value()?),
        false => None,
    };
    cursor.expect("]")?;
    Ok(Element { place, at, dynamic })
}

/// `2*i0 + i1 - 3`; what follows a further `+` may be a value, which is left where it is.
fn affine(cursor: &mut Cursor) -> Result<Affine, ParseError> {
    let mut terms: Vec<(Var, i64)> = Vec::new();
    loop {
        let (coefficient, var) = match cursor.peek() {
            Some('i') => (1, Some(cursor.var()?)),
            _ => {
                let number = cursor.number()?;
                let var = cursor.accept("*").then(|| cursor.var()).transpose()?;
                (number, var)
            }
        };
        let Some(var) = var else {
            let constant = coefficient;
            return Ok(Affine { constant, terms });
        };
        terms.push((var, coefficient));
        if cursor.peek() == Some('-') {
            let constant = cursor.number()?;
            return Ok(Affine { constant, terms });
        }
        let before = *cursor;
        if !cursor.accept("+") || cursor.peek() == Some('v') {
            *cursor = before;
            return Ok(Affine { constant: 0, terms });
        }
    }
}

/// `8`, or `min(8, 20 - (8*i0))`, or `visible(4*i1, 16, min(8, 20 - (8*i0)))`
fn extent(cursor: &mut Cursor) -> Result<Extent, ParseError> {
    if cursor.accept("visible(") {
        let at = affine(cursor)?;
        let mask_block = cursor.after(",", Cursor::number)?;
        let (size, start, limit) = cursor.after(", min(", rest_of_block)?;
        cursor.expect(")")?;
        return Ok(Extent::Visible {
            at,
            mask_block,
            size,
            start,
            limit,
        });
    }
    if !cursor.accept("min(") {
        return cursor.number().map(Extent::Static);
    }
    let (size, start, limit) = rest_of_block(cursor)?;
    Ok(Extent::Block { size, start, limit })
}

/// What follows `min(`.
fn rest_of_block(cursor: &mut Cursor) -> Result<(usize, Affine, usize), ParseError> {
    let size = cursor.number()?;
    let limit = cursor.after(",", Cursor::number)?;
    let start = cursor.after("- (", affine)?;
    cursor.expect("))")?;
    Ok((size, start, limit))
}
