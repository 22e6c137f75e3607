//! An instruction as the disassembler reads it.

use super::super::assembler::Width;
use iced_x86::{CpuidFeature, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

/// An operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Xmm(u8),
    Ymm(u8),
    Zmm(u8),
    Mask(u8),
    General32(u8),
    General64(u8),
    Memory {
        base: u8,
        /// A register and its scale.
        index: Option<(u8, u32)>,
        offset: i64,
        broadcast: bool,
    },
    /// Elements at the indices in a vector.
    Gathered {
        base: u8,
        index: u8,
        scale: u32,
        offset: i64,
    },
    /// Relative to the instruction.
    Relative,
}

#[derive(Debug)]
pub struct Decoded {
    pub mnemonic: Mnemonic,
    /// Without constants.
    pub operands: Vec<Location>,
    pub constant: Option<u64>,
    /// A mask register that chooses lanes.
    pub masked: Option<Register>,
    /// Where a relative address or a jump leads.
    pub relative: Option<u64>,
    pub features: Vec<CpuidFeature>,
}

impl Decoded {
    /// The one instruction of some code.
    pub fn only(bytes: &[u8], code: usize) -> Decoded {
        let mut all = Decoded::all(&bytes[..code]);
        let only = all.pop().expect("an instruction");
        assert!(all.is_empty(), "{bytes:x?} is more than one instruction");
        only
    }

    /// All instructions of some code, which must be whole.
    pub fn all(code: &[u8]) -> Vec<Decoded> {
        let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
        let mut end = 0;
        let decoded = decoder.into_iter().map(|instruction| {
            assert!(!instruction.is_invalid(), "at {end} of {code:x?}");
            end = instruction.next_ip() as usize;
            Decoded::new(&instruction)
        });
        let decoded: Vec<Decoded> = decoded.collect();
        assert_eq!(end, code.len(), "{code:x?} ends within an instruction");
        decoded
    }

    fn new(instruction: &Instruction) -> Decoded {
        let mut decoded = Decoded {
            mnemonic: instruction.mnemonic(),
            operands: Vec::new(),
            constant: None,
            masked: Some(instruction.op_mask()).filter(|mask| *mask != Register::None),
            relative: None,
            features: instruction.code().cpuid_features().to_vec(),
        };
        for operand in 0..instruction.op_count() {
            match instruction.op_kind(operand) {
                OpKind::Register => {
                    let register = register(instruction.op_register(operand));
                    decoded.operands.push(register);
                }
                OpKind::Memory if instruction.is_ip_rel_memory_operand() => {
                    decoded.relative = Some(instruction.ip_rel_memory_address());
                    decoded.operands.push(Location::Relative);
                }
                OpKind::Memory => decoded.operands.push(memory(instruction)),
                OpKind::NearBranch64 => decoded.relative = Some(instruction.near_branch64()),
                _ => decoded.constant = Some(instruction.immediate(operand)),
            }
        }
        decoded
    }
}

fn register(register: Register) -> Location {
    let number = register.number() as u8;
    match register {
        _ if register.is_xmm() => Location::Xmm(number),
        _ if register.is_ymm() => Location::Ymm(number),
        _ if register.is_zmm() => Location::Zmm(number),
        _ if register.is_k() => Location::Mask(number),
        _ if register.is_gpr32() => Location::General32(number),
        _ if register.is_gpr64() => Location::General64(number),
        other => panic!("{other:?} is no register of ours"),
    }
}

fn memory(instruction: &Instruction) -> Location {
    let general = |register: Register| {
        assert!(register.is_gpr64(), "an address of {register:?}");
        register.number() as u8
    };
    let index = instruction.memory_index();
    let scale = instruction.memory_index_scale();
    if index.is_vector_register() {
        return Location::Gathered {
            base: general(instruction.memory_base()),
            index: index.number() as u8,
            scale,
            offset: instruction.memory_displacement64() as i64,
        };
    }
    Location::Memory {
        base: general(instruction.memory_base()),
        index: (index != Register::None).then(|| (general(index), scale)),
        offset: instruction.memory_displacement64() as i64,
        broadcast: instruction.is_broadcast(),
    }
}

/// True if a CPU of the family with these vectors has the feature.
pub fn has(width: Width, feature: CpuidFeature) -> bool {
    use CpuidFeature::{AVX, AVX2, AVX512DQ, AVX512F, FMA, INTEL386, INTEL8086, X64};
    match width {
        // Registers of 64 bits, and the instructions on them.
        _ if [INTEL386, INTEL8086, X64].contains(&feature) => true,
        Width::Ymm => [AVX, AVX2, FMA].contains(&feature),
        // To leave, upper halves are cleaned.
        Width::Zmm => [AVX, AVX512F, AVX512DQ].contains(&feature),
    }
}
