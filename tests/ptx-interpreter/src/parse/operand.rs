//! Operands of an instruction, before they are decoded.

use super::lexer::{Position, Token};
use super::{Parser, Result, describe};

/// An instruction as it is written.
#[derive(Debug)]
pub struct Statement<'a> {
    pub opcode: &'a str,
    pub position: Position,
    pub operands: Vec<(Operand<'a>, Position)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operand<'a> {
    /// A register, special register, array or label.
    Name(&'a str),
    /// `!p`
    Not(&'a str),
    Integer(i128),
    Single(u32),
    Address(Base<'a>, i64),
    Vector(Vec<(Operand<'a>, Position)>),
}

/// What an address counts from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Base<'a> {
    Name(&'a str),
    Zero,
}

impl<'a> Parser<'a> {
    /// Operands up to the semicolon.
    pub(super) fn operands(&mut self) -> Result<Vec<(Operand<'a>, Position)>> {
        let mut list = Vec::new();
        if self.eat(';') {
            return Ok(list);
        }
        loop {
            list.push(self.operand()?);
            if self.eat(';') {
                return Ok(list);
            }
            self.expect(',')?;
        }
    }

    fn operand(&mut self) -> Result<(Operand<'a>, Position)> {
        let position = self.position();
        let operand = match self.next() {
            Token::Word(name) => Operand::Name(name),
            Token::Punct('!') => Operand::Not(self.word()?),
            Token::Punct('-') => match self.next() {
                Token::Integer(value) => Operand::Integer(-i128::from(value)),
                Token::Single(bits) => Operand::Single(bits ^ (1 << 31)),
                other => {
                    let found = describe(&other);
                    return Err(position.error(format!("a number expected, {found} found")));
                }
            },
            Token::Integer(value) => Operand::Integer(i128::from(value)),
            Token::Single(bits) => Operand::Single(bits),
            Token::Punct('[') => self.address()?,
            Token::Punct('{') => {
                let mut list = vec![self.operand()?];
                while self.eat(',') {
                    list.push(self.operand()?);
                }
                self.expect('}')?;
                Operand::Vector(list)
            }
            other => {
                let found = describe(&other);
                return Err(position.error(format!("an operand expected, {found} found")));
            }
        };
        Ok((operand, position))
    }

    fn address(&mut self) -> Result<Operand<'a>> {
        let base = match *self.peek() {
            Token::Word(name) => {
                self.at += 1;
                Base::Name(name)
            }
            _ => Base::Zero,
        };
        let offset = match (base, self.peek()) {
            (Base::Name(_), Token::Punct(']')) => 0,
            (Base::Name(_), Token::Punct('-')) => self.signed()?,
            (Base::Name(_), _) => {
                self.expect('+')?;
                self.signed()?
            }
            (Base::Zero, _) => self.signed()?,
        };
        self.expect(']')?;
        Ok(Operand::Address(base, offset))
    }

    fn signed(&mut self) -> Result<i64> {
        let position = self.position();
        let negative = self.eat('-');
        let value = i64::try_from(self.integer()?)
            .map_err(|_| position.error("this offset is too large"))?;
        Ok(if negative { -value } else { value })
    }
}
