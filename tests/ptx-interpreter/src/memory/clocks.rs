//! What each warp of a block is known to have done before: vector clocks that barriers join.
//!
//! A warp's clock advances whenever the warp synchronises. Warp w has seen everything that warp v
//! did up to `seen[w][v]`. Within a warp, everything up to `base` is seen by all lanes;
//! bar.warp.sync of a part of the lanes keeps a matrix of lanes.

use super::stamp::Stamp;

#[derive(Debug)]
pub struct Clocks {
    warps: usize,
    now: Vec<u32>,
    seen: Vec<u32>,
    base: Vec<u32>,
    lanes: Vec<Option<Box<[[u32; 32]; 32]>>>,
}

/// What the threads that have arrived at a barrier have done and seen.
pub type Joined = Vec<u32>;

impl Clocks {
    pub fn new(warps: usize) -> Clocks {
        Clocks {
            warps,
            now: vec![1; warps],
            seen: vec![0; warps * warps],
            base: vec![0; warps],
            lanes: vec![None; warps],
        }
    }

    pub fn reset(&mut self) {
        self.now.fill(1);
        self.seen.fill(0);
        self.base.fill(0);
        self.lanes.fill(None);
    }

    pub fn now(&self, warp: usize) -> u32 {
        self.now[warp]
    }

    /// Whether `earlier` happened before `later`; both are of the same block.
    pub fn ordered(&self, earlier: Stamp, later: Stamp) -> bool {
        let (from, to) = (earlier.warp(), later.warp());
        let clock = earlier.clock();
        if from != to {
            return clock <= self.seen[to * self.warps + from];
        }
        if clock <= self.base[to] {
            return true;
        }
        if earlier.is_several() {
            return false;
        }
        let (from, lane) = (earlier.lane_index(), later.lane_index());
        from == lane
            || self.lanes[to]
                .as_ref()
                .is_some_and(|seen| clock <= seen[lane][from])
    }

    fn advance(&mut self, warp: usize) {
        self.now[warp] += 1;
    }

    pub fn joined(&self) -> Joined {
        vec![0; self.warps]
    }

    /// A warp arrives at a barrier.
    pub fn arrive(&mut self, warp: usize, joined: &mut Joined) {
        let seen = &self.seen[warp * self.warps..][..self.warps];
        for (all, one) in joined.iter_mut().zip(seen) {
            *all = (*all).max(*one);
        }
        joined[warp] = joined[warp].max(self.now[warp]);
        self.advance(warp);
    }

    /// A warp leaves a barrier that it has arrived at.
    pub fn leave(&mut self, warp: usize, joined: &Joined) {
        let seen = &mut self.seen[warp * self.warps..][..self.warps];
        for (one, all) in seen.iter_mut().zip(joined) {
            *one = (*one).max(*all);
        }
        self.base[warp] = self.now[warp] - 1;
        self.lanes[warp] = None;
    }

    /// bar.warp.sync of some lanes; `live` are all that have not left.
    pub fn sync_warp(&mut self, warp: usize, mask: u32, live: u32) {
        let now = self.now[warp];
        self.advance(warp);
        if mask & live == live {
            self.base[warp] = now;
            self.lanes[warp] = None;
            return;
        }
        let seen = self.lanes[warp].get_or_insert_with(|| Box::new([[0; 32]; 32]));
        let members = || (0..32usize).filter(|lane| mask >> lane & 1 == 1);
        let mut joined = [0; 32];
        for member in members() {
            for (all, one) in joined.iter_mut().zip(&seen[member]) {
                *all = (*all).max(*one);
            }
        }
        for member in members() {
            joined[member] = now;
        }
        for member in members() {
            seen[member] = joined;
        }
    }
}
