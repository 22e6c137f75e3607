//! Declarations of arrays: parameters, shared, local, constant and global memory.

use super::lexer::Token;
use super::{Parser, Result, describe};
use crate::module::ModuleArray;
use crate::types::{Kind, Type};

/// `.align 16 .b8 name[64]`
#[derive(Debug, Clone)]
pub struct Declaration {
    pub name: String,
    pub ty: Type,
    pub align: usize,
    /// Elements; `None` for `name[]`.
    pub count: Option<usize>,
}

impl Declaration {
    pub fn bytes(&self) -> Option<usize> {
        self.count.map(|count| count * self.ty.bytes() as usize)
    }
}

impl Parser<'_> {
    /// What follows the state space: attributes, type, name and extents.
    pub(super) fn declaration(&mut self) -> Result<Declaration> {
        let mut align = None;
        let mut ty = None;
        let name = loop {
            let position = self.position();
            let word = self.word()?;
            match word {
                ".align" => {
                    let bytes = self.integer()? as usize;
                    if !bytes.is_power_of_two() {
                        return Err(position.error("an alignment is a power of two"));
                    }
                    align = align.max(Some(bytes));
                }
                // Hints on what a pointer parameter points to.
                ".ptr" | ".global" | ".shared" | ".const" | ".local" => {}
                _ if word.starts_with('.') => {
                    let found = Type::from_name(&word[1..]).filter(|ty| *ty != Type::Pred);
                    let unknown = || position.error(format!("`{word}` is no type of memory"));
                    ty = Some(found.ok_or_else(unknown)?);
                }
                _ => break word,
            }
        };
        let position = self.position();
        let ty = ty.ok_or_else(|| position.error(format!("`{name}` needs a type")))?;
        let mut count = Some(1usize);
        while self.eat('[') {
            if self.eat(']') {
                count = None;
            } else {
                let extent = self.integer()? as usize;
                count = count.and_then(|count| count.checked_mul(extent));
                if count.is_none_or(|count| count > 1 << 30) {
                    return Err(position.error(format!("`{name}` is too large")));
                }
                self.expect(']')?;
            }
        }
        let align = align.unwrap_or(ty.bytes() as usize);
        if align < ty.bytes() as usize {
            return Err(position.error(format!("`{name}` is aligned less than its elements")));
        }
        Ok(Declaration {
            name: name.to_string(),
            ty,
            align,
            count,
        })
    }

    /// A `.const` or `.global` array, perhaps with initial values.
    pub(super) fn module_array(&mut self, constant: bool) -> Result<()> {
        let position = self.position();
        let mut declaration = self.declaration()?;
        let mut initial = Vec::new();
        if self.eat('=') {
            if self.eat('{') {
                while !self.eat('}') {
                    self.initial_value(declaration.ty, &mut initial)?;
                    self.eat(',');
                }
            } else {
                self.initial_value(declaration.ty, &mut initial)?;
            }
        }
        self.expect(';')?;
        let width = declaration.ty.bytes() as usize;
        let count = *declaration.count.get_or_insert(initial.len() / width);
        let size = count * width;
        if initial.len() > size {
            return Err(position.error(format!("`{}` has too many values", declaration.name)));
        }
        // Constants and initialised arrays are zero where no value is given.
        if constant || !initial.is_empty() {
            initial.resize(size, 0);
        }
        let index = self.array_list.len();
        self.array_list.push(ModuleArray {
            constant,
            size,
            initial,
        });
        if self
            .arrays
            .insert(declaration.name.clone(), index)
            .is_some()
        {
            return Err(position.error(format!("`{}` is declared twice", declaration.name)));
        }
        Ok(())
    }

    fn initial_value(&mut self, ty: Type, bytes: &mut Vec<u8>) -> Result<()> {
        let position = self.position();
        let negative = self.eat('-');
        let bits = match (self.next(), ty) {
            (Token::Integer(value), _) if ty.kind() != Kind::Float => {
                if negative {
                    value.wrapping_neg()
                } else {
                    value
                }
            }
            (Token::Single(bits), Type::F32 | Type::B32) => {
                u64::from(bits ^ (u32::from(negative) << 31))
            }
            (Token::Double(bits), Type::F64) => bits ^ (u64::from(negative) << 63),
            (Token::Double(bits), Type::F32) => {
                let value = f64::from_bits(bits) as f32;
                u64::from(if negative { -value } else { value }.to_bits())
            }
            (other, _) => {
                let found = describe(&other);
                return Err(position.error(format!("a .{} expected, {found} found", ty.name())));
            }
        };
        bytes.extend_from_slice(&bits.to_le_bytes()[..ty.bytes() as usize]);
        Ok(())
    }
}
