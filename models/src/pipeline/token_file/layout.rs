//! How a model's tokens lie in tensors.

use super::super::ModelFile;
use super::super::picture::{from_windows, to_windows};
use crate::config::QuantizerConfig;
use crate::image_io::{ImageSize, Windows};
use crate::token_grid::{GridShape, TokenGrid};
use crate::tokenizer::bits::{join_token, split_token, token_bits, token_of};
use bsq_runtime::checkpoint::Checkpoint;
use bsq_runtime::tensor_data::{Element, HostTensor, TensorError};

/// How a model lays out its tokens.
pub(super) struct Layout {
    /// A window in pixels, and in tokens.
    pub window: ImageSize,
    grid: GridShape,
    /// Words of a token.
    words: usize,
    /// Bits and group size of binary spherical quantization; `None` for a table of codes.
    binary: Option<(usize, usize)>,
}

/// What tensors are called, and how many frames a clip has.
pub(super) struct Named<'a> {
    /// `pictures.0`, say.
    pub prefix: &'a str,
    /// `None` of a picture, whose tensors have no such axis.
    pub frames: Option<usize>,
}

impl Layout {
    pub fn of(model: &ModelFile) -> Layout {
        let config = model.tokenizer.config();
        Layout {
            window: config.encoder.image_size,
            grid: config.encoder.grid(),
            words: config.quantizer.words_per_token(),
            binary: match &config.quantizer {
                QuantizerConfig::Bsq(bsq) => Some((bsq.embed_dim, bsq.embed_group_size)),
                QuantizerConfig::Vq(_) | QuantizerConfig::Fsq(_) => None,
            },
        }
    }

    /// Tensors of a picture or a clip.
    pub fn kinds(&self) -> &'static [&'static str] {
        match self.binary {
            Some(_) => &["bits", "group_indices"],
            None => &["indices"],
        }
    }

    /// The tensors of a grid.
    pub fn tensors(
        &self,
        grid: &TokenGrid,
        named: &Named,
    ) -> Result<Vec<(String, HostTensor)>, TensorError> {
        let indices = to_windows(grid, self.grid);
        let windows = grid.shape.tokens() / self.grid.tokens() / grid.shape.frames;
        let shape = |last: &[usize]| self.shape(named, windows, last);
        let name = |kind: &str| format!("{}.{kind}", named.prefix);
        let Some((width, size)) = self.binary else {
            let tensor = HostTensor::from_slice(shape(self.index_axis()), &indices)?;
            return Ok(vec![(name("indices"), tensor)]);
        };
        let tokens = || indices.chunks_exact(grid.words);
        let bits: Vec<bool> = tokens()
            .flat_map(|token| token_bits(token, width))
            .collect();
        let groups = tokens().flat_map(|token| split_token(token, width, size));
        let groups: Vec<u64> = groups.collect();
        let bits = HostTensor::from_slice(shape(&[width]), &bits)?;
        let groups = HostTensor::from_slice(shape(&[width / size]), &groups)?;
        Ok(vec![(name("bits"), bits), (name("group_indices"), groups)])
    }

    /// The last axis of indices: words, if there are several.
    fn index_axis(&self) -> &[usize] {
        match self.words {
            1 => &[],
            _ => std::slice::from_ref(&self.words),
        }
    }

    /// `[frames, windows, tokens, ..]`, or without frames.
    fn shape(&self, named: &Named, windows: usize, last: &[usize]) -> Vec<usize> {
        let mut shape: Vec<usize> = named.frames.into_iter().collect();
        shape.extend([windows, self.grid.tokens()]);
        shape.extend(last);
        shape
    }

    /// The grid of frames of some size, checked; an error says what is wrong.
    pub fn grid(
        &self,
        checkpoint: &Checkpoint,
        named: &Named,
        size: ImageSize,
    ) -> Result<TokenGrid, String> {
        let frames = named.frames.unwrap_or(1);
        let over = Windows::over(size, self.window);
        let (across, down) = (over.across(), over.down());
        let windows = across
            .checked_mul(down)
            .filter(|&windows| windows > 0 && frames > 0)
            .ok_or_else(|| format!("a size of {}x{} pixels", size.width, size.height))?;
        let shape = |last: &[usize]| self.shape(named, windows, last);
        let indices = match self.binary {
            None => read::<u64>(checkpoint, named, "indices", &shape(self.index_axis()))?,
            Some((bits, size)) => {
                let groups = shape(&[bits / size]);
                let groups = read::<u64>(checkpoint, named, "group_indices", &groups)?;
                if let Some(group) = groups.iter().find(|&&group| group >> size != 0) {
                    return Err(format!("group index {group} has more than {size} bits"));
                }
                let groups = groups.chunks_exact(bits / size);
                let indices: Vec<u64> = groups.flat_map(|token| join_token(token, size)).collect();
                let all = read::<bool>(checkpoint, named, "bits", &shape(&[bits]))?;
                let from_bits = all.chunks_exact(bits).flat_map(token_of);
                if !from_bits.eq(indices.iter().copied()) {
                    return Err("its bits are not those of its group indices".to_string());
                }
                indices
            }
        };
        let shape = GridShape {
            frames,
            rows: down * self.grid.rows,
            columns: across * self.grid.columns,
        };
        Ok(from_windows((shape, self.words), self.grid, &indices))
    }
}

/// The elements of a tensor of a known type and shape.
fn read<T: Element>(
    checkpoint: &Checkpoint,
    named: &Named,
    kind: &str,
    shape: &[usize],
) -> Result<Vec<T>, String> {
    let name = format!("{}.{kind}", named.prefix);
    let tensor = checkpoint
        .tensors
        .get(&name)
        .ok_or_else(|| format!("`{name}` is missing"))?;
    if tensor.shape() != shape {
        let what = if named.frames.is_some() {
            "clip"
        } else {
            "picture"
        };
        return Err(format!(
            "`{name}` has shape {:?}, but a {what} of this size and model has {shape:?}",
            tensor.shape()
        ));
    }
    let elements = tensor
        .as_slice::<T>()
        .map_err(|error| format!("`{name}`: {error}"))?;
    Ok(elements.to_vec())
}
