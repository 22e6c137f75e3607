//! Who used each granule of memory last, and whether two uses race.
//!
//! A granule has four bytes until something narrower is accessed; then all are split. Of the
//! readers two are kept, of different warps if there are such: two accesses that nothing orders
//! are seen whatever came between, save when three warps read and a barrier of two of them
//! follows.

use super::clocks::Clocks;
use super::stamp::Stamp;

/// How memory is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Read,
    /// A read that must not see what this launch writes.
    ReadOnly,
    Write,
    /// The write of a copy that has not been waited for.
    Pending,
}

impl Use {
    pub fn name(self) -> &'static str {
        match self {
            Use::Read | Use::ReadOnly => "read",
            Use::Write => "write",
            Use::Pending => "copy",
        }
    }
}

/// Two uses that nothing orders.
#[derive(Debug, Clone, Copy)]
pub struct Conflict {
    /// Bytes after the start of the access.
    pub offset: usize,
    pub that: Use,
    pub other: Stamp,
}

#[derive(Debug, Clone, Copy, Default)]
struct Granule {
    writer: Stamp,
    readers: [Readers; 2],
}

/// Lanes of one warp that have read, and when the last of them did.
#[derive(Debug, Clone, Copy, Default)]
struct Readers {
    last: Stamp,
    lanes: u32,
}

impl Readers {
    fn one(reader: Stamp) -> Readers {
        Readers {
            last: reader,
            lanes: 1 << reader.lane_index(),
        }
    }

    /// As if all had read when the last one did.
    fn unordered(self, me: Stamp, clocks: &Clocks, private: bool) -> bool {
        if !self.last.same_block(me) || self.last.warp() != me.warp() {
            return Granule::unordered(self.last, me, clocks, private);
        }
        let lanes = (0..32).filter(|lane| self.lanes >> lane & 1 == 1);
        let mut readers = lanes.map(|lane| self.last.of_lane(lane));
        readers.any(|reader| !clocks.ordered(reader, me))
    }

    fn stamp(self) -> Stamp {
        match self.lanes.count_ones() {
            0 | 1 => self.last,
            _ => self.last.several(),
        }
    }
}

#[derive(Debug)]
pub struct Shadow {
    granules: Vec<Granule>,
    /// log2 of the bytes of a granule.
    shift: u32,
    /// Memory of a block: what other blocks did is gone.
    private: bool,
}

impl Shadow {
    pub fn new(bytes: usize, private: bool) -> Shadow {
        Shadow {
            granules: vec![Granule::default(); bytes.div_ceil(4)],
            shift: 2,
            private,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.granules.fill(Granule::default());
    }

    fn split(&mut self, shift: u32) {
        let copies = 1 << (self.shift - shift);
        let old = std::mem::take(&mut self.granules);
        self.granules = old
            .into_iter()
            .flat_map(|g| std::iter::repeat_n(g, copies))
            .collect();
        self.shift = shift;
    }

    /// Checks and records a use of `len` bytes, a power of two, at a multiple of it.
    pub fn access(
        &mut self,
        start: usize,
        len: usize,
        how: Use,
        me: Stamp,
        clocks: &Clocks,
    ) -> Result<(), Conflict> {
        if len < 1 << self.shift {
            self.split(len.trailing_zeros());
        }
        let (first, count) = (start >> self.shift, len >> self.shift);
        for index in first..first + count {
            let granule = &mut self.granules[index];
            let found = match how {
                Use::Read | Use::ReadOnly => granule.read(how, me, clocks, self.private),
                _ => granule.write(how, me, clocks, self.private),
            };
            if let Err((that, other)) = found {
                let offset = (index - first) << self.shift;
                return Err(Conflict {
                    offset,
                    that,
                    other,
                });
            }
        }
        Ok(())
    }

    /// A pending copy has been waited for: from now on it is a write of its thread.
    pub fn complete(&mut self, start: usize, len: usize, me: Stamp) {
        for granule in &mut self.granules[start >> self.shift..(start + len) >> self.shift] {
            granule.writer = me;
        }
    }
}

impl Granule {
    fn unordered(earlier: Stamp, me: Stamp, clocks: &Clocks, private: bool) -> bool {
        if !earlier.same_block(me) {
            return !private && earlier.same_launch(me);
        }
        earlier.is_pending() || !clocks.ordered(earlier, me)
    }

    fn read(
        &mut self,
        how: Use,
        me: Stamp,
        clocks: &Clocks,
        private: bool,
    ) -> Result<(), (Use, Stamp)> {
        let stale = how == Use::ReadOnly && self.writer.same_launch(me);
        if stale || Granule::unordered(self.writer, me, clocks, private) {
            return Err((Use::Write, self.writer));
        }
        if self.readers[0].last == me && self.readers[0].lanes.count_ones() == 1 {
            return Ok(());
        }
        // Who is ordered after me is ordered after whom I am ordered after: I may replace those.
        for reader in &mut self.readers {
            if !reader.unordered(me, clocks, private) {
                *reader = Readers::one(me);
                return Ok(());
            }
            if reader.last.same_block(me) && reader.last.warp() == me.warp() {
                reader.last = me;
                reader.lanes |= 1 << me.lane_index();
                return Ok(());
            }
        }
        self.readers[1] = Readers::one(me);
        Ok(())
    }

    fn write(
        &mut self,
        how: Use,
        me: Stamp,
        clocks: &Clocks,
        private: bool,
    ) -> Result<(), (Use, Stamp)> {
        if Granule::unordered(self.writer, me, clocks, private) {
            return Err((Use::Write, self.writer));
        }
        for reader in self.readers {
            if reader.unordered(me, clocks, private) {
                return Err((Use::Read, reader.stamp()));
            }
        }
        self.readers = [Readers::default(); 2];
        self.writer = match how {
            Use::Pending => me.pending(),
            _ => me,
        };
        Ok(())
    }
}
