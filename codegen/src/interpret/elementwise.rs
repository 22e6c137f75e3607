//! Elementwise ops on single elements: the graph evaluator's.

use bsq_ir::eval::{self, Precision, Value};
use bsq_ir::op::infer;
use bsq_ir::{DType, Op, Type};

/// The bits of an op's result from its operands' types and zero-extended bits.
pub(super) fn apply(op: &Op, operands: &[(DType, u64)]) -> u64 {
    let operands: Vec<Value> = operands
        .iter()
        .map(|&(dtype, bits)| {
            let bytes = &bits.to_le_bytes()[..dtype.size()];
            Value::from_bytes(Type::new(dtype, []), bytes)
        })
        .collect();
    let types: Vec<&[Type]> = operands
        .iter()
        .map(|operand| std::slice::from_ref(operand.ty()))
        .collect();
    let types = infer(op, &types).expect("a verified kernel");
    let operands: Vec<&Value> = operands.iter().collect();
    let result = eval::apply(op, &types, &operands, Precision::F32);
    let mut bytes = [0; 8];
    let element = result[0].to_bytes();
    bytes[..element.len()].copy_from_slice(&element);
    u64::from_le_bytes(bytes)
}
