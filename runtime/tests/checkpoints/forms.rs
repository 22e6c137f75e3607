//! The forms that PyTorch files come in beside today's: what no parameter needs, other wrappers,
//! the format before version 1.6, compressed archives, signs; `fixtures/make_newer.py` wrote them.

use std::io::Cursor;
use std::path::PathBuf;

use bsq_ir::DType;
use bsq_runtime::checkpoint::{
    Checkpoint, CheckpointError, Selection, Source, Weights, load, match_parameters, read,
};
use bsq_runtime::tensor_data::HostTensor;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn load_fixture(name: &str) -> Checkpoint {
    load(path(name), Weights::Ema).unwrap_or_else(|error| panic!("{error}"))
}

fn select(name: &str, weights: Weights, key: Option<&str>) -> Result<Checkpoint, String> {
    without_path(name, load(path(name), Selection { weights, key }))
}

fn without_path(
    name: &str,
    result: Result<Checkpoint, CheckpointError>,
) -> Result<Checkpoint, String> {
    let prefix = format!("{}: ", path(name).display());
    result.map_err(|error| error.to_string().replace(&prefix, ""))
}

fn floats(shape: &[usize], elements: impl IntoIterator<Item = i32>) -> HostTensor {
    let elements: Vec<f32> = elements.into_iter().map(|x| x as f32).collect();
    HostTensor::from_slice(shape, &elements).unwrap()
}

#[test]
fn what_no_parameter_needs_is_skipped_and_listed() {
    let checkpoint = load_fixture("extra.pt");
    let names: Vec<_> = checkpoint.tensors.keys().collect();
    assert_eq!(names, ["a.weight"]);
    let skipped: Vec<_> = checkpoint.skipped.iter().collect();
    for (name, why) in [
        ("a._extra_state", "it is not a tensor but a dict of 1"),
        ("b.none", "it is not a tensor but None"),
        ("b.counter", "it is not a tensor but 5"),
        ("b.text", "it is not a tensor but \"x\""),
        ("b.list", "it is not a tensor but a list of 1"),
        ("c.int8", "the element type int8[2] is not supported"),
        ("c.int16", "the element type int16[2] is not supported"),
        ("c.uint16", "the element type uint16[2] is not supported"),
        ("c.complex64", "the element type complex64[2] is not"),
        ("c.conj", "the element type complex64[2] is not supported"),
        ("c.float8", "the element type float8_e4m3fn[2] is not"),
        ("c.sparse", "_rebuild_sparse_tensor cannot be read"),
        ("7", "its name is not a text"),
    ] {
        let found = checkpoint.skipped.get(name);
        let found = found.unwrap_or_else(|| panic!("{name} of {skipped:?}"));
        assert!(found.contains(why), "{name}: {found}");
    }
    assert_eq!(skipped.len(), 13);
    assert!(match_parameters(&checkpoint, [("a.weight", [2, 3])], &[]).is_ok());
    let needed = [("a.weight", vec![2, 3]), ("c.int8", vec![2])];
    let message = match_parameters(&checkpoint, needed, &[]).unwrap_err();
    assert!(
        message
            .to_string()
            .contains("c.int8: the element type int8[2]"),
        "{message}"
    );
    // What is all that a file has is no error before it is needed either.
    assert_eq!(load_fixture("int8.pt").skipped.len(), 1);
    assert_eq!(load_fixture("not_tensors.pt").tensors.len(), 1);
}

#[test]
fn types_that_only_newer_versions_write_are_read() {
    let tensor = load_fixture("uint32.pt").tensors.remove("x").unwrap();
    assert_eq!(tensor.as_slice::<u32>().unwrap(), [1, u32::MAX]);
}

#[test]
fn the_negative_bit_changes_the_sign() {
    for name in ["negative.pt", "negative_legacy.pt"] {
        let mut tensors = load_fixture(name).tensors;
        let mut take = |name: &str| tensors.remove(name).unwrap();
        assert_eq!(take("view"), floats(&[2], [-2, 4]));
        let half = floats(&[2], [-1, 2]).to_dtype(DType::F16).unwrap();
        assert_eq!(take("half"), half);
        let bytes = HostTensor::from_slice([2], &[255u8, 254]).unwrap();
        assert_eq!(take("byte"), bytes);
        assert_eq!(take("plain"), floats(&[2], [-2, 4]));
    }
}

/// That the tensors are those of `views` in `make_newer.py`.
fn assert_are_views(name: &str, checkpoint: &Checkpoint) {
    let tensor = |key: &str| &checkpoint.tensors[key];
    let whole = floats(&[2, 3], 0..6);
    assert_eq!(*tensor("whole"), whole, "{name}");
    assert_eq!(*tensor("transposed"), floats(&[3, 2], [0, 3, 1, 4, 2, 5]));
    assert_eq!(*tensor("row"), floats(&[3], 3..6));
    assert_eq!(*tensor("half"), whole.to_dtype(DType::F16).unwrap());
    assert_eq!(*tensor("parameter"), floats(&[2], [1, 4]));
    assert_eq!(*tensor("double"), whole);
    assert_eq!(checkpoint.tensors.len(), 6);
    assert!(checkpoint.skipped["int8"].contains("int8[3]"));
}

#[test]
fn every_protocol_of_either_format_is_read() {
    for name in [
        "legacy_protocol1.pt",
        "legacy_protocol2.pt",
        "legacy_protocol4.pt",
        "protocol1.pt",
    ] {
        assert_are_views(name, &load_fixture(name));
    }
    // PyTorch 1.13 wrote this one.
    let old = load_fixture("legacy.pt");
    assert_eq!(old.tensors["encoder.weight"], floats(&[2, 3], 0..6));
    // A storage has no name that could be read back; PyTorch fails with an assertion.
    for name in ["protocol0.pt", "legacy_protocol0.pt"] {
        let message = select(name, Weights::Ema, None).unwrap_err();
        assert!(
            message.contains("as pickles of protocol 0 do and PyTorch itself cannot read"),
            "{message}"
        );
    }
}

#[test]
fn old_files_that_are_cut_off_are_truncated() {
    let whole = std::fs::read(path("legacy_protocol2.pt")).unwrap();
    for length in 40..whole.len() {
        let error = read(Cursor::new(&whole[..length]), "x.pt", Weights::Ema).unwrap_err();
        let message = error.to_string();
        let said = message.contains("truncated") || message.contains("end too early");
        assert!(said, "{length}: {message}");
    }
    let mut longer = whole;
    longer.extend(b"more");
    assert_are_views(
        "longer",
        &read(Cursor::new(longer), "x.pt", Weights::Ema).unwrap(),
    );
}

#[test]
fn compressed_archives_are_unpacked() {
    assert_are_views("deflated.pt", &load_fixture("deflated.pt"));
    let zeros = &load_fixture("zeros_deflated.pt").tensors["x"];
    assert_eq!(*zeros, HostTensor::zeros(DType::F32, [512, 512]).unwrap());
    let message = select("bzip2.pt", Weights::Ema, None).unwrap_err();
    assert_eq!(
        message,
        "an entry of the zip archive is compressed by bzip2, not by deflate: unpack the archive \
         and zip it again without compression"
    );
}

#[test]
fn bytes_behind_an_archive_are_ignored_and_bytes_before_it_named() {
    let whole = std::fs::read(path("protocol1.pt")).unwrap();
    for more in [1, 10, 22, 70_000, 200_000] {
        let mut bytes = whole.clone();
        bytes.extend(std::iter::repeat_n(b'x', more));
        let checkpoint = read(Cursor::new(bytes), "x.pt", Weights::Ema).unwrap();
        assert_are_views("appended", &checkpoint);
    }
    let other = std::fs::read(path("deflated.pt")).unwrap();
    let second = [&whole[..], &other[..]].concat();
    let error = read(Cursor::new(second), "x.pt", Weights::Ema).unwrap_err();
    let expected = format!("x.pt: {} bytes lie before the zip archive", whole.len());
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn state_dicts_are_found_under_the_usual_keys() {
    let found = |name: &str, weights, key: Option<&str>| {
        let checkpoint = select(name, weights, key)?;
        let Source::PyTorch { key } = checkpoint.source else {
            panic!("not a PyTorch file");
        };
        let first = checkpoint.tensors.values().next().unwrap();
        Ok((key.unwrap_or_default(), first.as_slice::<f32>().unwrap()[0]))
    };
    let at = |key: &str, first: f32| Ok::<_, String>((key.to_string(), first));
    let (ema, raw) = (Weights::Ema, Weights::Raw);
    assert_eq!(found("nested.pt", ema, None), at("model_ema", 10.0));
    assert_eq!(found("nested.pt", raw, None), at("model.state_dict", 0.0));
    assert_eq!(
        found("nested.pt", ema, Some("model")),
        at("model.state_dict", 0.0)
    );
    let chosen = found("nested.pt", ema, Some("model.state_dict"));
    assert_eq!(chosen, at("model.state_dict", 0.0));
    assert_eq!(found("other_name.pt", ema, None), at("my_own", 0.0));
    assert_eq!(found("same_twice.pt", raw, None).unwrap().0, "state_dict");

    assert_eq!(
        found("ambiguous.pt", ema, None).unwrap_err(),
        "it holds 2 state dicts: `model`, `net`; name the one that is meant with --key"
    );
    assert_eq!(found("ambiguous.pt", ema, Some("net")), at("net", 1.0));
    // What a path ends with may be the start of the names.
    let flat = select("ambiguous.pt", ema, Some("flat.g")).unwrap();
    assert_eq!(flat.tensors.into_keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        found("ambiguous.pt", ema, Some("nowhere")).unwrap_err(),
        "it has no key `nowhere`, but a dict of 3 with the keys [\"model\", \"net\", \"flat\"]"
    );
    assert_eq!(
        found("nested.pt", ema, Some("optimizer")).unwrap_err(),
        "there are no tensors under the key `optimizer`, but a dict of 1 with the keys [\"state\"]"
    );
}
