use bsq_ir::autodiff::gradients;
use bsq_ir::rewrite::canonicalise;
use bsq_ir::tensor::Init;
use bsq_ir::{DType, Graph, Scope, Tensor};
use std::time::Instant;

fn ln<'g>(x: Tensor<'g>, s: &Scope<'g>) -> Tensor<'g> {
    let w = *x.shape().last().unwrap();
    x.layer_norm(
        s.parameter("weight", [w], Init::Constant(1.0)),
        s.parameter("bias", [w], Init::Constant(0.0)),
        1e-5,
    )
}
fn block<'g>(x: Tensor<'g>, s: &Scope<'g>, heads: usize) -> Tensor<'g> {
    let sh = x.shape();
    let (b, n, w) = (sh[0], sh[1], sh[2]);
    let qkv = ln(x, &(s / "ln_1")).linear(&(s / "attn"), 3 * w);
    let parts: Vec<Tensor> = qkv
        .chunk(3, -1)
        .into_iter()
        .map(|t| t.reshape([b, n, heads, w / heads]).transpose(&[0, 2, 1, 3]))
        .collect();
    let o = parts[0].attention(parts[1], parts[2], 1.0 / ((w / heads) as f64).sqrt(), None);
    let o = o
        .transpose(&[0, 2, 1, 3])
        .reshape([b, n, w])
        .linear(&(s / "out"), w);
    let x = x + o;
    let h = ln(x, &(s / "ln_2"))
        .linear(&(s / "fc"), 4 * w)
        .gelu()
        .linear(&(s / "proj"), w);
    x + h
}
fn main() {
    let a: Vec<usize> = std::env::args()
        .skip(1)
        .map(|x| x.parse().unwrap())
        .collect();
    let (layers, b, size, w, heads) = (a[0], a[1], a[2], a[3], a[4]);
    let t = Instant::now();
    let g = Graph::new();
    let img = g.input("image", DType::F32, [b, 3, size, size]);
    let m = Scope::root(&g);
    let n = size / 8;
    let tok = img
        .reshape([b, 3, n, 8, n, 8])
        .transpose(&[0, 2, 4, 1, 3, 5])
        .reshape([b, n * n, 192]);
    let pos = m.parameter("pos", [n * n, w], Init::Normal(0.02));
    let mut x = tok.linear(&(&m / "embed"), w) + pos;
    for i in 0..layers {
        x = block(x, &(&m / "enc" / i), heads);
    }
    let h = x.linear(&(&m / "quant"), 36).l2_normalize(1e-12);
    let s = h.full_like(1.0).where_(h.gt(0.0), -1.0);
    let z = (h + (s - h).stop_gradient()) * (1.0 / 6.0);
    let p = (h * (-4.0 / 6.0)).sigmoid();
    let ent = |p: Tensor<'static>| p;
    let _ = ent;
    let hs = -(p * (p + 1e-8).log() + (1.0 - p) * (1.0 - p + 1e-8).log())
        .sum(-1)
        .mean(..);
    let pm = p.mean([0, 1]);
    let hc = -(pm * (pm + 1e-8).log() + (1.0 - pm) * (1.0 - pm + 1e-8).log()).sum(-1);
    let mut y = z.linear(&(&m / "post"), w) + m.parameter("dpos", [n * n, w], Init::Normal(0.02));
    for i in 0..layers {
        y = block(y, &(&m / "dec" / i), heads);
    }
    let out = y
        .linear(&(&m / "head"), 4 * w)
        .tanh()
        .linear(&(&m / "out"), 192);
    let rec = out
        .reshape([b, n, n, 3, 8, 8])
        .transpose(&[0, 3, 1, 4, 2, 5])
        .reshape([b, 3, size, size])
        .clamp(-1.0, 1.0);
    let loss = (rec - img).abs().mean(..) + (hs - hc) * 0.1;
    let ps = m.parameters();
    let gr = gradients(loss, &ps);
    let lr = g.scalar("lr");
    let mut ups = vec![];
    for (p, gd) in ps.iter().zip(&gr) {
        let name = match g.node(p.id()).op {
            bsq_ir::Op::Parameter { name, .. } => name,
            _ => panic!(),
        };
        let mm = g.parameter(&format!("m.{name}"), DType::F32, p.shape());
        let vv = g.parameter(&format!("v.{name}"), DType::F32, p.shape());
        let m2 = mm * 0.9 + *gd * 0.1;
        let v2 = vv * 0.99 + gd.square() * 0.01;
        let p2 = *p - lr * m2 / (v2.sqrt() + 1e-8);
        ups.extend([(mm.id(), m2.id()), (vv.id(), v2.id()), (p.id(), p2.id())]);
    }
    let f = g.function([("loss", loss.id()), ("rec", rec.id())], ups);
    println!("build {:?} nodes {}", t.elapsed(), f.nodes().len());
    let t = Instant::now();
    let f = canonicalise(&f);
    println!("canonical {:?} nodes {}", t.elapsed(), f.nodes().len());
    let t = Instant::now();
    let p = bsq_codegen::lower::lower(&f);
    println!(
        "lower {:?} kernels {} launches {} copies {} arena {} MB resident {} MB",
        t.elapsed(),
        p.kernels.len(),
        p.launches.len(),
        p.copies.len(),
        p.arena_bytes >> 20,
        p.resident_bytes() >> 20
    );
    if a.len() > 5 {
        for l in &p.launches {
            println!(
                "k{} {} {:?}",
                l.kernel,
                l.label,
                p.kernels[l.kernel]
                    .grid
                    .iter()
                    .map(|a| a.extent)
                    .collect::<Vec<_>>()
            );
        }
    }
}
