//! Writes what `torch.load` reads: a state dict of contiguous tensors.

use super::super::error::{Cause, CheckpointError, Failure};
use super::super::pickle::opcode;
use super::super::storage::StoredType;
use super::super::zip::write::{Entry, write_archive};
use crate::atomic_file::write_atomically;
use crate::tensor_data::HostTensor;
use std::collections::BTreeMap;
use std::path::Path;

/// The folder that everything in the archive lies in.
const ROOT: &str = "archive";

/// Writes tensors as a PyTorch state dict, a file of `torch.save` that `torch.load` reads with
/// `weights_only=True` too. The file is replaced whole or not at all.
///
/// ```
/// use bsq_runtime::checkpoint::{Weights, load, pytorch};
/// use bsq_runtime::tensor_data::HostTensor;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("model.pt");
/// let weight = HostTensor::from_slice([2, 2], &[1.0f32, 2.0, 3.0, 4.0])?;
/// pytorch::save(&path, [("head.weight", &weight)])?;
/// assert_eq!(load(&path, Weights::Ema)?.tensors["head.weight"], weight);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the file cannot be written, two tensors have one name, PyTorch has no storage of a tensor's
/// type (`u32`, `u64`), or the file would have 4 GiB or more.
pub fn save<'a, N: Into<String>>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, &'a HostTensor)>,
) -> Result<(), CheckpointError> {
    let tensors = tensors.into_iter().map(|(name, t)| (name.into(), t));
    write(path, tensors).map_err(|failure| failure.at(path))
}

fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (String, &'a HostTensor)>,
) -> Result<(), Failure> {
    let mut by_name = BTreeMap::new();
    for (name, tensor) in tensors {
        if by_name.contains_key(&name) {
            return Err(Failure::of(&name, Cause::DuplicateName));
        }
        by_name.insert(name, tensor);
    }
    let pickle = pickled(&by_name)?;
    let mut entries = vec![
        Entry::new(format!("{ROOT}/data.pkl"), &pickle),
        Entry::new(format!("{ROOT}/byteorder"), b"little"),
    ];
    for (number, tensor) in by_name.values().enumerate() {
        entries.push(Entry::new(format!("{ROOT}/data/{number}"), tensor.bytes()));
    }
    entries.push(Entry::new(format!("{ROOT}/version"), b"3\n"));
    write_atomically(path, |file| write_archive(file, &entries))
        .map_err(|error| Cause::Write(error).into())
}

/// The state dict as a pickle of protocol 2; tensor `i` in the order of names has storage `i`.
fn pickled(tensors: &BTreeMap<String, &HostTensor>) -> Result<Vec<u8>, Failure> {
    let mut pickle = Writer(vec![opcode::PROTO, 2, opcode::EMPTY_DICT, opcode::MARK]);
    for (number, (name, tensor)) in tensors.iter().enumerate() {
        pickle.text(name);
        pickle.global("torch._utils", "_rebuild_tensor_v2");
        pickle.0.push(opcode::MARK);
        let class = StoredType::of(tensor.dtype()).to_torch_storage();
        let class = class.map_err(|cause| Failure::of(name, cause))?;
        pickle.storage((number, class), tensor);
        pickle.integer(0);
        pickle.tuple(tensor.shape());
        pickle.tuple(&strides(tensor.shape()));
        pickle.0.push(opcode::NEWFALSE);
        // Hooks for the backward pass: none.
        pickle.global("collections", "OrderedDict");
        pickle.0.extend([
            opcode::EMPTY_TUPLE,
            opcode::REDUCE,
            opcode::TUPLE,
            opcode::REDUCE,
        ]);
    }
    pickle.0.extend([opcode::SETITEMS, opcode::STOP]);
    Ok(pickle.0)
}

/// Those of elements in row-major order.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    strides
}

struct Writer(Vec<u8>);

impl Writer {
    fn text(&mut self, text: &str) {
        self.0.push(opcode::BINUNICODE);
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    fn global(&mut self, module: &str, name: &str) {
        self.0.push(opcode::GLOBAL);
        self.0.extend(format!("{module}\n{name}\n").as_bytes());
    }

    fn integer(&mut self, value: usize) {
        match i32::try_from(value) {
            Ok(value) => {
                self.0.push(opcode::BININT);
                self.0.extend(value.to_le_bytes());
            }
            Err(_) => {
                // The ninth byte keeps the sign positive.
                self.0.extend([opcode::LONG1, 9]);
                self.0.extend((value as u64).to_le_bytes());
                self.0.push(0);
            }
        }
    }

    fn tuple(&mut self, values: &[usize]) {
        self.0.push(opcode::MARK);
        values.iter().for_each(|&value| self.integer(value));
        self.0.push(opcode::TUPLE);
    }

    /// The persistent object that stands for the bytes of a tensor.
    fn storage(&mut self, (number, class): (usize, &str), tensor: &HostTensor) {
        self.0.push(opcode::MARK);
        self.text("storage");
        self.global("torch", class);
        self.text(&number.to_string());
        self.text("cpu");
        self.integer(tensor.element_count());
        self.0.extend([opcode::TUPLE, opcode::BINPERSID]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Weights, load};
    use super::*;

    #[test]
    fn every_type_and_shape_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.pt");
        let ramp = HostTensor::from_slice([2, 3, 4], &[0.5f32; 24]).unwrap();
        let mut tensors = BTreeMap::from([
            (
                "a.scalar".to_string(),
                HostTensor::scalar(-3.25f32).unwrap(),
            ),
            (
                "empty".to_string(),
                HostTensor::from_slice::<f32>([0, 7], &[]).unwrap(),
            ),
            (
                "words".to_string(),
                HostTensor::from_slice([3], &[1i64, -2, 3]).unwrap(),
            ),
            (
                "bytes".to_string(),
                HostTensor::from_slice([2], &[0u8, 255]).unwrap(),
            ),
        ]);
        for dtype in [bsq_ir::DType::F32, bsq_ir::DType::F16, bsq_ir::DType::BF16] {
            tensors.insert(
                format!("ramp.{}", dtype.name()),
                ramp.to_dtype(dtype).unwrap(),
            );
        }
        save(&path, &tensors).unwrap();
        assert_eq!(load(&path, Weights::Ema).unwrap().tensors, tensors);
    }

    #[test]
    fn what_pytorch_lacks_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.pt");
        let key = HostTensor::scalar(7u64).unwrap();
        let error = save(&path, [("seed", &key)]).unwrap_err().to_string();
        assert!(
            error.contains("`seed`") && error.contains("uint64"),
            "{error}"
        );
        assert!(!path.exists());
    }
}
