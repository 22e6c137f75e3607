//! ldmatrix and mma.sync: which lane holds which element.
//!
//! With g = lane / 4 and t = lane % 4, element i of a lane's fragment lies where the functions
//! below say (PTX ISA, "Matrix Fragments for mma").

use super::block::Block;
use super::warp::Warp;
use super::{AtLane, Result, trap};
use crate::error::FaultKind;
use crate::inst::{Address, Mma, MmaShape, Reg};
use crate::lanes::{Lane, Lanes};
use crate::memory::number;
use crate::round::Format;
use crate::types::Space;

const ALL: u32 = u32::MAX;

impl<'a> Block<'a> {
    pub(super) fn ldmatrix(
        &mut self,
        warp: &mut Warp<'a>,
        dst: &[Reg; 4],
        at: &Address,
        transposed: bool,
    ) -> Result<()> {
        let addresses = self.addresses(warp, at, ALL)?;
        self.counters.shared(warp.pc, &addresses, ALL, 16);
        let stamp = self.stamp(warp.index);
        for (matrix, dst) in dst.iter().enumerate() {
            let mut elements = [[0u16; 8]; 8];
            for (row, elements) in elements.iter_mut().enumerate() {
                let lane = (8 * matrix + row) as u32;
                let address = addresses[lane as usize];
                if address % 16 != 0 {
                    let space = Space::Shared;
                    return trap(
                        lane,
                        FaultKind::Misaligned {
                            space,
                            address,
                            wanted: 16,
                        },
                    );
                }
                let mut bytes = [0; 16];
                let me = stamp.lane(lane);
                self.shared
                    .read(address, &mut bytes, me, &self.clocks)
                    .at(lane)?;
                for (element, bytes) in elements.iter_mut().zip(bytes.chunks(2)) {
                    *element = number(bytes) as u16;
                }
            }
            let mut out: Lanes = [0; 32];
            for (lane, out) in out.iter_mut().enumerate() {
                let (g, t) = (lane / 4, lane % 4);
                let [low, high] = if transposed {
                    [elements[2 * t][g], elements[2 * t + 1][g]]
                } else {
                    [elements[g][2 * t], elements[g][2 * t + 1]]
                };
                *out = u64::from(high) << 16 | u64::from(low);
            }
            warp.write(*dst, ALL, &out);
        }
        Ok(())
    }
}

/// A matrix product of floating-point or of integer numbers, as the executor sees it.
struct Shape {
    k: usize,
    /// Elements in 32 bits.
    packed: usize,
    /// Row and column of element i of A; row (k) of element i of B.
    a: fn(usize, usize, usize) -> (usize, usize),
    b: fn(usize, usize) -> usize,
}

fn shape(shape: MmaShape) -> Shape {
    match shape {
        MmaShape::M16N8K16 { .. } => Shape {
            k: 16,
            packed: 2,
            a: |i, g, t| (g + 8 * (i >> 1 & 1), 2 * t + (i & 1) + 8 * (i >> 2)),
            b: |i, t| 2 * t + (i & 1) + 8 * (i >> 1),
        },
        MmaShape::M16N8K8Tf32 => Shape {
            k: 8,
            packed: 1,
            a: |i, g, t| (g + 8 * (i & 1), t + 4 * (i >> 1)),
            b: |i, t| t + 4 * i,
        },
        MmaShape::M16N8K32 { .. } => Shape {
            k: 32,
            packed: 4,
            a: |i, g, t| (g + 8 * (i >> 2 & 1), 4 * t + (i & 3) + 16 * (i >> 3)),
            b: |i, t| 4 * t + (i & 3) + 16 * (i >> 2),
        },
    }
}

/// Row and column of element i of C and D.
fn accumulator(i: usize, lane: usize) -> (usize, usize) {
    (lane / 4 + 8 * (i >> 1), 2 * (lane % 4) + (i & 1))
}

/// The value of a packed element. Products of these are exact in f64.
fn value(kind: MmaShape, word: u32, i: usize, is_a: bool) -> f64 {
    let half = (word >> (16 * (i % 2))) as u16;
    let byte = (word >> (8 * (i % 4))) as u8;
    match kind {
        MmaShape::M16N8K16 { bf16: true } => f64::from(f32::from_bits(u32::from(half) << 16)),
        MmaShape::M16N8K16 { bf16: false } => Format::F16.decode(half),
        // The tensor core ignores the bits that tf32 has not.
        MmaShape::M16N8K8Tf32 => f64::from(f32::from_bits(word & 0xffff_e000)),
        MmaShape::M16N8K32 { a_signed } if is_a && !a_signed => f64::from(byte),
        MmaShape::M16N8K32 { .. } => f64::from(byte as i8),
    }
}

/// D = A * B + C: the exact sum of the products and C in f64, rounded once.
pub(super) fn mma(warp: &mut Warp<'_>, mma: &Mma) -> Result<()> {
    let Shape {
        k,
        packed,
        a: a_place,
        b: b_place,
    } = shape(mma.shape);
    let mut a = [[0f64; 32]; 16];
    for (register, list) in mma.a.iter().enumerate() {
        let words = warp.read(*list, ALL)?;
        for (lane, word) in words.iter().enumerate() {
            for part in 0..packed {
                let (row, column) = a_place(register * packed + part, lane / 4, lane % 4);
                a[row][column] = value(mma.shape, *word as u32, part, true);
            }
        }
    }
    let mut b = [[0f64; 8]; 32];
    for (register, list) in mma.b.iter().enumerate() {
        let words = warp.read(*list, ALL)?;
        for (lane, word) in words.iter().enumerate() {
            for part in 0..packed {
                let row = b_place(register * packed + part, lane % 4);
                b[row][lane / 4] = value(mma.shape, *word as u32, part, false);
            }
        }
    }
    let integer = matches!(mma.shape, MmaShape::M16N8K32 { .. });
    let mut d = [[0f64; 8]; 16];
    for (row, a) in d.iter_mut().zip(&a) {
        for (a, b) in a.iter().zip(&b).take(k) {
            for (sum, b) in row.iter_mut().zip(b) {
                *sum += a * b;
            }
        }
    }
    // Results may overwrite accumulators: all are read first.
    let mut c = [[0; 32]; 4];
    for (c, register) in c.iter_mut().zip(mma.c) {
        *c = *warp.read(register, ALL)?;
    }
    for (i, (dst, c)) in mma.d.iter().zip(c).enumerate() {
        let mut out: Lanes = [0; 32];
        for (lane, out) in out.iter_mut().enumerate() {
            let (row, column) = accumulator(i, lane);
            let sum = d[row][column];
            *out = if integer {
                u64::from((c[lane] as u32).wrapping_add(sum as i64 as u32))
            } else {
                ((f64::from(f32::get(c[lane])) + sum) as f32).bits()
            };
        }
        warp.write(*dst, ALL, &out);
    }
    Ok(())
}
