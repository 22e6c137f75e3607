//! The body of a kernel: declarations, labels, instructions.

use super::lexer::{Position, Token};
use super::{Context, Parser, Result, Statement, describe};
use crate::cfg;
use crate::decode;
use crate::inst::Inst;
use crate::module::Kernel;
use crate::types::Type;

impl<'a> Parser<'a> {
    /// Parses up to the closing brace; the opening one is behind us.
    pub(super) fn body(&mut self, kernel: Kernel) -> Result<Kernel> {
        let start = self.position();
        let mut context = Context::new(kernel, self.shared.clone());
        let mut depth = 1;
        while depth > 0 {
            let position = self.position();
            match self.next() {
                Token::Punct('{') => {
                    depth += 1;
                    context.open();
                }
                Token::Punct('}') => {
                    depth -= 1;
                    context.close();
                }
                Token::Punct('@') => {
                    let negated = self.eat('!');
                    let name = self.word()?;
                    let guard = context.guard(name, negated, position)?;
                    let position = self.position();
                    let opcode = self.word()?;
                    self.instruction(&mut context, Some(guard), opcode, position)?;
                }
                Token::Word(directive) if directive.starts_with('.') => {
                    self.directive(&mut context, directive, position)?;
                }
                Token::Word(label) if self.eat(':') => context.label(label, position)?,
                Token::Word(opcode) => self.instruction(&mut context, None, opcode, position)?,
                other => {
                    let found = describe(&other);
                    return Err(position.error(format!("an instruction expected, {found} found")));
                }
            }
        }
        let mut kernel = context.finish()?;
        if kernel.code.is_empty() {
            return Err(start.error(format!("kernel `{}` is empty", kernel.name)));
        }
        kernel.reconvergence = cfg::reconvergence(&kernel.code);
        Ok(kernel)
    }

    fn instruction(
        &mut self,
        context: &mut Context,
        guard: Option<crate::inst::Guard>,
        opcode: &'a str,
        position: Position,
    ) -> Result<()> {
        let operands = self.operands()?;
        let op = decode::decode(
            context,
            &Statement {
                opcode,
                position,
                operands,
            },
        )?;
        let opcode = context.opcode(opcode);
        context.kernel.code.push(Inst {
            guard,
            op,
            line: position.line,
            opcode,
        });
        Ok(())
    }

    fn directive(&mut self, context: &mut Context, name: &str, position: Position) -> Result<()> {
        match name {
            ".reg" => self.registers(context),
            ".shared" | ".extern" => {
                if name == ".extern" {
                    self.word()?;
                }
                let declaration = self.declaration()?;
                self.expect(';')?;
                context.shared_array(declaration, position)
            }
            // A hint to the assembler.
            ".pragma" => {
                self.next();
                self.expect(';')
            }
            _ => Err(position.error(format!("the directive `{name}` is not known"))),
        }
    }

    /// `.reg .b32 %r<10>, %x;`
    fn registers(&mut self, context: &mut Context) -> Result<()> {
        let position = self.position();
        let word = self.word()?;
        let ty = word.strip_prefix('.').and_then(Type::from_name);
        let ty = ty.ok_or_else(|| position.error(format!("`{word}` is no type of registers")))?;
        if ty.bits() == 8 {
            return Err(position.error("registers of 8 bits are not supported"));
        }
        loop {
            let position = self.position();
            let name = self.word()?;
            if self.eat('<') {
                let count = self.integer()?;
                self.expect('>')?;
                context.declare_range(name, count, ty);
            } else {
                context.declare(name, ty, position)?;
            }
            if self.eat(';') {
                return Ok(());
            }
            self.expect(',')?;
        }
    }
}
