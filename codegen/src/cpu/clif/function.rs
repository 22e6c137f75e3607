//! A kernel's function: its arguments, and the loop over its work items.

use super::emit::{ACCESS, Emitter};
use super::statements::LoopRange;
use super::vector_calls::SimdFunctions;
use crate::cpu::microkernel::Family;
use crate::cpu::simd::{SimdLoop, width};
use crate::kernel::{Kernel, Place, Var, for_each_access};
use cranelift_codegen::ir::{self, AbiParam, InstBuilder, condcodes::IntCC, types};
use cranelift_codegen::isa::TargetFrontendConfig;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// Writes `kernel` into `function`, with the signature of [`KernelFn`](super::KernelFn).
/// Contractions call the microkernels of `family`; `define` takes SIMD loops, and gives the numbers
/// by which they are called.
pub(super) fn build<'f>(
    kernel: &Kernel,
    family: Family,
    define: &'f mut dyn FnMut(SimdLoop) -> u32,
    config: TargetFrontendConfig,
    function: &'f mut ir::Function,
    context: &'f mut FunctionBuilderContext,
) {
    function.signature = ir::Signature::new(config.default_call_conv);
    function.signature.params = vec![AbiParam::new(types::I64); 4];
    let simd = width(family).map(|width| SimdFunctions { width, define });
    let builder = FunctionBuilder::new(function, context);
    let mut emitter = Emitter::new(kernel, builder, family, simd);
    let entry = emitter.b.create_block();
    emitter.b.append_block_params_for_function_params(entry);
    emitter.b.switch_to_block(entry);
    let params = emitter.b.block_params(entry).to_vec();
    if kernel.items() > 0 {
        emitter.find_arrays(params[0], params[1]);
        emitter.items(params[2], params[3]);
    }
    emitter.b.ins().return_(&[]);
    emitter.b.seal_all_blocks();
    emitter.b.finalize(config);
}

impl Emitter<'_, '_> {
    /// The address of each array that the kernel uses.
    fn find_arrays(&mut self, buffers: ir::Value, scratch: ir::Value) {
        let mut places = Vec::new();
        for_each_access(&self.kernel.body, &mut |element, _| {
            places.push(element.place)
        });
        places.sort();
        places.dedup();
        let (offsets, _) = self.kernel.scratch_layout();
        for place in places {
            let address = match place {
                Place::Buffer(index) => {
                    let offset = 8 * index as i32;
                    self.b.ins().load(types::I64, ACCESS, buffers, offset)
                }
                Place::Scratch(index) => {
                    let offset = offsets[index as usize] as i64;
                    self.b.ins().iadd_imm_s(scratch, offset)
                }
            };
            self.bases.insert(place, address);
        }
    }

    /// Runs the body for items `begin..end`. The point of the grid is found by division once and
    /// then counted up.
    fn items(&mut self, begin: ir::Value, end: ir::Value) {
        let kernel = self.kernel;
        let axes: Vec<(Var, i64)> = kernel
            .grid
            .iter()
            .map(|axis| (axis.var, axis.extent as i64))
            .collect();
        let mut point = Vec::new();
        let mut rest = begin;
        for (position, &(_, extent)) in axes.iter().enumerate().rev() {
            if position == 0 {
                point.push(rest);
                break;
            }
            let extent = self.index(extent);
            point.push(self.b.ins().urem(rest, extent));
            rest = self.b.ins().udiv(rest, extent);
        }
        point.reverse();
        let range = LoopRange {
            start: begin,
            end,
            step: 1,
            runs: false,
        };
        self.fold(range, &point, |emitter, _, point| {
            emitter.grid(&axes, point, 0);
            emitter.following(&axes, point)
        });
    }

    fn grid(&mut self, axes: &[(Var, i64)], point: &[ir::Value], depth: usize) {
        let kernel = self.kernel;
        match axes.get(depth) {
            None => self.block(&kernel.body),
            Some(&(var, _)) => {
                self.enter(var, point[depth], &kernel.body);
                self.grid(axes, point, depth + 1);
                self.leave(var);
            }
        }
    }

    /// The next point of the grid, row-major.
    fn following(&mut self, axes: &[(Var, i64)], point: &[ir::Value]) -> Vec<ir::Value> {
        let mut next = point.to_vec();
        let mut carry = self.index(1);
        for (position, &(_, extent)) in axes.iter().enumerate().rev() {
            let counted = self.b.ins().iadd(point[position], carry);
            if position == 0 {
                next[0] = counted;
                break;
            }
            let over = self.b.ins().icmp_imm_s(IntCC::Equal, counted, extent);
            let zero = self.index(0);
            next[position] = self.b.ins().select(over, zero, counted);
            carry = self.b.ins().uextend(types::I64, over);
        }
        next
    }
}
