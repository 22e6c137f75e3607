//! Calls of SIMD loops: the main part of a vector loop or of a reduction.

use super::emit::{ACCESS, Count, Emitter, Repr};
use super::lanes::GROUP;
use super::min_max::is_min_max;
use crate::cpu::simd::{self, Layout, SimdBody, SimdLoop, Uniform, Width};
use crate::kernel::{Affine, Element, Extent, Reduce, Stmt, Value, Var};
use bsq_ir::DType;
use bsq_ir::order::LANES;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, ExtFuncData, ExternalName, InstBuilder, StackSlotData, StackSlotKind,
    UserExternalName, types,
};
use cranelift_codegen::isa::CallConv;

/// Takes a SIMD loop; gives the number of its function in the module.
pub(super) struct SimdFunctions<'f> {
    pub width: Width,
    pub define: &'f mut dyn FnMut(SimdLoop) -> u32,
}

/// Instructions of a loop, all iterations together, from which a call pays. In tests every loop is
/// called that can be.
const WORTH_A_CALL: usize = if cfg!(test) { 1 } else { 32 };

/// Registers that a minimum or maximum carries: the best number, whose signs were seen, the greatest magnitude.
const MIN_MAX_CARRIES: usize = 3;

/// What the bits of a NaN without the sign are above.
const INFINITY_WITHOUT_SIGN: u32 = f32::INFINITY.to_bits() << 1;

/// The signature of [`SimdLoop`]'s function.
pub(super) fn signature() -> ir::Signature {
    let mut signature = ir::Signature::new(CallConv::SystemV);
    signature.params = vec![AbiParam::new(types::I64); 2];
    signature
}

/// A call that has been prepared.
struct Call {
    function: ir::FuncRef,
    record: ir::Value,
    layout: Layout,
}

impl Emitter<'_, '_> {
    /// Runs as many iterations of a vector loop as are a multiple of 16 in a separate function;
    /// the number of them, also if it is known, or `None` if the loop is none for it.
    pub fn simd_loop(
        &mut self,
        var: Var,
        count: Count,
        extent: &Extent,
        body: &[Stmt],
    ) -> Option<(ir::Value, usize)> {
        let most = match count {
            Count::Static(count) => count / LANES * LANES,
            Count::Dynamic(_) => LANES,
        };
        if most == 0 {
            return None;
        }
        let made = self.simd((var, extent.largest()), body, &[])?;
        let groups = most / LANES;
        if matches!(count, Count::Static(_)) && made.length * groups < WORTH_A_CALL {
            return None;
        }
        let start = self.index(0);
        let call = self.prepare(made, var, start);
        match count {
            Count::Static(_) => {
                let end = self.index(most as i64);
                self.run(&call, end);
                Some((end, most))
            }
            Count::Dynamic(count) => {
                let end = self.b.ins().band_imm_s(count, -(LANES as i64));
                self.run_if_any(&call, end);
                Some((end, 0))
            }
        }
    }

    /// The 16 partial results of each reduction over `end` indices from `first` on.
    pub fn simd_reduction(
        &mut self,
        reduce: &Reduce,
        first: ir::Value,
        end: ir::Value,
        runs: bool,
    ) -> Option<Vec<Vec<ir::Value>>> {
        let range = (reduce.var, reduce.extent.largest());
        let made = self.simd(range, &reduce.body, &reduce.results)?;
        if made.length * (reduce.extent.largest() / LANES) < WORTH_A_CALL {
            return None;
        }
        let width = self.simd.as_ref().expect("there are SIMD loops").width;
        let call = self.prepare(made, reduce.var, first);
        let carried = |min_max: bool| if min_max { MIN_MAX_CARRIES } else { 1 };
        let count = reduce.results.iter().map(|r| carried(is_min_max(r))).sum();
        let place = |index: usize, group: usize| {
            call.layout.lanes(index, count, GROUP * group, width) as i32
        };
        let groups = LANES / GROUP;
        if !runs {
            let mut index = 0;
            for result in &reduce.results {
                let neutral = [result.op.neutral(result.dtype) as u32; GROUP];
                let neutral = self.lanes_of(types::I32X4, neutral);
                let zero = self.lanes_of(types::I32X4, [0; GROUP]);
                for group in 0..groups {
                    let mut initial = vec![neutral];
                    if is_min_max(result) {
                        // No number is a zero, and none NaN.
                        initial.extend([zero; MIN_MAX_CARRIES - 1]);
                    }
                    for (behind, lanes) in initial.into_iter().enumerate() {
                        let at = place(index + behind, group);
                        self.b.ins().store(ACCESS, lanes, call.record, at);
                    }
                }
                index += carried(is_min_max(result));
            }
        }
        match runs {
            true => self.run(&call, end),
            false => self.run_if_any(&call, end),
        }
        let mut index = 0;
        let mut results = Vec::new();
        for result in &reduce.results {
            let ty = super::lanes::register_type(result.dtype);
            let lanes = (0..groups).map(|group| {
                let at = place(index, group);
                let lanes = self.b.ins().load(ty, ACCESS, call.record, at);
                if !is_min_max(result) {
                    return lanes;
                }
                let [signs, magnitude] = [1, 2].map(|behind| {
                    let at = place(index + behind, group);
                    self.b.ins().load(types::I32X4, ACCESS, call.record, at)
                });
                let lanes = self.with_sign_of_zero(lanes, signs);
                let infinity = self.lanes_of(types::I32X4, [INFINITY_WITHOUT_SIGN; GROUP]);
                let above = IntCC::UnsignedGreaterThan;
                let nan = self.b.ins().icmp(above, magnitude, infinity);
                self.with_nan(lanes, nan)
            });
            results.push(lanes.collect());
            index += carried(is_min_max(result));
        }
        Some(results)
    }

    /// A loop's function, if it can be one.
    pub fn simd(
        &self,
        (var, extent): (Var, usize),
        statements: &[Stmt],
        results: &[crate::kernel::Reduction],
    ) -> Option<SimdLoop> {
        let width = self.simd.as_ref()?.width;
        let outer = |value: Value| self.value(value).0;
        let body = SimdBody {
            var,
            extent,
            statements,
            results,
            outer: &outer,
        };
        simd::compile(self.kernel, body, width)
    }

    /// Everything but the call itself: what is the same in all iterations, and the record.
    fn prepare(&mut self, made: SimdLoop, var: Var, first: ir::Value) -> Call {
        let bytes = made.layout.bytes() as u32;
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 4);
        let slot = self.b.create_sized_stack_slot(data);
        let record = self.b.ins().stack_addr(types::I64, slot, 0);
        self.enter(var, first, &[]);
        self.block(&made.hoisted);
        for (index, stream) in made.streams.iter().enumerate() {
            let address = self.start(stream);
            let at = made.layout.stream(index) as i32;
            self.b.ins().store(ACCESS, address, record, at);
        }
        for (index, uniform) in made.uniforms.iter().enumerate() {
            let value = match uniform {
                Uniform::Value(value) => self.uniform_bits(*value),
                Uniform::Index(at) => self.index_bits(at),
            };
            let at = made.layout.uniform(index) as i32;
            self.b.ins().store(ACCESS, value, record, at);
        }
        self.leave(var);
        let layout = made.layout;
        let functions = self.simd.as_mut().expect("there are SIMD loops");
        let index = (functions.define)(made);
        let function = &mut self.b.func;
        let signature = function.import_signature(signature());
        let name = function.declare_imported_user_function(UserExternalName {
            namespace: 0,
            index,
        });
        let function = function.import_function(ExtFuncData {
            name: ExternalName::user(name),
            signature,
            colocated: false,
            patchable: false,
        });
        Call {
            function,
            record,
            layout,
        }
    }

    fn start(&mut self, stream: &Element) -> ir::Value {
        let address = self.address(stream.place, &stream.at);
        let Some(position) = stream.dynamic else {
            return address;
        };
        let Repr::Uniform(position) = self.value(position).1 else {
            unreachable!("positions of streams are uniform")
        };
        let size = self.kernel.array(stream.place).dtype.size() as i64;
        let bytes = self.scaled(position, size);
        self.b.ins().iadd(address, bytes)
    }

    fn uniform_bits(&mut self, value: Value) -> ir::Value {
        match self.value(value) {
            (dtype, Repr::Uniform(value)) => match dtype {
                DType::Bool => {
                    let wide = self.b.ins().uextend(types::I32, value);
                    self.b.ins().ineg(wide)
                }
                DType::BF16 | DType::F16 | DType::U8 => self.b.ins().uextend(types::I32, value),
                _ => value,
            },
            (_, Repr::Varying(_)) => unreachable!("lanes outside a vector loop"),
        }
    }

    fn index_bits(&mut self, at: &Affine) -> ir::Value {
        let wide = self.affine(at);
        self.b.ins().ireduce(types::I32, wide)
    }

    fn run(&mut self, call: &Call, end: ir::Value) {
        self.b.ins().call(call.function, &[call.record, end]);
    }

    fn run_if_any(&mut self, call: &Call, end: ir::Value) {
        let (some, after) = (self.b.create_block(), self.b.create_block());
        let any = self.b.ins().icmp_imm_s(IntCC::NotEqual, end, 0);
        self.b.ins().brif(any, some, &[], after, &[]);
        self.b.switch_to_block(some);
        self.run(call, end);
        self.b.ins().jump(after, &[]);
        self.b.switch_to_block(after);
    }
}
