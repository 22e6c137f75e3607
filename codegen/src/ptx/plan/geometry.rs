//! How a kernel's work items are spread over blocks of threads, and where its scratch is.

use super::super::Options;
use super::aliases::Aliases;
use super::loop_mapping::contains_wide_reduce;
use super::tiling::Tiling;
use super::vector_access::VectorAccess;
use super::{COLUMNS, MOST_SHARED, TILE, attention, requirements};
use crate::kernel::{Contract, Kernel, Place, Stmt};

/// Longest reduction of one tile, and of which a block's sums are kept in shared memory.
const TILE_EXTENT: usize = 8192;
const THREADS_OF_ROWS: u32 = 128;
const THREADS: u32 = 256;
/// Elements of a vector loop that a thread should take at most, before more blocks share it.
const ELEMENTS_OF_THREAD: usize = 4;
/// Blocks that run at once where each needs scratch in global memory.
const RESIDENT_BLOCKS: usize = 128;

/// Who runs an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    /// A block each; several blocks where the item is a loop whose iterations are independent.
    Block { slices: u32 },
    /// A block each, with 16 lanes for each column of the item's one loop.
    Columns,
    /// A tile of 16 lanes each.
    Tile,
    /// A thread each.
    Thread,
}

/// Where a scratch array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScratchAt {
    /// Bytes into the item's part of shared memory.
    Shared(usize),
    /// Bytes into the block's part of the workspace in global memory.
    Workspace(usize),
}

/// The launch of a kernel.
#[derive(Clone, Debug)]
pub struct Geometry {
    pub items: Items,
    pub threads: u32,
    pub blocks: u32,
    pub scratch: Vec<ScratchAt>,
    /// Bytes of an item's scratch in shared memory, and of a block's in the workspace.
    pub scratch_bytes: usize,
    pub workspace_bytes: usize,
    /// Where a block's reductions leave partial results, and how many bytes they have.
    pub partials: usize,
    pub partial_bytes: usize,
    /// Where contractions stage their operands.
    pub stage: usize,
    /// The one contraction's result takes the place of its stages.
    pub overlaid: bool,
    pub shared_bytes: usize,
}

impl Geometry {
    pub fn new(kernel: &Kernel, aliases: &Aliases, options: &Options) -> Geometry {
        let items = kernel.items();
        if let Some(bytes) = requirements::attention(&kernel.body) {
            let blocks = Items::Block { slices: 1 };
            let mut geometry = Geometry::plain(blocks, attention::THREADS, items);
            geometry.shared_bytes = bytes;
            return geometry;
        }
        let contracts = requirements::contractions(&kernel.body);
        if !contracts.is_empty() {
            return Geometry::of_contractions(kernel, aliases, &contracts, options);
        }
        if contains_wide_reduce(&kernel.body) {
            let longest = requirements::longest_reduce(&kernel.body);
            let scratch = kernel.scratch_layout();
            let tiles = (THREADS_OF_ROWS / TILE) as usize;
            if longest <= TILE_EXTENT && items > 1 && scratch.1 * tiles <= MOST_SHARED / 2 {
                // The two tiles of a warp in different banks.
                let scratch_bytes = match scratch.1 {
                    0 => 0,
                    bytes => ((bytes / 64) | 1) * 64,
                };
                let threads = THREADS_OF_ROWS.min((items as u32 * TILE).next_multiple_of(32));
                let tiles = (threads / TILE) as usize;
                let mut geometry = Geometry::plain(Items::Tile, threads, items.div_ceil(tiles));
                geometry.scratch = scratch.0.into_iter().map(ScratchAt::Shared).collect();
                geometry.scratch_bytes = scratch_bytes;
                geometry.shared_bytes = scratch_bytes * tiles;
                return geometry;
            }
            let mut geometry = Geometry::plain(Items::Block { slices: 1 }, THREADS, items);
            geometry.place_scratch(kernel, MOST_SHARED / 2);
            geometry.add_partials(&kernel.body);
            return geometry;
        }
        if let Some(results) = requirements::columns(kernel) {
            let mut geometry = Geometry::plain(Items::Columns, COLUMNS * TILE, items);
            geometry.partial_bytes = results * geometry.threads as usize;
            geometry.shared_bytes = geometry.partial_bytes;
            return geometry;
        }
        let work = requirements::most_parallel(&kernel.body, None);
        if work <= 1 && kernel.scratch.is_empty() {
            let threads = (items as u32).next_multiple_of(32).min(THREADS_OF_ROWS);
            return Geometry::plain(Items::Thread, threads, items.div_ceil(threads as usize));
        }
        let threads = (work.next_power_of_two() as u32).clamp(32, THREADS);
        let slices = match requirements::is_one_loop(kernel) {
            true => {
                let together = kernel.body.iter().find_map(VectorAccess::of);
                let together = together.map_or(1, |access| access.elements);
                work.div_ceil(threads as usize * ELEMENTS_OF_THREAD.div_ceil(together))
            }
            false => 1,
        };
        let slices = slices.max(1) as u32;
        let mut geometry =
            Geometry::plain(Items::Block { slices }, threads, items * slices as usize);
        geometry.place_scratch(kernel, MOST_SHARED / 2);
        geometry
    }

    fn plain(items: Items, threads: u32, blocks: usize) -> Geometry {
        Geometry {
            items,
            threads: threads.max(32),
            blocks: blocks as u32,
            scratch: Vec::new(),
            scratch_bytes: 0,
            workspace_bytes: 0,
            partials: 0,
            partial_bytes: 0,
            stage: 0,
            overlaid: false,
            shared_bytes: 0,
        }
    }

    fn of_contractions(
        kernel: &Kernel,
        aliases: &Aliases,
        contracts: &[&Contract],
        options: &Options,
    ) -> Geometry {
        let threads = Tiling::threads(contracts, options);
        let tiling = |contract: &&Contract| Tiling::new(contract, options, threads);
        let tilings: Vec<Tiling> = contracts.iter().map(tiling).collect();
        let stage = tilings.iter().map(|tiling| tiling.stage_bytes()).max();
        let stage = stage.unwrap_or(0);
        let blocks = kernel.items();
        let mut geometry = Geometry::plain(Items::Block { slices: 1 }, threads, blocks);
        geometry.overlaid = requirements::is_overlaid(kernel, aliases, contracts, &tilings);
        match geometry.overlaid {
            true => {
                let (offsets, _) = kernel.scratch_layout();
                let Place::Scratch(result) = contracts[0].c.place else {
                    unreachable!("an overlaid result is scratch")
                };
                let tiling = &tilings[0];
                let bytes = contracts[0].m.largest() * contracts[0].c_row_stride as usize * 4;
                debug_assert!(bytes <= tiling.rows() * tiling.columns() * 4 + offsets.len() * 64);
                // The result at the front, other arrays behind what it and the stages take.
                geometry.scratch = vec![ScratchAt::Shared(0); kernel.scratch.len()];
                let mut end = bytes.max(stage).next_multiple_of(64);
                for (index, array) in kernel.scratch.iter().enumerate() {
                    if index != result as usize {
                        let bytes = (array.elements * array.dtype.size()).next_multiple_of(64);
                        geometry.place_one(index, bytes, &mut end, MOST_SHARED);
                    }
                }
                geometry.stage = 0;
                geometry.scratch_bytes = end;
                geometry.shared_bytes = end;
            }
            false => {
                geometry.place_scratch(kernel, MOST_SHARED - stage);
                geometry.stage = geometry.shared_bytes;
                geometry.shared_bytes += stage;
            }
        }
        geometry.add_partials(&kernel.body);
        geometry.limit_residents(kernel);
        geometry
    }

    /// Scratch in shared memory as long as it fits, and in the workspace beyond.
    fn place_scratch(&mut self, kernel: &Kernel, most: usize) {
        let mut end = 0;
        self.scratch = vec![ScratchAt::Shared(0); kernel.scratch.len()];
        for (index, array) in kernel.scratch.iter().enumerate() {
            let bytes = (array.elements * array.dtype.size()).next_multiple_of(64);
            self.place_one(index, bytes, &mut end, most);
        }
        self.scratch_bytes = end;
        self.shared_bytes = end;
        self.limit_residents(kernel);
    }

    fn place_one(&mut self, index: usize, bytes: usize, end: &mut usize, most: usize) {
        self.scratch[index] = match *end + bytes <= most {
            true => {
                *end += bytes;
                ScratchAt::Shared(*end - bytes)
            }
            false => {
                self.workspace_bytes += bytes;
                ScratchAt::Workspace(self.workspace_bytes - bytes)
            }
        };
    }

    fn limit_residents(&mut self, kernel: &Kernel) {
        if self.workspace_bytes > 0 {
            self.blocks = kernel.items().min(RESIDENT_BLOCKS) as u32;
            self.items = Items::Block { slices: 1 };
        }
    }

    fn add_partials(&mut self, body: &[Stmt]) {
        self.partials = self.shared_bytes;
        self.partial_bytes = requirements::partials(body).next_multiple_of(16);
        self.shared_bytes += self.partial_bytes;
    }
}
