//! LPIPS beside the package of its authors, with weights that both sides compute: the distances
//! are what `reference.py` beside this file prints.

use bsq::lpips::WeightsError;
use bsq::metrics::{Lpips, LpipsError};
use bsq::pipeline::CompileOptions;
use bsq_runtime::HostTensor;
use bsq_runtime::checkpoint::safetensors;
use std::collections::BTreeMap;
use std::path::Path;

/// Numbers in 0..1.
fn uniform(count: usize, seed: u64) -> impl Iterator<Item = f64> {
    let mix = |x: u64| ((x ^ (x >> 16)) * 0x45D_9F3B) & 0xFFFF_FFFF;
    (0..count as u64).map(move |i| {
        let x = (i * 2_654_435_761 + seed * 97) & 0xFFFF_FFFF;
        (mix(mix(x)) >> 8) as f64 / f64::from(1 << 24)
    })
}

/// The state of the package's model, in the order of its names.
const STATE: [(&str, &[usize]); 22] = [
    ("lin0.model.1.weight", &[1, 64, 1, 1]),
    ("lin1.model.1.weight", &[1, 192, 1, 1]),
    ("lin2.model.1.weight", &[1, 384, 1, 1]),
    ("lin3.model.1.weight", &[1, 256, 1, 1]),
    ("lin4.model.1.weight", &[1, 256, 1, 1]),
    ("lins.0.model.1.weight", &[1, 64, 1, 1]),
    ("lins.1.model.1.weight", &[1, 192, 1, 1]),
    ("lins.2.model.1.weight", &[1, 384, 1, 1]),
    ("lins.3.model.1.weight", &[1, 256, 1, 1]),
    ("lins.4.model.1.weight", &[1, 256, 1, 1]),
    ("net.slice1.0.bias", &[64]),
    ("net.slice1.0.weight", &[64, 3, 11, 11]),
    ("net.slice2.3.bias", &[192]),
    ("net.slice2.3.weight", &[192, 64, 5, 5]),
    ("net.slice3.6.bias", &[384]),
    ("net.slice3.6.weight", &[384, 192, 3, 3]),
    ("net.slice4.8.bias", &[256]),
    ("net.slice4.8.weight", &[256, 384, 3, 3]),
    ("net.slice5.10.bias", &[256]),
    ("net.slice5.10.weight", &[256, 256, 3, 3]),
    ("scaling_layer.scale", &[1, 3, 1, 1]),
    ("scaling_layer.shift", &[1, 3, 1, 1]),
];

fn state() -> BTreeMap<String, HostTensor> {
    let tensor = |(number, &(name, shape)): (usize, &(&str, &[usize]))| {
        let count: usize = shape.iter().product();
        let fan_in = (count / shape[0]) as f64;
        let value = |u: f64| match (name.starts_with("net"), name.ends_with("weight")) {
            (true, true) => (2.0 * u - 1.0) * (6.0 / fan_in).sqrt(),
            (true, false) => 0.2 * u - 0.1,
            (false, _) => u,
        };
        let values: Vec<f32> = uniform(count, number as u64 + 1)
            .map(|u| value(u) as f32)
            .collect();
        let tensor = HostTensor::from_slice(shape.to_vec(), &values).unwrap();
        (name.to_string(), tensor)
    };
    STATE.iter().enumerate().map(tensor).collect()
}

fn save(path: &Path, state: &BTreeMap<String, HostTensor>) {
    let tensors = state.iter().map(|(name, tensor)| (name.as_str(), tensor));
    safetensors::save(path, tensors, &BTreeMap::new()).unwrap();
}

#[test]
fn distances_are_those_of_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lpips.safetensors");
    save(&path, &state());
    let mut lpips = Lpips::open(&path, &CompileOptions::default()).unwrap();
    for (height, width, wanted) in [
        (64, 64, 0.0528972),
        (71, 98, 0.0510102),
        (31, 40, 0.0552216),
    ] {
        let count = 3 * height * width;
        let a: Vec<f32> = uniform(count, 101)
            .map(|u| (2.0 * u - 1.0) as f32)
            .collect();
        let both = uniform(count, 101).zip(uniform(count, 102));
        let b: Vec<f32> = both
            .map(|(u, v)| (2.0 * u - 1.0 + 0.5 * (v - 0.5)).clamp(-1.0, 1.0) as f32)
            .collect();
        let got = lpips.distance(&a, &b, [height, width]).unwrap().unwrap();
        assert!(
            (got / wanted - 1.0).abs() < 1e-5,
            "{height}x{width}: {got}, not {wanted}"
        );
        assert_eq!(lpips.distance(&a, &a, [height, width]).unwrap(), Some(0.0));
    }
    let small = [0.0; 3 * 30 * 64];
    assert_eq!(lpips.distance(&small, &small, [30, 64]).unwrap(), None);
}

#[test]
fn other_weights_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.safetensors");
    let mut state = state();
    state.remove("net.slice3.6.bias");
    save(&path, &state);
    let error = Lpips::open(&path, &CompileOptions::default())
        .err()
        .unwrap();
    assert!(matches!(
        &error,
        LpipsError::Weights(WeightsError::Mismatch { difference, .. })
            if difference.contains("net.slice3.6.bias [384] is missing")
    ));
    assert!(error.to_string().contains("state_dict"), "{error}");
}
