//! Tensors in other element types: rounded, or number for number.

use super::element::sealed::Plain as _;
use super::element::{Element, Number};
use super::{HostTensor, TensorError};
use bsq_ir::DType;
use half::{bf16, f16};

/// `$body` with `$element` as the Rust type of an element type.
macro_rules! with_element {
    ($dtype:expr, $element:ident => $body:expr) => {
        with_element!(@ $dtype, $element => $body,
            F32 f32, F16 f16, BF16 bf16, I32 i32, I64 i64, U8 u8, U32 u32, U64 u64, Bool bool)
    };
    (@ $dtype:expr, $element:ident => $body:expr, $($variant:ident $type:ty),*) => {
        match $dtype {
            $(DType::$variant => {
                type $element = $type;
                $body
            })*
        }
    };
}

impl HostTensor {
    /// The tensor in another floating-point format, each element rounded to nearest, ties to even.
    /// A tensor that has the type already is cloned.
    ///
    /// # Errors
    /// [`TensorError::Conversion`] when either type is not a floating-point format.
    pub fn to_dtype(&self, to: DType) -> Result<Self, TensorError> {
        let from = self.dtype;
        if from == to {
            return Ok(self.clone());
        }
        let mut result = Self::zeros(to, self.shape.clone())?;
        match (from, to) {
            (DType::F32, DType::F16) => self.convert(&mut result, f16::from_f32),
            (DType::F32, DType::BF16) => self.convert(&mut result, bf16::from_f32),
            (DType::F16, DType::F32) => self.convert(&mut result, f16::to_f32),
            (DType::BF16, DType::F32) => self.convert(&mut result, bf16::to_f32),
            // Through f32, which holds every value of both: one rounding.
            (DType::F16, DType::BF16) => {
                self.convert(&mut result, |x: f16| bf16::from_f32(x.to_f32()))
            }
            (DType::BF16, DType::F16) => {
                self.convert(&mut result, |x: bf16| f16::from_f32(x.to_f32()))
            }
            _ => return Err(TensorError::Conversion { from, to }),
        }?;
        Ok(result)
    }

    /// The same numbers in another element type, none of them rounded: labels of `i64` as `i32`,
    /// bytes or `bool` as `f32`. A tensor that has the type already is cloned.
    ///
    /// ```
    /// use bsq_ir::DType;
    /// use bsq_runtime::HostTensor;
    ///
    /// let labels = HostTensor::from_slice([3], &[7i64, 0, 9])?;
    /// assert_eq!(labels.to_exact(DType::I32)?.as_slice::<i32>()?, [7, 0, 9]);
    /// let large = HostTensor::from_slice([2], &[1i64, 1 << 40])?;
    /// let message = large.to_exact(DType::I32).unwrap_err().to_string();
    /// assert_eq!(message, "element 1 is 1099511627776, which is no i32");
    /// # Ok::<(), bsq_runtime::tensor_data::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::NoEqual`] when the type does not have one of the numbers: it is out of range, or a
    /// fraction, or has more digits.
    pub fn to_exact(&self, to: DType) -> Result<Self, TensorError> {
        if self.dtype == to {
            return Ok(self.clone());
        }
        with_element!(self.dtype, From => with_element!(to, To => {
            self.each(|index, x: From| {
                To::of_number(x.number()).ok_or_else(|| no_equal(index, x.number(), to))
            })
        }))
    }

    /// An `f32` tensor of `f64` numbers in row-major order, each rounded to nearest: programs have
    /// no wider floats.
    ///
    /// ```
    /// use bsq_runtime::HostTensor;
    ///
    /// let tensor = HostTensor::from_f64([2], &[0.1, -3.0])?;
    /// assert_eq!(tensor.as_slice::<f32>()?, [0.1, -3.0]);
    /// assert_eq!(tensor.to_f64()?[1], -3.0);
    /// # Ok::<(), bsq_runtime::tensor_data::TensorError>(())
    /// ```
    ///
    /// # Errors
    /// [`TensorError::Length`] when their number is not that of the shape, and
    /// [`TensorError::NoEqual`] when one is beyond what an `f32` can be.
    pub fn from_f64(shape: impl Into<Vec<usize>>, elements: &[f64]) -> Result<Self, TensorError> {
        let rounded = elements.iter().enumerate().map(|(index, &x)| {
            let rounded = x as f32;
            match rounded.is_finite() || !x.is_finite() {
                true => Ok(rounded),
                false => Err(no_equal(index, Number::Float(x), DType::F32)),
            }
        });
        HostTensor::from_slice(shape, &rounded.collect::<Result<Vec<f32>, _>>()?)
    }

    /// The elements of any type as `f64`, in row-major order. All but integers of 64 bits beyond
    /// 2^53, which are rounded, keep their value.
    ///
    /// # Errors
    /// [`TensorError::NotBool`], as [`as_slice`](HostTensor::as_slice).
    pub fn to_f64(&self) -> Result<Vec<f64>, TensorError> {
        with_element!(self.dtype, From => {
            let elements = self.as_slice::<From>()?.iter();
            Ok(elements.map(|x| x.number().to_f64()).collect())
        })
    }

    fn each<A: Element, B: Element>(
        &self,
        convert: impl Fn(usize, A) -> Result<B, TensorError>,
    ) -> Result<HostTensor, TensorError> {
        let elements = self.as_slice::<A>()?.iter().enumerate();
        let converted = elements.map(|(index, &x)| convert(index, x));
        HostTensor::from_slice(
            self.shape.clone(),
            &converted.collect::<Result<Vec<B>, _>>()?,
        )
    }

    fn convert<A: Element, B: Element>(
        &self,
        result: &mut HostTensor,
        convert: impl Fn(A) -> B,
    ) -> Result<(), TensorError> {
        let elements = self.as_slice::<A>()?;
        for (to, &from) in result.as_mut_slice::<B>()?.iter_mut().zip(elements) {
            *to = convert(from);
        }
        Ok(())
    }
}

fn no_equal(index: usize, value: Number, to: DType) -> TensorError {
    let value = value.to_string();
    TensorError::NoEqual { index, value, to }
}
