//! The metrics against values recorded from pytorch-msssim, and their defining properties.

use super::*;
use proptest::prelude::*;
use safetensors::SafeTensors;

const RECORDED: &str = include_str!("../../../tests/fixtures/parity/metrics.json");
const IMAGES: &[u8] = include_bytes!("../../../tests/fixtures/parity/metrics.io.safetensors");

fn load(images: &SafeTensors, name: &str) -> (Vec<f32>, [usize; 3]) {
    let tensor = images.tensor(name).unwrap();
    let &[1, channels, height, width] = tensor.shape() else {
        panic!("{name} has shape {:?}", tensor.shape());
    };
    let values = tensor.data().iter().map(|&x| f32::from(x) / 127.5 - 1.0);
    (values.collect(), [channels, height, width])
}

#[test]
fn recorded_values_are_reproduced() {
    let recorded: serde_json::Value = serde_json::from_str(RECORDED).unwrap();
    let images = SafeTensors::deserialize(IMAGES).unwrap();
    let table = recorded["table"].as_object().unwrap();
    assert_eq!(table.len(), 4);
    for (name, row) in table {
        let (a, shape) = load(&images, &format!("{name}.a"));
        let (b, _) = load(&images, &format!("{name}.b"));
        let near = |metric: &str, value: f64| {
            let expected = row[metric].as_f64().unwrap();
            let error = (value - expected).abs() / expected.abs();
            assert!(
                error < 1e-11,
                "{name} {metric}: {value} instead of {expected}"
            );
        };
        near("psnr_f64", psnr(&a, &b));
        near("ssim_f64", ssim(&a, &b, shape));
        match ms_ssim(&a, &b, shape) {
            Some(value) => near("ms_ssim_f64", value),
            None => assert!(row["ms_ssim"].is_null(), "{name}"),
        }
    }
}

#[test]
fn pooling_of_odd_sides_counts_a_leading_zero() {
    use super::gaussian::Plane;
    let plane = Plane {
        width: 3,
        height: 2,
        values: vec![4.0, 8.0, 12.0, 16.0, 20.0, 24.0],
    };
    let halved = plane.halved();
    assert_eq!((halved.width, halved.height), (2, 1));
    assert_eq!(halved.values, [5.0, 16.0]);
}

#[test]
fn a_known_error_has_a_known_psnr() {
    // One level everywhere: 20 log10 255.
    let a = vec![0.0; 48];
    let b = vec![1.0 / 127.5; 48];
    assert!((psnr(&a, &b) - 48.130_803_6).abs() < 1e-5);
    assert_eq!(psnr(&a, &a), f64::INFINITY);
}

#[test]
fn a_picture_smaller_than_the_window_still_has_an_ssim() {
    let a: Vec<f32> = (0..3 * 20).map(|i| (i % 7) as f32 / 7.0).collect();
    assert!((ssim(&a, &a, [3, 4, 5]) - 1.0).abs() < 1e-12);
    assert_eq!(ms_ssim(&a, &a, [3, 4, 5]), None);
}

#[test]
fn bits_per_pixel_of_the_published_models() {
    assert_eq!(bits_per_pixel(36 * 1024, 256, 256), 0.5625);
    assert_eq!(bits_per_pixel(18 * 1024, 256, 256), 0.28125);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn ssim_is_symmetric_and_at_most_one(
        height in 1_usize..30, width in 1_usize..30, seed in any::<u32>(),
    ) {
        let noise = |salt: u32| -> Vec<f32> {
            (0..3 * height * width)
                .map(|i| {
                    let mixed = (i as u32 ^ salt).wrapping_mul(2_654_435_761);
                    (mixed >> 8) as f32 / 8_388_608.0 - 1.0
                })
                .collect()
        };
        let (a, b) = (noise(seed), noise(!seed));
        let shape = [3, height, width];
        let forwards = ssim(&a, &b, shape);
        prop_assert!((forwards - ssim(&b, &a, shape)).abs() < 1e-12);
        prop_assert!(forwards <= 1.0);
        prop_assert!((ssim(&a, &a, shape) - 1.0).abs() < 1e-12);
    }
}
