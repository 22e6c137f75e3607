//! One instruction of a warp.

use super::approx::exp2;
use super::block::Block;
use super::exchange::{Shuffle, groups, shuffle};
use super::warp::{State, Warp};
use super::{Result, lanes_of, trap};
use crate::error::FaultKind;
use crate::inst::{Logic, Op, Special};
use crate::lanes::Lanes;
use crate::memory::Use;
use crate::round::truncate;

/// Whether the warp's turn may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Next,
    Stop,
}

impl<'a> Block<'a> {
    /// Runs the next instruction of a warp.
    pub fn step(&mut self, warp: &mut Warp<'a>) -> Result<Flow> {
        warp.meet();
        if warp.state == State::Done {
            return Ok(Flow::Stop);
        }
        let kernel = warp.kernel;
        let Some(inst) = kernel.code.get(warp.pc as usize) else {
            return trap(warp.active.trailing_zeros(), FaultKind::NoReturn);
        };
        let lanes = match inst.guard {
            None => warp.active,
            Some(guard) => warp.predicate(guard, warp.active)?,
        };
        self.counters.executed(warp.pc, lanes);
        if let Op::Branch { target, uniform } = inst.op {
            if uniform && lanes != 0 && lanes != warp.active {
                return trap(lanes.trailing_zeros(), FaultKind::NotUniform);
            }
            let meets = kernel.reconvergence[warp.pc as usize];
            let target_first = self.random.next() & 1 == 0;
            warp.branch(lanes, target, meets, target_first);
            return Ok(Flow::Next);
        }
        if lanes == 0 {
            warp.pc += 1;
            return Ok(Flow::Next);
        }
        if matches!(inst.op, Op::Exit) {
            warp.exit(lanes);
            return Ok(if warp.state == State::Done {
                Flow::Stop
            } else {
                Flow::Next
            });
        }
        self.execute(warp, lanes, &inst.op)?;
        warp.pc += 1;
        Ok(if warp.state == State::Ready {
            Flow::Next
        } else {
            Flow::Stop
        })
    }

    fn execute(&mut self, warp: &mut Warp<'a>, lanes: u32, op: &Op) -> Result<()> {
        let mut out: Lanes = [0; 32];
        match *op {
            Op::Map1 { f, dst, a } => {
                f(warp.read(a, lanes)?, &mut out);
                warp.write(dst, lanes, &out);
            }
            Op::Map2 { f, dst, a, b } => {
                f(warp.read(a, lanes)?, warp.read(b, lanes)?, &mut out);
                warp.write(dst, lanes, &out);
            }
            Op::Map3 { f, dst, a, b, c } => {
                let c = warp.read(c, lanes)?;
                f(warp.read(a, lanes)?, warp.read(b, lanes)?, c, &mut out);
                warp.write(dst, lanes, &out);
            }
            Op::MulAdd {
                product,
                sum,
                dst,
                a,
                b,
                c,
            } => {
                let mut part = [0; 32];
                product(warp.read(a, lanes)?, warp.read(b, lanes)?, &mut part);
                sum(&part, warp.read(c, lanes)?, &mut out);
                warp.write(dst, lanes, &out);
            }
            Op::Exp2 { dst, a } => {
                let noise = self.options.perturb.then_some(self.options.seed);
                out = warp.read(a, lanes)?.map(|x| exp2(x, noise));
                warp.write(dst, lanes, &out);
            }
            Op::ReadSpecial { special, dst } => {
                self.special(warp, special, &mut out);
                warp.write(dst, lanes, &out);
            }
            Op::Pack {
                dst,
                ref parts,
                bits,
            } => {
                for (i, part) in parts.iter().enumerate() {
                    let values = warp.read(*part, lanes)?;
                    for lane in 0..32 {
                        out[lane] |= values[lane] << (i as u32 * bits);
                    }
                }
                warp.write(dst, lanes, &out);
            }
            Op::Unpack {
                ref parts,
                src,
                bits,
            } => {
                let values = *warp.read(src, lanes)?;
                for (i, part) in parts.iter().enumerate() {
                    let Some(part) = part else { continue };
                    out = values.map(|value| truncate(value >> (i as u32 * bits), bits));
                    warp.write(*part, lanes, &out);
                }
            }
            Op::Compare { f, dst, a, b } => {
                let holds = f(warp.read(a, lanes)?, warp.read(b, lanes)?);
                warp.write_predicate(dst, lanes, holds);
            }
            Op::Select { dst, a, b, p } => {
                let guard = crate::inst::Guard {
                    predicate: p,
                    negated: false,
                };
                let which = warp.predicate(guard, lanes)?;
                let (a, b) = (warp.read(a, lanes)?, warp.read(b, lanes)?);
                for lane in 0..32 {
                    out[lane] = if which >> lane & 1 == 1 {
                        a[lane]
                    } else {
                        b[lane]
                    };
                }
                warp.write(dst, lanes, &out);
            }
            Op::PredMove { dst, a } => {
                let value = warp.predicate(a, lanes)?;
                warp.write_predicate(dst, lanes, value);
            }
            Op::PredConst { dst, value } => {
                warp.write_predicate(dst, lanes, if value { u32::MAX } else { 0 });
            }
            Op::PredLogic { logic, dst, a, b } => {
                let value =
                    combine_logic(logic, warp.predicate(a, lanes)?, warp.predicate(b, lanes)?);
                warp.write_predicate(dst, lanes, value);
            }
            Op::Load {
                read_only,
                ref registers,
                ref element,
                ref address,
            } => {
                let how = if read_only { Use::ReadOnly } else { Use::Read };
                self.load(warp, lanes, how, registers, element, address)?;
            }
            Op::Store {
                ref registers,
                ty,
                ref address,
            } => {
                self.store(warp, lanes, registers, ty, address)?;
            }
            Op::CopyAsync {
                ref dst,
                ref src,
                bytes,
                src_bytes,
            } => {
                self.copy_async(warp, lanes, dst, src, bytes, src_bytes)?;
            }
            Op::CopyCommit => self.copy_commit(warp, lanes),
            Op::CopyWait { pending } => self.copy_wait(warp, lanes, pending)?,
            Op::LdMatrix {
                ref dst,
                ref address,
                transposed,
            } => {
                whole(warp, lanes, "ldmatrix")?;
                self.ldmatrix(warp, dst, address, transposed)?;
            }
            Op::Mma(ref mma) => {
                whole(warp, lanes, "mma.sync")?;
                super::matrix::mma(warp, mma)?;
            }
            Op::Shuffle {
                dst,
                a,
                by,
                clamp,
                mask,
            } => {
                let registers = Shuffle {
                    dst,
                    a,
                    by,
                    clamp,
                    mask,
                };
                shuffle(warp, lanes, &registers)?;
            }
            Op::Barrier { id, count, arrive } => {
                if lanes != warp.live {
                    let (active, live) = (lanes, warp.live);
                    let what = if arrive { "bar.arrive" } else { "bar.sync" };
                    let kind = FaultKind::Divergent { what, active, live };
                    return trap(lanes.trailing_zeros(), kind);
                }
                let id = uniform(warp, id, lanes, "barrier")?;
                let count = count.map(|count| uniform(warp, count, lanes, "thread count"));
                self.arrive(warp, id, count.transpose()?, !arrive)?;
            }
            Op::WarpSync { mask } => {
                for group in groups(warp, lanes, mask)? {
                    self.clocks.sync_warp(warp.index, group, warp.live);
                }
            }
            Op::Branch { .. } | Op::Exit => unreachable!("control flow is handled by step"),
        }
        Ok(())
    }

    fn special(&self, warp: &Warp<'_>, special: Special, out: &mut Lanes) {
        let [x, y, _] = self.threads;
        for (lane, value) in out.iter_mut().enumerate() {
            let thread = 32 * warp.index as u32 + lane as u32;
            *value = u64::from(match special {
                Special::Tid(axis) => [thread % x, thread / x % y, thread / (x * y)][axis],
                Special::Ntid(axis) => self.threads[axis],
                Special::Ctaid(axis) => self.block[axis],
                Special::Nctaid(axis) => self.grid[axis],
            });
        }
    }
}

/// What only a whole warp may execute.
fn whole(warp: &Warp<'_>, lanes: u32, what: &'static str) -> Result<()> {
    if lanes == u32::MAX {
        return Ok(());
    }
    let kind = FaultKind::Divergent {
        what,
        active: lanes,
        live: u32::MAX,
    };
    trap((lanes & warp.live).trailing_zeros(), kind)
}

/// A value that all lanes must agree on.
fn uniform(warp: &Warp<'_>, register: u32, lanes: u32, what: &'static str) -> Result<u64> {
    let values = warp.read(register, lanes)?;
    let first = values[lanes.trailing_zeros() as usize];
    match lanes_of(lanes).find(|lane| values[*lane as usize] != first) {
        None => Ok(first),
        Some(lane) => trap(
            lane,
            FaultKind::BadOperand {
                what,
                value: values[lane as usize],
            },
        ),
    }
}

fn combine_logic(logic: Logic, a: u32, b: u32) -> u32 {
    match logic {
        Logic::And => a & b,
        Logic::Or => a | b,
        Logic::Xor => a ^ b,
    }
}
