//! A program for GPUs as files.

use super::Manifest;
use crate::atomic_file::write_atomically;
use crate::checkpoint::{Cause, CheckpointError, safetensors};
use crate::tensor_data::HostTensor;
use bsq_codegen::program::BufferKind;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

impl Manifest<'_> {
    /// Writes the program to a folder, which is made if need be: a `.ptx` file for each kernel,
    /// `weights.safetensors` with those of `parameters` that the program has and its constants,
    /// and `manifest.json`. `docs/export.md` describes them. The manifest comes last: where it is,
    /// everything is.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write(
        &self,
        folder: &Path,
        parameters: &BTreeMap<String, HostTensor>,
    ) -> Result<(), CheckpointError> {
        std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
        let path = folder.join("manifest.json");
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unwritable(&path)(error)),
            _ => Ok(()),
        }?;
        for entry in &self.compiled.entries {
            replace(&folder.join(Self::file_of(entry)), entry.text.as_bytes())?;
        }
        let weights = folder.join("weights.safetensors");
        let constants = self.constants(&weights)?;
        let named = self.compiled.program.buffers.iter();
        let named = named.filter_map(|buffer| match &buffer.kind {
            BufferKind::Parameter(name) => Some((name.clone(), parameters.get(name)?)),
            _ => None,
        });
        let constants = constants.iter().map(|(name, own)| (name.clone(), own));
        safetensors::save(&weights, named.chain(constants), &BTreeMap::new())?;
        replace(&path, format!("{:#}\n", self.to_json()).as_bytes())
    }

    /// Constants under the names that the manifest gives them.
    fn constants(&self, path: &Path) -> Result<BTreeMap<String, HostTensor>, CheckpointError> {
        let mut constants = BTreeMap::new();
        for (index, buffer) in self.compiled.program.buffers.iter().enumerate() {
            if let BufferKind::Constant(bytes) = &buffer.kind {
                let name = Self::constant(index);
                let shape = buffer.ty.shape.to_vec();
                let tensor = HostTensor::from_bytes(buffer.ty.dtype, shape, bytes);
                let tensor = tensor.map_err(|error| CheckpointError {
                    path: path.into(),
                    tensor: Some(name.clone()),
                    cause: error.into(),
                })?;
                constants.insert(name, tensor);
            }
        }
        Ok(constants)
    }
}

fn replace(path: &Path, content: &[u8]) -> Result<(), CheckpointError> {
    write_atomically(path, |file| file.write_all(content)).map_err(unwritable(path))
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> CheckpointError + '_ {
    |error| CheckpointError {
        path: path.into(),
        tensor: None,
        cause: Cause::Write(error),
    }
}
