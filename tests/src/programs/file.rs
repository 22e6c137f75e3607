//! A program with its values as text.
//!
//! ```text
//! # what is wrong, as comments
//! %0 = input "x1" : f32[2]
//! %1 = neg %0 : f32[2]
//! output "y0" %1
//! --- values
//! %0 = constant [1.0,nan] : f32[2]
//! output "input x1" %0
//! ```
//!
//! Both parts are in the text form of [`bsq_ir::text`]: the second is a function of constants, one
//! output for each input and parameter.

use super::Program;
use bsq_ir::eval::{Precision, Value, Values, evaluate};
use bsq_ir::text::{ParseError, parse};
use bsq_ir::{Constant, Function, Graph};

const LINE: &str = "--- values";

/// Writes a program, `comment` before it.
pub fn print(program: &Program, comment: &str) -> String {
    let comment: String = comment.lines().map(|line| format!("# {line}\n")).collect();
    let values = values_function(program);
    format!("{comment}{}{LINE}\n{values}", program.function)
}

/// Reads what [`print()`] has written.
///
/// # Errors
/// If one of the parts does not parse.
///
/// # Panics
/// If values are missing or are not constants.
pub fn read(text: &str) -> Result<Program, ParseError> {
    let (function, values) = text.split_once(LINE).unwrap_or((text, ""));
    let function = parse(function)?;
    let values = parse(values.trim_start())?;
    let none = Values::new();
    let all = evaluate(&values, &none, &none, Precision::F32).expect("values are constants");
    let of_kind = |kind: &str| -> Values {
        let named = |(name, value): (&String, &Value)| {
            let name = name.strip_prefix(kind)?.strip_prefix(' ')?;
            Some((name.to_string(), value.clone()))
        };
        all.outputs.iter().filter_map(named).collect()
    };
    Ok(Program {
        inputs: of_kind("input"),
        parameters: of_kind("parameter"),
        function,
    })
}

fn values_function(program: &Program) -> Function {
    let graph = Graph::new();
    let mut outputs = Vec::new();
    for (kind, values) in [
        ("input", &program.inputs),
        ("parameter", &program.parameters),
    ] {
        for (name, value) in values {
            let (ty, bytes) = (value.ty().clone(), value.to_bytes());
            let size = ty.dtype.size();
            let equal = bytes.chunks(size).all(|element| *element == bytes[..size]);
            let constant = match equal && !bytes.is_empty() {
                true => Constant::splat_bytes(ty, &bytes[..size]),
                false => Constant::dense_bytes(ty, bytes),
            };
            let id = graph.constant(constant).id();
            outputs.push((format!("{kind} {name}"), id));
        }
    }
    let outputs = outputs.iter().map(|(name, id)| (name.as_str(), *id));
    graph.function(outputs, [])
}
