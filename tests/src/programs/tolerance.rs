//! What a program may give that rounds differently.
//!
//! A rewrite that is not exact changes the last bits of what floats are computed from. So the
//! program is evaluated some times with the last bits of operands and results of all ops that
//! round changed at random; how far its results move then is how far they may be off. An element
//! that is not the same kind of number (NaN, an infinity, finite) in all of these evaluations says
//! nothing; one that is must be of that kind compiled, too.
//!
//! But for what [`bsq_ir::rewrite`] lists:
//! a program in which something overflows or underflows is not compared, and where a backward pass
//! or attention was found and something is NaN or infinity, a result may be so too, and an integer
//! that is made of it may be any.

use super::choices::Choices;
use bsq_ir::eval::{Data, Precision, Value, Values, apply};
use bsq_ir::rewrite::{Options, optimize};
use bsq_ir::{Function, Op, fused};

/// Results of one evaluation after another.
pub struct Spread<'f> {
    expanded: Function,
    inputs: &'f Values,
    parameters: &'f Values,
    runs: Vec<Vec<Value>>,
    /// Something is NaN or positive infinity.
    odd: bool,
    /// Something is, or nearly is, too large or too small for an `f32`.
    extreme: bool,
}

/// How many units in the last place an operand or a result is moved at most.
const UNITS: usize = 4;
/// How far a result may be off, in the largest distances of evaluations.
const FACTOR: f64 = 16.0;
/// Evaluations before anything is called a difference.
const RUNS: usize = 96;

impl<'f> Spread<'f> {
    pub fn new(function: &Function, inputs: &'f Values, parameters: &'f Values) -> Self {
        Spread {
            expanded: fused::expand_function(function),
            inputs,
            parameters,
            runs: Vec::new(),
            odd: false,
            extreme: false,
        }
    }

    /// The first element of root `root` (outputs, then updates) that is further from `wanted` than
    /// rounding explains, and why.
    pub fn first_difference(&mut self, root: usize, wanted: &Value, got: &Value) -> Option<String> {
        wanted.first_difference(got)?;
        for runs in [0, 4, RUNS] {
            while self.runs.len() < runs {
                let run = self.evaluate(self.runs.len() as u64);
                self.runs.push(run);
            }
            let difference = self.difference(root, wanted, got);
            if difference.is_none() || self.extreme || runs == RUNS {
                return difference.filter(|_| !self.extreme);
            }
        }
        None
    }

    fn difference(&self, root: usize, wanted: &Value, got: &Value) -> Option<String> {
        let others: Vec<Vec<f64>> = self.runs.iter().map(|run| run[root].to_f64()).collect();
        let is_float = wanted.dtype().is_float();
        let (wanted, got) = (wanted.to_f64(), got.to_f64());
        for (at, (&wanted, &got)) in wanted.iter().zip(&got).enumerate() {
            let others = || others.iter().map(|run| run[at]);
            if !others().all(|other| kind(other) == kind(wanted)) {
                continue;
            }
            // An integer does not say what it was made of.
            let spreads = || self.odd && (!got.is_finite() || !is_float) && self.simplified();
            if kind(got) != kind(wanted) {
                if spreads() {
                    continue;
                }
                return Some(format!("element {at}: {got:e} for {wanted:e}"));
            }
            if !wanted.is_finite() {
                continue;
            }
            let spread = others().fold(0.0, |most: f64, other| most.max((other - wanted).abs()));
            let allowed = match is_float {
                true => FACTOR * spread + 2e-6 * wanted.abs() + 1e-36,
                false if spread > 0.0 => f64::INFINITY,
                false => 0.0,
            };
            if (got - wanted).abs() > allowed && !spreads() {
                return Some(format!(
                    "element {at}: {got:e} for {wanted:e}, which rounding moves by {spread:e}"
                ));
            }
        }
        None
    }

    /// Whether rewriting finds one of the ops that do not keep what is not finite apart.
    fn simplified(&self) -> bool {
        let (_, report) = optimize(&self.expanded, &Options::default());
        let wide = ["attention", "softmax_backward", "layer_norm_backward"];
        let is_wide = |name: &&str| wide.iter().any(|wide| name.starts_with(wide));
        report.found.keys().any(is_wide)
    }

    /// All roots with last bits changed.
    fn evaluate(&mut self, seed: u64) -> Vec<Value> {
        let mut choices = Choices::from_seed(seed);
        let mut values: Vec<Value> = Vec::new();
        for node in self.expanded.nodes() {
            let operands = node.operands.iter().map(|id| &values[id.index()]);
            let rounds = rounds(&node.op);
            let value = match &node.op {
                Op::Input { name, .. } => self.inputs[name].clone(),
                Op::Parameter { name, .. } => self.parameters[name].clone(),
                op if rounds => {
                    let moved: Vec<Value> =
                        operands.map(|value| moved(value, &mut choices)).collect();
                    let moved: Vec<&Value> = moved.iter().collect();
                    apply(op, &node.types, &moved, Precision::F32).remove(0)
                }
                op => {
                    let operands: Vec<&Value> = operands.collect();
                    apply(op, &node.types, &operands, Precision::F32).remove(0)
                }
            };
            if let Data::F32(elements) = value.data() {
                self.odd |= elements.iter().any(|&x| x.is_nan() || x == f32::INFINITY);
                // What is given may be anything; what is computed tells.
                self.extreme |= !node.operands.is_empty()
                    && (elements.iter().any(|&x| is_extreme(x))
                        || overflows(
                            &node.op,
                            &value,
                            node.operands.iter().map(|id| &values[id.index()]),
                        ));
            }
            values.push(match rounds {
                true => moved(&value, &mut choices),
                false => value,
            });
        }
        let root = |id: bsq_ir::NodeId| values[id.index()].clone();
        self.expanded.roots().map(root).collect()
    }
}

/// Numbers whose products and quotients may leave the range of `f32`.
fn is_extreme(x: f32) -> bool {
    x.is_finite() && x != 0.0 && !(1e-18..1e18).contains(&x.abs())
}

/// Infinities from finite operands, but for a division by zero and the logarithm of zero.
fn overflows<'v>(op: &Op, value: &Value, mut operands: impl Iterator<Item = &'v Value>) -> bool {
    let finite = |value: &Value| value.to_f64().iter().all(|x| x.is_finite());
    let limits = matches!(op, Op::Div | Op::Log | Op::Cast(_));
    !limits && !finite(value) && operands.all(finite)
}

/// NaN, one of the infinities, or a number.
fn kind(x: f64) -> u8 {
    match x {
        x if x.is_nan() => 0,
        f64::INFINITY => 1,
        f64::NEG_INFINITY => 2,
        _ => 3,
    }
}

/// Whether a rewrite may change the last bits of an op's results.
fn rounds(op: &Op) -> bool {
    matches!(
        op,
        Op::Neg
            | Op::Exp
            | Op::Log
            | Op::Sqrt
            | Op::Tanh
            | Op::Erf
            | Op::Sin
            | Op::Cos
            | Op::Add
            | Op::Sub
            | Op::Mul
            | Op::Div
            | Op::Sum(_)
            | Op::WindowSum { .. }
            | Op::DotGeneral(_)
            | Op::ScatterAdd { .. }
    )
}

/// A tensor of `f32` with the last bits of its elements changed; zeros may change their sign.
fn moved(value: &Value, choices: &mut Choices) -> Value {
    let Data::F32(elements) = value.data() else {
        return value.clone();
    };
    let mut one = |&x: &f32| {
        let word = choices.word() as usize;
        if x == 0.0 {
            return if word & 1 == 0 { x } else { -x };
        }
        if !x.is_finite() {
            return x;
        }
        let units = (word % (2 * UNITS + 1)) as i64 - UNITS as i64;
        let magnitude = i64::from(x.abs().to_bits()) + units;
        // Neither to infinity nor through zero: those are other kinds of numbers.
        let magnitude = magnitude.clamp(1, i64::from(f32::MAX.to_bits()));
        f32::from_bits(magnitude as u32).copysign(x)
    };
    Value::new(
        value.shape(),
        elements.iter().map(&mut one).collect::<Vec<f32>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bsq_ir::{DType, Graph, Tensor};

    /// What is said of `got` as the result of a function of `x`, five numbers.
    fn said(
        build: impl Fn(Tensor<'_>) -> Tensor<'_>,
        x: [f32; 5],
        got: [f32; 5],
    ) -> Option<String> {
        let graph = Graph::new();
        let y = build(graph.input("x", DType::F32, [5]));
        let function = graph.function([("y", y.id())], []);
        let inputs = Values::from([("x".to_string(), Value::new([5], x.to_vec()))]);
        let none = Values::new();
        let wanted = bsq_ir::eval::evaluate(&function, &inputs, &none, Precision::F32);
        let wanted = wanted
            .expect("x is given")
            .outputs
            .remove("y")
            .expect("an output");
        let got = Value::new([5], got.to_vec());
        Spread::new(&function, &inputs, &none).first_difference(0, &wanted, &got)
    }

    const X: [f32; 5] = [0.0, 1.0, 0.1, f32::NAN, f32::INFINITY];

    #[test]
    fn rounding_is_no_difference() {
        let near = [0.0, 1.0 / 3.0 + 1e-7, 0.033333335, f32::NAN, f32::INFINITY];
        assert_eq!(said(|x| x / 3.0, X, near), None);
        // Of numbers that cancel, all bits may go.
        let x = [0.5, 1.0, 0.1, f32::NAN, f32::INFINITY];
        let cancelled = [1e-7, 0.0, -2e-8, f32::NAN, f32::NAN];
        assert_eq!(said(|x| x * 3.0 / 3.0 - x, x, cancelled), None);
        // Where rounding decides, either side is right.
        assert_eq!(
            said(
                |x| (x * 3.0 / 3.0 - x).sign(),
                x,
                [1.0, -1.0, 0.0, f32::NAN, f32::NAN]
            ),
            None
        );
    }

    #[test]
    fn lost_nan_and_wrong_numbers_are_differences() {
        let nan = f32::NAN;
        assert_eq!(said(|x| x - x, X, [0.0, 0.0, 0.0, nan, nan]), None);
        assert!(said(|x| x - x, X, [0.0; 5]).is_some());
        assert!(said(|x| x.exp(), X, [1.0, 2.719, 1.105171, nan, f32::INFINITY]).is_some());
        assert!(said(|x| x.exp(), X, [1.0, 2.7182817, 1.105171, nan, 1e38]).is_some());
        assert!(said(|x| x.sign(), X, [0.0, 1.0, -1.0, nan, 1.0]).is_some());
    }
}
