//! The order in which a tile's tokens are coded, and what each of them can see.
//!
//! Token (row, column) of a tile is in *wavefront* `column + slope * row`. The tokens of a
//! wavefront are coded together, and see everything of earlier wavefronts. A row has a *lane* in it,
//! `row mod width`; as a row is done when the row `width` below begins, `side / slope` lanes, rounded
//! up, are enough: the wavefront's *width*. The *position* of a token is `wavefront * width + lane`;
//! attention and its cache count in positions, in encoder and decoder alike.
//!
//! With slope 2, side 4, tokens by wavefront and lane:
//!
//! ```text
//! wavefront 0  1  2  3  4  5  6  7  8  9
//! lane 0   a0 a1 a2 a3 c0 c1 c2 c3  .  .      rows a, b, c, d
//! lane 1    .  . b0 b1 b2 b3 d0 d1 d2 d3
//! ```
//!
//! Wavefront 4 is `c0 b2`; both see `a3` and `b1`, of wavefront 3.

/// Neighbours, nearest first, as (rows down, columns right). A position takes as many as its model
/// asks for, of those that its order has coded before.
const NEIGHBOURS: [(isize, isize); 16] = [
    (0, -1),
    (-1, 0),
    (-1, -1),
    (-1, 1),
    (0, -2),
    (-2, 0),
    (-1, -2),
    (-2, -1),
    (-2, 1),
    (-1, 2),
    (0, -3),
    (-3, 0),
    (-2, -2),
    (-2, 2),
    (-1, -3),
    (-3, -1),
];

/// Tokens of the frame before, nearest first.
const BEFORE: [(isize, isize); 9] = [
    (0, 0),
    (0, -1),
    (-1, 0),
    (0, 1),
    (1, 0),
    (-1, -1),
    (-1, 1),
    (1, -1),
    (1, 1),
];

/// The nearest `count` tokens of the frame before a position, as (rows down, columns right).
pub(super) fn before(count: usize) -> Vec<(isize, isize)> {
    BEFORE.into_iter().take(count).collect()
}

/// The order of a square tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Rows and columns of a tile.
    pub side: usize,
    /// Columns that a row runs ahead of the next.
    pub slope: usize,
}

impl Order {
    /// Wavefronts of a tile.
    pub fn wavefronts(self) -> usize {
        self.wavefronts_of(self.side, self.side)
    }

    /// Wavefronts that a tile of fewer rows and columns needs.
    pub fn wavefronts_of(self, rows: usize, columns: usize) -> usize {
        columns + self.slope * (rows - 1)
    }

    /// Positions of one wavefront.
    pub fn wavefront_width(self) -> usize {
        self.side.div_ceil(self.slope)
    }

    /// Positions of a tile, with those that hold no token.
    pub fn positions(self) -> usize {
        self.wavefronts() * self.wavefront_width()
    }

    /// The position of a token.
    pub fn position(self, row: usize, column: usize) -> usize {
        (column + self.slope * row) * self.wavefront_width() + row % self.wavefront_width()
    }

    /// The token (row, column) at each position.
    pub fn tokens(self) -> Vec<Option<(usize, usize)>> {
        let mut tokens = vec![None; self.positions()];
        for row in 0..self.side {
            for column in 0..self.side {
                tokens[self.position(row, column)] = Some((row, column));
            }
        }
        tokens
    }

    /// The nearest `count` neighbours that are coded before; fewer if the order has no more.
    pub fn neighbours(self, count: usize) -> Vec<(isize, isize)> {
        let before = |(down, right): &(isize, isize)| right + self.slope as isize * down < 0;
        NEIGHBOURS.into_iter().filter(before).take(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn orders() -> impl Strategy<Value = Order> {
        (1..20_usize)
            .prop_flat_map(|side| (Just(side), 1..=side))
            .prop_map(|(side, slope)| Order { side, slope })
    }

    proptest! {
        #[test]
        fn every_token_has_a_position_of_its_own(order in orders()) {
            let tokens = order.tokens();
            prop_assert_eq!(tokens.iter().flatten().count(), order.side * order.side);
            for (position, token) in tokens.iter().enumerate() {
                if let Some((row, column)) = *token {
                    prop_assert_eq!(order.position(row, column), position);
                }
            }
        }

        #[test]
        fn neighbours_are_of_earlier_times(order in orders(), count in 1..16_usize) {
            for (down, right) in order.neighbours(count) {
                let (row, column) = (order.side as isize, order.side as isize);
                let time = |row: isize, column: isize| column + order.slope as isize * row;
                prop_assert!(time(row + down, column + right) < time(row, column));
            }
        }
    }

    #[test]
    fn the_order_of_the_documentation() {
        let order = Order { side: 4, slope: 2 };
        assert_eq!((order.wavefronts(), order.wavefront_width()), (10, 2));
        let tokens = order.tokens();
        assert_eq!(tokens[8..10], [Some((2, 0)), Some((1, 2))]);
        assert_eq!(tokens[1], None);
        assert_eq!(order.neighbours(4), [(0, -1), (-1, 0), (-1, -1), (-1, 1)]);
    }

    #[test]
    fn the_steepest_order_is_raster_order() {
        let order = Order { side: 5, slope: 5 };
        assert_eq!(order.positions(), 25);
        assert_eq!(order.position(3, 2), 17);
    }
}
