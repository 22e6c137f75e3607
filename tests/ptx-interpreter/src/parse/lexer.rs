//! Text to tokens.

use crate::error::ParseError;

/// Where a token starts, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

impl Position {
    pub fn error(self, message: impl Into<String>) -> ParseError {
        ParseError {
            line: self.line,
            column: self.column,
            message: message.into(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Token<'a> {
    /// A name with its dotted parts: `ld.global.f32`, `%tid.x`, `.reg`, `shared::cta`.
    Word(&'a str),
    Integer(u64),
    /// The bits of `0f...`.
    Single(u32),
    /// A decimal fraction: a version.
    Decimal(f64),
    Text(&'a str),
    Punct(char),
    End,
}

/// The tokens of a text, the last of them [`Token::End`].
pub fn tokens(text: &str) -> Result<Vec<(Token<'_>, Position)>, ParseError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        line: 1,
        line_start: 0,
    };
    let mut list = Vec::new();
    loop {
        lexer.skip_blank()?;
        let position = lexer.position();
        let token = lexer.next(position)?;
        let end = token == Token::End;
        list.push((token, position));
        if end {
            return Ok(list);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    line_start: usize,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'%')
}

impl<'a> Lexer<'a> {
    fn position(&self) -> Position {
        Position {
            line: self.line,
            column: (self.at - self.line_start) as u32 + 1,
        }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text
            .as_bytes()
            .get(self.at + ahead)
            .copied()
            .unwrap_or(0)
    }

    fn advance(&mut self) {
        if self.peek(0) == b'\n' {
            self.line += 1;
            self.line_start = self.at + 1;
        }
        self.at += 1;
    }

    fn skip_blank(&mut self) -> Result<(), ParseError> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (b' ' | b'\t' | b'\r' | b'\n', _) => self.advance(),
                (b'/', b'/') => {
                    while self.at < self.text.len() && self.peek(0) != b'\n' {
                        self.at += 1;
                    }
                }
                (b'/', b'*') => {
                    let start = self.position();
                    while (self.peek(0), self.peek(1)) != (b'*', b'/') {
                        if self.at >= self.text.len() {
                            return Err(start.error("this comment does not end"));
                        }
                        self.advance();
                    }
                    self.at += 2;
                }
                _ => return Ok(()),
            }
        }
    }

    fn next(&mut self, position: Position) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        let first = self.peek(0);
        if self.at >= self.text.len() {
            return Ok(Token::End);
        }
        if first.is_ascii_digit() {
            return self.number(position);
        }
        if first == b'"' {
            self.at += 1;
            while self.peek(0) != b'"' {
                if self.at >= self.text.len() || self.peek(0) == b'\n' {
                    return Err(position.error("this string does not end"));
                }
                self.at += 1;
            }
            self.at += 1;
            return Ok(Token::Text(&self.text[start + 1..self.at - 1]));
        }
        if is_word(first) || (first == b'.' && is_word(self.peek(1))) {
            self.at += 1;
            loop {
                let (here, next) = (self.peek(0), self.peek(1));
                if is_word(here) || (here == b'.' && is_word(next)) {
                    self.at += 1;
                } else if here == b':' && next == b':' && is_word(self.peek(2)) {
                    self.at += 2;
                } else {
                    return Ok(Token::Word(&self.text[start..self.at]));
                }
            }
        }
        if !first.is_ascii() {
            return Err(position.error("only ASCII characters are allowed here"));
        }
        self.at += 1;
        Ok(Token::Punct(char::from(first)))
    }

    fn number(&mut self, position: Position) -> Result<Token<'a>, ParseError> {
        let start = self.at;
        let prefix = self.peek(1).to_ascii_lowercase();
        let (radix, skip) = match (self.peek(0), prefix) {
            (b'0', b'x' | b'f') => (16, 2),
            _ => (10, 0),
        };
        self.at += skip;
        let digits = self.at;
        while self.peek(0).is_ascii_alphanumeric()
            || (skip == 0 && self.peek(0) == b'.' && self.peek(1).is_ascii_digit())
        {
            self.at += 1;
        }
        let whole = &self.text[start..self.at];
        let bad = |_| position.error(format!("`{whole}` is not a number"));
        let body = &self.text[digits..self.at];
        if skip == 0 && body.contains('.') {
            let value = body.parse::<f64>();
            return value
                .map(Token::Decimal)
                .map_err(|_| position.error(format!("`{whole}` is not a number")));
        }
        let value = u64::from_str_radix(body, radix).map_err(bad)?;
        match prefix {
            b'f' if skip > 0 && body.len() != 8 => {
                Err(position.error(format!("`{whole}` needs 8 hexadecimal digits")))
            }
            b'f' if skip > 0 => Ok(Token::Single(value as u32)),
            _ => Ok(Token::Integer(value)),
        }
    }
}
