//! Between rows and windows: what comes row by row is cut into windows, and windows are put together
//! to rows, with no more than one row of windows in memory.
//!
//! Elements are whatever lies side by side: samples of pixels, or tokens. Windows are numbered row
//! by row and so are the elements of one; a row is as many whole windows as it is long.

/// How many windows stand side by side, and what one of them holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowRow {
    /// Windows side by side.
    pub across: usize,
    /// Rows of a window.
    pub height: usize,
    /// Elements of one row of a window.
    pub width: usize,
}

impl WindowRow {
    /// Elements of a row over all windows.
    pub fn row(&self) -> usize {
        self.across * self.width
    }

    /// Where a row of a window begins in the row of windows.
    fn start(&self, window: usize, row: usize) -> usize {
        row * self.row() + window * self.width
    }
}

/// Takes rows, gives windows.
pub struct WindowCutter<T> {
    shape: WindowRow,
    /// Rows `[height, across * width]`.
    rows: Vec<T>,
    /// The window of these rows that is next.
    next: usize,
}

impl<T: Copy + Default> WindowCutter<T> {
    pub fn new(shape: WindowRow) -> WindowCutter<T> {
        WindowCutter {
            shape,
            rows: vec![T::default(); shape.height * shape.row()],
            next: shape.across,
        }
    }

    /// The rows of the next window. Where it is the first of a row of windows, `read` is asked for
    /// the rows of all of them, one by one, each as [long](WindowRow::row) as all windows.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn next_window<E>(
        &mut self,
        read: &mut dyn FnMut(&mut [T]) -> Result<(), E>,
    ) -> Result<impl Iterator<Item = &[T]> + Clone, E> {
        if self.next == self.shape.across {
            for row in self.rows.chunks_exact_mut(self.shape.row()) {
                read(row)?;
            }
            self.next = 0;
        }
        let (shape, window) = (self.shape, self.next);
        self.next += 1;
        let rows = &self.rows;
        Ok((0..shape.height).map(move |row| &rows[shape.start(window, row)..][..shape.width]))
    }
}

/// Takes windows, gives rows.
pub struct WindowJoiner<T> {
    shape: WindowRow,
    rows: Vec<T>,
    next: usize,
}

impl<T: Copy + Default> WindowJoiner<T> {
    pub fn new(shape: WindowRow) -> WindowJoiner<T> {
        WindowJoiner {
            shape,
            rows: vec![T::default(); shape.height * shape.row()],
            next: 0,
        }
    }

    /// Takes the next window, `[height, width]`. Where it is the last of a row of windows, `write`
    /// gets the rows of all of them.
    ///
    /// # Errors
    /// Those of `write`.
    ///
    /// # Panics
    /// If the window has another size.
    pub fn push<E>(
        &mut self,
        window: &[T],
        write: &mut dyn FnMut(&[T]) -> Result<(), E>,
    ) -> Result<(), E> {
        let shape = self.shape;
        assert_eq!(window.len(), shape.height * shape.width, "a whole window");
        for (row, elements) in window.chunks_exact(shape.width).enumerate() {
            self.rows[shape.start(self.next, row)..][..shape.width].copy_from_slice(elements);
        }
        self.next += 1;
        if self.next == shape.across {
            self.next = 0;
            self.rows.chunks_exact(shape.row()).try_for_each(write)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// All windows of some rows, one after the other.
    fn windows(shape: WindowRow, rows: &[u64]) -> Vec<u64> {
        let mut cutter = WindowCutter::new(shape);
        let mut given = rows.chunks_exact(shape.row());
        let mut read = |row: &mut [u64]| {
            row.copy_from_slice(given.next().expect("no row is asked for twice"));
            Ok::<_, Infallible>(())
        };
        let mut result = Vec::new();
        for _ in 0..rows.len() / (shape.height * shape.width) {
            result.extend(cutter.next_window(&mut read).unwrap().flatten().copied());
        }
        assert!(given.next().is_none());
        result
    }

    #[test]
    fn windows_are_numbered_row_by_row() {
        let shape = WindowRow {
            across: 2,
            height: 3,
            width: 2,
        };
        let rows: Vec<u64> = (0..24).collect();
        let first = [0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11];
        assert_eq!(windows(shape, &rows)[..12], first);
        assert_eq!(windows(shape, &rows)[12..], first.map(|x| x + 12));
    }

    proptest! {
        #[test]
        fn rows_come_back(across in 1_usize..5, height in 1_usize..5, width in 1_usize..5, down in 1_usize..4) {
            let shape = WindowRow { across, height, width };
            let rows: Vec<u64> = (0..(down * height * shape.row()) as u64).collect();
            let (mut joiner, mut back) = (WindowJoiner::new(shape), Vec::new());
            for (number, window) in windows(shape, &rows).chunks_exact(height * width).enumerate() {
                joiner.push(window, &mut |row| {
                    back.extend_from_slice(row);
                    Ok::<_, Infallible>(())
                }).unwrap();
                // Rows are given as soon as their windows are there.
                prop_assert_eq!(back.len(), (number + 1) / across * height * shape.row());
            }
            prop_assert_eq!(back, rows);
        }
    }
}
