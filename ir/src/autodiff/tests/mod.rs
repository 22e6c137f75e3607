//! Derivatives: structure, places and panics here; values against differences in `numeric`.

mod cases;
mod numeric;

use super::{gradients, vjp};
use crate::dtype::DType::{F16, F32, I32};
use crate::graph::{Graph, Region};
use crate::op::Op;
use crate::text::parse;

#[test]
fn rules_build_the_expected_nodes() {
    let g = Graph::new();
    let (x, w) = (g.input("x", F32, [2, 5, 3]), g.parameter("w", F32, [4, 3]));
    let y = x.matmul_transposed(w);
    let cotangent = g.input("g", F32, [2, 5, 4]);
    let d = vjp(&[y], &[cotangent], &[x, w]);
    let function = g.function([("dx", d[0].id()), ("dw", d[1].id())], []);
    insta::assert_snapshot!(function);
}

#[test]
fn a_tensor_used_twice_gets_the_sum() {
    let g = Graph::new();
    let x = g.input("x", F32, [3]);
    let dx = gradients((x * x).sum(..), &[x])[0];
    let text = g.function([("dx", dx.id())], []).to_string();
    assert_eq!(text.matches(" = add ").count(), 1, "{text}");
}

#[test]
fn independent_parameters_get_zeros() {
    let g = Graph::new();
    let (x, unused) = (g.input("x", F32, [2]), g.parameter("unused", F32, [4]));
    let cut = x.stop_gradient() + x.sign() + x.floor() + x.gt(0.0).cast(F32);
    let cut = cut + x.cast(I32).cast(F32);
    let d = gradients((cut * cut).sum(..), &[unused, x]);
    assert_eq!(d[0].id(), g.full(0.0, F32, [4]).id());
    assert_eq!(d[1].id(), g.full(0.0, F32, [2]).id());
}

#[test]
fn nothing_is_built_for_what_is_not_asked() {
    let g = Graph::new();
    let (x, y) = (g.input("x", F32, [2]), g.input("y", F32, [2]));
    let loss = (x * y.exp().stop_gradient()).sum(..);
    let before = g.len();
    gradients(loss, &[x]);
    // The loss's cotangent, repeated over the sum, and one product.
    assert_eq!(g.len(), before + 3);
}

#[test]
fn a_derivative_is_total_whatever_else_is_asked_for() {
    let g = Graph::new();
    let x = g.input("x", F32, [3]);
    let y = x.exp();
    let loss = (y * y + x).sum(..);
    let both = gradients(loss, &[x, y, x]);
    let [dx, dy] = [x, y].map(|tensor| gradients(loss, &[tensor])[0].id());
    assert_eq!(
        both.iter().map(|d| d.id()).collect::<Vec<_>>(),
        [dx, dy, dx]
    );
}

#[test]
fn an_output_may_appear_twice() {
    let g = Graph::new();
    let (x, a, b) = (
        g.input("x", F32, [3]),
        g.input("a", F32, [3]),
        g.input("b", F32, [3]),
    );
    let y = x.exp();
    let twice = vjp(&[y, y], &[a, b], &[x])[0];
    assert_eq!(twice.id(), vjp(&[y], &[a + b], &[x])[0].id());
}

#[test]
fn the_loss_itself_has_gradient_one() {
    let g = Graph::new();
    let loss = g.scalar("loss");
    assert_eq!(gradients(loss, &[loss])[0].id(), loss.full_like(1.0).id());
}

#[test]
fn gradients_lie_in_the_region_and_at_the_line_of_their_node() {
    let g = Graph::new();
    let x = g.input("x", F32, [2]);
    let line = line!() + 1;
    let y = g.in_new_region(|| x.exp());
    let dx = gradients(y.sum(..), &[x])[0];
    let node = g.node(dx.id());
    assert_eq!((&node.op, node.region), (&Op::Mul, Region(1)));
    assert_eq!(
        (node.location.file(), node.location.line()),
        (file!(), line)
    );
}

#[test]
fn casts_between_floats_pass_the_cotangent_unrounded() {
    let g = Graph::new();
    let x = g.input("x", F16, [4]);
    let y = x.reshape([2, 2]).cast(F32);
    let dx = gradients((y * y).sum(..), &[x])[0];
    assert_eq!(dx.ty().to_string(), "f32[4]");
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    let g = Graph::new();
    let x = g.input("x", F32, [1]);
    let y = (0..100_000).fold(x, |y, _| y.tanh() + x);
    let dx = gradients(y.sum(..), &[x])[0];
    assert_eq!(dx.shape(), x.shape());
}

#[test]
fn the_same_program_has_the_same_gradient_graph() {
    let build = || {
        let g = Graph::new();
        let x = g.input("x", F32, [2, 4]);
        let y = x.softmax() + x.gelu() * x.l2_normalize(1e-6);
        let d = gradients((y * y).mean(..), &[x])[0];
        g.function([("d", d.id())], [])
    };
    assert_eq!(build().to_string(), build().to_string());
    assert_eq!(parse(&build().to_string()), Ok(build()));
}

fn panic_of(build: impl FnOnce()) -> String {
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(build));
    *result.unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn a_loss_that_is_no_scalar_is_refused_at_the_callers_line() {
    let g = Graph::new();
    let x = g.input("x", F32, [2]);
    let line = line!() + 1;
    let message = panic_of(|| drop(gradients(x * 2.0, &[x])));
    assert!(
        message.contains("gradients: the loss must be f32[]"),
        "{message}"
    );
    assert!(
        message.contains(&format!("{}:{line}", file!())),
        "{message}"
    );
}

#[test]
fn what_has_no_derivative_is_refused() {
    let (g, other) = (Graph::new(), Graph::new());
    let (x, i) = (g.input("x", F32, [2]), g.input("i", I32, [2]));
    let foreign = other.input("x", F32, [2]);
    let integer = panic_of(|| drop(gradients(x.sum(..), &[i])));
    assert!(integer.contains("is no float"), "{integer}");
    let foreign = panic_of(|| drop(gradients(x.sum(..), &[foreign])));
    assert!(foreign.contains("different graphs"), "{foreign}");
    let cotangent = panic_of(|| drop(vjp(&[x], &[x.sum(..)], &[x])));
    assert!(cotangent.contains("must be f32[2]"), "{cotangent}");
}
