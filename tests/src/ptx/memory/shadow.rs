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
    Write,
    Atomic,
    /// The write of a copy that has not been waited for.
    Pending,
}

impl Use {
    pub fn name(self) -> &'static str {
        match self {
            Use::Read => "read",
            Use::Write => "write",
            Use::Atomic => "atomic operation",
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
    readers: [Stamp; 2],
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
                Use::Read => granule.read(me, clocks, self.private),
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

    fn written_as(self) -> Use {
        if self.writer.is_atomic() {
            Use::Atomic
        } else {
            Use::Write
        }
    }

    fn read(&mut self, me: Stamp, clocks: &Clocks, private: bool) -> Result<(), (Use, Stamp)> {
        if Granule::unordered(self.writer, me, clocks, private) {
            return Err((self.written_as(), self.writer));
        }
        if self.readers[0] == me {
            return Ok(());
        }
        // Who is ordered after me is ordered after whom I am ordered after: I may replace those.
        for reader in &mut self.readers {
            if !Granule::unordered(*reader, me, clocks, private) {
                *reader = me;
                return Ok(());
            }
            if reader.same_block(me) && reader.warp() == me.warp() {
                *reader = me.several();
                return Ok(());
            }
        }
        self.readers[1] = me;
        Ok(())
    }

    fn write(
        &mut self,
        how: Use,
        me: Stamp,
        clocks: &Clocks,
        private: bool,
    ) -> Result<(), (Use, Stamp)> {
        let late = Granule::unordered(self.writer, me, clocks, private);
        let both_atomic = how == Use::Atomic && self.writer.is_atomic();
        if late && !both_atomic {
            return Err((self.written_as(), self.writer));
        }
        for reader in self.readers {
            if Granule::unordered(reader, me, clocks, private) {
                return Err((Use::Read, reader));
            }
        }
        self.readers = [Stamp::default(); 2];
        self.writer = match how {
            Use::Pending => me.pending(),
            // An atomic operation of another block stays known: nothing orders it in this launch.
            Use::Atomic if late && !self.writer.same_block(me) => self.writer,
            Use::Atomic if late && self.writer.warp() == me.warp() => me.several().atomic(),
            Use::Atomic => me.atomic(),
            _ => me,
        };
        Ok(())
    }
}
