//! Words, names, strings and punctuation of one line, and a cursor over them.

use super::error::ParseError;
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `%name`
    Value(String),
    /// Letters, digits and `_ . + -`: names of ops, keys, types and numbers.
    Word(String),
    /// `"..."`, unescaped.
    Text(String),
    /// One of `= , : [ ] ( )`.
    Mark(char),
    /// `<-`
    Arrow,
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Value(name) => write!(f, "`%{name}`"),
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Text(text) => write!(f, "{text:?}"),
            Token::Mark(mark) => write!(f, "`{mark}`"),
            Token::Arrow => write!(f, "`<-`"),
            Token::End => write!(f, "the end of the line"),
        }
    }
}

/// The tokens of one line, each with its column; the last is [`Token::End`].
pub(super) struct Cursor {
    line: usize,
    tokens: Vec<(usize, Token)>,
    position: usize,
}

impl Cursor {
    /// Splits line number `line` into tokens.
    pub fn new(line: usize, text: &str) -> Result<Self, ParseError> {
        let mut characters = Characters {
            line,
            column: 1,
            rest: text,
        };
        let mut tokens = Vec::new();
        loop {
            characters.take_while(char::is_whitespace);
            let column = characters.column;
            let token = characters.token()?;
            let end = token == Token::End;
            tokens.push((column, token));
            if end {
                let position = 0;
                return Ok(Cursor {
                    line,
                    tokens,
                    position,
                });
            }
        }
    }

    pub fn peek(&self) -> &Token {
        &self.tokens[self.position].1
    }

    /// The next token; [`Token::End`] again and again at the end.
    pub fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.position = (self.position + 1).min(self.tokens.len() - 1);
        token
    }

    pub fn position(&self) -> usize {
        self.position
    }

    pub fn go_to(&mut self, position: usize) {
        self.position = position.min(self.tokens.len() - 1);
    }

    /// The position after the last `mark` of the line.
    pub fn after_last(&self, mark: char) -> Option<usize> {
        let found = |(_, token): &(usize, Token)| *token == Token::Mark(mark);
        self.tokens.iter().rposition(found).map(|at| at + 1)
    }

    pub fn accept(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        if found {
            self.next();
        }
        found
    }

    pub fn expect(&mut self, token: &Token) -> Result<(), ParseError> {
        match self.accept(token) {
            true => Ok(()),
            false => Err(self.expected(&token.to_string())),
        }
    }

    pub fn expect_mark(&mut self, mark: char) -> Result<(), ParseError> {
        self.expect(&Token::Mark(mark))
    }

    /// `expected` stands for the kind of word in the message.
    pub fn expect_word(&mut self, expected: &str) -> Result<String, ParseError> {
        let Token::Word(word) = self.peek().clone() else {
            return Err(self.expected(expected));
        };
        self.next();
        Ok(word)
    }

    pub fn expect_text(&mut self, expected: &str) -> Result<String, ParseError> {
        let Token::Text(text) = self.peek().clone() else {
            return Err(self.expected(expected));
        };
        self.next();
        Ok(text)
    }

    /// The error of finding something else than `expected` here.
    pub fn expected(&self, expected: &str) -> ParseError {
        self.error(format!("expected {expected}, found {}", self.peek()))
    }

    /// An error at the next token.
    pub fn error(&self, problem: impl Into<String>) -> ParseError {
        self.error_at(self.position, problem)
    }

    /// An error at the token of that position.
    pub fn error_at(&self, position: usize, problem: impl Into<String>) -> ParseError {
        ParseError {
            line: self.line,
            column: self.tokens[position].0,
            problem: problem.into(),
        }
    }
}

struct Characters<'t> {
    line: usize,
    column: usize,
    rest: &'t str,
}

impl Characters<'_> {
    fn take(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        self.column += 1;
        Some(character)
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(character) = self.rest.chars().next().filter(|&next| wanted(next)) {
            taken.push(character);
            self.take();
        }
        taken
    }

    fn token(&mut self) -> Result<Token, ParseError> {
        let is_word = |next: char| next.is_ascii_alphanumeric() || "_.+-".contains(next);
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token::End);
        };
        if is_word(first) {
            return Ok(Token::Word(self.take_while(is_word)));
        }
        let column = self.column;
        self.take();
        match first {
            '#' => Ok(Token::End),
            '%' => match self.take_while(is_word) {
                name if name.is_empty() => Err(self.error("expected a name after `%`")),
                name => Ok(Token::Value(name)),
            },
            '<' if self.rest.starts_with('-') => {
                self.take();
                Ok(Token::Arrow)
            }
            '=' | ',' | ':' | '[' | ']' | '(' | ')' => Ok(Token::Mark(first)),
            '"' => self.text(),
            other => {
                self.column = column;
                Err(self.error(&format!("unexpected character {other:?}")))
            }
        }
    }

    /// The rest of a string, after the opening quote.
    fn text(&mut self) -> Result<Token, ParseError> {
        let mut text = String::new();
        loop {
            match self.take() {
                Some('"') => return Ok(Token::Text(text)),
                Some('\\') => text.push(self.escape()?),
                Some(character) => text.push(character),
                None => return Err(self.error("expected a closing `\"`")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, ParseError> {
        const WANTED: &str = "expected an escape: \\n \\r \\t \\0 \\\\ \\\" \\' or \\u{..}";
        let character = match self.take() {
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('0') => Some('\0'),
            Some(same @ ('\\' | '"' | '\'')) => Some(same),
            Some('u') if self.take() == Some('{') => {
                let digits = self.take_while(|next| next.is_ascii_hexdigit());
                let code = u32::from_str_radix(&digits, 16).ok();
                let closed = self.take() == Some('}');
                code.and_then(char::from_u32).filter(|_| closed)
            }
            _ => None,
        };
        character.ok_or_else(|| self.error(WANTED))
    }

    fn error(&self, problem: &str) -> ParseError {
        ParseError {
            line: self.line,
            column: self.column,
            problem: problem.to_string(),
        }
    }
}
