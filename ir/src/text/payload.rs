//! How each op's payload is written: one table, for printing and for parsing.

use super::attribute::Attribute;
use crate::dtype::DType;
use crate::op::{Constant, DotAxes, Float, Mask, Op};
use crate::shape::{Shape, Type};

/// Goes over an op's payload and prints it, or fills it in from a text.
pub(super) trait Payload {
    type Error;

    /// A quoted name.
    fn name(&mut self, name: &mut String) -> Result<(), Self::Error>;

    /// `key=value`
    fn attribute<A: Attribute>(&mut self, key: &str, value: &mut A) -> Result<(), Self::Error>;

    /// The elements of a constant: one for all, `[..]`, or `hex "..."`.
    fn elements(&mut self, constant: &mut Constant) -> Result<(), Self::Error>;

    /// Payload that the result's type says already: nothing is printed.
    fn result(&mut self, fill: impl FnOnce(&Type));
}

/// Rows `pattern = prototype => { the payload in order }`; the prototype is what parsing fills in.
macro_rules! payloads {
    (
        |$text:ident|
        none: $($plain:ident)*;
        $($pattern:pat = $prototype:expr => $body:block)*
    ) => {
        /// Every op once, with an arbitrary payload.
        pub(super) fn prototypes() -> Vec<Op> {
            vec![$(Op::$plain,)* $($prototype,)*]
        }

        /// Visits the payload of `op` in the order in which it is written.
        pub(super) fn payload<P: Payload>(op: &mut Op, $text: &mut P) -> Result<(), P::Error> {
            match op {
                $(Op::$plain)|* => {}
                $($pattern => $body)*
            }
            Ok(())
        }
    };
}

payloads! {
    |text|
    none: Neg Abs Exp Log Sqrt Tanh Erf Sin Cos Sign Floor Not StopGradient OptimizationBarrier
        Add Sub Mul Div Max Min Equal Less LessEqual And Or Xor ShiftLeft ShiftRight Select
        Softmax SoftmaxBackward LayerNormBackward Gelu GeluBackward PackSigns;

    Op::Input { name, ty } = Op::Input { name: String::new(), ty: any_type() } => {
        text.name(name)?;
        text.result(|result| *ty = result.clone());
    }
    Op::Parameter { name, ty } = Op::Parameter { name: String::new(), ty: any_type() } => {
        text.name(name)?;
        text.result(|result| *ty = result.clone());
    }
    Op::Constant(constant) = Op::Constant(Constant::splat(0.0, DType::F32, Shape::scalar())) => {
        text.elements(constant)?;
    }
    Op::Iota { ty, axis } = Op::Iota { ty: any_type(), axis: 0 } => {
        text.attribute("axis", axis)?;
        text.result(|result| *ty = result.clone());
    }
    Op::Random { shape } = Op::Random { shape: Shape::scalar() } => {
        text.result(|result| *shape = result.shape.clone());
    }
    Op::Cast(to) = Op::Cast(DType::F32) => {
        text.result(|result| *to = result.dtype);
    }
    Op::Reshape(shape) = Op::Reshape(Shape::scalar()) => {
        text.result(|result| *shape = result.shape.clone());
    }
    Op::Transpose(permutation) = Op::Transpose(Vec::new()) => {
        text.attribute("permutation", permutation)?;
    }
    Op::Broadcast { shape, axes } = Op::Broadcast { shape: Shape::scalar(), axes: Vec::new() } => {
        text.attribute("axes", axes)?;
        text.result(|result| *shape = result.shape.clone());
    }
    Op::Slice { start, stop, stride }
        = Op::Slice { start: Vec::new(), stop: Vec::new(), stride: Vec::new() } =>
    {
        text.attribute("start", start)?;
        text.attribute("stop", stop)?;
        text.attribute("stride", stride)?;
    }
    Op::Pad(padding) = Op::Pad(Vec::new()) => {
        text.attribute("padding", padding)?;
    }
    Op::Concat { axis } = Op::Concat { axis: 0 } => {
        text.attribute("axis", axis)?;
    }
    Op::Flip(axes) = Op::Flip(Vec::new()) => {
        text.attribute("axes", axes)?;
    }
    Op::Window { axis, size, stride, dilation }
        = Op::Window { axis: 0, size: 0, stride: 0, dilation: 0 } =>
    {
        text.attribute("axis", axis)?;
        text.attribute("size", size)?;
        text.attribute("stride", stride)?;
        text.attribute("dilation", dilation)?;
    }
    Op::WindowSum { axis, length, stride, dilation }
        = Op::WindowSum { axis: 0, length: 0, stride: 0, dilation: 0 } =>
    {
        text.attribute("axis", axis)?;
        text.attribute("length", length)?;
        text.attribute("stride", stride)?;
        text.attribute("dilation", dilation)?;
    }
    Op::Sum(axes) = Op::Sum(Vec::new()) => {
        text.attribute("axes", axes)?;
    }
    Op::ReduceMax(axes) = Op::ReduceMax(Vec::new()) => {
        text.attribute("axes", axes)?;
    }
    Op::ArgMax(axis) = Op::ArgMax(0) => {
        text.attribute("axis", axis)?;
    }
    Op::DotGeneral(DotAxes { batch, contract }) = Op::DotGeneral(DotAxes::default()) => {
        text.attribute("batch", batch)?;
        text.attribute("contract", contract)?;
    }
    Op::Gather { axis } = Op::Gather { axis: 0 } => {
        text.attribute("axis", axis)?;
    }
    Op::ScatterAdd { axis } = Op::ScatterAdd { axis: 0 } => {
        text.attribute("axis", axis)?;
    }
    Op::DynamicSlice { axis, size } = Op::DynamicSlice { axis: 0, size: 0 } => {
        text.attribute("axis", axis)?;
        text.attribute("size", size)?;
    }
    Op::DynamicUpdateSlice { axis } = Op::DynamicUpdateSlice { axis: 0 } => {
        text.attribute("axis", axis)?;
    }
    Op::LayerNorm { epsilon } = Op::LayerNorm { epsilon: Float::new(0.0) } => {
        text.attribute("epsilon", epsilon)?;
    }
    Op::Attention { scale, mask }
        = Op::Attention { scale: Float::new(0.0), mask: Mask::None } =>
    {
        text.attribute("scale", scale)?;
        text.attribute("mask", mask)?;
    }
    Op::AttentionBackward { scale, mask }
        = Op::AttentionBackward { scale: Float::new(0.0), mask: Mask::None } =>
    {
        text.attribute("scale", scale)?;
        text.attribute("mask", mask)?;
    }
    Op::Projection(index) = Op::Projection(0) => {
        text.attribute("index", index)?;
    }
}

/// The elementwise op of this name whose result is of this type, for text forms of loops.
pub fn elementwise(name: &str, result: DType) -> Option<Op> {
    let mut ops = prototypes().into_iter();
    let op = ops.find(|op| op.is_elementwise() && op.name() == name)?;
    Some(match op {
        Op::Cast(_) => Op::Cast(result),
        op => op,
    })
}

fn any_type() -> Type {
    Type::scalar(DType::F32)
}
