//! Files agree with the reference implementation, and broken ones are refused by name.

use std::io::Cursor;

use bsq_ir::DType;
use half::{bf16, f16};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::*;
use crate::checkpoint::{Checkpoint, Weights, load, read as read_checkpoint};

/// One tensor of each type.
fn one_of_each() -> BTreeMap<String, HostTensor> {
    let f16s = [1.5, -2.0].map(f16::from_f32);
    let bf16s = [1.5, -2.0, 3.0].map(bf16::from_f32);
    [
        ("f32", HostTensor::from_slice([2, 1], &[1.5f32, f32::NAN])),
        ("f16", HostTensor::from_slice([2], &f16s)),
        ("bf16", HostTensor::from_slice([3], &bf16s)),
        ("i32", HostTensor::from_slice([1], &[-7i32])),
        ("i64", HostTensor::scalar(i64::MIN)),
        ("u8", HostTensor::from_slice([5], &[1u8, 2, 3, 4, 255])),
        ("u32", HostTensor::from_slice([1, 1, 1], &[u32::MAX])),
        ("u64", HostTensor::from_slice([2], &[u64::MAX, 0])),
        ("bool", HostTensor::from_slice([3], &[true, false, true])),
        ("empty", HostTensor::zeros(DType::F32, [0, 4])),
        ("a.b \"quoted\" \u{e9}", HostTensor::scalar(0.0f32)),
    ]
    .into_iter()
    .map(|(name, tensor)| (name.to_string(), tensor.unwrap()))
    .collect()
}

fn metadata(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(a, b): &(&str, &str)| (a.to_string(), b.to_string());
    entries.iter().map(owned).collect()
}

/// The bytes of a saved file.
fn saved(tensors: &BTreeMap<String, HostTensor>, metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    save(
        &path,
        tensors.iter().map(|(n, t)| (n.as_str(), t)),
        metadata,
    )
    .unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::read(&path).unwrap()
}

fn parse(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    read_checkpoint(Cursor::new(bytes), "x.safetensors", Weights::Ema)
}

/// A file with this header and as many zero bytes.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

fn reference_dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I32 => Dtype::I32,
        DType::I64 => Dtype::I64,
        DType::U8 => Dtype::U8,
        DType::U32 => Dtype::U32,
        DType::U64 => Dtype::U64,
        DType::Bool => Dtype::BOOL,
    }
}

#[test]
fn files_equal_those_of_the_reference_implementation() {
    let tensors = one_of_each();
    let views = tensors.iter().map(|(name, tensor)| {
        let dtype = reference_dtype(tensor.dtype());
        let view = TensorView::new(dtype, tensor.shape().to_vec(), tensor.bytes());
        (name.as_str(), view.unwrap())
    });
    let info = metadata(&[("step", "12")]);
    let reference = serialize(views, Some(info.clone().into_iter().collect())).unwrap();
    assert_eq!(saved(&tensors, &info), reference);

    let ours = parse(&reference).unwrap();
    assert_eq!(ours.tensors, tensors);
    assert_eq!(ours.metadata, info);
}

#[test]
fn metadata_comes_back_in_any_number() {
    for info in [
        metadata(&[]),
        metadata(&[("b", "\"\n"), ("a", ""), ("", "z")]),
    ] {
        let bytes = saved(&BTreeMap::new(), &info);
        assert_eq!(parse(&bytes).unwrap().metadata, info);
        SafeTensors::deserialize(&bytes).unwrap();
    }
}

#[test]
fn doubles_are_rounded_to_f32() {
    let values: Vec<f64> = (0..3000).map(|i| f64::from(i) / 7.0).collect();
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F64, vec![3, 1000], &bytes).unwrap();
    let file = serialize([("x", view)], None).unwrap();
    let tensor = parse(&file).unwrap().tensors.remove("x").unwrap();
    assert_eq!(tensor.shape(), [3, 1000]);
    let expected: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    assert_eq!(tensor.as_slice::<f32>().unwrap(), expected);
}

#[test]
fn wrapper_prefixes_are_removed() {
    let tensor = HostTensor::scalar(1.0f32).unwrap();
    let names = |list: &[&str]| {
        let tensors = list.iter().map(|n| (n.to_string(), tensor.clone()));
        parse(&saved(&tensors.collect(), &metadata(&[])))
            .map(|checkpoint| checkpoint.tensors.into_keys().collect::<Vec<_>>())
    };
    let wrapped = [
        "module.module.a",
        "module._orig_mod.b",
        "c.module.d",
        "e",
        "_orig_mod.f",
        "_fsdp_wrapped_module.model.g",
    ];
    let bare = ["a", "b", "c.module.d", "e", "f", "g"];
    assert_eq!(names(&wrapped).unwrap(), bare);
    let error = names(&["module.a", "a"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "x.safetensors: tensor `module.a`: two tensors have this name"
    );
}

#[test]
fn what_is_wrong_is_said_of_which_tensor() {
    let entry = |name: &str, dtype: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let a = entry("a", "F32", "[2]", 0, 8);
    let file = |rest: String, data| with_header(&format!("{{{a},{rest}}}"), data);
    let cases = [
        (
            b"0123".to_vec(),
            "neither a safetensors file nor a PyTorch checkpoint",
        ),
        (
            file(entry("b", "F32", "[2]", 8, 16), 13),
            "tensor `b`: the file is truncated: 132 bytes are needed and 129 are there",
        ),
        (
            file(entry("b", "F32", "[2]", 8, 16), 20),
            "4 bytes behind the last tensor belong to no tensor",
        ),
        (
            file(entry("b", "F32", "[2]", 4, 12), 16),
            "tensor `b`: its bytes 4..12 overlap those of `a`",
        ),
        (
            file(entry("b", "F32", "[2]", 12, 20), 20),
            "tensor `b`: 4 bytes before its data belong to no tensor",
        ),
        (
            file(entry("b", "F32", "[3]", 8, 16), 16),
            "tensor `b`: 8 bytes of data, but its type and shape need 12",
        ),
        (
            file(entry("b", "F32", "[2]", 16, 8), 16),
            "tensor `b`: invalid header: its data end at 8, before they start, at 16",
        ),
        (
            file(entry("b", "F32", "[4294967296,4294967296]", 8, 16), 16),
            "tensor `b`: a tensor of shape [4294967296, 4294967296] is too large for this machine's address space",
        ),
        (
            file(entry("a", "F32", "[2]", 8, 16), 16),
            "tensor `a`: two tensors have this name",
        ),
        (
            file(r#""b":{"dtype":"F32","shape":[2]}"#.into(), 16),
            "invalid header: tensor `b`: missing field `data_offsets` at line 1 column 85",
        ),
        (
            file(entry("b", "F32", "[-2]", 8, 16), 16),
            "invalid header: tensor `b`: invalid value: integer `-2`, expected u64 at line 1 column 84",
        ),
        (
            with_header("{\"__metadata__\":{\"a\":1}}", 0),
            "invalid header: invalid type: integer `1`, expected a string at line 1 column 22",
        ),
        (
            with_header(&entry("b", "BOOL", "[1]", 0, 1), 1),
            "neither a safetensors file nor a PyTorch checkpoint",
        ),
    ];
    for (bytes, expected) in cases {
        let message = parse(&bytes).unwrap_err().to_string();
        assert_eq!(message, format!("x.safetensors: {expected}"));
    }

    let mut bools = with_header(&format!("{{{}}}", entry("b", "BOOL", "[2]", 0, 2)), 2);
    *bools.last_mut().unwrap() = 3;
    let message = parse(&bools).unwrap_err().to_string();
    assert_eq!(
        message,
        "x.safetensors: tensor `b`: element 1 of a bool tensor is the byte 3: only 0 and 1 are allowed"
    );
}

#[test]
fn tensors_of_types_that_nothing_needs_are_skipped() {
    let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
        "module.scale":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[4,6]},
        "table":{"dtype":"I16","shape":[1],"data_offsets":[6,8]},
        "newer":{"dtype":"F4","shape":[4],"data_offsets":[8,10]}}"#;
    let checkpoint = parse(&with_header(header, 10)).unwrap();
    assert_eq!(checkpoint.tensors.len(), 1);
    let skipped: Vec<_> = checkpoint.skipped.keys().collect();
    assert_eq!(skipped, ["newer", "scale", "table"]);
    assert_eq!(
        checkpoint.skipped["scale"],
        "the element type F8_E4M3[2] is not supported; these are: BOOL U8 F16 BF16 I32 U32 F32 F64 I64 U64"
    );
}

#[test]
fn a_key_chooses_the_names_that_start_with_it() {
    let tensor = HostTensor::scalar(1.0f32).unwrap();
    let tensors = ["net.g.a", "net.g.b", "net.d.a", "c"].map(|n| (n.to_string(), tensor.clone()));
    let bytes = saved(&tensors.into(), &metadata(&[]));
    let select = |key| {
        let selection = crate::checkpoint::Selection {
            key: Some(key),
            ..Default::default()
        };
        read_checkpoint(Cursor::new(&bytes), "x.safetensors", selection)
    };
    let names: Vec<_> = select("net.g").unwrap().tensors.into_keys().collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        select("g").unwrap_err().to_string(),
        "x.safetensors: no tensor's name starts with `g.`; names start with net"
    );
}

#[test]
fn a_header_longer_than_the_file_or_the_limit_is_refused() {
    let with_length = |length: u64| {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(b"{}");
        parse(&bytes).unwrap_err().to_string()
    };
    assert_eq!(
        with_length(u64::MAX),
        "x.safetensors: the header is too large: 18446744073709551615 bytes, and at most 100000000 are allowed"
    );
    assert_eq!(
        with_length(99_999_999),
        "x.safetensors: the file is truncated: 100000007 bytes are needed and 10 are there"
    );
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tensor = HostTensor::scalar(1.0f32).unwrap();
    let message = |path: &Path, names: &[&str]| {
        let tensors = names.iter().map(|&name| (name, &tensor));
        save(path, tensors, &metadata(&[])).unwrap_err().to_string()
    };
    let path = folder.path().join("m");
    let text = path.display();
    assert_eq!(
        message(&path, &["a", "b", "a"]),
        format!("{text}: tensor `a`: two tensors have this name")
    );
    assert_eq!(
        message(&path, &["__metadata__"]),
        format!("{text}: tensor `__metadata__`: the name is reserved")
    );
    let missing = folder.path().join("no/m");
    let text = missing.display();
    assert_eq!(
        message(&missing, &["a"]),
        format!("{text}: cannot write the file: No such file or directory (os error 2)")
    );
    assert!(
        load(&path, Weights::Ema)
            .unwrap_err()
            .to_string()
            .contains("cannot read the file")
    );
}

proptest! {
    #[test]
    fn damaged_files_are_errors_or_tensors(
        cut in 0usize..1200, flips in prop::collection::vec((0usize..1200, 0u8..8), 0..6)
    ) {
        let mut bytes = saved(&one_of_each(), &metadata(&[("a", "b")]));
        for (position, bit) in flips {
            let length = bytes.len();
            bytes[position % length] ^= 1 << bit;
        }
        bytes.truncate(cut.max(1) * bytes.len() / 1000 + 1);
        if let Ok(checkpoint) = parse(&bytes) {
            let held: usize = checkpoint.tensors.values().map(|t| t.bytes().len()).sum();
            prop_assert!(held <= bytes.len());
        }
    }

    #[test]
    fn any_bytes_are_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse(&bytes).is_err());
        // Past the first check.
        if bytes.len() > 9 {
            let header = bytes.len() as u64 - 8;
            bytes[..8].copy_from_slice(&header.to_le_bytes());
            bytes[8] = b'{';
            prop_assert!(parse(&bytes).is_err());
        }
    }
}
