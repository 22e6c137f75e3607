//! Prediction, search and coding of motion.

use super::*;
use crate::codec::SymbolDecoder;
use crate::image_io::Picture;
use crate::transform_codec::level_coder::LevelEncoder;
use proptest::prelude::*;

const SIZE: ImageSize = ImageSize {
    height: 40,
    width: 70,
};

/// A smooth texture, moved by quarters of a pixel.
fn texture(down: f64, right: f64) -> Picture {
    let sample = |i: usize| {
        let (pixel, channel) = (i / 3, i % 3);
        let y = (pixel / SIZE.width) as f64 + down;
        let x = (pixel % SIZE.width) as f64 + right;
        let wave = (0.31 * x + 0.11 * y).sin()
            + (0.23 * y - 0.07 * x).cos()
            + (0.05 * x * (channel as f64 + 1.0)).sin();
        (127.0 + 40.0 * wave).round() as u8
    };
    Picture::new(
        SIZE.width,
        SIZE.height,
        (0..3 * SIZE.width * SIZE.height).map(sample).collect(),
    )
}

fn uniform(down: i16, right: i16) -> MotionField {
    let mut field = MotionField::still(SIZE);
    field.vectors.fill(Vector { down, right });
    field
}

#[test]
fn a_still_frame_is_predicted_as_it_was() {
    let frame = texture(0.0, 0.0);
    assert_eq!(predict(&frame, &MotionField::still(SIZE)), frame);
}

#[test]
fn a_moved_frame_is_predicted_and_its_motion_is_found() {
    let (before, now) = (texture(0.0, 0.0), texture(1.25, -2.5));
    let predicted = predict(&before, &uniform(5, -10));
    let found = search(&before, &now, &MotionField::still(SIZE), 4);
    let found = predict(&before, &found);
    // At the edges there is nothing to be seen of what comes in.
    for picture in [predicted, found] {
        for y in 4..SIZE.height - 4 {
            for x in 4..SIZE.width - 4 {
                let [a, b] = [&picture, &now].map(|picture| picture.pixel(x, y)[1]);
                assert!(a.abs_diff(b) <= 4, "{x}, {y}: {a} {b}");
            }
        }
    }
}

proptest! {
    #[test]
    fn weights_of_all_blocks_add_up(rows in 1_usize..70, columns in 1_usize..70, level: u8) {
        let flat = Picture::new(columns, rows, vec![level; 3 * rows * columns]);
        let mut field = MotionField::still(flat.size());
        for (i, vector) in field.vectors.iter_mut().enumerate() {
            *vector = Vector { down: (i * 7 % 23) as i16 - 11, right: (i * 5 % 31) as i16 - 15 };
        }
        prop_assert_eq!(predict(&flat, &field), flat);
    }

    #[test]
    fn fields_come_back(
        parts in prop::collection::vec((-LONGEST..=LONGEST, -LONGEST..=LONGEST, any::<bool>()), 15),
        frames in 1_usize..4,
    ) {
        let mut field = MotionField::still(SIZE);
        prop_assert_eq!(field.vectors.len(), 15);
        for (vector, (down, right, moves)) in field.vectors.iter_mut().zip(parts) {
            if moves {
                *vector = Vector { down, right };
            }
        }
        let still = MotionField::still(SIZE);
        let mut encoder = LevelEncoder::default();
        let mut coder = MotionCoder::default();
        for _ in 0..frames {
            prop_assert_eq!(coder.code(&mut encoder, SIZE, &field), Some(field.clone()));
            prop_assert_eq!(coder.code(&mut encoder, SIZE, &still), Some(still.clone()));
        }
        let bytes = encoder.coder.finish();
        let mut decoder = SymbolDecoder::new(&bytes);
        let mut coder = MotionCoder::default();
        for _ in 0..frames {
            prop_assert_eq!(coder.code(&mut decoder, SIZE, &still), Some(field.clone()));
            prop_assert_eq!(coder.code(&mut decoder, SIZE, &still), Some(still.clone()));
        }
        prop_assert!(decoder.is_exhausted());
    }
}
