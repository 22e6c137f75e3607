//! Every fusion is found in every spelling, and nothing that only looks like one.

use super::models::{Extents, Masking, Scale, Style, inference, training};
use crate::dtype::DType::*;
use crate::graph::{Function, Graph, Node};
use crate::op::{Mask, Op};
use crate::rewrite::{Options, Report, optimize};
use crate::tensor::Tensor;

const EXTENTS: Extents = Extents {
    batch: 2,
    tokens: 64,
    heads: 3,
    depth: 16,
    blocks: 2,
    regions: true,
};

/// The optimised function and the counts of its fused ops.
fn found(function: &Function, options: &Options) -> (Function, Report, String) {
    let (after, report) = optimize(function, options);
    assert!(report.warnings.is_empty(), "{report}");
    let count = |(name, count): (&&str, &usize)| format!("{name} {count}");
    let counts: Vec<String> = report.found.iter().map(count).collect();
    let counts = counts.join(", ");
    (after, report, counts)
}

fn maskings() -> Vec<Masking> {
    vec![
        Masking::None,
        Masking::Causal,
        Masking::BlockCausal(4),
        Masking::Constant,
        Masking::Bias,
    ]
}

#[test]
fn forward_fusions_keep_every_bit() {
    for masking in maskings() {
        let style = Style {
            masking,
            ..Style::default()
        };
        let function = inference(EXTENTS, style);
        let (after, report, counts) = found(&function, &Options::exact());
        assert_eq!(
            counts, "attention 2, gelu 2, layer_norm 4",
            "{style:?}\n{report}{after}"
        );
    }
}

/// The masks of attention and its backward.
fn masks(function: &Function) -> Vec<Mask> {
    let mask = |node: &Node| match node.op {
        Op::Attention { mask, .. } | Op::AttentionBackward { mask, .. } => Some(mask),
        _ => None,
    };
    function.nodes().iter().filter_map(mask).collect()
}

/// Every way of spelling a block that changes one thing.
pub fn styles() -> Vec<Style> {
    let default = Style::default;
    let mut styles = vec![default()];
    let scales = [Scale::Division, Scale::Query, Scale::Key];
    styles.extend(scales.map(|scale| Style { scale, ..default() }));
    let maskings = [
        Masking::Causal,
        Masking::Hiding,
        Masking::Strict,
        Masking::BlockCausal(4),
        Masking::Constant,
        Masking::ConstantBias,
        Masking::SelectedBias,
        Masking::LargeNegative,
    ];
    styles.extend(maskings.map(|masking| Style {
        masking,
        ..default()
    }));
    let own = Style {
        own_softmax: true,
        own_layer_norm: true,
        own_gelu: true,
        ..default()
    };
    styles.push(own);
    let scales = [Scale::Division, Scale::Query, Scale::Key];
    styles.extend(scales.map(|scale| Style { scale, ..own }));
    styles.push(Style {
        joint_projection: true,
        ..default()
    });
    styles.push(Style {
        merged_heads: true,
        ..default()
    });
    styles.push(Style {
        merged_heads: true,
        masking: Masking::Causal,
        ..own
    });
    styles
}

#[test]
fn everything_is_found_in_training() {
    let everything = "attention 2, attention_backward 2, gelu 2, gelu_backward 2, layer_norm 4, \
                      layer_norm_backward 4";
    for style in styles() {
        let function = training(EXTENTS, style);
        let (after, report, counts) = found(&function, &Options::default());
        assert_eq!(counts, everything, "{style:?}\n{report}{after}");
        let mask = match style.masking {
            Masking::None => Mask::None,
            Masking::BlockCausal(size) => Mask::BlockCausal { size },
            // What is added hides no NaN.
            Masking::ConstantBias | Masking::SelectedBias => Mask::Bias,
            _ => Mask::BlockCausal { size: 1 },
        };
        assert_eq!(masks(&after), [mask; 4], "{style:?}\n{after}");
    }
}

#[test]
fn attention_takes_a_trained_bias_and_any_other_mask() {
    for masking in [Masking::Bias, Masking::Window, Masking::Ahead] {
        let style = Style {
            masking,
            ..Style::default()
        };
        let function = training(EXTENTS, style);
        let (after, report, counts) = found(&function, &Options::default());
        assert!(
            counts.contains("attention 2, attention_backward 2"),
            "{counts}\n{report}{after}"
        );
        assert_eq!(masks(&after), [Mask::Bias; 4], "{masking:?}\n{after}");
    }
}

#[test]
fn one_batch_or_head_or_block_makes_no_difference() {
    for (batch, heads) in [(1, 1), (1, 3), (2, 1)] {
        let extents = Extents {
            batch,
            heads,
            ..EXTENTS
        };
        let function = training(extents, Style::default());
        let (after, report, counts) = found(&function, &Options::default());
        let wanted = "attention 2, attention_backward 2, gelu 2, gelu_backward 2, layer_norm 4, \
                      layer_norm_backward 4";
        assert_eq!(counts, wanted, "{batch} {heads}\n{report}{after}");
    }
}

/// Costs of published sizes: the forward pass is cheaper fused only once the backward pass reads no
/// scores any more.
#[test]
fn large_extents_make_no_difference() {
    for batch in [1, 4, 16] {
        let extents = Extents {
            batch,
            tokens: 1024,
            heads: 12,
            depth: 64,
            ..EXTENTS
        };
        let function = training(extents, Style::default());
        let (after, report, counts) = found(&function, &Options::default());
        let wanted = "attention 2, attention_backward 2, gelu 2, gelu_backward 2,";
        assert!(counts.starts_with(wanted), "{counts}\n{report}{after}");
    }
}

#[test]
fn a_deep_model_is_solved_block_by_block_or_whole() {
    for regions in [true, false] {
        let extents = Extents {
            blocks: 24,
            regions,
            ..EXTENTS
        };
        let function = training(extents, Style::default());
        let (_, report, counts) = found(&function, &Options::default());
        println!("{report}");
        let wanted = "attention 24, attention_backward 24, gelu 24, gelu_backward 24, \
                      layer_norm 48, layer_norm_backward 48";
        assert_eq!(counts, wanted, "{report}");
        let reused = if regions { 23 } else { 0 };
        assert_eq!(report.regions_reused, reused, "{report}");
    }
}

/// The fused ops of a single result.
fn found_in(build: impl FnOnce(&Graph) -> Vec<Tensor<'_>>) -> String {
    let g = Graph::new();
    let results = build(&g);
    let names: Vec<String> = (0..results.len())
        .map(|index| format!("y{index}"))
        .collect();
    let outputs = names
        .iter()
        .map(String::as_str)
        .zip(results.iter().map(|y| y.id()));
    let function = g.function(outputs, []);
    found(&function, &Options::default()).2
}

fn matrices<'g>(g: &'g Graph, names: [&str; 4]) -> [Tensor<'g>; 4] {
    names.map(|name| g.input(name, F32, [2, 32, 32]))
}

#[test]
fn softmax_over_queries_is_not_attention() {
    let counts = found_in(|g| {
        let [q, k, v, _] = matrices(g, ["q", "k", "v", "g"]);
        let scores = q.matmul(k.swap_axes(-1, -2)).swap_axes(-1, -2);
        vec![scores.softmax().swap_axes(-1, -2).matmul(v)]
    });
    assert_eq!(counts, "softmax 1");
}

#[test]
fn a_reduction_over_another_axis_is_not_softmax() {
    let counts = found_in(|g| {
        let [x, ..] = matrices(g, ["q", "k", "v", "g"]);
        let e = (x - x.max(-1).unsqueeze(-1)).exp();
        vec![e * e.sum(-2).reciprocal().unsqueeze(-2)]
    });
    assert_eq!(counts, "");
}

#[test]
fn backward_with_another_scale_is_not_that_of_attention() {
    let wrong = |scale: f64| {
        found_in(|g| {
            let [q, k, v, d] = matrices(g, ["q", "k", "v", "g"]);
            let p = (q.matmul(k.swap_axes(-1, -2)) * 0.125).softmax();
            let dp = d.matmul(v.swap_axes(-1, -2));
            let ds = p * (dp - (dp * p).sum(-1).unsqueeze(-1)) * scale;
            vec![p.matmul(v), ds.matmul(k), ds.swap_axes(-1, -2).matmul(q)]
        })
    };
    assert_eq!(wrong(0.125), "attention 1, attention_backward 1");
    let counts = wrong(0.25);
    assert!(!counts.contains("attention_backward"), "{counts}");
}

#[test]
fn a_wrong_constant_is_not_gelu_or_layer_norm() {
    let counts = found_in(|g| {
        let [x, ..] = matrices(g, ["q", "k", "v", "g"]);
        let weight = g.parameter("w", F32, [32]);
        let centred = x - x.mean(-1).unsqueeze(-1);
        let variance = centred.square().sum(-1) * (1.0 / 31.0);
        let rstd = (variance + 1e-5).sqrt().reciprocal().unsqueeze(-1);
        let unbiased = centred * rstd * weight + weight;
        vec![x * 0.5 * ((x * 0.7).erf() + 1.0), unbiased]
    });
    assert_eq!(counts, "");
}

#[test]
fn a_norm_that_is_read_stays() {
    let count = |function: &Function, name: &str| {
        function
            .nodes()
            .iter()
            .filter(|node| node.op.name() == name)
            .count()
    };
    for read in [false, true] {
        let g = Graph::new();
        let x = g.input("x", F32, [16, 18]);
        let u = x.l2_normalize(1e-12);
        let bits = u.gt(0.0).cast(U64);
        let amount = 17.0 - g.iota(U64, [16, 18], 1);
        let index = bits.shift_left(amount).sum(-1);
        let mut outputs = vec![("index", index.id())];
        outputs.extend(read.then(|| ("u", u.id())));
        let function = g.function(outputs, []);
        let (after, _, counts) = found(&function, &Options::default());
        // The norm is needed to know which quotients underflow or are NaN; the quotients are not.
        assert_eq!(counts, "pack_signs 1");
        assert_eq!(count(&after, "div"), usize::from(read), "{after}");
        assert_eq!(count(&after, "sqrt"), 1, "{after}");
        let (after, _, counts) = found(&function, &Options::exact());
        assert_eq!(counts, "pack_signs 1");
        assert_eq!(count(&after, "div"), usize::from(read), "{after}");
        assert_eq!(count(&after, "sqrt"), 1, "{after}");
    }
}

#[test]
fn large_masks_are_recognised_without_computing_them() {
    for masking in [Masking::Causal, Masking::Constant, Masking::ConstantBias] {
        let extents = Extents {
            batch: 1,
            tokens: 4096,
            heads: 1,
            depth: 8,
            blocks: 1,
            regions: true,
        };
        let style = Style {
            masking,
            ..Style::default()
        };
        let (_, report, counts) = found(&inference(extents, style), &Options::default());
        println!("{masking:?} {report}");
        assert_eq!(counts, "attention 1, gelu 1, layer_norm 2");
    }
}

#[test]
fn a_joint_projection_gets_one_gradient() {
    let style = Style {
        joint_projection: true,
        ..Style::default()
    };
    let (after, ..) = found(&training(EXTENTS, style), &Options::default());
    let pads = after
        .nodes()
        .iter()
        .filter(|node| node.op.name() == "pad")
        .count();
    assert_eq!(pads, 0, "{after}");
}
