//! What a launch did: instructions, bank conflicts, memory transactions.

use std::collections::BTreeMap;

use super::lanes::Lanes;
use super::module::Kernel;

const BANKS: usize = 32;
const SECTOR: u64 = 32;

/// Counts of a launch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Executed instructions of warps, by opcode.
    pub opcodes: BTreeMap<String, u64>,
    /// Executed instructions of warps, and of threads.
    pub warp_instructions: u64,
    pub thread_instructions: u64,
    /// Passes over shared memory, and how many of them bank conflicts caused.
    pub shared_wavefronts: u64,
    pub bank_conflicts: u64,
    /// Sectors of 32 bytes that requests to global memory touched, and the fewest that hold as
    /// many bytes.
    pub global_sectors: u64,
    pub ideal_sectors: u64,
    /// Bank conflicts by line of the text.
    pub conflicts_by_line: BTreeMap<u32, u64>,
}

/// Counts by instruction, while a launch runs.
#[derive(Debug)]
pub struct Counters {
    list: Vec<Counter>,
}

#[derive(Debug, Clone, Default)]
struct Counter {
    warps: u64,
    threads: u64,
    wavefronts: u64,
    conflicts: u64,
    sectors: u64,
    ideal: u64,
}

impl Counters {
    pub fn new(instructions: usize) -> Counters {
        Counters {
            list: vec![Counter::default(); instructions],
        }
    }

    #[inline]
    pub fn executed(&mut self, pc: u32, lanes: u32) {
        let counter = &mut self.list[pc as usize];
        counter.warps += 1;
        counter.threads += u64::from(lanes.count_ones());
    }

    /// An access of shared memory. Of 8 bytes a lane half a warp is served at once, of 16 a
    /// quarter.
    pub fn shared(&mut self, pc: u32, addresses: &Lanes, lanes: u32, bytes: u32) {
        let together = (32 / bytes.div_ceil(4).max(1)) as usize;
        let words = bytes.div_ceil(4) as u64;
        let counter = &mut self.list[pc as usize];
        for first in (0..32).step_by(together) {
            let group = (first..first + together).filter(|lane| lanes >> lane & 1 == 1);
            let list = group.flat_map(|lane| (0..words).map(move |i| addresses[lane] / 4 + i));
            let passes = wavefronts(list);
            counter.wavefronts += u64::from(passes);
            counter.conflicts += u64::from(passes.saturating_sub(1));
        }
    }

    pub fn global(&mut self, pc: u32, addresses: &Lanes, lanes: u32, bytes: u32) {
        let mut sectors = [0; 32];
        let mut count = 0;
        for lane in (0..32).filter(|lane| lanes >> lane & 1 == 1) {
            let sector = addresses[lane] / SECTOR;
            // Most neighbours share a sector; the rest is found by sorting.
            if count == 0 || sectors[count - 1] != sector {
                sectors[count] = sector;
                count += 1;
            }
        }
        let sectors = &mut sectors[..count];
        sectors.sort_unstable();
        let touched = sectors.windows(2).filter(|pair| pair[0] != pair[1]).count() + count.min(1);
        let wanted = u64::from(lanes.count_ones() * bytes).div_ceil(SECTOR);
        let counter = &mut self.list[pc as usize];
        counter.sectors += touched as u64;
        counter.ideal += wanted.min(touched as u64);
    }

    pub fn stats(&self, kernel: &Kernel) -> Stats {
        let mut stats = Stats::default();
        for (counter, inst) in self.list.iter().zip(&kernel.code) {
            let opcode = &kernel.opcodes[inst.opcode as usize];
            if counter.warps > 0 {
                *stats.opcodes.entry(opcode.clone()).or_default() += counter.warps;
            }
            stats.warp_instructions += counter.warps;
            stats.thread_instructions += counter.threads;
            stats.shared_wavefronts += counter.wavefronts;
            stats.bank_conflicts += counter.conflicts;
            stats.global_sectors += counter.sectors;
            stats.ideal_sectors += counter.ideal;
            if counter.conflicts > 0 {
                *stats.conflicts_by_line.entry(inst.line).or_default() += counter.conflicts;
            }
        }
        stats
    }
}

/// Passes that serve these words: as many as the busiest bank has different words.
fn wavefronts(words: impl Iterator<Item = u64>) -> u32 {
    let mut first = [u64::MAX; BANKS];
    let mut others: Vec<u64> = Vec::new();
    let mut counts = [0u32; BANKS];
    for word in words {
        let bank = word as usize % BANKS;
        if first[bank] == u64::MAX {
            first[bank] = word;
            counts[bank] = 1;
        } else if first[bank] != word && !others.contains(&word) {
            others.push(word);
            counts[bank] += 1;
        }
    }
    counts.into_iter().max().unwrap_or(0)
}
