//! Values that need no operands.

use super::numbers::Number;
use super::strided::positions;
use super::{Data, Precision, Value};
use crate::dtype::DType;
use crate::op::Op;
use crate::shape::Type;

/// A constant or an iota.
pub(super) fn evaluate(op: &Op, precision: Precision) -> Value {
    let value = match op {
        Op::Constant(constant) => Value::from_bytes(constant.ty().clone(), &constant.to_bytes()),
        Op::Iota { ty, axis } => iota(ty, *axis),
        _ => panic!("the value of {} is given, not computed", op.name()),
    };
    value.to_precision(precision)
}

fn iota(ty: &Type, axis: usize) -> Value {
    let mut strides = vec![0; ty.shape.rank()];
    strides[axis] = 1;
    let index = positions(&ty.shape, 0, &strides);
    let data = match ty.dtype {
        DType::F32 => count::<f32>(index),
        DType::I32 => count::<i32>(index),
        DType::I64 => count::<i64>(index),
        DType::U8 => count::<u8>(index),
        DType::U32 => count::<u32>(index),
        DType::U64 => count::<u64>(index),
        other => unreachable!("iota of {other}"),
    };
    Value::typed(ty.clone(), data)
}

fn count<T: Number>(index: Vec<usize>) -> Data
where
    Vec<T>: Into<Data>,
{
    let elements: Vec<T> = index.into_iter().map(T::from_index).collect();
    elements.into()
}
