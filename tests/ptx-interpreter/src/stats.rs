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
    /// Bank conflicts by line of the text.
    pub conflicts_by_line: BTreeMap<u32, u64>,
    /// Requests to global memory, all and by line of the text.
    pub global: Requests,
    pub global_by_line: BTreeMap<u32, Requests>,
}

/// Requests to global memory: an instruction of a warp each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    pub count: u64,
    /// Bytes of all active lanes.
    pub bytes: u64,
    /// Sectors of 32 bytes that were touched.
    pub sectors: u64,
    /// The fewest sectors that hold the different bytes of each request.
    pub ideal_sectors: u64,
}

impl Requests {
    pub fn include(&mut self, other: &Requests) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.sectors += other.sectors;
        self.ideal_sectors += other.ideal_sectors;
    }
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
    global: Requests,
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

    /// An access of global memory. Accesses are aligned to their size, a power of two of at most
    /// 16 bytes: each lies in one sector, and two of them are the same bytes or have none in
    /// common.
    pub fn global(&mut self, pc: u32, addresses: &Lanes, lanes: u32, bytes: u32) {
        let mut list = [0; 32];
        let active = (0..32).filter(|lane| lanes >> lane & 1 == 1);
        let mut count = 0;
        for lane in active {
            list[count] = addresses[lane];
            count += 1;
        }
        let list = &mut list[..count];
        list.sort_unstable();
        let steps = |unit: u64| {
            let pairs = list.windows(2);
            let apart = pairs.filter(|pair| pair[0] / unit != pair[1] / unit);
            (apart.count() + count.min(1)) as u64
        };
        let different = steps(1) * u64::from(bytes);
        self.list[pc as usize].global.include(&Requests {
            count: 1,
            bytes: count as u64 * u64::from(bytes),
            sectors: steps(SECTOR),
            ideal_sectors: different.div_ceil(SECTOR),
        });
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
            if counter.global.count > 0 {
                stats.global.include(&counter.global);
                let line = stats.global_by_line.entry(inst.line).or_default();
                line.include(&counter.global);
            }
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
