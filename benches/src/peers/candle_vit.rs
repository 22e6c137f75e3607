//! The tokenizer in candle's terms, with its fused layers where it has them.

use super::candle_tensor;
use crate::program::Tensors;
use bsq::config::VitConfig;
use bsq::token_grid::GridShape;
use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::attention::{AttnMask, flash_attn};
use candle_nn::{Linear, Module, ops};
use std::collections::BTreeMap;

const EPSILON: f32 = 1e-5;
const SMALLEST_NORM: f64 = 1e-12;

/// Weights by the names that our models have.
pub struct CandleWeights {
    weights: BTreeMap<String, Tensor>,
    /// Attention by `flash_attn` instead of by a matrix of scores.
    flash: bool,
    /// Layers that have no derivative are spelled out.
    differentiable: bool,
}

impl CandleWeights {
    pub fn new(weights: &Tensors, flash: bool) -> CandleWeights {
        let named = weights
            .iter()
            .map(|(name, tensor)| (name.clone(), candle_tensor(tensor)));
        CandleWeights {
            weights: named.collect(),
            flash,
            differentiable: false,
        }
    }

    /// Tensors that may be variables to differentiate by.
    pub fn differentiable(weights: BTreeMap<String, Tensor>) -> CandleWeights {
        CandleWeights {
            weights,
            flash: false,
            differentiable: true,
        }
    }

    /// Pictures `[batch, 3, height, width]` to indices `[batch, tokens]`.
    pub fn encode(&self, vit: &VitConfig, image: &Tensor) -> Result<Tensor> {
        candle_indices(&self.projected(vit, image)?, SMALLEST_NORM)
    }

    /// Pictures `[batch, 3, height, width]` to what is quantized, `[batch, tokens, bits]`, not
    /// normalised.
    pub fn projected(&self, vit: &VitConfig, image: &Tensor) -> Result<Tensor> {
        let GridShape { rows, columns, .. } = vit.grid();
        let (batch, p) = (image.dim(0)?, vit.patch_size);
        let patches = image
            .reshape(&[batch, 3, rows, p, columns, p][..])?
            .permute(vec![0, 2, 4, 1, 3, 5])?
            .reshape((batch, rows * columns, 3 * p * p))?;
        let tokens = self.linear("encoder.conv1", &patches)?;
        let features = self.transformer("encoder.", vit, tokens)?;
        let features = self.norm("encoder.ln_post", &features)?;
        self.linear("quant_embed", &features)
    }

    /// Indices `[batch, tokens]` of `bits` bits to pictures `[batch, 3, height, width]`.
    pub fn decode(&self, vit: &VitConfig, bits: usize, indices: &[u64]) -> Result<Tensor> {
        let unit = 1.0 / (bits as f32).sqrt();
        let signs = indices.iter().flat_map(|index| {
            let bit = move |place| index >> (bits - 1 - place) & 1;
            (0..bits).map(move |place| if bit(place) == 1 { unit } else { -unit })
        });
        let tokens = vit.tokens();
        let shape = (indices.len() / tokens, tokens, bits);
        self.decode_codes(
            vit,
            &Tensor::from_iter(signs, &Device::Cpu)?.reshape(shape)?,
        )
    }

    /// Codes `[batch, tokens, bits]` to pictures `[batch, 3, height, width]`, limited to -1..1.
    pub fn decode_codes(&self, vit: &VitConfig, codes: &Tensor) -> Result<Tensor> {
        let embedded = self.linear("post_quant_embed", codes)?;
        let mut x = self.transformer("decoder.", vit, embedded)?;
        if vit.ln_post {
            x = self.norm("decoder.ln_post", &x)?;
        }
        if vit.use_ffn_output {
            x = self.linear("decoder.ffn.0", &x)?.tanh()?;
        }
        let patches = self.linear("decoder.conv_out", &x)?;
        let GridShape { rows, columns, .. } = vit.grid();
        let (batch, p) = (patches.dim(0)?, vit.patch_size);
        patches
            .reshape(&[batch, rows, columns, 3, p, p][..])?
            .permute(vec![0, 3, 1, 4, 2, 5])?
            .reshape((batch, 3, rows * p, columns * p))?
            .clamp(-1f32, 1f32)
    }

    fn transformer(&self, scope: &str, vit: &VitConfig, tokens: Tensor) -> Result<Tensor> {
        let position = &self.weights[&format!("{scope}positional_embedding")];
        let mut x = tokens.broadcast_add(position)?;
        if vit.ln_pre {
            x = self.norm(&format!("{scope}ln_pre"), &x)?;
        }
        for layer in 0..vit.layers {
            let block = format!("{scope}transformer.resblocks.{layer}.");
            x = self.block(&block, vit.heads, &x)?;
        }
        Ok(x)
    }

    /// A pre-norm block whose parameters' names start with `scope`.
    pub fn block(&self, scope: &str, heads: usize, x: &Tensor) -> Result<Tensor> {
        let normalised = self.norm(&format!("{scope}ln_1"), x)?;
        let x = (x + self.attention(&format!("{scope}attn."), heads, &normalised)?)?;
        let normalised = self.norm(&format!("{scope}ln_2"), &x)?;
        let hidden = self.linear(&format!("{scope}mlp.c_fc"), &normalised)?;
        x + self.linear(&format!("{scope}mlp.c_proj"), &hidden.gelu_erf()?)?
    }

    fn attention(&self, scope: &str, heads: usize, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, width) = x.dims3()?;
        let d = width / heads;
        let weight = self.weights[&format!("{scope}in_proj_weight")].clone();
        let bias = self.weights[&format!("{scope}in_proj_bias")].clone();
        let projected = Linear::new(weight, Some(bias)).forward(x)?;
        let part = |index| {
            let part = projected.narrow(D::Minus1, index * width, width)?;
            part.reshape((batch, tokens, heads, d))
        };
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scale = 1.0 / (d as f64).sqrt();
        let by_head = |x: Tensor| x.transpose(1, 2)?.contiguous();
        let attended = if self.flash {
            let mask = AttnMask::None;
            let y = flash_attn::<f32>(&q, &k, &v, scale as f32, mask, None, None)?;
            // Its result is by head.
            y.transpose(1, 2)?
        } else {
            let (q, k, v) = (by_head(q)?, by_head(k)?, by_head(v)?);
            let scores = (q.matmul(&k.t()?)? * scale)?;
            let weights = match self.differentiable {
                true => ops::softmax(&scores, D::Minus1)?,
                false => ops::softmax_last_dim(&scores)?,
            };
            weights.matmul(&v)?.transpose(1, 2)?
        };
        let joined = attended.reshape((batch, tokens, width))?;
        self.linear(&format!("{scope}out_proj"), &joined)
    }

    fn linear(&self, scope: &str, x: &Tensor) -> Result<Tensor> {
        let weight = self.weights[&format!("{scope}.weight")].clone();
        let bias = self.weights.get(&format!("{scope}.bias")).cloned();
        Linear::new(weight, bias).forward(x)
    }

    fn norm(&self, scope: &str, x: &Tensor) -> Result<Tensor> {
        let [weight, bias] =
            ["weight", "bias"].map(|name| &self.weights[&format!("{scope}.{name}")]);
        match self.differentiable {
            true => ops::layer_norm_slow(x, weight, bias, EPSILON),
            false => ops::layer_norm(x, weight, bias, EPSILON),
        }
    }
}

/// Features `[.., bits]` to indices `[..]`: normalised, then their signs, the first most
/// significant.
pub fn candle_indices(h: &Tensor, smallest_norm: f64) -> Result<Tensor> {
    let bits = h.dim(D::Minus1)?;
    let norm = h.sqr()?.sum_keepdim(D::Minus1)?.sqrt()?;
    let u = h.broadcast_div(&norm.maximum(smallest_norm)?)?;
    let values = (0..bits).map(|place| 1i64 << (bits - 1 - place));
    let values = Tensor::from_iter(values, &Device::Cpu)?;
    let set = u.gt(0f64)?.to_dtype(DType::I64)?;
    set.broadcast_mul(&values)?.sum(D::Minus1)
}
