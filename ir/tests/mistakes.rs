//! Mistakes of a model's author that once gave a wrong graph: two graphs in one expression, names
//! given twice, numbers that a type cannot hold, indices that no type counts.
//!
//! Each is refused with a message that names the author's own line.

use bsq_ir::autodiff::{gradients, vjp};
use bsq_ir::tensor::Init;
use bsq_ir::verify::verify;
use bsq_ir::{DType::*, Graph, NodeId, Op, Scope, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The message of a panic, which must name this file.
fn refusal<R>(name: &str, build: impl FnOnce() -> R) -> String {
    let panic = match catch_unwind(AssertUnwindSafe(build)) {
        Ok(_) => panic!("{name}: accepted"),
        Err(panic) => panic,
    };
    let message = panic.downcast::<String>().expect("a formatted message");
    assert!(
        message.contains(&format!("at {}:", file!())),
        "{name}: {message}"
    );
    *message
}

#[track_caller]
fn assert_refused<R>(name: &str, wanted: &str, build: impl FnOnce() -> R) {
    let message = refusal(name, build);
    assert!(message.contains(wanted), "{name}: {message}");
}

type Word = for<'g> fn(Tensor<'g>, Tensor<'g>) -> Tensor<'g>;

#[rustfmt::skip]
const WORDS: &[(&str, Word)] = &[
    ("add", |x, y| x + y),
    ("sub", |x, y| x - y * 2.0),
    ("mul", |x, y| x * y),
    ("div", |x, y| x / y),
    ("add of broadcast", |x, y| x + y.sum(-1)),
    ("maximum", |x, y| x.maximum(y)),
    ("minimum", |x, y| x.minimum(y)),
    ("eq", |x, y| x.eq(y)),
    ("lt", |x, y| x.lt(y)),
    ("le", |x, y| x.le(y)),
    ("gt", |x, y| x.gt(y)),
    ("ge", |x, y| x.ge(y)),
    ("and", |x, y| x.gt(0.0).and(y.gt(0.0))),
    ("or", |x, y| x.gt(0.0).or(y.gt(0.0))),
    ("xor", |x, y| x.gt(0.0).xor(y.gt(0.0))),
    ("shift_left", |x, y| x.cast(I32).shift_left(y.cast(I32))),
    ("shift_right", |x, y| x.cast(I32).shift_right(y.cast(I32))),
    ("where_ condition", |x, y| x.where_(y.gt(0.0), 0.0)),
    ("where_ other", |x, y| x.where_(x.gt(0.0), y)),
    ("matmul", |x, y| x.matmul(y)),
    ("dot_general", |x, y| x.dot_general(y, &[], &[(0, 0)])),
    ("matmul_transposed", |x, y| x.matmul_transposed(y)),
    ("layer_norm weight", |x, y| x.layer_norm_with(y.sum(0), x.sum(0), 1e-5)),
    ("layer_norm bias", |x, y| x.layer_norm_with(x.sum(0), y.sum(0), 1e-5)),
    ("attention keys", |x, y| x.attention(y, x, 1.0, None)),
    ("attention values", |x, y| x.attention(x, y, 1.0, None)),
    ("attention mask", |x, y| x.attention(x, x, 1.0, Some(y.gt(0.0)))),
    ("cross_entropy", |x, y| x.cross_entropy(y.argmax(-1))),
    ("conv2d", |x, y| x.reshape([1, 1, 4, 4]).conv2d(y.reshape([1, 1, 4, 4]), 1, 0)),
    ("gather", |x, y| x.gather(0, y.argmax(-1))),
    ("scatter_add indices", |x, y| x.scatter_add(0, y.argmax(-1), x)),
    ("scatter_add updates", |x, y| x.scatter_add(0, x.argmax(-1), y)),
    ("dynamic_slice", |x, y| x.dynamic_slice(0, y.sum(..).cast(I32), 2)),
    ("dynamic_update_slice", |x, y| x.dynamic_update_slice(0, y, x.sum(..).cast(I32))),
    ("concat", |x, y| x.graph().concat(&[x, y], 0)),
    ("concat of strangers", |x, y| x.graph().concat(&[y], 0)),
    ("dequantize", |x, y| x.cast(U8).dequantize(y.sum(-1), -1)),
    ("random_bits", |x, y| x.graph().random_bits([3], y.sum(..).cast(U64), x.sum(..).cast(U64))),
    ("linear", |x, y| x.linear(Scope::root(y.graph()), 3)),
    ("layer_norm", |x, y| x.layer_norm(Scope::root(y.graph()), 1e-5)),
    ("pow", |x, y| x.pow(y)),
    ("stack", |x, y| x.graph().stack(&[x, y], 0)),
    ("einsum", |x, y| x.graph().einsum("ij,jk->ik", &[x, y])),
    ("take_along", |x, y| x.take_along(0, y.cast(I32))),
    ("uniform", |x, y| x.graph().uniform([3], y.sum(..).cast(U64), x.sum(..).cast(U64))),
    ("normal", |x, y| x.graph().normal([3], y.sum(..).cast(U64), x.sum(..).cast(U64))),
    ("dropout", |x, y| x.dropout(0.5, y.sum(..).cast(U64), x.sum(..).cast(U64))),
    ("gradients", |x, y| gradients(x.sum(..), &[y])[0]),
    ("vjp", |x, y| vjp(&[x], &[y], &[x])[0]),
];

#[test]
fn tensors_of_two_graphs_never_meet() {
    for (name, word) in WORDS {
        let (g, h) = (Graph::new(), Graph::new());
        // Equal graphs: every node of one has a twin in the other.
        let [x, y] = [&g, &h].map(|graph| graph.input("x", F32, [4, 4]));
        word(x, x.graph().input("y", F32, [4, 4]));
        word(y, y.graph().input("y", F32, [4, 4]));
        assert_refused(name, "different graphs", || word(x, y));
        assert_refused(name, "different graphs", || word(y, x));
    }
    // Also where the shapes do not fit either.
    let (g, h) = (Graph::new(), Graph::new());
    let (x, y) = (g.input("x", F32, [4]), h.input("x", F32, [3]));
    assert_refused("shapes", "different graphs", || x + y);
}

#[test]
fn ids_of_another_graph_are_refused() {
    let (g, h) = (Graph::new(), Graph::new());
    let [x, y] = [&g, &h].map(|graph| graph.input("x", F32, [4]));
    let [p, q] = [&g, &h].map(|graph| graph.parameter("p", F32, [4]));
    let strange = "belongs to another graph";
    let error = g.add(Op::Add, &[x.id(), y.id()]).unwrap_err().to_string();
    assert!(
        error.contains(strange) && error.contains(file!()),
        "{error}"
    );
    assert_refused("tensor", strange, || Tensor::new(&g, y.id()));
    assert_refused("node", strange, || g.node(y.id()));
    assert_refused("type", strange, || g.ty(y.id()));
    assert_refused("output", strange, || g.function([("y", y.id())], []));
    assert_refused("update", strange, || g.function([], [(p.id(), y.id())]));
    assert_refused("updated", strange, || g.function([], [(q.id(), x.id())]));
    assert_refused("no node", "there is no node %9", || g.ty(NodeId::new(9)));
    assert_eq!(
        g.function([("x", x.id())], [(p.id(), x.id())])
            .outputs()
            .len(),
        1
    );
}

#[test]
fn functions_are_what_their_parts_say() {
    let g = Graph::new();
    let (x, p) = (g.input("x", F32, [4]), g.parameter("p", F32, [4]));
    let norm = Op::LayerNorm {
        epsilon: bsq_ir::Float::new(1e-5),
    };
    let norm = g.add(norm, &[x.id(), p.id(), p.id()]).unwrap();
    let twice = [("y", x.id()), ("y", p.id())];
    assert_refused("two outputs", "two outputs are called \"y\"", || {
        g.function(twice, [])
    });
    assert_refused("several results", "take a projection", || {
        g.function([("y", norm)], [])
    });
    assert_refused("a tuple", "take a projection", || {
        Tensor::new(&g, norm).ty()
    });
    assert_refused("no parameter", "replaces a parameter", || {
        g.function([], [(x.id(), p.id())])
    });
    assert_refused("another type", "is f32[4], its new value f32[]", || {
        g.function([], [(p.id(), x.sum(..).id())])
    });
    let updates = [(p.id(), x.id()), (p.id(), x.id())];
    assert_refused("two updates", "two updates of `p`", || {
        g.function([], updates)
    });
}

#[test]
fn a_name_is_given_once() {
    let g = Graph::new();
    let w = g.parameter("w", F32, [4]);
    assert_refused("parameter", "`w` is there already", || {
        g.parameter("w", F32, [4])
    });
    assert_refused("another shape", "`w` is there already", || {
        g.parameter("w", F32, [5])
    });
    assert_eq!(g.known_parameter("w").map(Tensor::id), Some(w.id()));
    assert!(g.known_parameter("v").is_none());
    // An input is what its name says, wherever it is mentioned.
    let x = g.input("x", F32, [2, 4]);
    assert_eq!(g.input("x", F32, [2, 4]).id(), x.id());
    let other = g.input("x", F32, [3, 4]);
    let function = g.function([("a", x.id()), ("b", other.id())], []);
    let error = verify(&function).unwrap_err().to_string();
    assert!(error.starts_with("a second input \"x\""), "{error}");
    assert_eq!(error.matches(file!()).count(), 2, "{error}");

    let model = Scope::root(&g);
    let layer = &model / "fc";
    let y = x.linear(&layer, 4);
    assert_refused("a layer twice", "`fc.weight` is there already", || {
        y.linear(&layer, 4)
    });
    assert_refused("another root", "`fc.weight` is there already", || {
        y.linear(&(Scope::root(&g) / "fc"), 4)
    });
    assert_refused("a name of the graph", "`w` is there already", || {
        model.parameter("w", [4], Init::Constant(0.0))
    });
    let z = y.linear(layer.sharing(), 4);
    assert_eq!(model.specs().len(), 2);
    assert_refused("another shape", "was f32[4,4]", || {
        z.linear(layer.sharing(), 5)
    });
    let other = Scope::root(&g).sharing() / "fc";
    z.linear(&other, 4);
    assert_eq!(other.specs(), model.specs());
    let parameters = model.parameters();
    assert_eq!(parameters[0].id(), other.parameters()[0].id());
}

#[test]
fn unused_parameters_and_inputs_are_told() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let used = model.parameter("used", [3], Init::Constant(1.0));
    let idle = model.parameter("idle", [3], Init::Constant(1.0));
    model.parameter("forgotten", [3], Init::Constant(1.0));
    let momentum = g.parameter("momentum", F32, [3]);
    let (x, rate) = (g.input("x", F32, [3]), g.scalar("rate"));
    let loss = (x * used).sum(..);
    let step = momentum * 0.9 + gradients(loss, &[used])[0];
    let updates = [
        (used.id(), (used - step * rate).id()),
        (momentum.id(), step.id()),
        (
            idle.id(),
            (idle - gradients(loss, &[idle])[0] * g.scalar("idle rate")).id(),
        ),
    ];
    let function = g.function([("loss", loss.id())], updates);
    assert_eq!(function.unused_parameters(), ["idle"]);
    assert_eq!(function.unused_inputs(), ["idle rate"]);
    assert_eq!(model.unused_in(&function), ["idle", "forgotten"]);
    // All updates and no outputs: nothing to be told by.
    assert!(g.function([], updates).unused_parameters().is_empty());
}

#[test]
fn numbers_that_a_type_cannot_hold_are_refused() {
    let g = Graph::new();
    let x = |dtype| g.input(&format!("{dtype}"), dtype, [3]);
    for (dtype, value, wanted) in [
        (I32, 0.5, "0.5 is no i32"),
        (I64, 1e19, "1e19 is no i64"),
        (I32, 2147483648.0, "is no i32"),
        (U8, -1.0, "-1.0 is no u8"),
        (U8, 256.0, "256.0 is no u8"),
        (U32, f64::NAN, "NaN is no u32"),
        (U64, f64::INFINITY, "inf is no u64"),
        (F32, 1e39, "1e39 is no f32"),
    ] {
        let name = format!("{dtype} {value}");
        assert_refused(&name, wanted, || x(dtype) * value);
        assert_refused(&name, wanted, || value - x(dtype));
        assert_refused(&name, wanted, || x(dtype).maximum(value));
        assert_refused(&name, wanted, || x(dtype).clamp(value, 1.0));
        assert_refused(&name, wanted, || x(dtype).gt(value));
        assert_refused(&name, wanted, || x(dtype).where_(x(dtype).eq(1.0), value));
        assert_refused(&name, wanted, || x(dtype).pad(0, 1, 0, value));
        assert_refused(&name, wanted, || x(dtype).full_like(value));
        assert_refused(&name, wanted, || g.full(value, dtype, [2]));
    }
    assert_refused("bool", "2.0 is no bool", || x(Bool).eq(2.0));
    assert_refused("mean", "mean: needs f32, got i32", || x(I32).mean(..));
    let _ = (
        x(I32) * -3.0,
        x(U8) + 255.0,
        7.0 - x(U64),
        x(F32) * f64::NAN,
        x(Bool).eq(1.0),
    );
}

#[test]
fn indices_that_their_type_cannot_count_are_refused() {
    let g = Graph::new();
    let line = |extent: usize| g.input(&format!("{extent}"), F32, [extent]);
    let most = 1 << 31;
    line(most).argmax(0);
    assert_refused("argmax", "more than an index of i32 counts", || {
        line(most + 1).argmax(0)
    });
    for (dtype, most) in [(U8, 256), (I32, 1 << 31), (U32, 1 << 32)] {
        g.iota(dtype, [2, most], 1);
        g.iota(dtype, [most + 1, 2], 1);
        assert_refused("iota", "more indices than", || {
            g.iota(dtype, [2, most + 1], 1)
        });
    }
    // Labels of a narrow type name the first classes of many.
    let labels = g.input("labels", U8, [2]);
    g.input("logits", F32, [2, 1000]).cross_entropy(labels);
    assert_refused("values", "2 values for f32", || {
        g.constant_f32(&[1.0, 2.0], [1 << 40, 1 << 40])
    });
}
