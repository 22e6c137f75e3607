//! The pictures that a page shows.

/// How many.
const WORST: usize = 12;

/// What belongs to the pictures of lowest PSNR, the lowest first. Of equal ones the first counts as worse.
pub struct Worst<T>(Vec<(f64, T)>);

impl<T> Default for Worst<T> {
    fn default() -> Self {
        Worst(Vec::new())
    }
}

impl<T> Worst<T> {
    /// Whether a picture is one of them so far.
    pub fn add(&mut self, psnr: f64, picture: T) -> bool {
        let place = self
            .0
            .partition_point(|(other, _)| other.total_cmp(&psnr).is_le());
        if place < WORST {
            self.0.insert(place, (psnr, picture));
            self.0.truncate(WORST);
        }
        place < WORST
    }

    pub fn into_pictures(self) -> Vec<T> {
        self.0.into_iter().map(|(_, picture)| picture).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{WORST, Worst};

    #[test]
    fn the_lowest_are_kept_and_of_equal_ones_the_first() {
        let mut worst = Worst::default();
        assert!((0..WORST).all(|number| worst.add(20.0 + (number % 3) as f64, number)));
        assert!(!worst.add(22.0, 100) && !worst.add(f64::INFINITY, 101));
        assert!(worst.add(21.0, 102) && worst.add(5.0, 103));
        assert_eq!(
            worst.into_pictures(),
            [103, 0, 3, 6, 9, 1, 4, 7, 10, 102, 2, 5]
        );
    }
}
