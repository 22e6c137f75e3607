//! How a target likes its work cut: block sizes of contractions and attention.

/// Block sizes. They decide only when terms are added, never in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// Rows of a contraction's block, and what they are a multiple of.
    pub rows: usize,
    pub row_unit: usize,
    /// Columns of a contraction's block.
    pub columns: usize,
    /// Columns of a block with at most [`FEW_ROWS`](Self::FEW_ROWS) rows.
    pub few_rows_columns: usize,
    /// Scores that attention keeps at a time, and the least and most queries that they belong to.
    pub scores: usize,
    pub least_queries: usize,
    pub most_queries: usize,
    /// Whether a left side whose rows lie side by side is copied block by block, because each
    /// step along a row would touch another cache line.
    pub copies_far_sides: bool,
    /// Queries of attention in bf16 that takes keys block by block and stores no scores; `None`
    /// for attention by strips of scores.
    pub online_queries: Option<usize>,
    /// Keys and queries of a step of attention's backward pass over blocks of keys; `None` for
    /// one pass over all keys of a point of the batch.
    pub backward_block: Option<usize>,
}

impl Blocks {
    /// Rows up to which reading the right side takes all the time.
    pub const FEW_ROWS: usize = 8;

    /// For CPUs: a block of the left side and one of panels fit the second-level cache; rows are
    /// a multiple of every microkernel's tile. Few rows take a tile of columns at a time, so that
    /// threads share them evenly.
    pub const CPU: Blocks = Blocks {
        rows: 96,
        row_unit: 24,
        columns: 192,
        few_rows_columns: 48,
        scores: 65_536,
        least_queries: 8,
        most_queries: 64,
        copies_far_sides: true,
        online_queries: None,
        backward_block: None,
    };

    /// For GPUs: a block's result fits shared memory several times over, and so do the scores of
    /// a strip of queries. See [`GPU_TENSOR`](Self::GPU_TENSOR).
    pub const GPU: Blocks = Blocks {
        rows: 64,
        row_unit: 16,
        columns: 128,
        few_rows_columns: 16,
        scores: 16_384,
        least_queries: 4,
        most_queries: 16,
        copies_far_sides: false,
        online_queries: Some(64),
        backward_block: Some(64),
    };

    /// For the tensor cores of GPUs, whose contractions need larger blocks for memory to keep up.
    pub const GPU_TENSOR: Blocks = Blocks {
        rows: 128,
        ..Blocks::GPU
    };
}
