//! One scan, coefficient by coefficient: whether all of it is there. Values are not kept, only which
//! coefficients are not zero, because the later scans of a progressive file depend on it.

use super::JpegError;
use super::huffman::{Bits, Table};
use super::markers::{Component, Frame};

/// What a scan header says.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// Places in the frame's list of components, each with its DC and AC table.
    pub components: Vec<(usize, usize, usize)>,
    /// First and last coefficient in zigzag order.
    pub from: u8,
    pub to: u8,
    /// Bits that are left out of each coefficient, before this scan and after it.
    pub high: u8,
    pub low: u8,
}

/// The tables in force where a scan begins.
#[derive(Default)]
pub(super) struct Tables {
    pub dc: [Option<Table>; 4],
    pub ac: [Option<Table>; 4],
    /// MCUs between restart markers; 0 for none.
    pub restart: usize,
}

/// For each block of a component, a bit for each coefficient that is not zero.
#[derive(Default)]
pub(super) struct NonZero {
    blocks: Vec<u64>,
}

/// How a block of the scan is read.
enum Kind<'t> {
    Sequential(&'t Table, &'t Table),
    DcFirst(&'t Table),
    DcRefine,
    AcFirst(&'t Table),
    AcRefine(&'t Table),
}

/// Walks through the entropy-coded data at `at`; gives the place behind it.
pub(super) fn walk(
    bytes: &[u8],
    at: usize,
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    known: &mut [NonZero],
) -> Result<usize, JpegError> {
    let kinds = kinds(frame, scan, tables)?;
    if frame.progressive && scan.from > 0 {
        let (index, ..) = scan.components[0];
        let component = &frame.components[index];
        // All blocks that exist, also those that only interleaved scans code.
        known[index]
            .blocks
            .resize(component.stride * component.rows, 0);
    }
    let single = scan.components.len() == 1;
    let (across, down) = match single {
        true => {
            let component = &frame.components[scan.components[0].0];
            (component.own_columns, component.own_rows)
        }
        false => (frame.mcus_across, frame.mcus_down),
    };
    let mut walker = Walker {
        bits: Bits::new(bytes, at),
        scan,
        end_of_band: 0,
    };
    let (mut until_restart, mut restarts) = (tables.restart, 0_u8);
    for row in 0..down {
        for column in 0..across {
            if tables.restart > 0 && until_restart == 0 {
                let next = restart_marker(bytes, walker.bits.end(), restarts % 8)?;
                walker.bits = Bits::new(bytes, next);
                walker.end_of_band = 0;
                (until_restart, restarts) = (tables.restart, restarts.wrapping_add(1));
            }
            until_restart = until_restart.wrapping_sub(1);
            for ((index, ..), kind) in scan.components.iter().zip(&kinds) {
                let Component { h, v, stride, .. } = frame.components[*index];
                if single {
                    let place = row * stride + column;
                    walker.block(kind, known[*index].blocks.get_mut(place))?;
                } else {
                    // DC coefficients and whole blocks need no memory.
                    for _ in 0..h * v {
                        walker.block(kind, None)?;
                    }
                }
            }
        }
    }
    if walker.end_of_band > 0 {
        return Err(JpegError::refused(
            "a run of empty blocks reaches beyond the picture",
        ));
    }
    Ok(walker.bits.end())
}

fn kinds<'t>(frame: &Frame, scan: &Scan, tables: &'t Tables) -> Result<Vec<Kind<'t>>, JpegError> {
    let missing = || JpegError::refused("a scan without its Huffman table");
    let dc = |place: usize| tables.dc[place].as_ref().ok_or_else(missing);
    let ac = |place: usize| tables.ac[place].as_ref().ok_or_else(missing);
    let kind = |&(_, dc_table, ac_table): &(usize, usize, usize)| {
        Ok(match (frame.progressive, scan.from, scan.high) {
            (false, ..) => Kind::Sequential(dc(dc_table)?, ac(ac_table)?),
            (true, 0, 0) => Kind::DcFirst(dc(dc_table)?),
            (true, 0, _) => Kind::DcRefine,
            (true, _, 0) => Kind::AcFirst(ac(ac_table)?),
            (true, ..) => Kind::AcRefine(ac(ac_table)?),
        })
    };
    scan.components.iter().map(kind).collect()
}

/// The place behind the restart marker that must stand here.
fn restart_marker(bytes: &[u8], at: usize, number: u8) -> Result<usize, JpegError> {
    let rest = &bytes[at..];
    let fill = rest.iter().take_while(|&&byte| byte == 0xFF).count();
    match rest.get(fill) {
        Some(&code) if fill > 0 && code == 0xD0 + number => Ok(at + fill + 1),
        // The file, or the picture, ends here.
        None | Some(0xD9) if fill > 0 || rest.is_empty() => Err(JpegError::Truncated),
        _ => Err(JpegError::refused("a restart marker is missing")),
    }
}

struct Walker<'a, 's> {
    bits: Bits<'a>,
    scan: &'s Scan,
    /// Blocks to come whose coefficients of this scan are all zero.
    end_of_band: u32,
}

impl Walker<'_, '_> {
    fn block(&mut self, kind: &Kind<'_>, known: Option<&mut u64>) -> Result<(), JpegError> {
        match kind {
            Kind::Sequential(dc, ac) => {
                self.dc(dc)?;
                self.sequential_ac(ac)
            }
            Kind::DcFirst(dc) => self.dc(dc),
            Kind::DcRefine => self.bits.take(1).map(|_| ()),
            Kind::AcFirst(ac) => self.ac_first(ac, known.expect("allocated for AC scans")),
            Kind::AcRefine(ac) => self.ac_refine(ac, known.expect("allocated for AC scans")),
        }
    }

    fn dc(&mut self, table: &Table) -> Result<(), JpegError> {
        let size = self.bits.value(table)?;
        if size > 15 {
            return Err(JpegError::refused("a coefficient of more than 15 bits"));
        }
        self.bits.take(u32::from(size)).map(|_| ())
    }

    fn sequential_ac(&mut self, table: &Table) -> Result<(), JpegError> {
        let mut place = 1;
        while place <= 63 {
            let value = self.bits.value(table)?;
            let (run, size) = (u32::from(value >> 4), u32::from(value & 15));
            match (run, size) {
                (15, 0) => place += 16,
                (_, 0) => return Ok(()),
                _ => {
                    place += run + 1;
                    self.bits.take(size)?;
                }
            }
        }
        match place {
            64 => Ok(()),
            _ => Err(beyond_block()),
        }
    }

    fn ac_first(&mut self, table: &Table, known: &mut u64) -> Result<(), JpegError> {
        if self.end_of_band > 0 {
            self.end_of_band -= 1;
            return Ok(());
        }
        let (mut place, to) = (u32::from(self.scan.from), u32::from(self.scan.to));
        while place <= to {
            let value = self.bits.value(table)?;
            let (run, size) = (u32::from(value >> 4), u32::from(value & 15));
            match (run, size) {
                (15, 0) => place += 16,
                (_, 0) => {
                    self.end_of_band = (1 << run) + self.bits.take(run)? - 1;
                    return Ok(());
                }
                _ => {
                    place += run;
                    if place > to {
                        return Err(beyond_block());
                    }
                    self.bits.take(size)?;
                    *known |= 1 << place;
                    place += 1;
                }
            }
        }
        match place == to + 1 {
            true => Ok(()),
            false => Err(beyond_block()),
        }
    }

    /// Each coefficient that is not zero yet has one bit of correction, in passing.
    fn ac_refine(&mut self, table: &Table, known: &mut u64) -> Result<(), JpegError> {
        let (mut place, to) = (u32::from(self.scan.from), u32::from(self.scan.to));
        let before = *known;
        let is_known = |place: u32| before >> place & 1 == 1;
        while self.end_of_band == 0 && place <= to {
            let value = self.bits.value(table)?;
            let (mut run, size) = (u32::from(value >> 4), value & 15);
            match (run, size) {
                (15, 0) => {}
                (_, 0) => {
                    self.end_of_band = (1 << run) + self.bits.take(run)?;
                    break;
                }
                (_, 1) => {
                    self.bits.take(1)?;
                }
                _ => return Err(JpegError::refused("a correction of more than one bit")),
            }
            // `run` coefficients that stay zero are passed, then one more: the new one, or the
            // sixteenth zero.
            loop {
                if place > to {
                    return Err(beyond_block());
                }
                if is_known(place) {
                    self.bits.take(1)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                place += 1;
            }
            if size == 1 {
                *known |= 1 << place;
            }
            place += 1;
        }
        if self.end_of_band > 0 {
            let left = (place..=to).filter(|&place| is_known(place)).count();
            for _ in 0..left {
                self.bits.take(1)?;
            }
            self.end_of_band -= 1;
        }
        Ok(())
    }
}

fn beyond_block() -> JpegError {
    JpegError::refused("coefficients beyond the end of a block")
}
