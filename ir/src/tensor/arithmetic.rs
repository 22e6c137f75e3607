//! Elementwise methods and operators, with NumPy broadcasting.

use super::{Tensor, broadcasting, build, one_graph};
use crate::dtype::DType;
use crate::graph::Graph;
use crate::op::{Op, TypeError};
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Shl, Shr, Sub};

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $op:expr;)*) => {
        impl<'g> Tensor<'g> {
            $($(#[$doc])*
            ///
            /// # Panics
            /// If the op does not take elements of this type: arithmetic takes `f32` and integers,
            /// functions of analysis `f32`.
            #[track_caller]
            pub fn $name(self) -> Tensor<'g> {
                self.apply($op, &[])
            })*
        }
    };
}

unary! {
    /// The magnitude; of the least integer itself.
    abs => Op::Abs;
    /// e to the power of the elements.
    exp => Op::Exp;
    /// Natural logarithm.
    log => Op::Log;
    /// The square root; NaN below 0.
    sqrt => Op::Sqrt;
    /// The hyperbolic tangent.
    tanh => Op::Tanh;
    /// The error function.
    erf => Op::Erf;
    /// Sine of an angle in radians, to 2 units in the last place. NaN beyond 2^20 radians, where an
    /// `f32` knows an angle to 1/16 at best.
    sin => Op::Sin;
    /// Cosine of an angle in radians, as accurate as [`sin`](Tensor::sin), in the same range.
    cos => Op::Cos;
    /// -1, 0 or 1.
    sign => Op::Sign;
    /// The largest whole number that is not above.
    floor => Op::Floor;
    /// Logical for `bool`, bitwise for integers; `!x` is the same.
    logical_not => Op::Not;
    /// The same value; no gradient passes.
    stop_gradient => Op::StopGradient;
    /// The same value, computed of which nothing is kept for others: what reads it computes again what is
    /// computed of it, instead of sharing what there is. A gradient passes.
    optimization_barrier => Op::OptimizationBarrier;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident => $op:expr;)*) => {
        impl<'g> Tensor<'g> {
            $($(#[$doc])*
            ///
            /// # Panics
            /// If the types differ or the op does not take them, the shapes do not broadcast, a
            /// number is none of the type, or the tensors are of different graphs.
            #[track_caller]
            pub fn $name(self, other: impl Operand<'g>) -> Tensor<'g> {
                let (x, y) = broadcast_pair($op, self, other.tensor(self));
                x.apply($op, &[y])
            })*
        }
    };
}

binary! {
    /// The larger of two values, elementwise.
    maximum => Op::Max;
    /// The smaller of two values, elementwise.
    minimum => Op::Min;
    /// Whether elements are equal; NaN equals nothing.
    eq => Op::Equal;
    /// Whether elements are less than those of `other`.
    lt => Op::Less;
    /// Whether elements are less than those of `other`, or equal.
    le => Op::LessEqual;
    /// Logical for `bool`, bitwise for integers; `x & y` is the same.
    and => Op::And;
    /// Logical for `bool`, bitwise for integers; `x | y` is the same.
    or => Op::Or;
    /// Logical for `bool`, bitwise for integers; `x ^ y` is the same.
    xor => Op::Xor;
    /// Amounts of the bit width or more give 0; `x << y` is the same.
    shift_left => Op::ShiftLeft;
    /// Arithmetic for signed integers, logical for unsigned; `x >> y` is the same.
    shift_right => Op::ShiftRight;
}

impl<'g> Tensor<'g> {
    /// Whether elements are greater than those of `other`.
    ///
    /// # Panics
    /// As [`lt`](Tensor::lt).
    #[track_caller]
    pub fn gt(self, other: impl Operand<'g>) -> Tensor<'g> {
        other.tensor(self).lt(self)
    }

    /// Whether elements are greater than those of `other`, or equal.
    ///
    /// # Panics
    /// As [`le`](Tensor::le).
    #[track_caller]
    pub fn ge(self, other: impl Operand<'g>) -> Tensor<'g> {
        other.tensor(self).le(self)
    }

    /// Whether elements differ from those of `other`; NaN differs from itself.
    ///
    /// # Panics
    /// As [`eq`](Tensor::eq).
    #[track_caller]
    pub fn ne(self, other: impl Operand<'g>) -> Tensor<'g> {
        self.eq(other).logical_not()
    }

    /// Limits values to `low..=high`; the gradient is 1 inside and at the limits, else 0.
    ///
    /// # Panics
    /// If the type cannot hold the limits, or its elements are no numbers.
    #[track_caller]
    pub fn clamp(self, low: f64, high: f64) -> Tensor<'g> {
        self.maximum(low).minimum(high)
    }

    /// `self` where `condition` holds, else `other`.
    ///
    /// # Panics
    /// If `condition` is not `bool` or does not broadcast to the shape of both, or their types or
    /// shapes do not fit each other.
    #[track_caller]
    pub fn where_(self, condition: Tensor<'g>, other: impl Operand<'g>) -> Tensor<'g> {
        let (x, y) = broadcast_pair(Op::Select, self, other.tensor(self));
        self.beside("select", &[condition]);
        if let Err(what) = broadcasting::check(&condition.shape(), &x.shape()) {
            let what = format!("the condition does not fit: {what}");
            TypeError::new(&Op::Select, [&condition.ty(), &x.ty()], what)
                .help(broadcasting::HELP)
                .raise();
        }
        let condition = condition.broadcast_to(x.shape());
        condition.apply(Op::Select, &[x, y])
    }

    /// The elements in another type: floats become integers towards zero and saturate, NaN becomes
    /// 0.
    ///
    /// # Panics
    /// If there is no conversion between the two types.
    #[track_caller]
    pub fn cast(self, dtype: DType) -> Tensor<'g> {
        if self.dtype() == dtype {
            return self;
        }
        self.apply(Op::Cast(dtype), &[])
    }

    /// `x * x`.
    ///
    /// # Panics
    /// If the elements are no numbers: `bool`, `f16` or `bf16`.
    #[track_caller]
    pub fn square(self) -> Tensor<'g> {
        self * self
    }

    /// `1 / x`.
    ///
    /// # Panics
    /// If the elements are not `f32`.
    #[track_caller]
    pub fn reciprocal(self) -> Tensor<'g> {
        self.full_like(1.0) / self
    }
}

/// The right side of a binary operation: a tensor, or a number that takes the other's type, which
/// must be able to hold it ([`Graph::full`]): an integer times 0.5 is refused.
pub trait Operand<'g>: Copy {
    /// The operand as a tensor beside `other`.
    fn tensor(self, other: Tensor<'g>) -> Tensor<'g>;
}

impl<'g> Operand<'g> for Tensor<'g> {
    fn tensor(self, _other: Tensor<'g>) -> Tensor<'g> {
        self
    }
}

impl<'g> Operand<'g> for f64 {
    #[track_caller]
    fn tensor(self, other: Tensor<'g>) -> Tensor<'g> {
        other.full_like(self)
    }
}

macro_rules! operator {
    ($($trait:ident $method:ident $op:expr;)*) => {
        $(impl<'g, T: Operand<'g>> $trait<T> for Tensor<'g> {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: T) -> Tensor<'g> {
                let (x, y) = broadcast_pair($op, self, other.tensor(self));
                x.apply($op, &[y])
            }
        }

        impl<'g> $trait<Tensor<'g>> for f64 {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: Tensor<'g>) -> Tensor<'g> {
                other.full_like(self).$method(other)
            }
        })*
    };
}

operator! {
    Add add Op::Add;
    Sub sub Op::Sub;
    Mul mul Op::Mul;
    Div div Op::Div;
}

impl<'g> Neg for Tensor<'g> {
    type Output = Tensor<'g>;

    #[track_caller]
    fn neg(self) -> Tensor<'g> {
        self.apply(Op::Neg, &[])
    }
}

macro_rules! bits {
    ($($trait:ident $method:ident $word:ident;)*) => {
        $(impl<'g, T: Operand<'g>> $trait<T> for Tensor<'g> {
            type Output = Tensor<'g>;

            #[track_caller]
            fn $method(self, other: T) -> Tensor<'g> {
                self.$word(other)
            }
        })*
    };
}

bits! {
    BitAnd bitand and;
    BitOr bitor or;
    BitXor bitxor xor;
    Shl shl shift_left;
    Shr shr shift_right;
}

impl<'g> Not for Tensor<'g> {
    type Output = Tensor<'g>;

    #[track_caller]
    fn not(self) -> Tensor<'g> {
        self.logical_not()
    }
}

/// Both tensors in their common NumPy shape: trailing axes are aligned, extent 1 repeats.
#[track_caller]
fn broadcast_pair<'g>(op: Op, x: Tensor<'g>, y: Tensor<'g>) -> (Tensor<'g>, Tensor<'g>) {
    x.beside(op.name(), &[y]);
    let (x_ty, y_ty) = (x.ty(), y.ty());
    if x_ty.shape == y_ty.shape {
        return (x, y);
    }
    match broadcasting::common(&x_ty.shape, &y_ty.shape) {
        Ok(shape) => (x.broadcast_to(&shape), y.broadcast_to(&shape)),
        Err(what) => TypeError::new(&op, [&x_ty, &y_ty], what)
            .help(broadcasting::HELP)
            .raise(),
    }
}

/// Joins tensors along an axis (negative from the end).
#[track_caller]
pub(super) fn concat<'g>(graph: &'g Graph, tensors: &[Tensor<'g>], axis: isize) -> Tensor<'g> {
    one_graph("concat", graph, tensors, &[]);
    let ids: Vec<_> = tensors.iter().map(|tensor| tensor.id()).collect();
    let axis = match tensors.first() {
        Some(first) => first.axis("concat", axis),
        None => 0, // The type rule refuses to join nothing.
    };
    build(graph, Op::Concat { axis }, &ids)
}
