//! Parsing: text to kernels of decoded instructions.

mod body;
mod context;
mod declaration;
mod lexer;
mod operand;

use std::collections::HashMap;

pub use context::{CONSTANT, Context, GUARD};
pub use lexer::Position;
pub use operand::{Base, Operand, Statement};

use super::error::ParseError;
use super::module::{Kernel, KernelParam};
use declaration::Declaration;
use lexer::Token;

type Result<T> = std::result::Result<T, ParseError>;

/// A place in the tokens, and what module scope declares.
pub struct Parser<'a> {
    tokens: Vec<(Token<'a>, Position)>,
    at: usize,
    /// Shared arrays at module scope: each kernel that names one gets its own.
    shared: HashMap<String, Declaration>,
}

/// Parses a whole module.
pub fn module(text: &str) -> Result<Vec<Kernel>> {
    let mut parser = Parser {
        tokens: lexer::tokens(text)?,
        at: 0,
        shared: HashMap::new(),
    };
    let mut kernels: Vec<Kernel> = Vec::new();
    while *parser.peek() != Token::End {
        let position = parser.position();
        match parser.word()? {
            ".version" => parser.version()?,
            ".target" => parser.target()?,
            ".address_size" => {
                if parser.integer()? != 64 {
                    return Err(position.error("only 64-bit addresses are supported"));
                }
            }
            ".visible" | ".extern" => {}
            ".entry" => {
                let kernel = parser.entry()?;
                if kernels.iter().any(|other| other.name == kernel.name) {
                    return Err(position.error(format!("kernel `{}` exists twice", kernel.name)));
                }
                kernels.push(kernel);
            }
            ".shared" => {
                let declaration = parser.declaration()?;
                parser.expect(';')?;
                parser.shared.insert(declaration.name.clone(), declaration);
            }
            other => return Err(position.error(format!("`{other}` is not known here"))),
        }
    }
    Ok(kernels)
}

impl<'a> Parser<'a> {
    fn peek(&self) -> &Token<'a> {
        &self.tokens[self.at].0
    }

    fn position(&self) -> Position {
        self.tokens[self.at].1
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.tokens[self.at].0.clone();
        if token != Token::End {
            self.at += 1;
        }
        token
    }

    fn eat(&mut self, punct: char) -> bool {
        let found = *self.peek() == Token::Punct(punct);
        if found {
            self.at += 1;
        }
        found
    }

    fn expect(&mut self, punct: char) -> Result<()> {
        if self.eat(punct) {
            return Ok(());
        }
        Err(self.position().error(format!(
            "`{punct}` expected, {} found",
            describe(self.peek())
        )))
    }

    fn word(&mut self) -> Result<&'a str> {
        match *self.peek() {
            Token::Word(word) => {
                self.at += 1;
                Ok(word)
            }
            ref other => Err(self
                .position()
                .error(format!("a name expected, {} found", describe(other)))),
        }
    }

    fn integer(&mut self) -> Result<u64> {
        match *self.peek() {
            Token::Integer(value) => {
                self.at += 1;
                Ok(value)
            }
            ref other => Err(self
                .position()
                .error(format!("a number expected, {} found", describe(other)))),
        }
    }

    fn version(&mut self) -> Result<()> {
        let position = self.position();
        match self.next() {
            Token::Decimal(version) if (7.0..9.0).contains(&version) => Ok(()),
            _ => Err(position.error("PTX versions 7.0 to 8.9 are supported")),
        }
    }

    fn target(&mut self) -> Result<()> {
        let position = self.position();
        let target = self.word()?;
        if !matches!(target, "sm_70" | "sm_75" | "sm_80" | "sm_86") {
            return Err(
                position.error(format!("target `{target}` is newer than sm_86, or unknown"))
            );
        }
        while self.eat(',') {
            self.word()?;
        }
        Ok(())
    }

    fn entry(&mut self) -> Result<Kernel> {
        let mut kernel = Kernel {
            name: self.word()?.to_string(),
            ..Kernel::default()
        };
        if self.eat('(') {
            while !self.eat(')') {
                self.parameter(&mut kernel)?;
                self.eat(',');
            }
        }
        loop {
            let position = self.position();
            match self.next() {
                Token::Word(".maxntid") => kernel.max_threads = Some(self.dimensions()?),
                Token::Word(".reqntid") => kernel.required_threads = Some(self.dimensions()?),
                Token::Word(".minnctapersm" | ".maxnreg") => {
                    self.integer()?;
                }
                Token::Punct('{') => return self.body(kernel),
                other => {
                    let found = describe(&other);
                    return Err(position.error(format!("`{{` expected, {found} found")));
                }
            }
        }
    }

    fn dimensions(&mut self) -> Result<[u32; 3]> {
        let mut list = [1; 3];
        list[0] = self.integer()? as u32;
        for dimension in &mut list[1..] {
            if self.eat(',') {
                *dimension = self.integer()? as u32;
            }
        }
        Ok(list)
    }

    fn parameter(&mut self, kernel: &mut Kernel) -> Result<()> {
        let position = self.position();
        if self.word()? != ".param" {
            return Err(position.error("`.param` expected"));
        }
        let declaration = self.declaration()?;
        let bytes = declaration
            .bytes()
            .ok_or_else(|| position.error("a size is needed"))?;
        let offset = kernel.param_bytes.next_multiple_of(declaration.align);
        kernel.param_bytes = offset + bytes;
        kernel.params.push(KernelParam {
            name: declaration.name,
            offset,
            bytes,
        });
        Ok(())
    }
}

/// A token as an error message shows it.
fn describe(token: &Token<'_>) -> String {
    match token {
        Token::Word(word) => format!("`{word}`"),
        Token::Integer(value) => format!("`{value}`"),
        Token::Single(bits) => format!("`0f{bits:08X}`"),
        Token::Decimal(value) => format!("`{value}`"),
        Token::Text(text) => format!("\"{text}\""),
        Token::Punct(punct) => format!("`{punct}`"),
        Token::End => "the end".to_string(),
    }
}
