//! The levels of one part of a picture or of a strip of it.

use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::ops::Range;

/// Levels `[rows, columns, coordinates]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartLevels {
    pub rows: usize,
    pub columns: usize,
    pub coordinates: usize,
    pub levels: Vec<i16>,
}

impl PartLevels {
    /// All zero.
    pub fn zeros(rows: usize, columns: usize, coordinates: usize) -> PartLevels {
        PartLevels {
            rows,
            columns,
            coordinates,
            levels: vec![0; rows * columns * coordinates],
        }
    }

    /// Those that `level` makes of `f32[1, rows, columns, coordinates]`; sizes beyond 16 bits saturate.
    ///
    /// # Errors
    /// If the tensor is not of that type.
    pub fn of(tensor: &HostTensor, level: impl Fn(f32) -> f32) -> Result<PartLevels, TensorError> {
        let [_, rows, columns, coordinates] = *tensor.shape() else {
            unreachable!("levels of a grid of patches");
        };
        let values = tensor.as_slice::<f32>()?.iter();
        Ok(PartLevels {
            rows,
            columns,
            coordinates,
            levels: values.map(|&value| level(value) as i16).collect(),
        })
    }

    pub fn level_mut(&mut self, row: usize, column: usize, coordinate: usize) -> &mut i16 {
        let at = self.at(row, column) + coordinate;
        &mut self.levels[at]
    }

    /// The levels of a patch.
    pub fn patch(&self, row: usize, column: usize) -> &[i16] {
        let at = self.at(row, column);
        &self.levels[at..at + self.coordinates]
    }

    /// Writes a patch's levels as numbers.
    pub fn write_patch(&self, row: usize, column: usize, out: &mut [f32]) {
        for (out, &level) in out.iter_mut().zip(self.patch(row, column)) {
            *out = f32::from(level);
        }
    }

    /// `f32[1, rows, columns, coordinates]`.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn tensor(&self) -> Result<HostTensor, TensorError> {
        let values: Vec<f32> = self.levels.iter().map(|&level| f32::from(level)).collect();
        HostTensor::from_slice([1, self.rows, self.columns, self.coordinates], &values)
    }

    /// `f32[lanes, coordinates]`: some patches, and zeros.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn tensor_of(
        &self,
        patches: &[[usize; 2]],
        lanes: usize,
    ) -> Result<HostTensor, TensorError> {
        let mut values = vec![0.0; lanes * self.coordinates];
        let each = values.chunks_exact_mut(self.coordinates);
        for (out, &[row, column]) in each.zip(patches) {
            self.write_patch(row, column, out);
        }
        HostTensor::from_slice([lanes, self.coordinates], &values)
    }

    /// Rows of patches, of a picture or strip that has them.
    pub fn rows_range(&self, rows: Range<usize>) -> PartLevels {
        let width = self.columns * self.coordinates;
        PartLevels {
            rows: rows.len(),
            columns: self.columns,
            coordinates: self.coordinates,
            levels: self.levels[rows.start * width..rows.end * width].to_vec(),
        }
    }

    /// Adds rows of patches below.
    pub fn append(&mut self, below: PartLevels) {
        self.rows += below.rows;
        self.levels.extend(below.levels);
    }

    /// Takes rows of patches away from the top.
    pub fn drop_rows(&mut self, rows: usize) {
        self.rows -= rows;
        self.levels.drain(..rows * self.columns * self.coordinates);
    }

    /// Coordinates up to the last that is not zero in some patch.
    pub fn used_coordinates(&self) -> usize {
        let patches = self.levels.chunks_exact(self.coordinates);
        let used = patches.map(|patch| patch.iter().rposition(|&q| q != 0).map_or(0, |at| at + 1));
        used.max().unwrap_or(0)
    }

    fn at(&self, row: usize, column: usize) -> usize {
        (row * self.columns + column) * self.coordinates
    }
}
