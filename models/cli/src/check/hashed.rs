//! Weights and pictures made by a formula, so that a large model needs no file.
//!
//! Element `i` of a tensor called `name` is drawn from the hash of `i * 0x9E3779B9 + fnv1a(name)`,
//! all in 32 bits, as a number in 0..1; tensors differ in the centre and width of what that is
//! mapped to.

use bsq_ir::tensor::ParameterSpec;

/// The elements of a parameter.
pub(super) fn parameter(spec: &ParameterSpec) -> Vec<f32> {
    let (name, shape) = (spec.name.as_str(), &spec.ty.shape);
    let fan_in: usize = shape.iter().skip(1).product();
    let spread = (3.0 / fan_in as f64).sqrt();
    let (centre, half) = match name {
        _ if name.contains("ln_") && name.ends_with("weight") => (1.0, 0.2),
        _ if name.ends_with("bias") => (0.0, 0.1),
        _ if name.ends_with("positional_embedding") => (0.0, 0.5),
        _ if name.ends_with("conv_out.weight") => (0.0, 0.5 * spread),
        _ => (0.0, spread),
    };
    let offset = fnv1a(name);
    let element = |i| (centre + (2.0 * unit(offset, i) - 1.0) * half) as f32;
    (0..shape.elements()).map(element).collect()
}

/// The elements of a parameter of LPIPS.
pub(super) fn of_lpips(spec: &ParameterSpec) -> Vec<f32> {
    let shape = &spec.ty.shape;
    let fan_in: usize = shape.iter().skip(1).product();
    let (centre, half) = match spec.name.as_str() {
        name if name.starts_with("lin") => (1.0 / fan_in as f64, 1.0 / fan_in as f64),
        name if name.ends_with("bias") => (0.0, 0.1),
        _ => (0.0, (6.0 / fan_in as f64).sqrt()),
    };
    let offset = fnv1a(&format!("lpips.{}", spec.name));
    let element = |i| (centre + (2.0 * unit(offset, i) - 1.0) * half) as f32;
    (0..shape.elements()).map(element).collect()
}

/// The picture `[batch, channels, height, width]`: a triangle wave with noise.
pub(super) fn picture([batch, channels, height, width]: [usize; 4]) -> Vec<f32> {
    let offset = fnv1a("input");
    let mut pixels = Vec::with_capacity(batch * channels * height * width);
    for b in 0..batch {
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let phase = (3 * x + 5 * y + 70 * c + 31 * b) % 256;
                    let wave = (phase as f64 / 128.0 - 1.0).abs() * 2.0 - 1.0;
                    let noise = 2.0 * unit(offset, pixels.len()) - 1.0;
                    pixels.push((0.8 * wave + 0.2 * noise) as f32);
                }
            }
        }
    }
    pixels
}

/// A number in 0..1.
fn unit(offset: u32, i: usize) -> f64 {
    let mut s = (i as u32).wrapping_mul(0x9E37_79B9).wrapping_add(offset);
    s ^= s >> 16;
    s = s.wrapping_mul(0x7FEB_352D);
    s ^= s >> 15;
    s = s.wrapping_mul(0x846C_A68B);
    s ^= s >> 16;
    f64::from(s) / 4_294_967_296.0
}

/// The 32-bit FNV-1a hash.
fn fnv1a(text: &str) -> u32 {
    text.bytes().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
