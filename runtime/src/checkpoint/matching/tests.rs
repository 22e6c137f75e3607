//! Every difference is found and listed.

use super::*;

fn checkpoint(tensors: Vec<(&str, HostTensor)>) -> Checkpoint {
    let named = tensors.into_iter().map(|(n, t)| (n.to_string(), t));
    Checkpoint {
        tensors: named.collect(),
        ..Checkpoint::default()
    }
}

fn floats(shape: &[usize], value: f32) -> HostTensor {
    let count = shape.iter().product();
    HostTensor::from_slice(shape, &vec![value; count]).unwrap()
}

fn integers() -> HostTensor {
    HostTensor::from_slice([2], &[2i64, 1]).unwrap()
}

#[test]
fn a_fitting_checkpoint_comes_in_the_expected_order() {
    let checkpoint = checkpoint(vec![
        ("a", floats(&[2], 1.0)),
        ("b", floats(&[3], 2.0)),
        ("quantize.basis", integers()),
    ]);
    let expected = [("b", vec![3]), ("a", vec![2])];
    let matched = match_parameters(&checkpoint, expected, &["quantize.basis"]).unwrap();
    assert_eq!(matched, [&floats(&[3], 2.0), &floats(&[2], 1.0)]);
}

#[test]
fn every_difference_is_listed() {
    let checkpoint = checkpoint(vec![
        ("shape", floats(&[512], 1.0)),
        ("type", integers()),
        ("extra", floats(&[1], 1.0)),
        ("basis", floats(&[1], 1.0)),
        ("group_basis", integers()),
        (
            "nan",
            HostTensor::from_slice([3], &[1.0, 2.0, f32::NAN]).unwrap(),
        ),
        (
            "inf",
            floats(&[1], -1e9).to_dtype(bsq_ir::DType::F16).unwrap(),
        ),
        ("fine", floats(&[2, 2], 0.0)),
    ]);
    let expected: [(&str, &[usize]); 7] = [
        ("gone", &[768, 192]),
        ("shape", &[768]),
        ("type", &[2]),
        ("nan", &[3]),
        ("inf", &[1]),
        ("fine", &[2, 2]),
        ("also.gone", &[]),
    ];
    let mismatch = match_parameters(&checkpoint, expected, &["basis", "group_basis"]).unwrap_err();
    // A float under a buffer's name is a parameter that nobody knows.
    assert_eq!(
        mismatch.to_string(),
        "the checkpoint does not fit the model: 2 missing, 2 unexpected, 1 of another shape, \
         1 not floating-point, 2 not finite
  missing:
    gone [768, 192]
    also.gone []
  unexpected:
    basis f32[1]
    extra f32[1]
  of another shape:
    shape: the model has [768], the checkpoint [512]
  not floating-point:
    type i64[2]
  not finite:
    nan: element 2 is NaN
    inf: element 0 is -inf"
    );
}

#[test]
fn what_was_skipped_matters_only_to_a_parameter_or_buffer_of_its_name() {
    let mut checkpoint = checkpoint(vec![("a", floats(&[2], 1.0)), ("steps", integers())]);
    let skip = |(name, why): (&str, &str)| (name.to_string(), why.to_string());
    let skipped = [
        ("a._extra_state", "it is not a tensor but None"),
        ("b", "int8"),
    ];
    checkpoint.skipped = skipped.map(skip).into();
    assert!(match_parameters(&checkpoint, [("a", [2])], &[]).is_ok());
    for (expected, buffers) in [
        (vec![("a", [2]), ("b", [3])], &[][..]),
        (vec![("a", [2])], &["b"]),
    ] {
        let mismatch = match_parameters(&checkpoint, expected, buffers).unwrap_err();
        assert_eq!(
            mismatch.to_string(),
            "the checkpoint does not fit the model: 1 unreadable\n  unreadable:\n    b: int8"
        );
    }
}

#[test]
fn long_lists_are_cut_but_counted() {
    let names: Vec<String> = (0..307).map(|i| format!("block.{i}.weight")).collect();
    let expected = names.iter().map(|name| (name, [4]));
    let mismatch = match_parameters(&checkpoint(vec![]), expected, &[]).unwrap_err();
    assert_eq!(mismatch.missing.len(), 307);
    let text = mismatch.to_string();
    assert!(text.contains(": 307 missing\n"), "{text}");
    assert!(
        text.ends_with("block.11.weight [4]\n    ... and 295 more"),
        "{text}"
    );
}
