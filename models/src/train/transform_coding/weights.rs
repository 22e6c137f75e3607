//! A transform coder as the weights of a vision transformer: which feature holds what.

use super::{TransformCoder, unfit};
use crate::config::VitConfig;
use crate::train::TrainError;
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;

/// The constant feature of the encoder: far above all others together.
const ENCODER_CONSTANT: f64 = 64.0;
/// That of the decoder, whose other features are of constant length anyway.
const DECODER_CONSTANT: f64 = 8.0;
/// What layer norms multiply constant features by: enough for biases to grow from.
const CONSTANT_GAIN: f64 = 0.1;
/// The size of principal coordinates that get no bits.
const SPARE_SIZE: f64 = 0.5;

/// Features of the encoder: each coordinate and its negative, the constant and its negative, the
/// zigzags, one zero to measure them against, and further coordinates in what remains. Of pairs,
/// only differences are read, which the mean that layer norms subtract does not move.
pub(super) struct EncoderLayout<'a> {
    vit: &'a VitConfig,
    coordinates: usize,
    bits: usize,
}

/// Features of the decoder: each bit and its negative, the constant and its negative, the
/// coordinates.
pub(super) struct DecoderLayout<'a> {
    vit: &'a VitConfig,
    coordinates: usize,
    bits: usize,
}

/// A parameter of rank 2 (or 1) that is being written.
struct Weight {
    columns: usize,
    values: Vec<f32>,
}

impl Weight {
    fn of(parameters: &Tensors, name: &str) -> Result<Weight, TrainError> {
        let tensor = &parameters[name];
        let columns = tensor.shape().get(1).copied().unwrap_or(1);
        let values = tensor.as_slice::<f32>()?.to_vec();
        Ok(Weight { columns, values })
    }

    fn set(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.columns + column] = value as f32;
    }

    fn clear_row(&mut self, row: usize) {
        self.values[row * self.columns..(row + 1) * self.columns].fill(0.0);
    }

    fn clear_column(&mut self, column: usize) {
        let column = self.values.iter_mut().skip(column);
        column.step_by(self.columns).for_each(|x| *x = 0.0);
    }

    fn store(self, parameters: &mut Tensors, name: &str) -> Result<(), TrainError> {
        let shape = parameters[name].shape().to_vec();
        let tensor = HostTensor::from_slice(shape, &self.values)?;
        parameters.insert(name.to_string(), tensor);
        Ok(())
    }
}

/// Rewrites one parameter.
fn rewrite(
    parameters: &mut Tensors,
    name: &str,
    write: impl FnOnce(&mut Weight),
) -> Result<(), TrainError> {
    let mut weight = Weight::of(parameters, name)?;
    write(&mut weight);
    weight.store(parameters, name)
}

/// What both transformers share: branches that start without output, layer norms that give
/// features back as they are, and position embeddings that hold the constant.
fn write_transformer(
    parameters: &mut Tensors,
    side: &str,
    vit: &VitConfig,
    constant: (usize, f64),
    (used, square): (usize, f64),
) -> Result<(), TrainError> {
    let (at, value) = constant;
    let gain = ((square + 2.0 * value * value) / vit.width as f64).sqrt();
    let layer_norm = |weight: &mut Weight| {
        weight.values.fill(gain as f32);
        weight.set(at, 0, CONSTANT_GAIN);
        weight.set(at + 1, 0, CONSTANT_GAIN);
    };
    for layer in 0..vit.layers {
        let block = format!("{side}.transformer.resblocks.{layer}");
        for norm in ["ln_1", "ln_2"] {
            rewrite(parameters, &format!("{block}.{norm}.weight"), layer_norm)?;
        }
        for branch in ["attn.out_proj", "mlp.c_proj"] {
            let name = format!("{block}.{branch}.weight");
            rewrite(parameters, &name, |weight| weight.values.fill(0.0))?;
        }
    }
    if side == "encoder" {
        rewrite(parameters, "encoder.ln_post.weight", layer_norm)?;
    }
    let name = format!("{side}.positional_embedding");
    rewrite(parameters, &name, |weight| {
        for token in 0..vit.tokens() {
            (0..used).for_each(|feature| weight.set(token, feature, 0.0));
            weight.set(token, at, value);
            weight.set(token, at + 1, -value);
        }
    })
}

/// That a transformer has the features and hidden units that a coder needs.
fn check(vit: &VitConfig, side: &str, features: usize, units: usize) -> Result<(), TrainError> {
    let short = |what: &str, has: usize, needs: usize| {
        unfit(format!(
            "\"transform-coder\" needs {needs} {what} in the {side}, which has {has}"
        ))
    };
    if vit.width < features {
        return Err(short("features (width)", vit.width, features));
    }
    if vit.mlp_width() < units {
        return Err(short(
            "hidden units (width * mlp_ratio)",
            vit.mlp_width(),
            units,
        ));
    }
    Ok(())
}

impl<'a> EncoderLayout<'a> {
    pub(super) fn new(vit: &'a VitConfig, coder: &TransformCoder) -> Result<Self, TrainError> {
        let layout = EncoderLayout {
            vit,
            coordinates: coder.coordinates.len(),
            bits: coder.coordinates.iter().map(|c| c.bits.len()).sum(),
        };
        let zigzags = coder.coordinates.iter().flat_map(|c| &c.bits);
        let corners: usize = zigzags.map(|(zigzag, _)| zigzag.corners.len()).sum();
        check(
            vit,
            "encoder",
            layout.used(),
            corners + 2 * layout.coordinates,
        )?;
        Ok(layout)
    }

    fn constant(&self) -> usize {
        2 * self.coordinates
    }

    /// The first zigzag; behind the last is the zero.
    fn zigzags(&self) -> usize {
        self.constant() + 2
    }

    fn zero(&self) -> usize {
        self.zigzags() + self.bits
    }

    fn used(&self) -> usize {
        self.zero() + 1
    }

    pub(super) fn write(
        &self,
        coder: &TransformCoder,
        parameters: &mut Tensors,
    ) -> Result<(), TrainError> {
        let (used, width) = (self.used(), self.vit.width);
        let square =
            (2 * self.coordinates) as f64 + (width - used) as f64 * SPARE_SIZE * SPARE_SIZE;
        let constant = (self.constant(), ENCODER_CONSTANT);
        write_transformer(parameters, "encoder", self.vit, constant, (used, square))?;
        self.write_embedding(coder, parameters)?;

        let mlp = "encoder.transformer.resblocks.0.mlp";
        let mut fc = Weight::of(parameters, &format!("{mlp}.c_fc.weight"))?;
        let mut fc_bias = Weight::of(parameters, &format!("{mlp}.c_fc.bias"))?;
        let mut proj = Weight::of(parameters, &format!("{mlp}.c_proj.weight"))?;
        let mut proj_bias = Weight::of(parameters, &format!("{mlp}.c_proj.bias"))?;
        let (mut unit, mut feature) = (0, self.zigzags());
        for (index, coordinate) in coder.coordinates.iter().enumerate() {
            let mut add_unit = |sharpness: f64, at: f64| {
                fc.clear_row(unit);
                fc.set(unit, 2 * index, 0.5 * sharpness);
                fc.set(unit, 2 * index + 1, -0.5 * sharpness);
                fc_bias.set(unit, 0, -sharpness * at);
                unit += 1;
                unit - 1
            };
            // gelu(x) - gelu(-x) is x.
            let (plus, minus) = (add_unit(1.0, 0.0), add_unit(-1.0, 0.0));
            for (zigzag, gain) in &coordinate.bits {
                proj.set(feature, plus, *gain);
                proj.set(feature, minus, -gain);
                proj_bias.set(feature, 0, gain * zigzag.offset);
                for corner in &zigzag.corners {
                    let unit = add_unit(corner.sharpness, corner.at);
                    proj.set(feature, unit, gain * corner.slope_change / corner.sharpness);
                }
                feature += 1;
            }
        }
        fc.store(parameters, &format!("{mlp}.c_fc.weight"))?;
        fc_bias.store(parameters, &format!("{mlp}.c_fc.bias"))?;
        proj.store(parameters, &format!("{mlp}.c_proj.weight"))?;
        proj_bias.store(parameters, &format!("{mlp}.c_proj.bias"))?;

        rewrite(parameters, "quant_embed.bias", |bias| bias.values.fill(0.0))?;
        rewrite(parameters, "quant_embed.weight", |weight| {
            weight.values.fill(0.0);
            for bit in 0..self.bits {
                weight.set(bit, self.zigzags() + bit, 1.0);
                weight.set(bit, self.zero(), -1.0);
            }
        })
    }

    fn write_embedding(
        &self,
        coder: &TransformCoder,
        parameters: &mut Tensors,
    ) -> Result<(), TrainError> {
        let mut weight = Weight::of(parameters, "encoder.conv1.weight")?;
        let mut bias = Weight::of(parameters, "encoder.conv1.bias")?;
        weight.values.fill(0.0);
        bias.values.fill(0.0);
        let components = &coder.components;
        let mut add_feature = |feature: usize, component: usize, size: f64| {
            let scale = size / components.variances[component].sqrt();
            let direction = &components.directions[component];
            let mut at_mean = 0.0;
            for (pixel, (d, mean)) in direction.iter().zip(&components.mean).enumerate() {
                weight.set(feature, pixel, scale * d);
                at_mean += d * mean;
            }
            bias.set(feature, 0, -scale * at_mean);
        };
        for (index, coordinate) in coder.coordinates.iter().enumerate() {
            add_feature(2 * index, coordinate.component, 1.0);
            add_feature(2 * index + 1, coordinate.component, -1.0);
        }
        let taken = |component: &usize| coder.coordinates.iter().any(|c| c.component == *component);
        let spare = (0..components.variances.len()).filter(|component| !taken(component));
        for (feature, component) in (self.used()..self.vit.width).zip(spare) {
            add_feature(feature, component, SPARE_SIZE);
        }
        weight.store(parameters, "encoder.conv1.weight")?;
        bias.store(parameters, "encoder.conv1.bias")
    }
}

impl<'a> DecoderLayout<'a> {
    pub(super) fn new(vit: &'a VitConfig, coder: &TransformCoder) -> Result<Self, TrainError> {
        let layout = DecoderLayout {
            vit,
            coordinates: coder.coordinates.len(),
            bits: coder.coordinates.iter().map(|c| c.bits.len()).sum(),
        };
        let units = coder
            .coordinates
            .iter()
            .map(|c| c.decoder.units.len())
            .sum();
        check(vit, "decoder", layout.used(), units)?;
        Ok(layout)
    }

    fn constant(&self) -> usize {
        2 * self.bits
    }

    fn first_coordinate(&self) -> usize {
        self.constant() + 2
    }

    fn used(&self) -> usize {
        self.first_coordinate() + self.coordinates
    }

    /// Codes are ±1 divided by `scale`.
    pub(super) fn write(
        &self,
        coder: &TransformCoder,
        scale: f64,
        parameters: &mut Tensors,
    ) -> Result<(), TrainError> {
        let square = (2 * self.bits) as f64;
        let constant = (self.constant(), DECODER_CONSTANT);
        write_transformer(
            parameters,
            "decoder",
            self.vit,
            constant,
            (self.used(), square),
        )?;
        rewrite(parameters, "post_quant_embed.bias", |bias| {
            bias.values.fill(0.0)
        })?;
        rewrite(parameters, "post_quant_embed.weight", |weight| {
            weight.values.fill(0.0);
            for bit in 0..self.bits {
                weight.set(2 * bit, bit, scale);
                weight.set(2 * bit + 1, bit, -scale);
            }
        })?;

        let mlp = "decoder.transformer.resblocks.0.mlp";
        let mut fc = Weight::of(parameters, &format!("{mlp}.c_fc.weight"))?;
        let mut fc_bias = Weight::of(parameters, &format!("{mlp}.c_fc.bias"))?;
        let mut proj = Weight::of(parameters, &format!("{mlp}.c_proj.weight"))?;
        let mut pixels = Weight::of(parameters, "decoder.conv_out.weight")?;
        let mut bias = Weight::of(parameters, "decoder.conv_out.bias")?;
        (0..self.used()).for_each(|feature| pixels.clear_column(feature));
        let mut constants = coder.components.mean.clone();
        let (mut unit, mut bit) = (0, 0);
        for (index, coordinate) in coder.coordinates.iter().enumerate() {
            let feature = self.first_coordinate() + index;
            for hidden in &coordinate.decoder.units {
                fc.clear_row(unit);
                for (offset, weight) in hidden.weights.iter().enumerate() {
                    fc.set(unit, 2 * (bit + offset), 0.5 * weight);
                    fc.set(unit, 2 * (bit + offset) + 1, -0.5 * weight);
                }
                fc_bias.set(unit, 0, hidden.bias);
                proj.set(feature, unit, hidden.scale);
                unit += 1;
            }
            let direction = &coder.components.directions[coordinate.component];
            for (pixel, d) in direction.iter().enumerate() {
                let d = d * coordinate.deviation;
                pixels.set(pixel, feature, d);
                for (offset, linear) in coordinate.decoder.linear.iter().enumerate() {
                    pixels.set(pixel, 2 * (bit + offset), 0.5 * linear * d);
                    pixels.set(pixel, 2 * (bit + offset) + 1, -0.5 * linear * d);
                }
                constants[pixel] += coordinate.decoder.constant * d;
            }
            bit += coordinate.bits.len();
        }
        for (pixel, &constant) in constants.iter().enumerate() {
            bias.set(pixel, 0, constant);
        }
        fc.store(parameters, &format!("{mlp}.c_fc.weight"))?;
        fc_bias.store(parameters, &format!("{mlp}.c_fc.bias"))?;
        proj.store(parameters, &format!("{mlp}.c_proj.weight"))?;
        pixels.store(parameters, "decoder.conv_out.weight")?;
        bias.store(parameters, "decoder.conv_out.bias")
    }
}
