//! Small programs: one for each rule that no transformer block needs.

use crate::autodiff::vjp;
use crate::dtype::DType::*;
use crate::graph::{Function, Graph};
use crate::op::Constant;
use crate::shape::Type;
use crate::tensor::Tensor;

const ROWS: [usize; 2] = [3, 4];

/// Names and functions.
pub fn snippets() -> Vec<(&'static str, Function)> {
    let one = |build: fn(&Graph) -> Tensor<'_>| {
        let g = Graph::new();
        let y = build(&g).id();
        g.function([("y", y)], [])
    };
    vec![
        (
            "sum of scaled rows",
            one(|g| {
                let z = (g.input("z", F32, [3]).abs() + 0.5).reciprocal();
                (g.input("x", F32, ROWS) * z.unsqueeze(-1)).sum(-1)
            }),
        ),
        (
            "equal branches",
            one(|g| {
                let (x, c) = (g.input("x", F32, ROWS), g.input("c", Bool, ROWS));
                (x / 3.0).where_(c, x * (1.0 / 3.0))
            }),
        ),
        (
            "straight-through sign",
            one(|g| {
                let x = g.input("x", F32, ROWS);
                x + (x.sign() - x).stop_gradient()
            }),
        ),
        (
            "gain before a linear layer",
            one(|g| {
                let (x, w) = (g.input("x", F32, ROWS), g.parameter("w", F32, [5, 4]));
                (x * g.parameter("gain", F32, [4])).matmul_transposed(w)
            }),
        ),
        (
            "gain after a linear layer",
            one(|g| {
                let (x, w) = (g.input("x", F32, ROWS), g.parameter("w", F32, [5, 4]));
                x.matmul_transposed(w) * g.parameter("gain", F32, [5])
            }),
        ),
        (
            "softmax backward as written in books",
            one(|g| {
                let (p, d) = (g.input("p", F32, ROWS), g.input("d", F32, ROWS));
                p * (d - (p * d).sum(-1).unsqueeze(-1))
            }),
        ),
        (
            "quotient rule over a product",
            one(|g| {
                let (x, y, z) = (
                    g.input("x", F32, ROWS),
                    g.input("y", F32, ROWS),
                    g.input("z", F32, ROWS),
                );
                let y = y.exp() + 0.25;
                x / (y * z.exp()) + y.reciprocal()
            }),
        ),
        (
            "quotient rule over a repeated product",
            one(|g| {
                let (x, y) = (g.input("x", F32, ROWS), g.input("y", F32, [3]).exp() + 0.25);
                let squared = (y * y).unsqueeze(-1).broadcast_to(ROWS);
                x / squared + y.reciprocal().unsqueeze(-1)
            }),
        ),
        (
            "nested constants",
            one(|g| g.input("x", F32, ROWS) * 3.0 * 0.7 / 5.0),
        ),
        (
            "bits of a normalised vector",
            one(|g| g.input("x", F32, ROWS).l2_normalize(1e-12).gt(0.0)),
        ),
        (
            "bits of a vector times a reciprocal norm",
            one(|g| {
                let x = g.input("x", F32, ROWS);
                let norm = x.square().sum(-1).sqrt().maximum(1e-12);
                (x * norm.reciprocal().unsqueeze(-1)).gt(0.0)
            }),
        ),
        (
            "signs of a normalised vector",
            one(|g| g.input("x", F32, ROWS).l2_normalize(1e-12).sign()),
        ),
        (
            "packed differences",
            one(|g| {
                let amount = 3.0 - g.iota(U64, [4], 0);
                let (x, y) = (g.input("x", F32, ROWS), g.input("y", F32, ROWS));
                let bits = y.lt(x).cast(U64);
                bits.shift_left(amount.broadcast_to(ROWS)).sum(-1)
            }),
        ),
        (
            "packed by shifts",
            one(|g| {
                let amount = 3.0 - g.iota(U64, [4], 0);
                let bits = g.input("x", F32, ROWS).gt(0.0).cast(U64);
                bits.shift_left(amount.broadcast_to(ROWS)).sum(-1)
            }),
        ),
        (
            "packed by a product",
            one(|g| {
                let basis = Constant::dense_bytes(
                    Type::new(I64, [4]),
                    [8i64, 4, 2, 1]
                        .iter()
                        .flat_map(|x| x.to_le_bytes())
                        .collect::<Vec<u8>>(),
                );
                let bits = g.input("x", F32, ROWS).gt(0.0).cast(I64);
                (bits * g.constant(basis)).sum(-1)
            }),
        ),
        (
            "packed by selection",
            one(|g| {
                let basis = g.full(1.0, U64, [4]).shift_left(3.0 - g.iota(U64, [4], 0));
                let x = g.input("x", F32, ROWS);
                basis.broadcast_to(ROWS).where_(x.gt(0.0), 0.0).sum(-1)
            }),
        ),
        (
            "layer norm with the gain first",
            one(|g| {
                let x = g.input("x", F32, ROWS);
                let centred = x - x.mean(-1).unsqueeze(-1);
                let rstd = (centred.square().mean(-1) + 1e-5).sqrt().reciprocal();
                let gain = rstd.unsqueeze(-1).broadcast_to(ROWS) * g.parameter("w", F32, [4]);
                centred * gain + g.parameter("b", F32, [4])
            }),
        ),
        (
            "score gradient on the right",
            one(|g| {
                let (x, d) = (g.input("x", F32, ROWS), g.input("d", F32, ROWS));
                let p = x.softmax();
                let score_gradient = p * (d - (p * d).sum(-1).unsqueeze(-1));
                g.input("q", F32, [5, 3]).matmul(score_gradient) * 0.3
            }),
        ),
        (
            "bits of groups",
            one(|g| {
                let x = g.input("x", F32, [3, 6]).l2_normalize(1e-12);
                let groups = x.reshape([3, 2, 3]);
                let amount = 2.0 - g.iota(U64, [3, 2, 3], 2);
                groups.gt(0.0).cast(U64).shift_left(amount).sum(-1)
            }),
        ),
        (
            "straight-through sign with an exact value",
            one(|g| {
                let x = g.input("x", F32, ROWS);
                x.sign() + (x - x.stop_gradient())
            }),
        ),
        ("gradient of a chunked tensor", {
            let g = Graph::new();
            let x = g.input("x", F32, [2, 6]);
            let parts = x.chunk(3, -1);
            let seeds: Vec<Tensor> = (0..3)
                .map(|i| g.input(&format!("g{i}"), F32, [2, 2]))
                .collect();
            let gradient = vjp(&parts, &seeds, &[x])[0];
            g.function([("y", gradient.id())], [])
        }),
    ]
}
