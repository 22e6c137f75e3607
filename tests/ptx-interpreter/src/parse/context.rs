//! Names of a kernel while it is parsed: registers, predicates, arrays, labels, constants.

use std::collections::HashMap;

use super::declaration::Declaration;
use super::{Position, Result};
use crate::inst::{Guard, Op, PredReg, Reg};
use crate::module::{Constant, Kernel, SharedArray};
use crate::types::{Space, Type};

/// Marks a [`Reg`] as an index of [`Kernel::constants`].
pub const CONSTANT: Reg = 1 << 31;
/// Bytes between two shared arrays that belong to neither. A multiple of 128 keeps every array's
/// banks where they are on a GPU.
pub const GUARD: u64 = 128;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Symbol {
    Param(u64),
    Shared(usize),
}

impl Symbol {
    pub fn space(self) -> Space {
        match self {
            Symbol::Param(_) => Space::Param,
            Symbol::Shared(_) => Space::Shared,
        }
    }
}

/// A register: a value or a predicate.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    pub ty: Type,
    pub index: u32,
}

#[derive(Default)]
struct Scope {
    registers: HashMap<String, Register>,
    /// `%r<10>`: registers get an index when they are first named.
    ranges: Vec<(String, u64, Type)>,
    symbols: HashMap<String, Symbol>,
}

pub struct Context {
    pub kernel: Kernel,
    scopes: Vec<Scope>,
    module_shared: HashMap<String, Declaration>,
    labels: HashMap<String, u32>,
    branches: Vec<(usize, String, Position)>,
    constants: HashMap<Constant, Reg>,
    opcodes: HashMap<String, u32>,
    /// End of the static shared arrays as a GPU lays them out, and of the guards among them.
    packed: u64,
    guards: u64,
}

impl Context {
    pub(super) fn new(kernel: Kernel, module_shared: HashMap<String, Declaration>) -> Context {
        let mut scope = Scope::default();
        for param in &kernel.params {
            scope
                .symbols
                .insert(param.name.clone(), Symbol::Param(param.offset as u64));
        }
        Context {
            kernel,
            scopes: vec![scope],
            module_shared,
            labels: HashMap::new(),
            branches: Vec::new(),
            constants: HashMap::new(),
            opcodes: HashMap::new(),
            packed: 0,
            guards: 0,
        }
    }

    pub(super) fn open(&mut self) {
        self.scopes.push(Scope::default());
    }

    pub(super) fn close(&mut self) {
        if self.scopes.len() > 1 {
            self.scopes.pop();
        }
    }

    fn scope(&mut self) -> &mut Scope {
        self.scopes
            .last_mut()
            .expect("the kernel's own scope stays")
    }

    fn allot(&mut self, name: &str, ty: Type) -> Register {
        let names = if ty == Type::Pred {
            &mut self.kernel.predicates
        } else {
            &mut self.kernel.registers
        };
        names.push(name.to_string());
        Register {
            ty,
            index: names.len() as u32 - 1,
        }
    }

    pub(super) fn declare(&mut self, name: &str, ty: Type, position: Position) -> Result<()> {
        let register = self.allot(name, ty);
        if self
            .scope()
            .registers
            .insert(name.to_string(), register)
            .is_some()
        {
            return Err(position.error(format!("`{name}` is declared twice")));
        }
        Ok(())
    }

    pub(super) fn declare_range(&mut self, prefix: &str, count: u64, ty: Type) {
        self.scope().ranges.push((prefix.to_string(), count, ty));
    }

    /// A declared register.
    pub fn register(&mut self, name: &str, position: Position) -> Result<Register> {
        self.find_register(name)
            .ok_or_else(|| position.error(format!("the register `{name}` is not declared")))
    }

    pub fn find_register(&mut self, name: &str) -> Option<Register> {
        let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (prefix, number) = name.split_at(name.len() - digits);
        let canonical = number == "0" || !number.starts_with('0');
        let number = number.parse::<u64>().ok().filter(|_| canonical);
        for depth in (0..self.scopes.len()).rev() {
            let scope = &self.scopes[depth];
            if let Some(register) = scope.registers.get(name) {
                return Some(*register);
            }
            let range = scope.ranges.iter().find(|(known, count, _)| {
                known == prefix && number.is_some_and(|number| number < *count)
            });
            if let Some(ty) = range.map(|range| range.2) {
                let register = self.allot(name, ty);
                self.scopes[depth]
                    .registers
                    .insert(name.to_string(), register);
                return Some(register);
            }
        }
        None
    }

    pub fn predicate(&mut self, name: &str, position: Position) -> Result<PredReg> {
        let register = self.register(name, position)?;
        if register.ty != Type::Pred {
            return Err(position.error(format!("`{name}` is not a predicate")));
        }
        Ok(register.index)
    }

    pub fn guard(&mut self, name: &str, negated: bool, position: Position) -> Result<Guard> {
        Ok(Guard {
            predicate: self.predicate(name, position)?,
            negated,
        })
    }

    /// A constant behind the registers.
    pub fn constant(&mut self, constant: Constant) -> Reg {
        let list = &mut self.kernel.constants;
        *self.constants.entry(constant).or_insert_with(|| {
            list.push(constant);
            CONSTANT | (list.len() as u32 - 1)
        })
    }

    /// What a name of an array stands for.
    pub fn symbol(&mut self, name: &str) -> Option<Symbol> {
        let found = self
            .scopes
            .iter()
            .rev()
            .find_map(|scope| scope.symbols.get(name))
            .copied();
        if found.is_some() {
            return found;
        }
        let declaration = self.module_shared.get(name)?.clone();
        let symbol = self.place_shared(&declaration);
        self.scopes[0].symbols.insert(name.to_string(), symbol);
        Some(symbol)
    }

    /// The address of a symbol.
    pub fn symbol_address(&mut self, symbol: Symbol) -> Reg {
        self.constant(match symbol {
            Symbol::Param(start) => Constant::Value(start),
            Symbol::Shared(index) => Constant::Shared(index),
        })
    }

    fn place_shared(&mut self, declaration: &Declaration) -> Symbol {
        let align = declaration.align as u64;
        let array = match declaration.bytes() {
            None => SharedArray {
                start: 0,
                dynamic: true,
                bytes: 0,
                align,
            },
            Some(bytes) => {
                let packed = self.packed.next_multiple_of(align);
                self.packed = packed + bytes as u64;
                self.kernel.static_shared = self.packed as usize;
                if !self.kernel.shared.is_empty() {
                    self.guards = (self.guards + GUARD).next_multiple_of(align.max(GUARD));
                }
                SharedArray {
                    start: packed + self.guards,
                    dynamic: false,
                    bytes: bytes as u64,
                    align,
                }
            }
        };
        self.kernel.shared.push(array);
        Symbol::Shared(self.kernel.shared.len() - 1)
    }

    pub(super) fn shared_array(&mut self, declaration: Declaration, at: Position) -> Result<()> {
        let symbol = self.place_shared(&declaration);
        self.insert_symbol(declaration.name, symbol, at)
    }

    fn insert_symbol(&mut self, name: String, symbol: Symbol, position: Position) -> Result<()> {
        let message = format!("`{name}` is declared twice");
        match self.scope().symbols.insert(name, symbol) {
            Some(_) => Err(position.error(message)),
            None => Ok(()),
        }
    }

    pub(super) fn label(&mut self, name: &str, position: Position) -> Result<()> {
        let at = self.kernel.code.len() as u32;
        match self.labels.insert(name.to_string(), at) {
            Some(_) => Err(position.error(format!("the label `{name}` exists twice"))),
            None => Ok(()),
        }
    }

    /// The instruction decoded next branches to this label.
    pub fn branch(&mut self, label: &str, position: Position) {
        self.branches
            .push((self.kernel.code.len(), label.to_string(), position));
    }

    pub(super) fn opcode(&mut self, name: &str) -> u32 {
        let list = &mut self.kernel.opcodes;
        *self.opcodes.entry(name.to_string()).or_insert_with(|| {
            list.push(name.to_string());
            list.len() as u32 - 1
        })
    }

    pub(super) fn finish(mut self) -> Result<Kernel> {
        for (at, label, position) in &self.branches {
            let found = self.labels.get(label);
            let found = found.ok_or_else(|| position.error(format!("no label `{label}`")))?;
            if let Op::Branch { target, .. } = &mut self.kernel.code[*at].op {
                *target = *found;
            }
        }
        Ok(self.kernel)
    }
}
