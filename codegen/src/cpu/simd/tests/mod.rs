//! The encoder beside an independent disassembler: what is written is what was meant, on any
//! machine.

mod decoded;
mod gather;
mod general;
mod rows;

use super::assembler::{Address, Assembler, General, Memory, Operand, Width};
use super::code::Predicate;
use decoded::{Decoded, Location};
use iced_x86::{Decoder, DecoderOptions, Formatter, GasFormatter, Mnemonic};
use rows::{Form, Row};

/// Low ones, the last that need no further bit, the first that do, and the last of AVX2 and AVX-512.
const SOME: [u8; 8] = [0, 1, 7, 8, 15, 16, 24, 31];

fn registers(width: Width) -> u8 {
    match width {
        Width::Ymm => 16,
        Width::Zmm => 32,
    }
}

/// Writes one instruction and reads it back.
fn written(width: Width, write: impl FnOnce(&mut Assembler)) -> Decoded {
    let mut assembler = Assembler::new(width);
    write(&mut assembler);
    let (bytes, code) = assembler.finish();
    Decoded::only(&bytes, code)
}

/// Checks a row with given register numbers and a last operand that reads back as `place`.
fn check(row: &Row, width: Width, [first, second]: [u8; 2], last: Operand, place: Location) {
    let Row { encoding, form, .. } = *row;
    // What the fields of the instruction hold, the operands in the disassembler's order (which
    // is that of the manual), and the constant.
    let (fields, operands, constant) = match form {
        Form::Two(constant) => (
            [first, 0],
            vec![row.vector(width, first), place],
            constant.map(u64::from),
        ),
        Form::Three(constant) => (
            [first, second],
            vec![row.vector(width, first), row.vector(width, second), place],
            constant.map(u64::from),
        ),
        Form::Store => ([first, 0], vec![place, row.vector(width, first)], None),
        Form::Shift(extension, amount) => (
            [extension, second],
            vec![row.vector(width, second), place],
            Some(u64::from(amount)),
        ),
        Form::ToMask(constant) => (
            [first & 7, second],
            vec![Location::Mask(first & 7), row.vector(width, second), place],
            constant.map(u64::from),
        ),
        Form::Blend => (
            [first, second],
            vec![
                row.vector(width, first),
                row.vector(width, second),
                place,
                // The register of the mask is in the constant.
                row.vector(width, 15 - first),
            ],
            None,
        ),
    };
    let byte = match form {
        Form::Blend => Some((15 - first) << 4),
        _ => constant.map(|constant| constant as u8),
    };
    let got = written(width, |a| {
        let [register, second] = fields;
        match row.half {
            true => a.vex(encoding, false, register, second, last, byte),
            false => a.vector(encoding, register, second, last, byte),
        }
    });
    let context = || format!("{row:?} {width:?} {first} {second} {last:?}");
    assert_eq!(got.mnemonic, row.mnemonic, "{}", context());
    assert_eq!(got.operands, operands, "{}", context());
    assert_eq!(got.constant, constant, "{}", context());
    assert_eq!(got.masked, None, "{}", context());
    for feature in &got.features {
        assert!(decoded::has(width, *feature), "{feature:?}: {}", context());
    }
}

fn each_row(mut visit: impl FnMut(&Row, Width)) {
    for width in [Width::Ymm, Width::Zmm] {
        let rows = rows::rows(width);
        assert!(rows.len() > 30);
        rows.iter().for_each(|row| visit(row, width));
    }
}

/// Every register in every place, beside those of [`SOME`] in the others.
#[test]
fn registers_are_those_that_were_meant() {
    each_row(|row, width| {
        if row.memory_only {
            return;
        }
        let all: Vec<u8> = (0..registers(width)).collect();
        let some: Vec<u8> = SOME.into_iter().filter(|x| *x < registers(width)).collect();
        let mut triples = Vec::new();
        for &any in &all {
            for &x in &some {
                for &y in &some {
                    triples.extend([[any, x, y], [x, any, y], [x, y, any]]);
                }
            }
        }
        for [first, second, last] in triples {
            let last = row.last_register(last);
            check(
                row,
                width,
                [first, second],
                Operand::Register(last),
                row.last(width, last),
            );
        }
    });
}

/// Every form of an address, with displacements of every size: a byte's, and one that AVX-512
/// could shorten, are not.
#[test]
fn addresses_are_those_that_were_meant() {
    let offsets = [0, 1, -1, 64, 127, -128, 128, 4096, i32::MAX, i32::MIN];
    each_row(|row, width| {
        if row.register_only {
            return;
        }
        for [first, second] in [[1, 2], [9, 14], [31, 23], [16, 8]] {
            if first >= registers(width) || second >= registers(width) {
                continue;
            }
            for offset in offsets {
                for base in (0..16).map(General) {
                    let at = Address::Base { base, offset };
                    let place = Location::Memory {
                        base: base.0,
                        index: None,
                        offset: offset.into(),
                        broadcast: false,
                    };
                    memory(row, width, [first, second], at, place);
                    for scale in [1, 2, 4] {
                        let at = Address::Indexed {
                            base,
                            scale,
                            offset,
                        };
                        let place = Location::Memory {
                            base: base.0,
                            index: Some((0, scale.into())),
                            offset: offset.into(),
                            broadcast: false,
                        };
                        memory(row, width, [first, second], at, place);
                    }
                }
            }
        }
    });
}

/// An instruction on memory, also as one element for all lanes where there is that form.
fn memory(row: &Row, width: Width, fields: [u8; 2], at: Address, place: Location) {
    for broadcast in [false, true] {
        if broadcast && !(row.broadcast && width == Width::Zmm) {
            continue;
        }
        let place = match place.clone() {
            Location::Memory {
                base,
                index,
                offset,
                ..
            } => Location::Memory {
                base,
                index,
                offset,
                broadcast,
            },
            other => other,
        };
        let last = Operand::Memory(Memory { at, broadcast });
        check(row, width, fields, last, place);
    }
}

/// Constants lie behind the code, where the displacement leads from the instruction's end.
#[test]
fn constants_are_found_behind_the_code() {
    each_row(|row, width| {
        if row.register_only || matches!(row.form, Form::Store) || row.half {
            return;
        }
        let lanes: Vec<u32> = (0..width.lanes() as u32)
            .map(|lane| 0x1234_5600 + lane)
            .collect();
        for constant in [vec![0x8765_4321], lanes] {
            let mut assembler = Assembler::new(width);
            let byte = row.constant();
            let write = |a: &mut Assembler, values: &[u32]| {
                let at = a.constant(values.to_vec());
                let broadcast = false;
                let last = Operand::Memory(Memory { at, broadcast });
                let register = if row.gives_a_mask() { 1 } else { 2 };
                a.vector(row.encoding, register, row.second(3), last, byte);
            };
            // A second constant, and one that is there already.
            write(&mut assembler, &[7]);
            write(&mut assembler, &constant);
            write(&mut assembler, &[7]);
            let (bytes, code) = assembler.finish();
            let targets: Vec<u64> = Decoded::all(&bytes[..code])
                .iter()
                .map(|decoded| decoded.relative.expect("an address relative to the code"))
                .collect();
            assert_eq!(targets[0], targets[2]);
            for (target, values) in targets.iter().zip([&vec![7], &constant]) {
                let expected: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
                let at = *target as usize;
                assert!(at >= code, "{row:?}: a constant inside the code");
                assert_eq!(bytes[at..at + expected.len()], expected, "{row:?}");
            }
        }
    });
}

/// Comparisons by the names that the manual gives to their constants: false on NaN, but for those
/// that ask for it.
#[test]
fn comparisons_are_those_of_the_manual() {
    let names = [
        (Predicate::Equal, "vcmpeqps"),
        (Predicate::Less, "vcmplt_oqps"),
        (Predicate::LessEqual, "vcmple_oqps"),
        (Predicate::NotEqual, "vcmpneqps"),
        (Predicate::Unordered, "vcmpunordps"),
    ];
    for (is, name) in names {
        let (encoding, constant) = is.encoding();
        let mut assembler = Assembler::new(Width::Ymm);
        assembler.vector(encoding, 1, 2, Operand::Register(3), constant);
        let (bytes, _) = assembler.finish();
        let instruction = Decoder::with_ip(64, &bytes, 0, DecoderOptions::NONE).decode();
        let mut text = String::new();
        GasFormatter::new().format(&instruction, &mut text);
        assert_eq!(text, format!("{name} %ymm3,%ymm2,%ymm1"), "{is:?}");
    }
}

/// Checks that a whole function is made of instructions that are tested here, of those that its
/// family has, and ends in a return.
pub(crate) fn check_code(code: &[u8], width: Width) {
    let rows = rows::rows(width);
    let decoded = Decoded::all(code);
    for instruction in &decoded {
        let known = rows.iter().any(|row| row.mnemonic == instruction.mnemonic)
            || gather::MNEMONICS.contains(&instruction.mnemonic)
            || general::MNEMONICS.contains(&instruction.mnemonic);
        assert!(known, "{instruction:?} is not tested");
        let features = &instruction.features;
        let missing = features
            .iter()
            .find(|feature| !decoded::has(width, **feature));
        assert_eq!(missing, None, "{instruction:?}");
    }
    let last = decoded.last().map(|instruction| instruction.mnemonic);
    assert_eq!(last, Some(Mnemonic::Ret));
}
