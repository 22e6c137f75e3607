//! Bytes and elementwise operations of a launch, from Kernel IR.

use super::super::code::{Body, Class, Reg};
use super::super::math::Written;
use crate::kernel::{Element, Extent, Inst, Kernel, Place, Stmt};
use bsq_ir::{DType, Op, math};

/// What all items of a launch move and compute together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Every element that is touched, once for reading and once for writing: what a memory of
    /// unlimited caches moves.
    pub bytes: f64,
    /// Every access of buffers counted, however often an element is accessed.
    pub accessed: f64,
    /// Elementwise operations and those of reductions; contractions are counted elsewhere.
    pub operations: f64,
}

/// Operations of attention for each score beside the products: scale, maximum, exponential, sum.
const OPERATIONS_OF_SCORE: f64 = 6.0;

impl Traffic {
    pub fn of(kernel: &Kernel) -> Traffic {
        let mut count = Count {
            kernel,
            touched: vec![[0.0; 2]; kernel.buffers.len()],
            operations: 0.0,
        };
        count.block(&kernel.body, kernel.items() as f64);
        let mut traffic = Traffic {
            operations: count.operations,
            ..Traffic::default()
        };
        for (array, touched) in kernel.buffers.iter().zip(&count.touched) {
            let whole = (array.elements * array.dtype.size()) as f64;
            for &bytes in touched {
                traffic.accessed += bytes;
                traffic.bytes += bytes.min(whole);
            }
        }
        traffic
    }
}

struct Count<'k> {
    kernel: &'k Kernel,
    /// Bytes read and written, by buffer.
    touched: Vec<[f64; 2]>,
    operations: f64,
}

impl Count<'_> {
    fn block(&mut self, body: &[Stmt], times: f64) {
        for stmt in body {
            match stmt {
                Stmt::Let { inst, .. } => match inst {
                    Inst::Load(from) => self.touch(from, false, times),
                    Inst::Map(op, _) => self.operations += times * operations(op),
                    Inst::Constant(_) | Inst::Index(_) => {}
                },
                Stmt::Store { to, .. } => self.touch(to, true, times),
                Stmt::Loop { extent, body, .. } => self.block(body, times * average(extent)),
                Stmt::Reduce(reduce) => {
                    let times = times * average(&reduce.extent);
                    self.block(&reduce.body, times);
                    self.operations += times * reduce.results.len() as f64;
                }
                Stmt::Contract(c) => {
                    let [m, n, k] = [&c.m, &c.n, &c.k].map(average);
                    self.touch(&c.a, false, times * m * k);
                    self.touch(&c.b, false, times * n * k);
                    if let Some(columns) = &c.columns {
                        self.touch(columns, false, times * n);
                    }
                    if c.accumulate {
                        self.touch(&c.c, false, times * m * n);
                    }
                    self.touch(&c.c, true, times * m * n);
                }
                Stmt::AttendBackward(a) => {
                    let share = a.causal.map_or(1.0, |size| visible_share(size, a.columns));
                    let (rows, columns) = (average(&a.rows), share * a.columns as f64);
                    for i in 0..2 {
                        let width = a.depths[i] as f64;
                        self.touch(&a.lhs[i].first, false, times * rows * width);
                        self.touch(&a.rhs[i].first, false, times * columns * width);
                    }
                    let queries = times * if a.by_keys { columns } else { rows };
                    for element in [&a.maxima, &a.sums] {
                        self.touch(element, false, queries);
                    }
                    self.touch(&a.inner, !a.by_keys, queries);
                    for (to, width) in a.results.iter().zip(a.depths) {
                        self.touch(to, true, times * rows * width as f64);
                    }
                    // By queries, scores are computed twice.
                    let passes = if a.by_keys { 1.0 } else { 2.0 };
                    self.operations += passes * times * rows * columns * OPERATIONS_OF_SCORE;
                }
                Stmt::Attend(a) => {
                    let share = a.causal.map_or(1.0, |size| visible_share(size, a.keys));
                    let (rows, keys) = (average(&a.rows), share * a.keys as f64);
                    let [depth, width] = [a.depth, a.value_depth].map(|n| n as f64);
                    self.touch(&a.q, false, times * rows * depth);
                    self.touch(&a.k, false, times * keys * depth);
                    self.touch(&a.v, false, times * keys * width);
                    self.touch(&a.output, true, times * rows * width);
                    self.touch(&a.maxima, true, times * rows);
                    self.touch(&a.sums, true, times * rows);
                    self.operations += times * rows * keys * OPERATIONS_OF_SCORE;
                }
            }
        }
    }

    /// Scratch is shared memory, or small enough for caches.
    fn touch(&mut self, element: &Element, written: bool, times: f64) {
        if let Place::Buffer(index) = element.place {
            let size = self.kernel.array(element.place).dtype.size() as f64;
            self.touched[index as usize][usize::from(written)] += times * size;
        }
    }
}

/// Iterations of a loop; of one that ends early in its last block, the mean over blocks.
fn average(extent: &Extent) -> f64 {
    match extent {
        Extent::Static(extent) => *extent as f64,
        Extent::Block { size, limit, .. } => {
            *limit as f64 / limit.div_ceil((*size).max(1)).max(1) as f64
        }
        Extent::Visible {
            mask_block, limit, ..
        } => average(&extent.unmasked()) * visible_share(*mask_block, *limit),
    }
}

/// The part of all pairs of a query and a key that a block-causal mask leaves.
fn visible_share(mask_block: usize, keys: usize) -> f64 {
    let blocks = keys.div_ceil(mask_block.max(1)).max(1) as f64;
    (blocks + 1.0) / (2.0 * blocks)
}

/// Instructions of an elementwise op, about: the functions by what is written for them.
fn operations(op: &Op) -> f64 {
    match op {
        Op::Exp => written(|w, x| math::exp(w, x)),
        Op::Log => written(|w, x| math::log(w, x)),
        Op::Tanh => written(|w, x| math::tanh(w, x)),
        Op::Erf => written(|w, x| math::erf(w, x)),
        Op::Sin => written(|w, x| math::sin(w, x)),
        Op::Cos => written(|w, x| math::cos(w, x)),
        // Both are a subroutine of the assembler's: a first guess and its refinement.
        Op::Div => 10.0,
        Op::Sqrt => 10.0,
        Op::Cast(DType::I64 | DType::U64) => 2.0,
        Op::StopGradient | Op::OptimizationBarrier => 0.0,
        _ => 1.0,
    }
}

fn written(function: impl Fn(&mut Written<'_>, Reg) -> Reg) -> f64 {
    let mut body = Body::default();
    let x = body.reg(Class::F32);
    function(&mut Written(&mut body), x);
    let instructions = body.instructions().iter();
    instructions.filter(|i| !i.opcode.is_move()).count() as f64
}
