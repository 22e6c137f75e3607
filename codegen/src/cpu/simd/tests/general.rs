//! The general instructions around a loop.

use super::decoded::{Decoded, Location};
use super::*;

pub const MNEMONICS: [Mnemonic; 10] = [
    Mnemonic::Add,
    Mnemonic::Sub,
    Mnemonic::Cmp,
    Mnemonic::Xor,
    Mnemonic::Mov,
    Mnemonic::Push,
    Mnemonic::Pop,
    Mnemonic::Jb,
    Mnemonic::Vzeroupper,
    Mnemonic::Ret,
];

fn general(write: impl FnOnce(&mut Assembler)) -> Decoded {
    written(Width::Zmm, write)
}

#[test]
fn registers_of_64_bits_are_those_that_were_meant() {
    for x in 0..16 {
        for y in 0..16 {
            for (opcode, mnemonic) in [(0x39, Mnemonic::Cmp), (0x31, Mnemonic::Xor)] {
                let got = general(|a| a.general(opcode, General(x), General(y)));
                assert_eq!(got.mnemonic, mnemonic);
                let operands = [Location::General64(y), Location::General64(x)];
                assert_eq!(got.operands, operands);
            }
            for offset in [0, 8, -8, 200, i32::MIN] {
                let got = general(|a| a.load(General(x), General(y), offset));
                assert_eq!(got.mnemonic, Mnemonic::Mov);
                let from = Location::Memory {
                    base: y,
                    index: None,
                    offset: offset.into(),
                    broadcast: false,
                };
                assert_eq!(got.operands, [Location::General64(x), from]);
            }
        }
        for (extension, mnemonic) in [(0, Mnemonic::Add), (5, Mnemonic::Sub)] {
            for constant in [0, 16, 4096, -1] {
                let got = general(|a| a.general_constant(extension, General(x), constant));
                assert_eq!(got.mnemonic, mnemonic);
                assert_eq!(got.operands, [Location::General64(x)]);
                assert_eq!(got.constant, Some(i64::from(constant) as u64));
            }
        }
        let got = general(|a| a.push(General(x)));
        assert_eq!(got.mnemonic, Mnemonic::Push);
        assert_eq!(got.operands, [Location::General64(x)]);
        let got = general(|a| a.pop(General(x)));
        assert_eq!(got.mnemonic, Mnemonic::Pop);
        assert_eq!(got.operands, [Location::General64(x)]);
    }
}

#[test]
fn jumps_lead_back_and_the_end_is_clean() {
    let mut assembler = Assembler::new(Width::Ymm);
    (0..5).for_each(|_| assembler.push(General(3)));
    let target = assembler.position();
    (0..200).for_each(|_| assembler.pop(General(3)));
    assembler.jump_if_below(target);
    assembler.finish_vectors();
    assembler.ret();
    let (bytes, code) = assembler.finish();
    let decoded = Decoded::all(&bytes[..code]);
    let [jump, vectors, ret] = &decoded[decoded.len() - 3..] else {
        panic!("three instructions");
    };
    assert_eq!(
        (jump.mnemonic, jump.relative),
        (Mnemonic::Jb, Some(target as u64))
    );
    assert_eq!(vectors.mnemonic, Mnemonic::Vzeroupper);
    assert_eq!(ret.mnemonic, Mnemonic::Ret);
}
