//! What is decided of a kernel before an instruction is written: who runs an item, where arrays and
//! stages lie, which loops are spread over threads, how wide accesses are, the shape of tiles.
//!
//! Emission reads these decisions; nothing here knows how instructions are written.

mod aliases;
pub mod attention;
mod choice;
mod effects;
mod geometry;
mod loop_mapping;
mod requirements;
mod tiling;
mod vector_access;

pub use aliases::Aliases;
pub use choice::{block, block_tf32};
pub use effects::{Effects, LaneMapping, PARTIALS, STAGE};
pub use geometry::{Geometry, Items, ScratchAt};
pub use loop_mapping::LoopMapping;
pub use requirements::columns_of_block;
pub use tiling::{PADDED_ROW, TENSOR_PANEL_ROW, TENSOR_ROW, Tiling, Unit};
pub use vector_access::{MOST_BYTES, VectorAccess};

/// Shared memory in bytes that a block may have on request.
pub const MOST_SHARED: usize = 99 * 1024;

/// Partial results of a reduction, and lanes of a tile.
pub const TILE: u32 = bsq_ir::order::LANES as u32;

/// Columns of a block whose threads are lanes of columns.
pub const COLUMNS: u32 = 16;
