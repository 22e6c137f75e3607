//! Files that PyTorch wrote; `fixtures/README.md` says how.

use std::path::PathBuf;

use bsq_ir::DType;
use bsq_runtime::checkpoint::pickle::Kind;
use bsq_runtime::checkpoint::pytorch::TorchFile;
use bsq_runtime::checkpoint::{Checkpoint, Source, Weights, load, match_parameters};
use bsq_runtime::tensor_data::HostTensor;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn load_fixture(name: &str, weights: Weights) -> Checkpoint {
    load(path(name), weights).unwrap_or_else(|error| panic!("{error}"))
}

/// What is wrong with a file, without its path.
fn error(name: &str) -> String {
    let error = load(path(name), Weights::Ema).unwrap_err();
    assert_eq!(error.path, path(name));
    let prefix = format!("{}: ", path(name).display());
    error.to_string().strip_prefix(&prefix).unwrap().to_string()
}

fn floats(shape: &[usize], elements: impl IntoIterator<Item = i32>) -> HostTensor {
    let elements: Vec<f32> = elements.into_iter().map(|x| x as f32).collect();
    HostTensor::from_slice(shape, &elements).unwrap()
}

/// That the tensors are those of `state_dict(start)` in `make.py`.
fn assert_is_state_dict(checkpoint: &Checkpoint, start: i32) {
    let expected = [("encoder.weight", vec![2, 3]), ("encoder.bias", vec![2])];
    let matched = match_parameters(checkpoint, expected, &["quantize.basis"]).unwrap();
    assert_eq!(*matched[0], floats(&[2, 3], start..start + 6));
    assert_eq!(*matched[1], floats(&[2], start..start + 2));
    let basis = checkpoint.tensors["quantize.basis"].as_slice::<i64>();
    assert_eq!(basis.unwrap(), [4, 2, 1]);
}

#[test]
fn averaged_weights_are_preferred_unless_raw_ones_are_wanted() {
    let key = |key: &str| Source::PyTorch {
        key: Some(key.to_string()),
    };
    let averaged = load_fixture("training.pt", Weights::Ema);
    assert_is_state_dict(&averaged, 100);
    assert_eq!(averaged.source, key("ema_state_dict"));
    assert_eq!(
        averaged.source.to_string(),
        "PyTorch checkpoint, ema_state_dict"
    );
    let raw = load_fixture("training.pt", Weights::Raw);
    assert_is_state_dict(&raw, 0);
    assert_eq!(raw.source, key("state_dict"));

    for weights in [Weights::Ema, Weights::Raw] {
        let checkpoint = load_fixture("no_average.pt", weights);
        assert_is_state_dict(&checkpoint, 0);
        assert_eq!(checkpoint.source, key("state_dict"));
    }
}

#[test]
fn bare_state_dicts_of_any_protocol_are_read() {
    for name in ["protocol5.pt", "newer.pt"] {
        for weights in [Weights::Ema, Weights::Raw] {
            let checkpoint = load_fixture(name, weights);
            assert_is_state_dict(&checkpoint, 0);
            assert_eq!(checkpoint.source, Source::PyTorch { key: None });
        }
    }
}

#[test]
fn every_element_type_is_read() {
    let mut tensors = load_fixture("types.pt", Weights::Ema).tensors;
    let mut take = |name: &str| tensors.remove(name).unwrap();
    let ramp = floats(&[2, 2], 0..4);
    assert_eq!(take("f32"), ramp);
    assert_eq!(take("f64"), ramp);
    assert_eq!(take("f16"), ramp.to_dtype(DType::F16).unwrap());
    assert_eq!(take("bf16"), ramp.to_dtype(DType::BF16).unwrap());
    let shape = [2, 2];
    assert_eq!(
        take("i64"),
        HostTensor::from_slice(shape, &[0i64, 1, 2, 3]).unwrap()
    );
    assert_eq!(
        take("i32"),
        HostTensor::from_slice(shape, &[0i32, 1, 2, 3]).unwrap()
    );
    assert_eq!(
        take("u8"),
        HostTensor::from_slice(shape, &[0u8, 1, 2, 3]).unwrap()
    );
    assert_eq!(
        take("bool"),
        HostTensor::from_slice([3], &[true, false, true]).unwrap()
    );
    assert_eq!(take("scalar"), HostTensor::scalar(7.5f32).unwrap());
    assert_eq!(
        take("empty"),
        HostTensor::zeros(DType::F32, [0, 4]).unwrap()
    );
    assert_eq!(take("parameter"), floats(&[3], 0..3));
    assert!(tensors.is_empty());
}

#[test]
fn views_are_made_dense() {
    let mut tensors = load_fixture("views.pt", Weights::Ema).tensors;
    let mut check = |name: &str, shape: &[usize], elements: Vec<i32>| {
        assert_eq!(
            tensors.remove(name).unwrap(),
            floats(shape, elements),
            "{name}"
        );
    };
    let transposed: Vec<i32> = (0..24).map(|i| i % 4 * 6 + i / 4).collect();
    check("base", &[4, 6], (0..24).collect());
    check("transposed", &[6, 4], transposed.clone());
    check("row", &[6], (12..18).collect());
    check("column", &[4], vec![1, 7, 13, 19]);
    check("corner", &[2, 3], vec![8, 9, 10, 14, 15, 16]);
    check("every_other", &[2, 2], vec![0, 3, 12, 15]);
    let permuted = (0..24).map(|i| i / 4 + i / 2 % 2 * 12 + i % 2 * 6);
    check("permuted", &[6, 2, 2], permuted.collect());
    check("one_row", &[6, 1], (6..12).collect());
    check("parameter", &[4, 2], vec![0, 1, 6, 7, 12, 13, 18, 19]);
    check("double", &[6, 4], transposed);
    let half = floats(&[4, 3], (0..12).map(|i| 2 * i)).to_dtype(DType::F16);
    assert_eq!(tensors.remove("half").unwrap(), half.unwrap());
    assert!(tensors.is_empty());
}

#[test]
fn what_is_not_weights_comes_along_as_data() {
    let file = TorchFile::open(path("training.pt")).unwrap();
    let root = file.root();
    let keys: Vec<_> = root.entries().filter_map(|(key, _)| key.as_str()).collect();
    let expected = [
        "iter",
        "state_dict",
        "ema_state_dict",
        "optimizer_generator",
        "scaler",
        "config",
        "args",
        "best_fid",
    ];
    assert_eq!(keys, expected);
    let get = |key| root.get(key).unwrap();
    assert_eq!(get("iter").as_int(), Some(1234));
    assert_eq!(get("best_fid").kind(), Kind::Float(0.5));
    assert_eq!(
        get("scaler").get("growth_tracker").unwrap().as_int(),
        Some(7)
    );
    assert_eq!(
        get("config").to_string(),
        "a omegaconf.dictconfig.DictConfig"
    );

    let arguments = get("args").state().unwrap();
    assert_eq!(get("args").to_string(), "a argparse.Namespace");
    assert_eq!(arguments.get("output").unwrap().as_str(), Some("runs/a"));
    assert_eq!(arguments.get("resume").unwrap().kind(), Kind::None);
    assert_eq!(arguments.get("big").unwrap().kind(), Kind::BigInt);

    let metadata = get("state_dict").state().unwrap().get("_metadata").unwrap();
    assert!(metadata.get("encoder").is_some());

    let optimizer = get("optimizer_generator").get("state").unwrap();
    let (id, state) = optimizer.entries().next().unwrap();
    assert_eq!(id.as_int(), Some(0));
    let average = file.tensor(state.get("exp_avg").unwrap()).unwrap();
    assert_eq!(
        average,
        HostTensor::from_slice([2, 3], &[0.1f32; 6]).unwrap()
    );

    let error = file.tensor(get("args")).unwrap_err().to_string();
    assert!(
        error.ends_with("it is not a tensor but a argparse.Namespace"),
        "{error}"
    );
}

#[test]
fn what_cannot_be_loaded_is_said_clearly() {
    let cases = [
        (
            "big_endian.pt",
            "its byte order is \"big\": only \"little\" is supported",
        ),
        (
            "expanded.pt",
            "tensor `weight`: it repeats the same data too often: 4000 bytes in memory of 4 in the file",
        ),
        (
            "no_state_dict.pt",
            "it holds no ema_state_dict, state_dict or tensors, but a dict of 2 with the keys [\"epoch\", \"model\"]",
        ),
        (
            "module.pt",
            "it holds no ema_state_dict, state_dict or tensors, but a __main__.Model with the keys []",
        ),
        (
            "torchscript.pt",
            "a TorchScript program, not a checkpoint: save its state_dict() instead",
        ),
        (
            "README.md",
            "neither a safetensors file nor a PyTorch checkpoint",
        ),
        (
            "missing.pt",
            "cannot read the file: No such file or directory (os error 2)",
        ),
    ];
    for (name, expected) in cases {
        assert_eq!(error(name), expected, "{name}");
    }
}
