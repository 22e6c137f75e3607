//! Numbers kept in 8 bits: a byte and a scale that it shares with its row or column.

use super::Tensor;
use super::axes::Axes;
use crate::dtype::DType;
use crate::op::TypeError;

/// The byte of zero.
const ZERO: f64 = 128.0;
/// The largest distance of a byte from that of zero.
const LARGEST: f64 = 127.0;
/// Rows whose largest magnitude is below this become zeros: its reciprocal is still finite.
const SMALLEST: f64 = 1e-30;

impl<'g> Tensor<'g> {
    /// Bytes (`u8`) and scales: of the elements along `axes`, the one of largest magnitude becomes
    /// 127 steps above or below 128, the others the nearest of whole steps. The scales have the
    /// shape without `axes`. [`dequantize`](Tensor::dequantize) is the way back.
    ///
    /// ```
    /// # use bsq_ir::{DType, Graph};
    /// let g = Graph::new();
    /// let weight = g.parameter("weight", DType::F32, [64, 32]);
    /// let (bytes, scales) = weight.quantize(-1);
    /// assert_eq!(bytes.ty().to_string(), "u8[64,32]");
    /// assert_eq!(scales.ty().to_string(), "f32[64]");
    /// ```
    ///
    /// # Panics
    /// If the elements are not `f32`, or an axis is not there or empty.
    #[track_caller]
    pub fn quantize(self, axes: impl Axes) -> (Tensor<'g>, Tensor<'g>) {
        let shape = self.shape();
        let axes = self.axes("quantize", axes);
        let axes: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
        let largest = self.abs().max(&axes[..]).maximum(SMALLEST);
        let steps = (largest.full_like(LARGEST) / largest).expand_axes(&axes[..], &shape);
        let bytes = (self * steps + (ZERO + 0.5)).cast(DType::U8);
        (bytes, largest * (1.0 / LARGEST))
    }

    /// The numbers that bytes stand for: `(cast(bytes) - 128) * scale`, where scales repeat along
    /// `axes`. A contraction whose right side is this, with scales by column, keeps the bytes and
    /// widens them as it goes: a quarter of the memory of `f32`.
    ///
    /// # Panics
    /// If this is not `u8`, or the scales do not have the shape without `axes`.
    #[track_caller]
    pub fn dequantize(self, scales: Tensor<'g>, axes: impl Axes) -> Tensor<'g> {
        let shape = self.shape();
        let axes = self.axes("dequantize", axes);
        self.beside("dequantize", &[scales]);
        let kept = shape.without(&axes);
        if self.dtype() != DType::U8 || *scales.ty().shape != *kept {
            let what = format!("needs u8 and scales f32{kept}");
            TypeError::of_call("dequantize", [&self.ty(), &scales.ty()], what).raise();
        }
        let axes: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
        (self.cast(DType::F32) - ZERO) * scales.expand_axes(&axes[..], &shape)
    }
}
