//! Fused multiply-adds, and what stands for them on x86-64 without the instruction.

use super::Emitter;
use crate::cpu::microkernel::Family;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

/// Bytes of two registers, the second's from 16 on, for [`Emitter::halves`].
type Bytes = [u8; 16];
const UPPER_HALF: Bytes = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15];
const BOTH_LOWER: Bytes = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];

impl Emitter<'_, '_> {
    /// `x * y + z`, rounded once.
    pub(super) fn multiply_add(&mut self, [x, y, z]: [ir::Value; 3]) -> ir::Value {
        let instruction = cfg!(not(target_arch = "x86_64")) || self.family != Family::Portable;
        if instruction {
            return self.b.ins().fma(x, y, z);
        }
        if !self.is_vector(x) {
            let wide = [x, y, z].map(|x| self.b.ins().fpromote(types::F64, x));
            let sum = self.rounded_to_odd(wide);
            return self.b.ins().fdemote(types::F32, sum);
        }
        let lower = [x, y, z].map(|x| self.b.ins().fvpromote_low(x));
        let upper = [x, y, z].map(|x| {
            let upper = self.halves(x, x, UPPER_HALF);
            self.b.ins().fvpromote_low(upper)
        });
        let [lower, upper] = [lower, upper].map(|wide| {
            let sum = self.rounded_to_odd(wide);
            self.b.ins().fvdemote(sum)
        });
        self.halves(lower, upper, BOTH_LOWER)
    }

    /// `x * y + z` in f64, where the product is exact. A sum that is not becomes the neighbour
    /// with an odd last bit, so that rounding it to f32 rounds the exact sum: the portable
    /// microkernels' `add_rounded_to_odd`, without branches.
    fn rounded_to_odd(&mut self, [x, y, z]: [ir::Value; 3]) -> ir::Value {
        let product = self.b.ins().fmul(x, y);
        let sum = self.b.ins().fadd(product, z);
        // Knuth's TwoSum: what the sum lost.
        let of_z = self.b.ins().fsub(sum, product);
        let of_product = self.b.ins().fsub(sum, of_z);
        let lost_product = self.b.ins().fsub(product, of_product);
        let lost_z = self.b.ins().fsub(z, of_z);
        let lost = self.b.ins().fadd(lost_product, lost_z);
        // Neither is true of a NaN, which is what an infinite sum lost.
        let outwards = self.b.ins().fmul(lost, sum);
        let smaller = self.compared_with_zero(FloatCC::LessThan, outwards);
        let greater = self.compared_with_zero(FloatCC::GreaterThan, outwards);
        let inexact = self.b.ins().bor(smaller, greater);
        let ty = self.b.func.dfg.value_type(sum);
        let bits = self.recast(self.b.func.dfg.value_type(inexact), sum);
        let towards_zero = self.b.ins().isub(bits, smaller);
        let odd = self.b.ins().bor(towards_zero, inexact);
        self.recast(ty, odd)
    }

    /// 1 where the condition holds of x and zero, otherwise 0, in 64 bits.
    fn compared_with_zero(&mut self, condition: FloatCC, x: ir::Value) -> ir::Value {
        if self.is_vector(x) {
            let zero = self.lanes_of(types::F64X2, [0; 4]);
            let mask = self.b.ins().fcmp(condition, x, zero);
            return self.b.ins().ushr_imm_u(mask, 63);
        }
        let zero = self.b.ins().f64const(0.0);
        let holds = self.b.ins().fcmp(condition, x, zero);
        self.b.ins().uextend(types::I64, holds)
    }

    fn halves(&mut self, x: ir::Value, y: ir::Value, bytes: Bytes) -> ir::Value {
        let [x, y] = [x, y].map(|x| self.recast(types::I8X16, x));
        let mask = self.b.func.dfg.immediates.push(bytes.to_vec().into());
        let halves = self.b.ins().shuffle(x, y, mask);
        self.recast(types::F32X4, halves)
    }
}
