//! What is left of a line.

use super::super::{Value, Var};
use super::ParseError;
use bsq_ir::DType;
use std::fmt::Display;
use std::str::FromStr;

/// A line without its comment.
#[derive(Clone, Copy)]
pub(super) struct Line<'t> {
    /// Counted from 1.
    pub number: usize,
    /// Spaces before the text.
    pub indent: usize,
    pub text: &'t str,
}

impl<'t> Line<'t> {
    pub fn new(number: usize, line: &'t str) -> Self {
        let code = line.split('#').next().unwrap_or_default().trim_end();
        let text = code.trim_start_matches(' ');
        Line {
            number,
            indent: code.len() - text.len(),
            text,
        }
    }
}

/// A place in a line. Spaces before anything are skipped.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'t> {
    line: Line<'t>,
    rest: &'t str,
}

impl<'t> Cursor<'t> {
    pub fn new(line: Line<'t>) -> Self {
        let rest = line.text;
        Cursor { line, rest }
    }

    pub fn error(&self, problem: impl Into<String>) -> ParseError {
        ParseError {
            line: self.line.number,
            column: 1 + self.line.indent + self.line.text.len() - self.rest.len(),
            problem: problem.into(),
        }
    }

    pub fn expected(&self, what: impl Display) -> ParseError {
        match self.at_end() {
            true => self.error(format!("expected {what}, found the end of the line")),
            false => self.error(format!(
                "expected {what}, found `{}`",
                self.rest.trim_start()
            )),
        }
    }

    pub fn peek(&self) -> Option<char> {
        self.rest.trim_start().chars().next()
    }

    pub fn at_end(&self) -> bool {
        self.peek().is_none()
    }

    /// Takes `token` if it comes next; one that ends in a letter only as whole words.
    pub fn accept(&mut self, token: &str) -> bool {
        let Some(rest) = self.rest.trim_start().strip_prefix(token) else {
            return false;
        };
        let names_array = matches!(token, "b" | "s");
        let goes_on = token.ends_with(is_word) && rest.starts_with(is_word);
        if goes_on && !names_array {
            return false;
        }
        self.rest = rest;
        true
    }

    pub fn expect(&mut self, token: &str) -> Result<(), ParseError> {
        match self.accept(token) {
            true => Ok(()),
            false => Err(self.expected(format_args!("`{token}`"))),
        }
    }

    /// What follows a token that must be there.
    pub fn after<T>(
        &mut self,
        token: &str,
        read: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        self.expect(token)?;
        read(self)
    }

    pub fn end(&self) -> Result<(), ParseError> {
        match self.at_end() {
            true => Ok(()),
            false => Err(self.expected("the end of the line")),
        }
    }

    /// Letters, digits and underscores; perhaps none.
    pub fn word(&mut self) -> &'t str {
        self.take(is_word)
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'t str {
        let text = self.rest.trim_start();
        let end = text.find(|next| !wanted(next)).unwrap_or(text.len());
        self.rest = &text[end..];
        &text[..end]
    }

    /// A whole number; its sign may stand apart.
    pub fn number<N: FromStr>(&mut self) -> Result<N, ParseError> {
        let start = *self;
        let sign = if self.accept("-") { "-" } else { "" };
        let digits = self.take(|next| next.is_ascii_digit());
        let number = format!("{sign}{digits}").parse();
        number.map_err(|_| start.expected("a number"))
    }

    /// `0x` and hexadecimal digits.
    pub fn bits(&mut self) -> Result<u64, ParseError> {
        let start = *self;
        let digits = self.word().strip_prefix("0x");
        let bits = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        bits.ok_or_else(|| start.expected("bits such as `0x3f800000`"))
    }

    /// A float by its shortest decimal, or its bits.
    pub fn float_bits(&mut self) -> Result<u32, ParseError> {
        let start = *self;
        let word = self.take(|next| is_word(next) || "+-.".contains(next));
        let bits = match word.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => word.parse().ok().map(f32::to_bits),
        };
        bits.ok_or_else(|| start.expected("a number"))
    }

    pub fn var(&mut self) -> Result<Var, ParseError> {
        self.named('i', "a loop variable such as `i0`").map(Var)
    }

    pub fn value(&mut self) -> Result<Value, ParseError> {
        self.named('v', "a value such as `v0`").map(Value)
    }

    fn named(&mut self, letter: char, what: &str) -> Result<u32, ParseError> {
        let start = *self;
        let digits = self.word().strip_prefix(letter);
        let number = digits.and_then(|digits| digits.parse().ok());
        number.ok_or_else(|| start.expected(what))
    }

    pub fn dtype(&mut self) -> Result<DType, ParseError> {
        let start = *self;
        let dtype = self.word().parse();
        dtype.map_err(|_| start.expected("a type such as `f32`"))
    }
}

fn is_word(next: char) -> bool {
    next.is_ascii_alphanumeric() || next == '_'
}
