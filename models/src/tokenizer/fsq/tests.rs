use super::{bounded, codes_of, pack, quantize};
use crate::config::FsqConfig;
use crate::tokenizer::tests::run;
use bsq_ir::autodiff::gradients;
use proptest::prelude::*;

fn config(levels: &[usize]) -> FsqConfig {
    let levels = levels.to_vec();
    FsqConfig { levels }
}

/// By hand: of 4 levels the values are -2, -1, 0, 1 and codes half of that; 0 stays 0 and what is far
/// out is an outermost value. Indices have 2, 1 and 3 bits, value 0 is number 2, 1 and 4.
#[test]
fn values_codes_and_indices_are_those_of_the_definition() {
    let z = [0.0, 0.0, 0.0, 9.0, 9.0, 9.0, -9.0, -9.0, -9.0];
    let config = config(&[4, 2, 8]);
    let [codes, indices] = run(&z, 3, |z| {
        let u = bounded(&config, z);
        [quantize(&config, u).codes, pack(&config, u)]
    });
    let expected = [0.0, 0.0, 0.0, 0.5, 0.0, 0.75, -1.0, -1.0, -1.0];
    assert_eq!(codes.as_slice::<f32>().unwrap(), expected);
    let expected = [(2 << 4) + (1 << 3) + 4, (3 << 4) + (1 << 3) + 7, 0];
    assert_eq!(indices.as_slice::<u64>().unwrap(), expected);
}

/// The gradient of a code is that of the bound: `(1 - tanh²(z + shift)) * half width * 2 / levels`.
#[test]
fn gradients_pass_straight_through() {
    let z = [0.3, -0.8];
    let config = config(&[4, 16]);
    let [found, expected] = run(&z, 2, |z| {
        let u = bounded(&config, z);
        let codes = quantize(&config, u).codes;
        let scale = z.graph().constant_f32(&[0.5, 0.125], [2]);
        [codes, u * scale].map(|x| gradients(x.sum(..), &[z])[0])
    });
    assert_eq!(found, expected);
    assert!(found.as_slice::<f32>().unwrap().iter().all(|&g| g > 0.1));
}

fn levels_and_features() -> impl Strategy<Value = (Vec<usize>, Vec<f32>)> {
    let levels = prop::collection::vec((1_u32..=6).prop_map(|bits| 1 << bits), 1..=10);
    levels.prop_flat_map(|levels: Vec<usize>| {
        let features = prop::collection::vec(-4.0_f32..4.0, levels.len() * 3);
        (Just(levels), features)
    })
}

proptest! {
    #[test]
    fn indices_give_the_codes_back((levels, features) in levels_and_features()) {
        let config = config(&levels);
        let [codes, decoded, indices] = run(&features, levels.len(), |z| {
            let u = bounded(&config, z);
            let indices = pack(&config, u);
            [quantize(&config, u).codes, codes_of(&config, indices), indices]
        });
        prop_assert_eq!(&codes, &decoded);
        let bits: u32 = levels.iter().map(|levels| levels.trailing_zeros()).sum();
        prop_assert!(indices.as_slice::<u64>().unwrap().iter().all(|&index| index < 1 << bits));
        prop_assert!(codes.as_slice::<f32>().unwrap().iter().all(|code| (-1.0..1.0).contains(code)));
    }
}
