//! Decoding: an instruction as written to an [`Op`], with every modifier and operand checked.
//!
//! Each family of instructions is one file. A modifier that no one takes and an operand that is
//! left over are errors, so nothing that is written is ignored by accident.

mod compare;
mod control;
mod convert;
mod copy;
mod float;
mod integer;
mod matrix;
mod memory;
mod moves;
mod warp;

use super::error::ParseError;
use super::inst::{Address, Guard, Op, PredReg, Reg, Registers};
use super::module::Constant;
use super::parse::{Base, Context, Operand, Position, Statement};
use super::round::truncate;
use super::types::{Kind, Space, Type};

type Result<T> = std::result::Result<T, ParseError>;

/// Decodes one instruction.
pub fn decode(context: &mut Context, statement: &Statement<'_>) -> Result<Op> {
    let mut parts = statement.opcode.split('.');
    let name = parts.next().unwrap_or_default();
    let mut d = Decoder {
        context,
        statement,
        modifiers: parts.collect(),
        next: 0,
    };
    let op = match name {
        "ld" | "st" => memory::access(&mut d, name)?,
        "cp" => copy::copy_async(&mut d)?,
        "mov" => moves::mov(&mut d)?,
        "cvta" => moves::cvta(&mut d)?,
        "selp" => moves::select(&mut d)?,
        "cvt" => convert::cvt(&mut d)?,
        "setp" => compare::setp(&mut d)?,
        "ldmatrix" => matrix::ldmatrix(&mut d)?,
        "mma" => matrix::mma(&mut d)?,
        "shfl" => warp::shuffle(&mut d)?,
        "bar" => control::barrier(&mut d)?,
        "bra" | "ret" | "exit" => control::branch(&mut d, name)?,
        "fma" | "sqrt" | "rcp" | "ex2" => float::decode(&mut d, name)?,
        "and" | "or" | "xor" | "not" => integer::logic(&mut d, name)?,
        "add" | "sub" | "mul" | "mad" | "div" | "rem" | "min" | "max" | "abs" | "neg" => {
            if d.modifiers.contains(&"f32") {
                float::decode(&mut d, name)?
            } else {
                integer::decode(&mut d, name)?
            }
        }
        "shl" | "shr" => integer::shift(&mut d, name)?,
        "bfe" => integer::extract(&mut d)?,
        _ => return Err(d.error(format!("the instruction `{name}` is not known"))),
    };
    d.finish()?;
    Ok(op)
}

/// An instruction whose modifiers and operands are taken one after another.
struct Decoder<'c, 's> {
    context: &'c mut Context,
    statement: &'s Statement<'s>,
    modifiers: Vec<&'s str>,
    next: usize,
}

impl<'s> Decoder<'_, 's> {
    fn error(&self, message: impl Into<String>) -> ParseError {
        self.statement
            .position
            .error(format!("`{}`: {}", self.statement.opcode, message.into()))
    }

    fn finish(&self) -> Result<()> {
        if let Some(left) = self.modifiers.first() {
            return Err(self.error(format!("the modifier `.{left}` is not supported here")));
        }
        let (taken, given) = (self.next, self.statement.operands.len());
        if taken != given {
            return Err(self.error(format!("{taken} operands expected, {given} found")));
        }
        Ok(())
    }

    // Modifiers.

    fn take(&mut self, modifier: &str) -> bool {
        let found = self.modifiers.iter().position(|known| *known == modifier);
        found.map(|at| self.modifiers.remove(at)).is_some()
    }

    fn take_one<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let row = |name: &str| table.iter().find(|(known, _)| *known == name);
        let at = self.modifiers.iter().position(|name| row(name).is_some())?;
        row(self.modifiers.remove(at)).map(|(_, value)| *value)
    }

    fn need_one<T: Copy>(&mut self, table: &[(&str, T)]) -> Result<T> {
        self.take_one(table).ok_or_else(|| {
            let names = table.iter().map(|(name, _)| format!(".{name}"));
            self.error(format!(
                "one of {} is needed",
                names.collect::<Vec<_>>().join(", ")
            ))
        })
    }

    fn need(&mut self, modifier: &str) -> Result<()> {
        if self.take(modifier) {
            Ok(())
        } else {
            Err(self.error(format!("`.{modifier}` is needed")))
        }
    }

    /// The first type among the modifiers.
    fn ty(&mut self) -> Result<Type> {
        let at = self
            .modifiers
            .iter()
            .position(|name| Type::from_name(name).is_some());
        let at = at.ok_or_else(|| self.error("a type is needed"))?;
        Ok(Type::from_name(self.modifiers.remove(at)).expect("it was found by its type"))
    }

    fn ty_of(&mut self, allowed: &[Type]) -> Result<Type> {
        let ty = self.ty()?;
        if !allowed.contains(&ty) {
            return Err(self.error(format!("the type .{} is not supported here", ty.name())));
        }
        Ok(ty)
    }

    // Operands.

    fn operand(&mut self) -> Result<(&'s Operand<'s>, Position)> {
        let found = self.statement.operands.get(self.next);
        let (operand, position) = found.ok_or_else(|| self.error("there are too few operands"))?;
        self.next += 1;
        Ok((operand, *position))
    }

    fn left(&self) -> usize {
        self.statement.operands.len().saturating_sub(self.next)
    }

    /// A register that is written.
    fn dst(&mut self, ty: Type) -> Result<Reg> {
        let (operand, position) = self.operand()?;
        self.dst_of(operand, position, |register| ty.accepts(register), ty)
    }

    fn dst_of(
        &mut self,
        operand: &Operand<'_>,
        position: Position,
        accepts: impl Fn(Type) -> bool,
        ty: Type,
    ) -> Result<Reg> {
        let Operand::Name(name) = operand else {
            return Err(position.error("a register expected"));
        };
        let register = self.context.register(name, position)?;
        if !accepts(register.ty) {
            return Err(mismatch(name, register.ty, ty, position));
        }
        Ok(register.index)
    }

    /// A register or an immediate value.
    fn src(&mut self, ty: Type) -> Result<Reg> {
        let (operand, position) = self.operand()?;
        self.src_of(operand, position, ty)
    }

    fn src_of(&mut self, operand: &Operand<'_>, position: Position, ty: Type) -> Result<Reg> {
        let bits = match *operand {
            Operand::Name(name) => {
                let register = self.context.register(name, position)?;
                if !ty.accepts(register.ty) {
                    return Err(mismatch(name, register.ty, ty, position));
                }
                return Ok(register.index);
            }
            Operand::Integer(value) if matches!(ty.kind(), Kind::Float | Kind::Predicate) => {
                return Err(
                    position.error(format!("{value} is no constant of type .{}", ty.name()))
                );
            }
            Operand::Integer(value) => {
                let signed = -(1i128 << (ty.bits() - 1));
                let unsigned = (1i128 << ty.bits()) - 1;
                if !(signed..=unsigned).contains(&value) {
                    return Err(position.error(format!("{value} does not fit .{}", ty.name())));
                }
                truncate(value as u64, ty.bits())
            }
            Operand::Single(bits) if matches!(ty, Type::F32 | Type::B32) => u64::from(bits),
            _ => return Err(position.error(format!("a .{} expected", ty.name()))),
        };
        Ok(self.context.constant(Constant::Value(bits)))
    }

    /// An integer that is known when the kernel is assembled.
    fn immediate(&mut self, range: std::ops::RangeInclusive<i128>) -> Result<i128> {
        let (operand, position) = self.operand()?;
        match operand {
            Operand::Integer(value) if range.contains(value) => Ok(*value),
            _ => Err(position.error(format!(
                "a constant from {} to {} expected",
                range.start(),
                range.end()
            ))),
        }
    }

    /// A predicate that is written.
    fn pred_dst(&mut self) -> Result<PredReg> {
        let (operand, position) = self.operand()?;
        match operand {
            Operand::Name(name) => self.context.predicate(name, position),
            _ => Err(position.error("a predicate expected")),
        }
    }

    /// `p` or `!p`, read.
    fn pred_src(&mut self) -> Result<Guard> {
        let (operand, position) = self.operand()?;
        match operand {
            Operand::Name(name) => self.context.guard(name, false, position),
            Operand::Not(name) => self.context.guard(name, true, position),
            _ => Err(position.error("a predicate expected")),
        }
    }

    /// `[base + offset]`.
    fn address(&mut self, space: Space) -> Result<Address> {
        let (operand, position) = self.operand()?;
        let Operand::Address(base, offset) = *operand else {
            return Err(position.error("an address in brackets expected"));
        };
        let fixed = Address {
            space,
            base: None,
            offset,
            narrow: false,
        };
        let Base::Name(name) = base else {
            return Ok(fixed);
        };
        if let Some(register) = self.context.find_register(name) {
            let narrow = register.ty.bits() == 32;
            let narrow_space = space != Space::Global;
            let integer = !matches!(register.ty.kind(), Kind::Float | Kind::Predicate);
            if !integer || register.ty.bits() < 32 || (narrow && !narrow_space) {
                let wanted = if narrow_space { "b32 or .b64" } else { "b64" };
                let ty = register.ty.name();
                return Err(position.error(format!(
                    "`{name}` has type .{ty}; a {space} address needs .{wanted}"
                )));
            }
            return Ok(Address {
                base: Some(register.index),
                narrow,
                ..fixed
            });
        }
        let symbol = self.context.symbol(name);
        let symbol = symbol.ok_or_else(|| position.error(format!("`{name}` is not declared")))?;
        let found = symbol.space();
        if found != space {
            return Err(position.error(format!("`{name}` is {found} memory, not {space}")));
        }
        let base = self.context.symbol_address(symbol);
        Ok(Address {
            base: Some(base),
            ..fixed
        })
    }

    /// One register, or as many as the vector has, in braces.
    fn registers(
        &mut self,
        count: u32,
        take: impl Fn(&mut Self, &Operand<'_>, Position) -> Result<Reg>,
    ) -> Result<Registers> {
        let (operand, position) = self.operand()?;
        let mut list = [None; 4];
        match operand {
            Operand::Vector(elements) if count > 1 && elements.len() == count as usize => {
                for (slot, (element, position)) in list.iter_mut().zip(elements) {
                    *slot = Some(take(self, element, *position)?);
                }
            }
            Operand::Vector(elements) => {
                let given = elements.len();
                return Err(position.error(format!("{count} elements expected, {given} found")));
            }
            _ if count > 1 => return Err(position.error("registers in braces expected")),
            _ => list[0] = Some(take(self, operand, position)?),
        }
        Ok(Registers { list, count })
    }

    /// Exactly `count` registers of a type, in braces.
    fn register_list(&mut self, count: usize, ty: Type, written: bool) -> Result<Vec<Reg>> {
        let (operand, position) = self.operand()?;
        let Operand::Vector(elements) = operand else {
            return Err(position.error("registers in braces expected"));
        };
        if elements.len() != count {
            let given = elements.len();
            return Err(position.error(format!("{count} registers expected, {given} found")));
        }
        let one = |d: &mut Self, (element, position): &(Operand<'_>, Position)| {
            if written || matches!(element, Operand::Name(_)) {
                // Fragments are packed bits: a register of another type is a mistake.
                let accepts = |register: Type| match ty {
                    Type::B32 => register.bits() == 32 && register.kind() != Kind::Float,
                    _ => ty.accepts(register),
                };
                d.dst_of(element, *position, accepts, ty)
            } else {
                d.src_of(element, *position, ty)
            }
        };
        elements.iter().map(|element| one(self, element)).collect()
    }
}

fn mismatch(name: &str, found: Type, wanted: Type, position: Position) -> ParseError {
    let (found, wanted) = (found.name(), wanted.name());
    position.error(format!("`{name}` has type .{found}; .{wanted} is needed"))
}
