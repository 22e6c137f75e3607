//! Every vector instruction that SIMD loops are written with, and what it is in the manual.

use super::super::assembler::Width;
use super::super::code::{Binary, Predicate, Unary};
use super::super::instructions::{self as x86, Encoding};
use super::decoded::Location;
use bsq_ir::math::Shift;
use iced_x86::Mnemonic;

/// The operands of an instruction in the manual's order, by the fields that hold them.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// register, last (, constant)
    Two(Option<u8>),
    /// register, second, last (, constant)
    Three(Option<u8>),
    /// last, register
    Store,
    /// second, last, constant; the register's field is an extension of the opcode.
    Shift(u8, u8),
    /// A mask register in the register's field: mask, second, last (, constant)
    ToMask(Option<u8>),
    /// register, second, last, and a fourth register in the constant.
    Blend,
}

/// What the last operand is in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    Vector,
    /// A half as wide, or a quarter: the source of what is widened.
    Part(u8),
    Mask,
    General,
}

#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub encoding: Encoding,
    pub mnemonic: Mnemonic,
    pub form: Form,
    pub last: Last,
    /// Written for the lower 128 bits.
    pub half: bool,
    pub memory_only: bool,
    pub register_only: bool,
    /// With 512 bits, the last operand may be one element for all lanes.
    pub broadcast: bool,
}

impl Row {
    fn new(encoding: Encoding, mnemonic: Mnemonic, form: Form) -> Row {
        Row {
            encoding,
            mnemonic,
            form,
            last: Last::Vector,
            half: false,
            memory_only: false,
            register_only: false,
            broadcast: false,
        }
    }

    fn broadcast(self) -> Row {
        Row {
            broadcast: true,
            ..self
        }
    }

    fn on_registers(self) -> Row {
        Row {
            register_only: true,
            ..self
        }
    }

    fn on_memory(self) -> Row {
        Row {
            memory_only: true,
            ..self
        }
    }

    fn from(self, last: Last) -> Row {
        Row { last, ..self }
    }

    fn half(self) -> Row {
        Row { half: true, ..self }
    }

    /// A full vector register.
    pub fn vector(&self, width: Width, number: u8) -> Location {
        match width {
            _ if self.half => Location::Xmm(number),
            Width::Ymm => Location::Ymm(number),
            Width::Zmm => Location::Zmm(number),
        }
    }

    /// A number that the last operand may have.
    pub fn last_register(&self, number: u8) -> u8 {
        match self.last {
            Last::Mask => number & 7,
            Last::General => number & 15,
            Last::Vector | Last::Part(_) => number,
        }
    }

    /// The last operand as a register.
    pub fn last(&self, width: Width, number: u8) -> Location {
        match (self.last, width) {
            (Last::Vector, _) => self.vector(width, number),
            (Last::Part(2), Width::Zmm) => Location::Ymm(number),
            (Last::Part(_), _) => Location::Xmm(number),
            (Last::Mask, _) => Location::Mask(number),
            (Last::General, _) => Location::General32(number),
        }
    }

    /// A constant that may follow.
    pub fn constant(&self) -> Option<u8> {
        match self.form {
            Form::Two(constant) | Form::Three(constant) | Form::ToMask(constant) => constant,
            Form::Shift(_, amount) => Some(amount),
            Form::Blend => Some(0x50),
            Form::Store => None,
        }
    }

    pub fn gives_a_mask(&self) -> bool {
        matches!(self.form, Form::ToMask(_))
    }

    /// `number`, where the instruction has a second operand.
    pub fn second(&self, number: u8) -> u8 {
        match self.form {
            Form::Two(_) | Form::Store => 0,
            _ => number,
        }
    }
}

/// The instructions of a width.
pub fn rows(width: Width) -> Vec<Row> {
    let mut rows = vec![
        Row::new(x86::MOVE, Mnemonic::Vmovups, Form::Two(None)),
        Row::new(x86::MOVE_TO_MEMORY, Mnemonic::Vmovups, Form::Store).on_memory(),
        Row::new(x86::BROADCAST, Mnemonic::Vbroadcastss, Form::Two(None)).on_memory(),
        Row::new(x86::FMA_213, Mnemonic::Vfmadd213ps, Form::Three(None)).broadcast(),
        Row::new(x86::FMA_231, Mnemonic::Vfmadd231ps, Form::Three(None)).broadcast(),
        Row::new(x86::WIDEN_WORDS, Mnemonic::Vpmovzxwd, Form::Two(None)).from(Last::Part(2)),
        Row::new(x86::WIDEN_BYTES, Mnemonic::Vpmovzxbd, Form::Two(None)).from(Last::Part(4)),
    ];
    rows.extend(BINARIES.iter().filter_map(|&op| binary(op, width)));
    for op in [
        Unary::Sqrt,
        Unary::Floor,
        Unary::FromSigned,
        Unary::Truncate,
    ] {
        let (encoding, constant) = op.encoding();
        let form = Form::Two(constant);
        rows.push(Row::new(encoding, unary(op, width), form).broadcast());
    }
    for op in [Shift::Left, Shift::RightLogical, Shift::RightArithmetic] {
        let mnemonic = match op {
            Shift::Left => Mnemonic::Vpslld,
            Shift::RightLogical => Mnemonic::Vpsrld,
            Shift::RightArithmetic => Mnemonic::Vpsrad,
        };
        for amount in [0, 1, 16, 31] {
            let form = Form::Shift(x86::extension(op), amount);
            rows.push(Row::new(x86::SHIFT_BY_CONSTANT, mnemonic, form).on_registers());
        }
    }
    for is in PREDICATES {
        let (encoding, constant) = is.encoding();
        let form = match width {
            Width::Ymm => Form::Three(constant),
            Width::Zmm => Form::ToMask(constant),
        };
        rows.push(Row::new(encoding, predicate(is), form).broadcast());
    }
    rows.extend(match width {
        Width::Ymm => ymm(),
        Width::Zmm => zmm(),
    });
    rows
}

fn ymm() -> Vec<Row> {
    vec![
        Row::new(x86::BLEND, Mnemonic::Vblendvps, Form::Blend),
        Row::new(x86::MOVE_FROM_GENERAL, Mnemonic::Vmovd, Form::Two(None))
            .from(Last::General)
            .on_registers()
            .half(),
        Row::new(x86::BROADCAST_INT, Mnemonic::Vpbroadcastd, Form::Two(None))
            .from(Last::Part(4))
            .on_registers(),
        Row::new(x86::PACK_WORDS, Mnemonic::Vpackusdw, Form::Three(None)).on_registers(),
        Row::new(x86::PERMUTE, Mnemonic::Vpermq, Form::Two(Some(0xd8))).on_registers(),
        Row::new(x86::MOVE_TO_MEMORY, Mnemonic::Vmovups, Form::Store)
            .on_memory()
            .half(),
        Row::new(x86::PACK_BYTES, Mnemonic::Vpackuswb, Form::Three(None))
            .on_registers()
            .half(),
        Row::new(x86::QUAD_TO_MEMORY, Mnemonic::Vmovq, Form::Store)
            .on_memory()
            .half(),
    ]
}

fn zmm() -> Vec<Row> {
    vec![
        Row::new(x86::NARROW_TO_WORDS, Mnemonic::Vpmovdw, Form::Store).on_memory(),
        Row::new(x86::NARROW_TO_BYTES, Mnemonic::Vpmovdb, Form::Store).on_memory(),
        Row::new(x86::MASK_TO_LANES, Mnemonic::Vpmovm2d, Form::Two(None))
            .from(Last::Mask)
            .on_registers(),
        Row::new(
            x86::TERNARY_LOGIC,
            Mnemonic::Vpternlogd,
            Form::Three(Some(0xca)),
        )
        .broadcast(),
        Row::new(
            x86::BROADCAST_FROM_GENERAL,
            Mnemonic::Vpbroadcastd,
            Form::Two(None),
        )
        .from(Last::General)
        .on_registers(),
    ]
}

const BINARIES: [Binary; 20] = [
    Binary::Add,
    Binary::Sub,
    Binary::Mul,
    Binary::Div,
    Binary::Min,
    Binary::Max,
    Binary::And,
    Binary::Or,
    Binary::Xor,
    Binary::AddInt,
    Binary::SubInt,
    Binary::MulInt,
    Binary::MinSigned,
    Binary::MaxSigned,
    Binary::MinUnsigned,
    Binary::MaxUnsigned,
    Binary::ShiftLeft,
    Binary::ShiftRightLogical,
    Binary::ShiftRightArithmetic,
    Binary::TimesPower,
];

fn binary(op: Binary, width: Width) -> Option<Row> {
    use Mnemonic::*;
    let wide = width == Width::Zmm;
    // In AVX-512 logic has a type, for its masks.
    let logic = |narrow, typed| if wide { typed } else { narrow };
    let mnemonic = match op {
        Binary::Add => Vaddps,
        Binary::Sub => Vsubps,
        Binary::Mul => Vmulps,
        Binary::Div => Vdivps,
        Binary::Min => Vminps,
        Binary::Max => Vmaxps,
        Binary::And => logic(Vpand, Vpandd),
        Binary::Or => logic(Vpor, Vpord),
        Binary::Xor => logic(Vpxor, Vpxord),
        Binary::AddInt => Vpaddd,
        Binary::SubInt => Vpsubd,
        Binary::MulInt => Vpmulld,
        Binary::MinSigned => Vpminsd,
        Binary::MaxSigned => Vpmaxsd,
        Binary::MinUnsigned => Vpminud,
        Binary::MaxUnsigned => Vpmaxud,
        Binary::ShiftLeft => Vpsllvd,
        Binary::ShiftRightLogical => Vpsrlvd,
        Binary::ShiftRightArithmetic => Vpsravd,
        Binary::TimesPower if wide => Vscalefps,
        Binary::TimesPower => return None,
    };
    Some(Row::new(op.encoding(), mnemonic, Form::Three(None)).broadcast())
}

fn unary(op: Unary, width: Width) -> Mnemonic {
    match (op, width) {
        (Unary::Sqrt, _) => Mnemonic::Vsqrtps,
        (Unary::Floor, Width::Ymm) => Mnemonic::Vroundps,
        (Unary::Floor, Width::Zmm) => Mnemonic::Vrndscaleps,
        (Unary::FromSigned, _) => Mnemonic::Vcvtdq2ps,
        (Unary::Truncate, _) => Mnemonic::Vcvttps2dq,
    }
}

const PREDICATES: [Predicate; 7] = [
    Predicate::Equal,
    Predicate::Less,
    Predicate::LessEqual,
    Predicate::NotEqual,
    Predicate::Unordered,
    Predicate::EqualInt,
    Predicate::GreaterInt,
];

fn predicate(is: Predicate) -> Mnemonic {
    match is {
        Predicate::Equal
        | Predicate::Less
        | Predicate::LessEqual
        | Predicate::NotEqual
        | Predicate::Unordered => Mnemonic::Vcmpps,
        Predicate::EqualInt => Mnemonic::Vpcmpeqd,
        Predicate::GreaterInt => Mnemonic::Vpcmpgtd,
    }
}
