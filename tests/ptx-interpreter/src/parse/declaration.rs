//! Declarations of parameters and of arrays in shared memory.

use super::{Parser, Result};
use crate::types::Type;

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
}
