//! What the rewriter finds in the tokenizer as the model spells it.

use bsq::config::Config;
use bsq::losses::{TokenizerLoss, total};
use bsq::tokenizer::Tokenizer;
use bsq_ir::graph::Function;
use bsq_ir::rewrite::{Options, Report, optimize};
use bsq_ir::{DType, Graph, Scope};
use bsq_nn::optimizer::{AdamW, adamw};

const LAYERS: usize = 3;

fn tokenizer(image_size: usize, width: usize) -> Tokenizer {
    let (heads, ffn) = ((width / 64).max(2), 4 * width);
    let config = Config::from_toml(&format!(
        "[model]\nembed_dim = 12\nembed_group_size = 1\nl2_norm = true\npost_q_l2_norm = true\n\
         persample_entropy_compute = \"analytical\"\n[model.vitconfig]\nimage_size = {image_size}\n\
         patch_size = 8\nwidth = {width}\nlayers = {LAYERS}\nheads = {heads}\nmlp_ratio = 4\n\
         dim_ffn_output = {ffn}"
    ));
    Tokenizer::new(&config.unwrap().model)
}

fn found(function: &Function, exact: bool) -> (Function, Report) {
    let options = Options {
        exact,
        ..Options::default()
    };
    let (optimized, report) = optimize(function, &options);
    assert!(report.warnings.is_empty(), "{report}");
    (optimized, report)
}

fn count(function: &Function, op: &str) -> usize {
    let nodes = function.nodes().iter();
    nodes.filter(|node| node.op.name() == op).count()
}

#[test]
fn coding_finds_attention_norms_and_gelu_in_every_block() {
    let tokenizer = tokenizer(32, 32);
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, tokenizer.image_shape(2));
    let indices = tokenizer.encode(&scope, image).indices;
    let decoded = tokenizer.decode(&scope, tokenizer.codes(&scope, indices));
    let outputs = [("indices", indices), ("picture", decoded.reconstruction)];
    let function = g.function(outputs.map(|(name, tensor)| (name, tensor.id())), []);
    let (optimized, report) = found(&function, true);
    println!("{report}");
    assert_eq!(count(&optimized, "attention"), 2 * LAYERS);
    assert_eq!(count(&optimized, "gelu"), 2 * LAYERS);
    // Two in every block, one before and one after the blocks, on both sides.
    assert_eq!(count(&optimized, "layer_norm"), 2 * (2 * LAYERS + 2));
    assert_eq!(count(&optimized, "pack_signs"), 1);
}

#[test]
fn training_finds_them_forward_and_backward() {
    let (small, published) = (tokenizer(32, 32), tokenizer(256, 768));
    training_finds_them(&small, 2);
    for batch in 1..=8 {
        training_finds_them(&published, batch);
    }
}

fn training_finds_them(tokenizer: &Tokenizer, batch: usize) {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, tokenizer.image_shape(batch));
    let forward = tokenizer.forward(&scope, image);
    let terms = TokenizerLoss::new(g.scalar("codebook_weight")).terms(&forward, image);
    let rule = AdamW::new(g.scalar("lr"));
    let function = adamw(total(&terms), &tokenizer.trained(&scope), &rule).function();
    let (optimized, report) = found(&function, false);
    println!("{report}");
    for (op, expected) in [
        ("attention", 2 * LAYERS),
        ("attention_backward", 2 * LAYERS),
        ("gelu", 2 * LAYERS),
        ("gelu_backward", 2 * LAYERS),
        ("layer_norm", 2 * (2 * LAYERS + 2)),
        ("layer_norm_backward", 2 * (2 * LAYERS + 2)),
    ] {
        assert_eq!(count(&optimized, op), expected, "{op}, batch {batch}");
    }
}
