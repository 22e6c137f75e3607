//! Types of PTX values and the state spaces of memory.

use std::fmt;

/// A scalar type, without the dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    B8,
    B16,
    B32,
    B64,
    U8,
    U16,
    U32,
    U64,
    S8,
    S16,
    S32,
    S64,
    F16,
    Bf16,
    F32,
    Pred,
}

/// What a type's bits mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bits,
    Unsigned,
    Signed,
    Float,
    Predicate,
}

const NAMES: [(&str, Type); 16] = [
    ("b8", Type::B8),
    ("b16", Type::B16),
    ("b32", Type::B32),
    ("b64", Type::B64),
    ("u8", Type::U8),
    ("u16", Type::U16),
    ("u32", Type::U32),
    ("u64", Type::U64),
    ("s8", Type::S8),
    ("s16", Type::S16),
    ("s32", Type::S32),
    ("s64", Type::S64),
    ("f16", Type::F16),
    ("bf16", Type::Bf16),
    ("f32", Type::F32),
    ("pred", Type::Pred),
];

impl Type {
    pub fn from_name(name: &str) -> Option<Type> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, ty)| *ty)
    }

    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, ty)| *ty == self)
            .expect("every type has a name")
            .0
    }

    /// Width in bits; a predicate has one.
    pub fn bits(self) -> u32 {
        match self {
            Type::B8 | Type::U8 | Type::S8 => 8,
            Type::B16 | Type::U16 | Type::S16 | Type::F16 | Type::Bf16 => 16,
            Type::B32 | Type::U32 | Type::S32 | Type::F32 => 32,
            Type::B64 | Type::U64 | Type::S64 => 64,
            Type::Pred => 1,
        }
    }

    pub fn bytes(self) -> u32 {
        self.bits() / 8
    }

    pub fn kind(self) -> Kind {
        match self {
            Type::B8 | Type::B16 | Type::B32 | Type::B64 => Kind::Bits,
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => Kind::Unsigned,
            Type::S8 | Type::S16 | Type::S32 | Type::S64 => Kind::Signed,
            Type::F16 | Type::Bf16 | Type::F32 => Kind::Float,
            Type::Pred => Kind::Predicate,
        }
    }

    /// Whether a register of type `register` may stand where an instruction wants this type:
    /// untyped bits go with everything of their width, signed goes with unsigned.
    pub fn accepts(self, register: Type) -> bool {
        self.bits() == register.bits() && self.same_family(register)
    }

    /// As [`Type::accepts`], but the register may be wider (ld, st and cvt allow that).
    pub fn accepts_wider(self, register: Type) -> bool {
        let float = self.kind() == Kind::Float && register.kind() == Kind::Float;
        let fits = if float {
            self.bits() == register.bits()
        } else {
            self.bits() <= register.bits()
        };
        fits && self.same_family(register)
    }

    fn same_family(self, register: Type) -> bool {
        match (self.kind(), register.kind()) {
            (Kind::Predicate, other) | (other, Kind::Predicate) => other == Kind::Predicate,
            (Kind::Bits, _) | (_, Kind::Bits) => true,
            (Kind::Float, other) | (other, Kind::Float) => other == Kind::Float,
            _ => true,
        }
    }
}

/// Where memory lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    Global,
    Shared,
    Param,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Space::Global => "global",
            Space::Shared => "shared",
            Space::Param => "parameter",
        })
    }
}
