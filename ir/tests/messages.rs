//! What a wrong shape looks like to its author: the op, the shapes, the axis, the author's line.
//!
//! In the snapshot a line number is replaced by the text of that line, so that it shows the
//! author's call, and moving a test does not change it.

use bsq_ir::tensor::{Init, Keep, Layout, Slide};
use bsq_ir::{DType, Graph, Scope, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};

const SOURCE: &str = include_str!("messages.rs");

/// Calls that do not fit, by what they are called in the snapshot.
type Mistake = (&'static str, fn(&Graph));

fn f32<'g>(g: &'g Graph, extents: &[usize]) -> Tensor<'g> {
    let name = format!("{extents:?}");
    g.input(&name, DType::F32, extents)
}

fn i64<'g>(g: &'g Graph, extents: &[usize]) -> Tensor<'g> {
    let name = format!("{extents:?}");
    g.input(&name, DType::I64, extents)
}

#[rustfmt::skip]
const MISTAKES: &[Mistake] = &[
    ("matmul", |g| { f32(g, &[2, 3]).matmul(f32(g, &[4, 5])); }),
    ("matmul of a vector", |g| { f32(g, &[3]).matmul(f32(g, &[3, 5])); }),
    ("matmul of batches", |g| { f32(g, &[2, 4, 3]).matmul(f32(g, &[5, 3, 4])); }),
    ("matmul of storage formats", |g| { f32(g, &[2, 3]).cast(DType::F16).matmul(f32(g, &[3, 4])); }),
    ("dot_general", |g| { f32(g, &[2, 3]).dot_general(f32(g, &[4, 3]), &[(0, 0)], &[(1, 1)]); }),
    ("dot_general axis", |g| { f32(g, &[2, 3]).dot_general(f32(g, &[4, 3]), &[], &[(2, 1)]); }),
    ("add", |g| { let _ = f32(g, &[2, 3]) + f32(g, &[2, 4]); }),
    ("multiply with other ranks", |g| { let _ = f32(g, &[5, 2, 3]) * f32(g, &[4, 3]); }),
    ("number minus", |g| { let _ = 1.0 - f32(g, &[2]).gt(0.0); }),
    ("mixed element types", |g| { let _ = f32(g, &[2]) / i64(g, &[2]); }),
    ("function of an integer", |g| { i64(g, &[2]).exp(); }),
    ("greater", |g| { f32(g, &[2, 3]).ge(f32(g, &[3, 2])); }),
    ("select", |g| { f32(g, &[2, 3]).where_(f32(g, &[4]).gt(0.0), 0.0); }),
    ("select by numbers", |g| { f32(g, &[2, 3]).where_(f32(g, &[2, 3]), 0.0); }),
    ("reshape", |g| { f32(g, &[2, 3]).reshape([2, 4]); }),
    ("transpose", |g| { f32(g, &[2, 3]).transpose(&[0, 0]); }),
    ("transpose of another rank", |g| { f32(g, &[2, 3]).transpose(&[1, 0, 2]); }),
    ("swap_axes", |g| { f32(g, &[2, 3]).swap_axes(0, 2); }),
    ("broadcast_to", |g| { f32(g, &[2, 3]).broadcast_to([4, 3]); }),
    ("broadcast_to fewer axes", |g| { f32(g, &[2, 3]).broadcast_to([3]); }),
    ("broadcast_in_dim", |g| { f32(g, &[2, 3]).broadcast_in_dim([2, 4, 5], &[0, 1]); }),
    ("unsqueeze", |g| { f32(g, &[2, 3]).unsqueeze(4); }),
    ("squeeze", |g| { f32(g, &[2, 3]).squeeze(-1); }),
    ("slice", |g| { f32(g, &[2, 3]).slice(1, 1..5); }),
    ("slice axis", |g| { f32(g, &[2, 3]).slice(2, 0..1); }),
    ("chunk", |g| { f32(g, &[2, 9]).chunk(2, -1); }),
    ("pad", |g| { f32(g, &[2, 3]).pad(-3, 1, 1, 0.0); }),
    ("concat", |g| { g.concat(&[f32(g, &[2, 3]), f32(g, &[3, 3])], 1); }),
    ("concat of another rank", |g| { g.concat(&[f32(g, &[2, 3]), f32(g, &[3])], 0); }),
    ("concat of nothing", |g| { g.concat(&[], 0); }),
    ("flip", |g| { f32(g, &[2, 3]).flip([0, -2]); }),
    ("window", |g| { f32(g, &[1, 3, 8]).window(2, 5, 1, 2); }),
    ("sum", |g| { f32(g, &[2, 3]).sum(2); }),
    ("mean", |g| { f32(g, &[2, 3]).mean([0, 1, -1]); }),
    ("max of nothing", |g| { f32(g, &[2, 0]).max(1); }),
    ("argmax", |g| { f32(g, &[2, 3]).argmax(-3); }),
    ("expand_axes", |g| { f32(g, &[2]).expand_axes(-1, [3, 2]); }),
    ("gather", |g| { f32(g, &[5, 3]).gather(0, f32(g, &[2])); }),
    ("scatter_add", |g| { f32(g, &[5, 3]).scatter_add(0, i64(g, &[2]), f32(g, &[2, 4])); }),
    ("dynamic_slice", |g| { f32(g, &[5, 3]).dynamic_slice(0, i64(g, &[]), 6); }),
    ("dynamic_slice start", |g| { f32(g, &[5, 3]).dynamic_slice(0, i64(g, &[1]), 2); }),
    ("dynamic_update_slice", |g| { f32(g, &[5, 3]).dynamic_update_slice(0, f32(g, &[2, 4]), i64(g, &[])); }),
    ("constant", |g| { g.constant_f32(&[1.0, 2.0], [3]); }),
    ("iota", |g| { g.iota(DType::I32, [3], 1); }),
    ("random", |g| { g.random_bits([4], f32(g, &[]), i64(g, &[])); }),
    ("too large", |g| { f32(g, &[1 << 24]).unsqueeze(0).broadcast_to([1 << 30, 1 << 24]); }),
    ("linear", |g| { f32(g, &[]).linear(Scope::root(g), 4); }),
    ("linear with a known weight", |g| { two_layers_of_one_name(g); }),
    ("matmul_transposed", |g| { f32(g, &[2, 3]).matmul_transposed(f32(g, &[3, 4])); }),
    ("softmax", |g| { f32(g, &[]).softmax(); }),
    ("layer_norm", |g| { f32(g, &[2, 3]).layer_norm_with(f32(g, &[2]), f32(g, &[3]), 1e-5); }),
    ("attention depth", |g| { f32(g, &[2, 7, 4]).attention(f32(g, &[2, 5, 3]), f32(g, &[2, 5, 4]), 0.5, None); }),
    ("attention keys", |g| { f32(g, &[7, 4]).attention(f32(g, &[5, 4]), f32(g, &[6, 4]), 0.5, None); }),
    ("attention batch", |g| { f32(g, &[2, 7, 4]).attention(f32(g, &[2, 5, 4]), f32(g, &[3, 5, 4]), 0.5, None); }),
    ("attention mask", |g| { f32(g, &[7, 4]).attention(f32(g, &[5, 4]), f32(g, &[5, 4]), 0.5, Some(f32(g, &[7, 7]))); }),
    ("layer_norm of a scalar", |g| { f32(g, &[]).layer_norm(Scope::root(g), 1e-5); }),
    ("powi of an integer", |g| { i64(g, &[2]).powi(-2); }),
    ("min of nothing", |g| { f32(g, &[2, 0]).min(1); }),
    ("log_sum_exp of nothing", |g| { f32(g, &[2, 0]).log_sum_exp(1); }),
    ("var", |g| { i64(g, &[2, 3]).var(0, 1); }),
    ("any", |g| { f32(g, &[2, 3]).any(..); }),
    ("all", |g| { f32(g, &[2, 3]).all(Keep(1)); }),
    ("prod", |g| { f32(g, &[2, 3]).prod([0, 0]); }),
    ("cumsum", |g| { f32(g, &[2, 3]).cumsum(2); }),
    ("tril", |g| { f32(g, &[3]).tril(0); }),
    ("stack", |g| { g.stack(&[f32(g, &[2]), f32(g, &[3])], 0); }),
    ("stack of nothing", |g| { g.stack(&[], 0); }),
    ("one_hot", |g| { f32(g, &[3]).one_hot(4); }),
    ("conv2d channels", |g| { f32(g, &[1, 3, 8, 8]).conv2d(f32(g, &[4, 5, 3, 3]), 1, 0); }),
    ("convolution channels of groups", |g| {
        let slides = [Slide::default(); 2];
        f32(g, &[1, 6, 8, 8]).convolution(f32(g, &[4, 6, 3, 3]), &slides, 2, Layout::ChannelsFirst);
    }),
    ("einsum without a result", |g| { g.einsum("ij,jk", &[f32(g, &[2, 3]), f32(g, &[3, 4])]); }),
    ("einsum operands", |g| { g.einsum("ij,jk->ik", &[f32(g, &[2, 3])]); }),
    ("einsum extents", |g| { g.einsum("ij,jk->ik", &[f32(g, &[2, 3]), f32(g, &[4, 5])]); }),
    ("einsum axes", |g| { g.einsum("ij->i", &[f32(g, &[2, 3, 4])]); }),
    ("einsum letter twice", |g| { g.einsum("i->ii", &[f32(g, &[3])]); }),
    ("einsum diagonal", |g| { g.einsum("ii->i", &[f32(g, &[3, 4])]); }),
    ("einsum ellipsis", |g| { g.einsum("...i->i", &[f32(g, &[3, 3])]); }),
    ("einsum two ellipses", |g| { g.einsum("...i...->i...", &[f32(g, &[3, 3])]); }),
    ("einsum ellipsis axes", |g| { g.einsum("...ijk->...", &[f32(g, &[3, 3])]); }),
    ("einsum ellipsis extents", |g| { g.einsum("...i,...i->...", &[f32(g, &[5, 2, 3]), f32(g, &[4, 3])]); }),
    ("einsum unknown result", |g| { g.einsum("ij->k", &[f32(g, &[3, 3])]); }),
    ("dropout", |g| { let zero = g.full(0.0, DType::U64, []); f32(g, &[3]).dropout(1.5, zero, zero); }),
    ("top_k", |g| { f32(g, &[2, 3]).top_k(4, 1); }),
    ("sort of too many", |g| { f32(g, &[2, 10000]).sort(-1); }),
    ("take_along", |g| { f32(g, &[2, 3]).take_along(1, i64(g, &[3, 1])); }),
    ("cross_entropy", |g| { f32(g, &[8, 10]).cross_entropy(i64(g, &[8, 1])); }),
    ("gradients", |g| { bsq_ir::autodiff::gradients(f32(g, &[2]), &[]); }),
];

fn two_layers_of_one_name(g: &Graph) {
    let root = Scope::root(g);
    root.parameter("weight", [4, 3], Init::Normal(0.02));
    f32(g, &[2, 5]).linear(&root, 4);
}

/// The message with its place replaced by the source line there.
fn message(build: fn(&Graph)) -> String {
    let graph = Graph::new();
    let panic = catch_unwind(AssertUnwindSafe(|| build(&graph))).expect_err("a panic");
    let message = panic.downcast::<String>().expect("a formatted message");
    let (before, place) = message.split_once("\n  at ").expect("a place");
    let (place, after) = place.split_once('\n').unwrap_or((place, ""));
    let (path, number) = place.rsplit_once(':').expect("path:line");
    assert_eq!(path, file!(), "{message}");
    let number: usize = number.parse().expect("a line number");
    let line = SOURCE.lines().nth(number - 1).expect("a line of this file");
    let call = line
        .trim()
        .rsplit_once("|g| { ")
        .map_or(line.trim(), |(_, call)| call);
    let call = call.trim_end_matches("; }),");
    format!("{before}\n  at `{call}`\n{after}")
        .trim_end()
        .to_string()
}

#[test]
fn messages_name_op_shapes_axis_and_line() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut report = String::new();
    for (name, build) in MISTAKES {
        report += &format!("# {name}\n{}\n\n", message(*build));
    }
    let _ = std::panic::take_hook();
    insta::assert_snapshot!(report);
}

#[test]
fn every_node_points_at_the_authors_line() {
    let g = Graph::new();
    let root = Scope::root(&g);
    let x = f32(&g, &[2, 4, 8]).linear(&root / "fc", 6);
    let x = x.layer_norm_with(f32(&g, &[6]), f32(&g, &[6]), 1e-5).gelu() * 2.0 + x;
    let x = x
        .attention(x.tanh(), x.sigmoid(), 0.5, None)
        .l2_normalize(1e-6);
    let x = 1.0
        - x.softplus()
            .pad(0, 1, 1, 0.0)
            .clamp(-1.0, 1.0)
            .window(0, 2, 1, 1);
    let loss = x.mean([0, 1]).cross_entropy(i64(&g, &[6]).slice(0, 0..4));
    let function = g.function([("loss", loss.id())], []);
    for (id, node) in function.iter() {
        assert_eq!(node.location.file(), file!(), "{id} {}", node.op.name());
    }
}
