//! Values in payloads: numbers, lists, pairs, masks.

use super::error::ParseError;
use super::lexer::{Cursor, Token};
use super::literal::{parse_f32, print_f32};
use crate::op::{Float, Mask, Padding};
use crate::shape::Shape;

/// A value that can be printed and read back.
pub(super) trait Attribute: Sized {
    fn print(&self) -> String;
    fn parse(cursor: &mut Cursor) -> Result<Self, ParseError>;
}

impl Attribute for usize {
    fn print(&self) -> String {
        self.to_string()
    }

    /// Bounded like the elements of a tensor, so that the type rules do not overflow.
    fn parse(cursor: &mut Cursor) -> Result<Self, ParseError> {
        let number = match cursor.peek() {
            Token::Word(word) => word.parse().ok(),
            _ => None,
        };
        match number.filter(|&number| number <= Shape::MAX_ELEMENTS) {
            Some(number) => {
                cursor.next();
                Ok(number)
            }
            None => Err(cursor.expected("a whole number of at most 2^48")),
        }
    }
}

impl Attribute for Float {
    fn print(&self) -> String {
        print_f32(self.get())
    }

    fn parse(cursor: &mut Cursor) -> Result<Self, ParseError> {
        let number = match cursor.peek() {
            Token::Word(word) => parse_f32(word),
            _ => None,
        };
        let number = number.ok_or_else(|| cursor.expected("an f32"))?;
        cursor.next();
        Ok(Float::new(number))
    }
}

/// `(lhs,rhs)`
impl Attribute for (usize, usize) {
    fn print(&self) -> String {
        format!("({},{})", self.0, self.1)
    }

    fn parse(cursor: &mut Cursor) -> Result<Self, ParseError> {
        let [lhs, rhs] = parse_tuple(cursor)?;
        Ok((lhs, rhs))
    }
}

/// `(before,after,between)`
impl Attribute for Padding {
    fn print(&self) -> String {
        format!("({},{},{})", self.before, self.after, self.between)
    }

    fn parse(cursor: &mut Cursor) -> Result<Self, ParseError> {
        let [before, after, between] = parse_tuple(cursor)?;
        Ok(Padding {
            before,
            after,
            between,
        })
    }
}

fn parse_tuple<const N: usize>(cursor: &mut Cursor) -> Result<[usize; N], ParseError> {
    let mut numbers = [0; N];
    cursor.expect_mark('(')?;
    for (position, number) in numbers.iter_mut().enumerate() {
        if position > 0 {
            cursor.expect_mark(',')?;
        }
        *number = usize::parse(cursor)?;
    }
    cursor.expect_mark(')')?;
    Ok(numbers)
}

impl<A: Attribute> Attribute for Vec<A> {
    fn print(&self) -> String {
        let items: Vec<String> = self.iter().map(A::print).collect();
        format!("[{}]", items.join(","))
    }

    fn parse(cursor: &mut Cursor) -> Result<Self, ParseError> {
        let mut items = Vec::new();
        cursor.expect_mark('[')?;
        if cursor.accept(&Token::Mark(']')) {
            return Ok(items);
        }
        loop {
            items.push(A::parse(cursor)?);
            if cursor.accept(&Token::Mark(']')) {
                return Ok(items);
            }
            if !cursor.accept(&Token::Mark(',')) {
                return Err(cursor.expected("`,` or `]`"));
            }
        }
    }
}

/// `none`, `bias`, or `block_causal(size)`
impl Attribute for Mask {
    fn print(&self) -> String {
        match self {
            Mask::None => "none".to_string(),
            Mask::BlockCausal { size } => format!("block_causal({size})"),
            Mask::Bias => "bias".to_string(),
        }
    }

    fn parse(cursor: &mut Cursor) -> Result<Self, ParseError> {
        const WANTED: &str = "`none`, `bias` or `block_causal(size)`";
        let position = cursor.position();
        match cursor.expect_word(WANTED)?.as_str() {
            "none" => Ok(Mask::None),
            "bias" => Ok(Mask::Bias),
            "block_causal" => {
                let [size] = parse_tuple(cursor)?;
                Ok(Mask::BlockCausal { size })
            }
            _ => {
                cursor.go_to(position);
                Err(cursor.expected(WANTED))
            }
        }
    }
}
