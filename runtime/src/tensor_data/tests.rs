//! Tensors keep their bits, and refuse what does not fit.

use proptest::prelude::*;

use super::*;

#[test]
fn elements_come_back_as_they_went_in() {
    fn check<T: Element + PartialEq + fmt::Debug>(elements: &[T]) {
        let tensor = HostTensor::from_slice([elements.len()], elements).unwrap();
        assert_eq!(tensor.dtype(), T::DTYPE);
        assert_eq!(tensor.element_count(), elements.len());
        assert_eq!(tensor.as_slice::<T>().unwrap(), elements);
        assert_eq!(tensor.bytes().as_ptr().addr() % 64, 0);
        let again = HostTensor::from_bytes(T::DTYPE, tensor.shape(), tensor.bytes()).unwrap();
        assert_eq!(again, tensor);
        assert_eq!(again.clone(), tensor);
    }
    check(&[1.5f32, -0.0, f32::INFINITY]);
    check(&[f16::from_f32(1.5), f16::MAX]);
    check(&[bf16::from_f32(1.5), bf16::MIN]);
    check(&[i32::MIN, 7]);
    check(&[i64::MIN, 7]);
    check(&[0u8, 255]);
    check(&[u32::MAX]);
    check(&[u64::MAX, 1]);
    check(&[true, false, true]);
    check::<f32>(&[]);
}

#[test]
fn scalars_have_no_axes() {
    let loss = HostTensor::scalar(2.5f32).unwrap();
    assert_eq!(loss.shape(), [0usize; 0]);
    assert_eq!(loss.item::<f32>().unwrap(), 2.5);
    let pair = HostTensor::zeros(DType::I64, [2]).unwrap();
    let message = pair.item::<i64>().unwrap_err().to_string();
    assert_eq!(
        message,
        "a tensor of shape [2] has 2 elements where one is expected"
    );
}

#[test]
fn wrong_uses_are_errors() {
    let tensor = HostTensor::from_slice([2, 2], &[1i32, 2, 3, 4]).unwrap();
    let message = |error: TensorError| error.to_string();
    assert_eq!(
        message(tensor.as_slice::<f32>().unwrap_err()),
        "the tensor holds i32, not f32"
    );
    assert_eq!(
        message(tensor.clone().reshape([3]).unwrap_err()),
        "shape [3] has 3 elements, but 4 were given"
    );
    assert_eq!(
        message(HostTensor::from_bytes(DType::F32, [2], &[0; 7]).unwrap_err()),
        "shape [2] has 8 bytes, but 7 were given"
    );
    assert_eq!(
        message(HostTensor::from_bytes(DType::Bool, [3], &[0, 1, 2]).unwrap_err()),
        "element 2 of a bool tensor is the byte 2: only 0 and 1 are allowed"
    );
    assert_eq!(
        message(tensor.to_dtype(DType::F32).unwrap_err()),
        "cannot convert a tensor of i32 to f32: only f32, f16 and bf16 convert into each other; \
         `HostTensor::to_exact` keeps the numbers that both types have"
    );
    assert_eq!(tensor.reshape([4, 1]).unwrap().shape(), [4, 1]);
}

#[test]
fn a_bool_written_as_a_byte_is_checked() {
    let mut tensor = HostTensor::zeros(DType::Bool, [3]).unwrap();
    tensor.bytes_mut().unwrap()[1] = 9;
    let error = TensorError::NotBool { index: 1, value: 9 };
    assert_eq!(tensor.as_slice::<bool>().unwrap_err(), error);
    assert_eq!(tensor.as_mut_slice::<bool>().unwrap_err(), error);
}

#[test]
fn impossible_shapes_are_errors() {
    for shape in [
        vec![usize::MAX, 2],
        vec![1 << 62],
        vec![1 << 32, 1 << 32, 1],
    ] {
        let error = HostTensor::zeros(DType::F32, shape.clone()).unwrap_err();
        assert_eq!(error, TensorError::TooLarge { shape });
    }
    let empty = HostTensor::zeros(DType::F32, [usize::MAX, 2, 0]).unwrap();
    assert_eq!(empty.element_count(), 0);
}

#[test]
fn the_first_bad_number_is_found() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let tensor = HostTensor::from_slice([4], &[0.0, f32::MAX, bad, bad]).unwrap();
        assert_eq!(tensor.first_non_finite(), Some(2));
        // f32::MAX overflows to infinity in f16 and, rounded up, in bf16.
        for dtype in [DType::F16, DType::BF16] {
            let rounded = tensor.to_dtype(dtype).unwrap();
            assert_eq!(rounded.first_non_finite(), Some(1));
        }
    }
    let integers = HostTensor::from_slice([1], &[i32::from_ne_bytes([255; 4])]).unwrap();
    assert_eq!(integers.first_non_finite(), None);
}

#[test]
fn numbers_keep_their_value_in_another_type_or_are_refused() {
    let all = [
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U32,
        DType::U64,
        DType::Bool,
    ];
    let bits = HostTensor::from_slice([3], &[true, false, true]).unwrap();
    for from in all {
        for to in all {
            let there = bits.to_exact(from).unwrap().to_exact(to).unwrap();
            assert_eq!(there.dtype(), to);
            assert_eq!(there.to_f64().unwrap(), [1.0, 0.0, 1.0]);
            assert_eq!(there.to_exact(DType::Bool).unwrap(), bits);
        }
    }
    fn refused<T: Element>(value: T, to: DType) -> String {
        let tensor = HostTensor::from_slice([1], &[value]).unwrap();
        tensor.to_exact(to).unwrap_err().to_string()
    }
    let cases = [
        (refused(0.5f32, DType::I32), "0.5, which is no i32"),
        (refused(f32::NAN, DType::I64), "NaN, which is no i64"),
        (refused(f32::INFINITY, DType::U64), "inf, which is no u64"),
        (refused(-1i32, DType::U8), "-1, which is no u8"),
        (refused(256u32, DType::U8), "256, which is no u8"),
        (refused(2u8, DType::Bool), "2, which is no bool"),
        (
            refused(u64::MAX, DType::I64),
            "18446744073709551615, which is no i64",
        ),
        (
            refused((1i32 << 24) + 1, DType::F32),
            "16777217, which is no f32",
        ),
        (
            refused(i64::MAX, DType::F32),
            "9223372036854775807, which is no f32",
        ),
        (refused(65536.0f32, DType::F16), "65536.0, which is no f16"),
        (refused(257i32, DType::BF16), "257, which is no bf16"),
    ];
    for (message, wanted) in cases {
        assert_eq!(message, format!("element 0 is {wanted}"));
    }
    let nan = HostTensor::scalar(f32::NAN).unwrap();
    let nan = nan.to_exact(DType::F16).unwrap();
    assert!(nan.item::<f16>().unwrap().is_nan());
}

#[test]
fn f64_is_rounded_to_f32_and_what_overflows_is_refused() {
    let given = [
        0.1f64,
        f64::NAN,
        f64::NEG_INFINITY,
        -0.0,
        f64::from(f32::MAX),
    ];
    let tensor = HostTensor::from_f64([5], &given).unwrap();
    let wanted = given.map(|x| (x as f32).to_bits());
    let bits: Vec<u32> = tensor
        .as_slice::<f32>()
        .unwrap()
        .iter()
        .map(|x| x.to_bits())
        .collect();
    assert_eq!(bits, wanted);
    let error = HostTensor::from_f64([2], &[1.0, 1e300]).unwrap_err();
    assert_eq!(error.to_string(), "element 1 is 1e300, which is no f32");
    assert!(matches!(
        HostTensor::from_f64([2], &[1.0]),
        Err(TensorError::Length { .. })
    ));
}

proptest! {
    #[test]
    fn halves_survive_the_way_through_f32(bits in any::<[u16; 8]>()) {
        let halves = bits.map(f16::from_bits);
        let tensor = HostTensor::from_slice([8], &halves).unwrap();
        let back = tensor.to_dtype(DType::F32).unwrap().to_dtype(DType::F16).unwrap();
        for (&a, &b) in halves.iter().zip(back.as_slice::<f16>().unwrap()) {
            prop_assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()));
        }
        let brains = bits.map(bf16::from_bits);
        let tensor = HostTensor::from_slice([8], &brains).unwrap();
        let back = tensor.to_dtype(DType::F32).unwrap().to_dtype(DType::BF16).unwrap();
        for (&a, &b) in brains.iter().zip(back.as_slice::<bf16>().unwrap()) {
            prop_assert!(a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()));
        }
    }

    #[test]
    fn rounding_is_to_nearest(x in -1e4f32..1e4) {
        let tensor = HostTensor::scalar(x).unwrap();
        let relative = |dtype, tolerance: f32| {
            let back = tensor.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap();
            (back.item::<f32>().unwrap() - x).abs() <= tolerance * x.abs() + 3e-8
        };
        prop_assert!(relative(DType::F16, 0.5f32.powi(11)));
        prop_assert!(relative(DType::BF16, 0.5f32.powi(8)));
    }
}
