//! A function from its text. Never panics; memory is bounded by the length of the text.

use super::attribute::Attribute;
use super::error::ParseError;
use super::lexer::{Cursor, Token};
use super::literal::parse_element;
use super::payload::{Payload, payload, prototypes};
use crate::dtype::DType;
use crate::graph::{Function, Graph, NodeId, Region};
use crate::op::infer::Types;
use crate::op::{Constant, Op};
use crate::shape::{Shape, Type};
use std::collections::HashMap;
use std::str::FromStr;

/// The function that a text describes; see the [module](super) for the form.
///
/// # Errors
/// With the place and what was expected there, for anything that is not the text form of a
/// well-formed function.
pub fn parse(text: &str) -> Result<Function, ParseError> {
    let mut parser = Parser {
        prototypes: prototypes().into_iter().map(|op| (op.name(), op)).collect(),
        ..Parser::default()
    };
    for (index, line) in text.lines().enumerate() {
        let mut cursor = Cursor::new(index + 1, line)?;
        parser.statement(&mut cursor)?;
    }
    parser.finish()
}

impl FromStr for Function {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        parse(text)
    }
}

#[derive(Default)]
struct Parser {
    prototypes: HashMap<&'static str, Op>,
    graph: Graph,
    values: HashMap<String, NodeId>,
    /// Inputs and parameters so far: the op's name and their own.
    names: HashMap<(&'static str, String), Type>,
    /// Where each node was defined, as an error waiting for the case that nothing uses it.
    defined: Vec<(NodeId, ParseError)>,
    outputs: Vec<(String, NodeId)>,
    updates: Vec<(NodeId, NodeId)>,
}

impl Parser {
    fn statement(&mut self, cursor: &mut Cursor) -> Result<(), ParseError> {
        match cursor.peek().clone() {
            Token::End => return Ok(()),
            Token::Value(name) => self.node(cursor, name)?,
            Token::Word(word) if word == "output" => self.output(cursor)?,
            Token::Word(word) if word == "update" => self.update(cursor)?,
            _ => return Err(cursor.expected("`%name = ...`, `output` or `update`")),
        }
        match cursor.peek() {
            Token::End => Ok(()),
            _ => Err(cursor.expected("the end of the line")),
        }
    }

    /// `%name = op operands payload region : types`
    fn node(&mut self, cursor: &mut Cursor, name: String) -> Result<(), ParseError> {
        if self.values.contains_key(&name) {
            return Err(cursor.error(format!("`%{name}` is defined twice")));
        }
        let unused = cursor.error(format!("nothing uses `%{name}`"));
        cursor.next();
        cursor.expect_mark('=')?;
        let op_position = cursor.position();
        let op = cursor.expect_word("the name of an op")?;
        let Some(op) = self.prototypes.get(op.as_str()) else {
            return Err(cursor.error_at(op_position, format!("there is no op `{op}`")));
        };
        let mut op = op.clone();

        // The payload takes shapes from the types, which come last.
        let body = cursor.position();
        let Some(types_position) = cursor.after_last(':') else {
            cursor.go_to(usize::MAX);
            return Err(cursor.expected("`:` and the type"));
        };
        cursor.go_to(types_position);
        let types = parse_types(cursor)?;
        let end = cursor.position();

        cursor.go_to(body);
        let operands = self.operands(cursor)?;
        let result = &types[0];
        payload(&mut op, &mut Reader { cursor, result })?;
        let region = match accept_key(cursor, "region")? {
            true => Region(parse_region(cursor)?),
            false => Region(0),
        };
        cursor.expect_mark(':')?;
        cursor.go_to(end);

        self.check_name(cursor, op_position, &op)?;
        let added = self
            .graph
            .in_region(region, || self.graph.add(op, &operands));
        let id = added.map_err(|error| cursor.error_at(op_position, error.problem()))?;
        let inferred = self.graph.node(id).types;
        if inferred != types {
            let inferred: Vec<String> = inferred.iter().map(Type::to_string).collect();
            let what = format!("the type of the node is {}", inferred.join(", "));
            return Err(cursor.error_at(types_position, what));
        }
        self.values.insert(name, id);
        self.defined.push((id, unused));
        Ok(())
    }

    /// Inputs are told apart by their names, and so are parameters.
    fn check_name(&mut self, cursor: &Cursor, at: usize, op: &Op) -> Result<(), ParseError> {
        let (Op::Input { name, ty } | Op::Parameter { name, ty }) = op else {
            return Ok(());
        };
        let first = self.names.entry((op.name(), name.clone()));
        let first = first.or_insert_with(|| ty.clone());
        if first == ty {
            return Ok(());
        }
        let what = format!("{} {name:?} was {first} before, here {ty}", op.name());
        Err(cursor.error_at(at, what))
    }

    fn operands(&self, cursor: &mut Cursor) -> Result<Vec<NodeId>, ParseError> {
        let mut operands = Vec::new();
        if !matches!(cursor.peek(), Token::Value(_)) {
            return Ok(operands);
        }
        operands.push(self.value(cursor)?);
        while cursor.accept(&Token::Mark(',')) {
            operands.push(self.value(cursor)?);
        }
        Ok(operands)
    }

    fn value(&self, cursor: &mut Cursor) -> Result<NodeId, ParseError> {
        let Token::Value(name) = cursor.peek() else {
            return Err(cursor.expected("an operand such as `%0`"));
        };
        let undefined = || cursor.error(format!("`%{name}` is not defined above"));
        let id = *self.values.get(name).ok_or_else(undefined)?;
        cursor.next();
        Ok(id)
    }

    /// A value with one result.
    fn single(&self, cursor: &mut Cursor) -> Result<(NodeId, Type), ParseError> {
        let position = cursor.position();
        let id = self.value(cursor)?;
        match &self.graph.node(id).types[..] {
            [ty] => Ok((id, ty.clone())),
            several => {
                let what = format!("a node with {} results: use a projection", several.len());
                Err(cursor.error_at(position, what))
            }
        }
    }

    /// `output "name" %value`
    fn output(&mut self, cursor: &mut Cursor) -> Result<(), ParseError> {
        cursor.next();
        let position = cursor.position();
        let name = cursor.expect_text("the output's name in quotes")?;
        if self.outputs.iter().any(|(known, _)| *known == name) {
            return Err(cursor.error_at(position, format!("a second output {name:?}")));
        }
        let (value, _) = self.single(cursor)?;
        self.outputs.push((name, value));
        Ok(())
    }

    /// `update %parameter <- %value`
    fn update(&mut self, cursor: &mut Cursor) -> Result<(), ParseError> {
        cursor.next();
        let position = cursor.position();
        let (parameter, old) = self.single(cursor)?;
        if !matches!(self.graph.node(parameter).op, Op::Parameter { .. }) {
            return Err(cursor.error_at(position, "only parameters are updated"));
        }
        if self.updates.iter().any(|(known, _)| *known == parameter) {
            return Err(cursor.error_at(position, "a second update of the parameter"));
        }
        cursor.expect(&Token::Arrow)?;
        let position = cursor.position();
        let (value, new) = self.single(cursor)?;
        if old != new {
            let what = format!("the parameter is {old}, its new value {new}");
            return Err(cursor.error_at(position, what));
        }
        self.updates.push((parameter, value));
        Ok(())
    }

    fn finish(self) -> Result<Function, ParseError> {
        let mut used = vec![false; self.graph.len()];
        let updates = self.updates.iter().flat_map(|&(old, new)| [old, new]);
        for id in self.outputs.iter().map(|output| output.1).chain(updates) {
            used[id.index()] = true;
        }
        for index in (0..used.len()).rev().map(NodeId::new) {
            if used[index.index()] {
                let operands = self.graph.node(index).operands;
                operands.iter().for_each(|id| used[id.index()] = true);
            }
        }
        let unused = self.defined.into_iter().find(|(id, _)| !used[id.index()]);
        if let Some((_, error)) = unused {
            return Err(error);
        }
        let outputs = self.outputs.iter().map(|(name, id)| (name.as_str(), *id));
        Ok(self.graph.function(outputs, self.updates))
    }
}

/// `f32[2,3]`, or several in parentheses.
fn parse_types(cursor: &mut Cursor) -> Result<Types, ParseError> {
    let mut types = Types::new();
    if !cursor.accept(&Token::Mark('(')) {
        types.push(parse_type(cursor)?);
        return Ok(types);
    }
    loop {
        types.push(parse_type(cursor)?);
        if cursor.accept(&Token::Mark(')')) {
            return Ok(types);
        }
        if !cursor.accept(&Token::Mark(',')) {
            return Err(cursor.expected("`,` or `)`"));
        }
    }
}

fn parse_type(cursor: &mut Cursor) -> Result<Type, ParseError> {
    let position = cursor.position();
    let dtype = cursor.expect_word("a type such as `f32[2,3]`")?;
    let dtype: DType = match dtype.parse() {
        Ok(dtype) => dtype,
        Err(error) => return Err(cursor.error_at(position, format!("{error}"))),
    };
    let shape = Shape::from(Vec::parse(cursor)?);
    match shape.is_within_limits() {
        true => Ok(Type::new(dtype, shape)),
        false => {
            let (axes, elements) = (Shape::MAX_RANK, Shape::MAX_ELEMENTS);
            let what = format!("a shape has at most {axes} axes and {elements} elements");
            Err(cursor.error_at(position, what))
        }
    }
}

fn parse_region(cursor: &mut Cursor) -> Result<u32, ParseError> {
    let position = cursor.position();
    let region = u32::try_from(usize::parse(cursor)?);
    region.map_err(|_| cursor.error_at(position, "a region is a number below 2^32"))
}

/// Takes `key=` if it comes next.
fn accept_key(cursor: &mut Cursor, key: &str) -> Result<bool, ParseError> {
    match cursor.peek() {
        Token::Word(word) if word == key => {
            cursor.next();
            cursor.expect_mark('=').map(|()| true)
        }
        _ => Ok(false),
    }
}

struct Reader<'c> {
    cursor: &'c mut Cursor,
    result: &'c Type,
}

impl Payload for Reader<'_> {
    type Error = ParseError;

    fn name(&mut self, name: &mut String) -> Result<(), ParseError> {
        *name = self.cursor.expect_text("a name in quotes")?;
        Ok(())
    }

    fn attribute<A: Attribute>(&mut self, key: &str, value: &mut A) -> Result<(), ParseError> {
        if !accept_key(self.cursor, key)? {
            return Err(self.cursor.expected(&format!("`{key}=`")));
        }
        *value = A::parse(self.cursor)?;
        Ok(())
    }

    fn elements(&mut self, constant: &mut Constant) -> Result<(), ParseError> {
        let (cursor, ty) = (&mut *self.cursor, self.result);
        let position = cursor.position();
        let bytes = match cursor.peek().clone() {
            Token::Mark('[') => parse_list(cursor, ty.dtype)?,
            Token::Word(word) if word == "hex" => parse_hex(cursor)?,
            _ => {
                let element = parse_word(cursor, ty.dtype)?;
                *constant = Constant::splat_bytes(ty.clone(), &element);
                return Ok(());
            }
        };
        if bytes.len() != ty.bytes() {
            let (got, wanted) = (bytes.len(), ty.bytes());
            let what = format!("{got} bytes of elements, {ty} has {wanted}");
            return Err(cursor.error_at(position, what));
        }
        *constant = Constant::dense_bytes(ty.clone(), bytes);
        Ok(())
    }

    fn result(&mut self, fill: impl FnOnce(&Type)) {
        fill(self.result);
    }
}

fn parse_word(cursor: &mut Cursor, dtype: DType) -> Result<Vec<u8>, ParseError> {
    let bytes = match cursor.peek() {
        Token::Word(word) => parse_element(dtype, word),
        _ => None,
    };
    let bytes = bytes.ok_or_else(|| cursor.expected(&format!("a value of type {dtype}")))?;
    cursor.next();
    Ok(bytes)
}

fn parse_list(cursor: &mut Cursor, dtype: DType) -> Result<Vec<u8>, ParseError> {
    let mut bytes = Vec::new();
    cursor.expect_mark('[')?;
    if cursor.accept(&Token::Mark(']')) {
        return Ok(bytes);
    }
    loop {
        bytes.extend(parse_word(cursor, dtype)?);
        if cursor.accept(&Token::Mark(']')) {
            return Ok(bytes);
        }
        if !cursor.accept(&Token::Mark(',')) {
            return Err(cursor.expected("`,` or `]`"));
        }
    }
}

/// `hex "..."`: two digits a byte, in memory order.
fn parse_hex(cursor: &mut Cursor) -> Result<Vec<u8>, ParseError> {
    cursor.next();
    let position = cursor.position();
    let digits = cursor.expect_text("hexadecimal digits in quotes")?;
    let byte = |pair: &[u8]| {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(*pair.get(1)?).to_digit(16)?;
        u8::try_from(high << 4 | low).ok()
    };
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    bytes.ok_or_else(|| cursor.error_at(position, "expected pairs of hexadecimal digits"))
}
