//! Random straight code over elements side by side: what SIMD loops are made of.

use super::super::{Options, explain};
use super::generate::Random;
use super::run::{check, run};
use crate::cpu::microkernel::Family;
use crate::cpu::simd::{tests::check_code, width};
use crate::kernel::{
    Affine, Array, Combine, Element, Extent, Inst, Kernel, Place, Reduce, Reduction, Stmt, Value,
    Var,
};
use bsq_ir::math::{Scalar, exp};
use bsq_ir::{DType, Op};
use proptest::prelude::*;

const VAR: Var = Var(0);
const TYPES: [DType; 7] = [
    DType::F32,
    DType::I32,
    DType::U32,
    DType::Bool,
    DType::BF16,
    DType::F16,
    DType::U8,
];

struct Maker {
    random: Random,
    buffers: Vec<Array>,
    body: Vec<Stmt>,
    values: Vec<DType>,
}

impl Maker {
    fn define(&mut self, dtype: DType, inst: Inst) -> Value {
        let value = Value(self.values.len() as u32);
        self.values.push(dtype);
        self.body.push(Stmt::Let { value, dtype, inst });
        value
    }

    /// A value of a type that has been defined; there is one of each.
    fn any(&mut self, dtype: DType) -> Value {
        let typed = self.values.iter().enumerate().filter(|(_, d)| **d == dtype);
        let found: Vec<usize> = typed.map(|(index, _)| index).collect();
        Value(self.random.of(&found) as u32)
    }

    fn buffer(&mut self, dtype: DType, elements: usize, written: bool) -> Place {
        self.buffers.push(Array {
            dtype,
            elements,
            written,
        });
        Place::Buffer(self.buffers.len() as u32 - 1)
    }

    fn load(&mut self, dtype: DType, extent: usize) {
        let offset = self.random.below(4);
        let step = match self.random.chance(80) {
            // Of 32 bits, elements may lie apart.
            true if dtype.size() == 4 && self.random.chance(30) => 1 + self.random.below(5),
            steps => steps.into(),
        };
        let place = self.buffer(dtype, extent * step.max(1) + offset, false);
        let at = Affine::var(VAR).scale(step as i64).offset(offset as i64);
        let dynamic = None;
        self.define(dtype, Inst::Load(Element { place, at, dynamic }));
    }

    fn operation(&mut self) {
        use Op::*;
        let dtype = self.random.of(&[
            DType::F32,
            DType::F32,
            DType::I32,
            DType::U32,
            DType::U8,
            DType::Bool,
        ]);
        let (op, from) = match (dtype, self.random.below(4)) {
            (DType::F32, 0) => (self.random.below(11), vec![DType::F32]),
            _ => (usize::MAX, Vec::new()),
        };
        let unary = [Exp, Log, Tanh, Erf, Sqrt, Neg, Sign, Sin, Cos, Abs, Floor];
        if let Some(op) = unary.get(op) {
            let x = self.any(from[0]);
            self.define(dtype, Inst::Map(op.clone(), vec![x]));
            return;
        }
        let number = self.random.of(&[DType::F32, DType::I32, DType::U32]);
        let (op, from): (Op, Vec<DType>) = match (dtype, self.random.below(8)) {
            (_, 0) => (Select, vec![DType::Bool, dtype, dtype]),
            (DType::F32, 1) => (
                Cast(dtype),
                vec![self.random.of(&[
                    DType::I32,
                    DType::Bool,
                    DType::BF16,
                    DType::F16,
                    DType::U8,
                ])],
            ),
            (DType::F32, 2) => {
                let x = self.any(DType::F32);
                let half = self.random.of(&[DType::BF16, DType::F16]);
                let half = self.define(half, Inst::Map(Cast(half), vec![x]));
                self.define(DType::F32, Inst::Map(Cast(DType::F32), vec![half]));
                return;
            }
            (DType::F32, _) => {
                let ops = [Add, Sub, Mul, Div, Max, Min];
                (ops[self.random.below(6)].clone(), vec![dtype; 2])
            }
            (DType::Bool, 1) => (Not, vec![dtype]),
            (DType::Bool, 2..=3) => {
                let ops = [And, Or, Xor];
                (ops[self.random.below(3)].clone(), vec![dtype; 2])
            }
            (DType::Bool, 4) => (Cast(dtype), vec![DType::F32]),
            (DType::Bool, _) => {
                let compared = self.random.of(&[number, number, DType::U8, DType::Bool]);
                let ops = [Equal, Less, LessEqual];
                (ops[self.random.below(3)].clone(), vec![compared; 2])
            }
            (DType::U8, 1) => {
                let from = [DType::F32, DType::I32, DType::U32, DType::Bool];
                (Cast(dtype), vec![self.random.of(&from)])
            }
            (DType::I32, 1) => (
                Cast(dtype),
                vec![self.random.of(&[DType::F32, DType::Bool, DType::U8])],
            ),
            (_, 1) => (Cast(dtype), vec![self.random.of(&[DType::Bool, DType::U8])]),
            (_, 2) => {
                let ops = [Not, Neg, Abs, Sign];
                (ops[self.random.below(4)].clone(), vec![dtype])
            }
            _ => {
                let ops = [Add, Sub, Mul, Max, Min, And, Or, Xor, ShiftLeft, ShiftRight];
                (ops[self.random.below(10)].clone(), vec![dtype; 2])
            }
        };
        let operands = from.into_iter().map(|dtype| self.any(dtype)).collect();
        self.define(dtype, Inst::Map(op, operands));
    }

    /// Reductions of some values, or stores.
    fn finish(mut self, extent: usize) -> Kernel {
        let mut stores = Vec::new();
        let reduces = self.random.chance(40);
        let mut results = Vec::new();
        for _ in 0..1 + self.random.below(2) {
            let dtype = match reduces {
                true => DType::F32,
                // AVX2 stores no masks.
                false => {
                    self.random
                        .of(&[DType::F32, DType::I32, DType::BF16, DType::F16, DType::U8])
                }
            };
            let term = self.any(dtype);
            let place = self.buffer(dtype, extent, true);
            let value = Value(self.values.len() as u32 + results.len() as u32);
            // AVX2 has registers for one minimum or maximum beside other work.
            let summed = |result: &Reduction| result.op == Combine::Sum;
            let combine = match results.iter().all(summed) {
                true => &[Combine::Sum, Combine::Max, Combine::Min][..],
                false => &[Combine::Sum],
            };
            results.push(Reduction {
                value,
                dtype,
                op: self.random.of(combine),
                term,
            });
            let (value, at) = match reduces {
                true => (value, Affine::default()),
                false => (term, Affine::var(VAR)),
            };
            let dynamic = None;
            let to = Element { place, at, dynamic };
            stores.push(Stmt::store(to, value));
        }
        let mut body = self.body;
        let body = match reduces {
            true => {
                let reduce = Stmt::Reduce(Reduce {
                    var: VAR,
                    extent: Extent::Static(extent),
                    vector: true,
                    body,
                    results,
                });
                [vec![reduce], stores].concat()
            }
            false => {
                body.extend(stores);
                vec![Stmt::vector_loop(VAR, Extent::Static(extent), body)]
            }
        };
        Kernel {
            buffers: self.buffers,
            scratch: Vec::new(),
            grid: Vec::new(),
            body,
        }
    }
}

fn straight_kernel(seed: u64) -> Kernel {
    let mut maker = Maker {
        random: Random::new(seed),
        buffers: Vec::new(),
        body: Vec::new(),
        values: Vec::new(),
    };
    let extent = maker.random.of(&[16, 17, 31, 32, 48, 100]);
    for dtype in TYPES {
        maker.load(dtype, extent);
    }
    let at = Affine::var(VAR).scale(3).offset(-2);
    maker.define(DType::I32, Inst::Index(at));
    maker.define(DType::F32, Inst::Constant(0x3f80_0000));
    // Enough values to run out of registers.
    for _ in 0..maker.random.of(&[4, 12, 60]) {
        maker.operation();
    }
    maker.finish(extent)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn straight_code_is_wide_and_equals_the_interpreter(seed in any::<u64>()) {
        let kernel = straight_kernel(seed);
        for family in Family::ALL {
            let listing = explain(&kernel, &Options { family, threads: 1 }).unwrap();
            let loops = !listing.simd_loops.is_empty();
            prop_assert_eq!(loops, family != Family::Portable, "{} of\n{}", family, kernel);
            for made in listing.simd_loops {
                check_code(&made.code, width(family).unwrap());
            }
        }
        check(&kernel, seed)?;
    }
}

/// Arguments at even distances in bits: from those whose exp is 0 to those whose exp is infinite.
fn arguments(step: usize) -> impl Iterator<Item = f32> {
    let [low, high] = [110f32, 95.0].map(f32::to_bits);
    let negative = (0..=low).step_by(step).map(|bits| -f32::from_bits(bits));
    let positive = (0..=high).step_by(step).map(f32::from_bits);
    // Results that are subnormal need more than their share.
    let subnormal = (87f32.to_bits()..=104f32.to_bits()).step_by(step / 64 + 1);
    let subnormal = subnormal.map(|bits| -f32::from_bits(bits));
    negative.chain(positive).chain(subnormal)
}

#[test]
fn exp_has_the_bits_of_its_definition_down_to_zero() {
    const STEP: usize = 100_003;
    let x: Vec<f32> = arguments(STEP).collect();
    let element = |index| Element::new(Place::Buffer(index), Affine::var(VAR));
    let (from, to) = (Value(0), Value(1));
    let body = vec![
        Stmt::load(from, DType::F32, element(0)),
        Stmt::Let {
            value: to,
            dtype: DType::F32,
            inst: Inst::Map(Op::Exp, vec![from]),
        },
        Stmt::store(element(1), to),
    ];
    let array = |written| Array {
        dtype: DType::F32,
        elements: x.len(),
        written,
    };
    let kernel = Kernel {
        buffers: vec![array(false), array(true)],
        scratch: Vec::new(),
        grid: Vec::new(),
        body: vec![Stmt::vector_loop(VAR, Extent::Static(x.len()), body)],
    };
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    let inputs = [bytes.clone(), bytes];
    for family in Family::all_supported() {
        let got = run(&kernel, &inputs, family).remove(1);
        for (x, got) in x.iter().zip(got.chunks(4)) {
            let expected = exp(&mut Scalar, *x);
            let got = f32::from_le_bytes(got.try_into().unwrap());
            assert_eq!(got.to_bits(), expected.to_bits(), "exp({x:?}), {family}");
        }
    }
}
