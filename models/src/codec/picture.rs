//! From the tokens of a picture's windows to rows of the whole grid, and back.

use super::Header;
use crate::pipeline::PictureTokens;

/// The tokens of a picture, row by row of the grid. `window` is the columns and rows of a window.
///
/// # Panics
/// If there are not the tokens of whole windows.
pub fn grid_rows(tokens: &PictureTokens, window: [usize; 2], columns: usize) -> Vec<u64> {
    let mut rows = vec![0; tokens.indices.len()];
    for (place, &index) in places(window, columns, tokens.indices.len()).zip(&tokens.indices) {
        rows[place] = index;
    }
    rows
}

/// The tokens of a picture from the rows of its grid.
///
/// # Panics
/// If there are not the tokens of the header's grid.
pub fn picture_tokens(header: &Header, rows: &[u64]) -> PictureTokens {
    let (columns, _) = header.grid();
    let window = header.window.map(usize::from);
    let indices = places(window, columns, rows.len()).map(|place| rows[place]);
    PictureTokens {
        width: header.width as usize,
        height: header.height as usize,
        indices: indices.collect(),
    }
}

/// The place in the grid of each token of the windows: windows row by row, tokens of a window row
/// by row.
fn places(window: [usize; 2], columns: usize, count: usize) -> impl Iterator<Item = usize> {
    let ([across, down], windows) = (window, columns / window[0]);
    (0..count).map(move |token| {
        let (number, inside) = (token / (across * down), token % (across * down));
        let row = number / windows * down + inside / across;
        let column = number % windows * across + inside % across;
        row * columns + column
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_side_by_side() {
        // Two windows of 2x3 tokens (columns x rows).
        let tokens = PictureTokens {
            width: 4,
            height: 3,
            indices: (0..12).collect(),
        };
        let rows = grid_rows(&tokens, [2, 3], 4);
        assert_eq!(rows, [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
    }
}
