//! Runs a kernel both ways on the same random buffers.

use super::super::{Options, compile};
use super::generate::Random;
use crate::cpu::microkernel::Family;
use crate::interpret::interpret;
use crate::kernel::{Array, Kernel, verify::verify};
use bsq_ir::DType;
use half::{bf16, f16};
use proptest::test_runner::TestCaseError;

/// Checks that every family's code leaves the bytes that the interpreter leaves.
pub fn check(kernel: &Kernel, seed: u64) -> Result<(), TestCaseError> {
    check_on(kernel, seed, contents)
}

/// As [`check`], with numbers of moderate size only: pairs of `bf16` may lose subnormals.
pub fn check_moderate(kernel: &Kernel, seed: u64) -> Result<(), TestCaseError> {
    check_on(kernel, seed, |array, random| {
        let float = |random: &mut Random| (random.next() as i32 as f32) / 2f32.powi(29);
        let elements = (0..array.elements).flat_map(|_| match array.dtype {
            DType::F32 => float(random).to_le_bytes().to_vec(),
            DType::BF16 => bf16::from_f32(float(random)).to_le_bytes().to_vec(),
            DType::F16 => f16::from_f32(float(random)).to_le_bytes().to_vec(),
            dtype => random.next().to_le_bytes()[..dtype.size()].to_vec(),
        });
        elements.collect()
    })
}

fn check_on(
    kernel: &Kernel,
    seed: u64,
    contents: impl Fn(&Array, &mut Random) -> Vec<u8>,
) -> Result<(), TestCaseError> {
    verify(kernel).map_err(|error| TestCaseError::fail(format!("{error}\n{kernel}")))?;
    let mut random = Random::new(seed ^ 0x5eed);
    let inputs: Vec<Vec<u8>> = kernel
        .buffers
        .iter()
        .map(|array| contents(array, &mut random))
        .collect();
    let mut expected = inputs.clone();
    let mut slices: Vec<&mut [u8]> = expected.iter_mut().map(|b| b.as_mut_slice()).collect();
    interpret(kernel, &mut slices, 0, kernel.items());
    for family in Family::all_supported() {
        let got = run(kernel, &inputs, family);
        for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
            let dtype = kernel.buffers[index].dtype;
            if let Some(at) = difference(dtype, got, expected) {
                let size = dtype.size();
                let [got, expected] = [got, expected].map(|bytes| &bytes[at * size..][..size]);
                return Err(TestCaseError::fail(format!(
                    "{family}: b{index}[{at}] is {got:x?}, not {expected:x?}\n{kernel}"
                )));
            }
        }
    }
    Ok(())
}

/// The buffers after a run, of which each half of the items is a separate call.
pub fn run(kernel: &Kernel, inputs: &[Vec<u8>], family: Family) -> Vec<Vec<u8>> {
    let options = Options { family, threads: 1 };
    let compiled = compile(std::slice::from_ref(kernel), &options).unwrap();
    let mut buffers = inputs.to_vec();
    let pointers: Vec<*mut u8> = buffers.iter_mut().map(|b| b.as_mut_ptr()).collect();
    let mut scratch = vec![0x5au8; kernel.scratch_layout().1];
    let (items, entry) = (kernel.items(), compiled.entry(0));
    for (begin, end) in [(0, items / 2), (items / 2, items)] {
        // SAFETY: the verifier has bounded every access, and each buffer has its array's size.
        unsafe { entry(pointers.as_ptr(), scratch.as_mut_ptr(), begin, end) };
    }
    buffers
}

/// The first element that differs; a NaN equals every NaN.
fn difference(dtype: DType, got: &[u8], expected: &[u8]) -> Option<usize> {
    let is_nan = |bytes: &[u8]| match dtype {
        DType::F32 => f32::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::F16 => f16::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        DType::BF16 => bf16::from_le_bytes(bytes.try_into().unwrap()).is_nan(),
        _ => false,
    };
    let mut elements = got.chunks(dtype.size()).zip(expected.chunks(dtype.size()));
    elements.position(|(x, y)| x != y && !(is_nan(x) && is_nan(y)))
}

/// Random elements: mostly numbers of moderate size, some special ones, some random bits.
fn contents(array: &Array, random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..array.elements {
        let special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            f32::MIN_POSITIVE / 8.0,
            f32::MAX,
            3e9,
            -3e9,
            255.5,
            65504.0,
        ];
        let float = match random.below(16) {
            0 => special[random.below(special.len())],
            1 => f32::from_bits(random.next() as u32),
            2 => near_half(random),
            _ => (random.next() as i32 as f32) / 2f32.powi(29),
        };
        let whole = match random.below(4) {
            0 => random.next(),
            1 => (random.next() % 9).wrapping_sub(4),
            2 => random.next() % 100,
            _ => random.next() >> random.below(64),
        };
        match array.dtype {
            DType::F32 => bytes.extend(float.to_le_bytes()),
            DType::F16 => bytes.extend(f16::from_f32(float).to_le_bytes()),
            DType::BF16 => bytes.extend(bf16::from_f32(float).to_le_bytes()),
            DType::Bool => bytes.push((whole % 2) as u8),
            dtype => bytes.extend(&whole.to_le_bytes()[..dtype.size()]),
        }
    }
    bytes
}

/// A tie between two neighbours of a half format, or a number beside one.
fn near_half(random: &mut Random) -> f32 {
    let bits = random.next() as u16;
    let tie = match random.chance(50) {
        true => bf16::from_bits(bits).to_f32().to_bits() | 0x8000,
        false => {
            let (low, high) = (f16::from_bits(bits), f16::from_bits(bits.wrapping_add(1)));
            ((low.to_f32() + high.to_f32()) / 2.0).to_bits()
        }
    };
    f32::from_bits(tie.wrapping_add(random.below(3) as u32).wrapping_sub(1))
}
