//! A tokenizer's parameters: names and shapes, how they start, and how a checkpoint is taken in.

use super::transform_path::DELTA_SYNTHESIS;
use super::{Tokenizer, vit};
use crate::config::{PredefinedCodebook, QuantizerConfig};
use crate::leech;
use bsq_ir::tensor::ParameterSpec;
use bsq_ir::{DType, Graph, Scope, Shape, Tensor};
use bsq_nn::init::init;
use bsq_runtime::checkpoint::{Checkpoint, Mismatch, match_parameters};
use bsq_runtime::tensor_data::{HostTensor, TensorError};
use std::collections::BTreeMap;

/// Integer tensors that checkpoints hold beside the parameters: the values of the bits of an
/// index, and of a group's index.
pub const BUFFERS: [&str; 2] = ["quantize.basis", "quantize.group_basis"];

/// The table of a vector quantizer.
const TABLE: &str = "quantize.embedding.weight";

/// Why a checkpoint's tensors cannot be this model's parameters.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Names or shapes differ.
    #[error(transparent)]
    Mismatch(#[from] Box<Mismatch>),
    /// Bits are numbered in another way.
    #[error(
        "`{name}` of the checkpoint is {found:?}, but a model of this configuration has {expected:?}: set embed_dim and embed_group_size as the checkpoint was trained with"
    )]
    Basis {
        /// Which buffer.
        name: &'static str,
        /// What the configuration says.
        expected: Vec<i64>,
        /// What the checkpoint holds.
        found: Vec<i64>,
    },
    /// A tensor cannot be held or converted.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

impl Tokenizer {
    /// Every parameter, sorted by name.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let graph = Graph::new();
        let scope = Scope::root(&graph);
        // A second frame has all that later ones have.
        let shape = match self.frames() {
            1 => Shape::from(self.image_shape(1)),
            _ => Shape::from(self.clip_shape(1, 2)),
        };
        self.forward(&scope, graph.input("image", DType::F32, shape));
        let mut specs = scope.specs();
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        specs
    }

    /// Whether training changes a parameter: all but a frozen table of codes.
    pub fn is_trained(&self, name: &str) -> bool {
        match &self.config.quantizer {
            QuantizerConfig::Vq(vq) => !(vq.freeze_codebook && name == TABLE),
            QuantizerConfig::Bsq(_) | QuantizerConfig::Fsq(_) => true,
        }
    }

    /// The parameters that training changes, of those that `scope` has handed out.
    pub fn trained<'g>(&self, scope: &Scope<'g>) -> Vec<Tensor<'g>> {
        let specs = scope.specs().into_iter().zip(scope.parameters());
        let trained = specs.filter(|(spec, _)| self.is_trained(&spec.name));
        trained.map(|(_, tensor)| tensor).collect()
    }

    /// The parameters as training starts: a pure function of the seed.
    ///
    /// Weights and position embeddings are normal with deviation 0.02; biases of the blocks 0;
    /// layers around the quantizer uniform as PyTorch's; a predefined table of codes is computed.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn init(&self, seed: u64) -> Result<BTreeMap<String, HostTensor>, TensorError> {
        let mut parameters = init(&self.parameters(), seed)?;
        if let QuantizerConfig::Vq(vq) = &self.config.quantizer
            && vq.predefined_codebook == Some(PredefinedCodebook::Leech)
        {
            let shape = [leech::MINIMAL_VECTORS, leech::DIMENSION];
            let table = HostTensor::from_slice(shape, &leech::minimal_vectors())?;
            parameters.insert(TABLE.to_string(), table);
        }
        Ok(parameters)
    }

    /// The parameters of a checkpoint, as `f32`.
    ///
    /// # Errors
    /// If a parameter is missing, unexpected, misshapen or not finite, or the checkpoint's bits
    /// are grouped in another way than the configuration's.
    pub fn load(&self, checkpoint: &Checkpoint) -> Result<BTreeMap<String, HostTensor>, LoadError> {
        let specs = self.parameters();
        let expected = specs.iter().map(|spec| (&spec.name, &spec.ty.shape[..]));
        let buffers = self.buffers();
        let names: Vec<&str> = buffers.iter().map(|(name, _)| *name).collect();
        let tensors = match_parameters(checkpoint, expected, &names)?;
        for (name, expected) in buffers {
            let found = checkpoint.tensors.get(name);
            if let Some(found) = found.map(HostTensor::as_slice::<i64>).transpose()?
                && found != expected
            {
                let found = found.to_vec();
                return Err(LoadError::Basis {
                    name,
                    expected,
                    found,
                });
            }
        }
        let parameter = |(spec, tensor): (ParameterSpec, &HostTensor)| {
            Ok((spec.name, tensor.to_dtype(DType::F32)?))
        };
        specs.into_iter().zip(tensors).map(parameter).collect()
    }

    /// The same; of an image model for a model of clips, too: what it lacks of one (embeddings of time, what
    /// predicted patches have) is as if training started, so that a clip of one frame gives its bits.
    ///
    /// # Errors
    /// As those of [`load`](Tokenizer::load).
    pub fn inflated(
        &self,
        checkpoint: &Checkpoint,
    ) -> Result<BTreeMap<String, HostTensor>, LoadError> {
        let of_clips = |spec: &ParameterSpec| {
            let is_part =
                |part: &str| part.ends_with(vit::TEMPORAL_EMBEDDING) || part.contains("delta_");
            spec.name.split('.').any(is_part)
        };
        let specs: Vec<ParameterSpec> = self.parameters().into_iter().filter(of_clips).collect();
        let mut whole = checkpoint.clone();
        for (name, tensor) in init(&specs, 0)? {
            whole.tensors.entry(name).or_insert(tensor);
        }
        let mut parameters = self.load(&whole)?;
        if let Some(path) = self.transform_path()
            && !checkpoint.tensors.contains_key(DELTA_SYNTHESIS)
        {
            path.start_delta(&mut parameters)?;
        }
        Ok(parameters)
    }

    /// The integer tensors of a checkpoint of this model.
    pub fn buffers(&self) -> Vec<(&'static str, Vec<i64>)> {
        // Powers of two in PyTorch's 64-bit integers, where those of long tokens wrap around to 0.
        let power = |bit: usize| 1_i64.checked_shl(bit as u32).unwrap_or(0);
        let basis = |bits: usize| (0..bits).rev().map(power).collect();
        match &self.config.quantizer {
            QuantizerConfig::Vq(_) | QuantizerConfig::Fsq(_) => Vec::new(),
            QuantizerConfig::Bsq(bsq) => {
                let [all, group] = BUFFERS;
                vec![
                    (all, basis(bsq.embed_dim)),
                    (group, basis(bsq.embed_group_size)),
                ]
            }
        }
    }
}
