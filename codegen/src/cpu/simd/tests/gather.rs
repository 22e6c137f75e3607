//! Gathers, whose index is a vector, and the masks that they need.

use super::decoded::{Decoded, Location};
use super::*;
use crate::cpu::simd::instructions as x86;

pub const MNEMONICS: [Mnemonic; 2] = [Mnemonic::Vpgatherdd, Mnemonic::Kxnorw];

#[test]
fn gathers_are_those_that_were_meant() {
    for width in [Width::Ymm, Width::Zmm] {
        let vector = |number| match width {
            Width::Ymm => Location::Ymm(number),
            Width::Zmm => Location::Zmm(number),
        };
        let some: Vec<u8> = SOME.into_iter().filter(|x| *x < registers(width)).collect();
        for &to in &some {
            for &index in some.iter().filter(|&&index| index != to) {
                for (base, offset) in (0..16)
                    .map(General)
                    .zip([0, 4, -128, i32::MAX].into_iter().cycle())
                {
                    let mask = match width {
                        Width::Ymm => (0..16)
                            .find(|x| ![to, index].contains(x))
                            .expect("one is free"),
                        Width::Zmm => 1,
                    };
                    let got = written(width, |a| a.gather(to, (base, index), offset, mask));
                    let from = Location::Gathered {
                        base: base.0,
                        index,
                        scale: 4,
                        offset: offset.into(),
                    };
                    let mut operands = vec![vector(to), from];
                    if width == Width::Ymm {
                        operands.push(vector(mask));
                    }
                    assert_eq!(got.mnemonic, Mnemonic::Vpgatherdd);
                    assert_eq!(got.operands, operands);
                    assert_eq!(got.masked.is_some(), width == Width::Zmm);
                }
            }
        }
    }
    let all = Operand::Register(3);
    let got: Decoded = written(Width::Zmm, |a| {
        a.vex(x86::MASKS_EQUAL, true, 1, 2, all, None)
    });
    assert_eq!(got.mnemonic, Mnemonic::Kxnorw);
    assert_eq!(got.operands, [1, 2, 3].map(Location::Mask));
}
