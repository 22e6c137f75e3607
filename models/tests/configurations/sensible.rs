//! Settings that make sense together: models of all small sizes, with every choice that there is.

use proptest::prelude::*;

/// Settings that go together: a model of some size, with every choice that there is.
pub fn sensible(base: &str) -> BoxedStrategy<Vec<(&'static str, String)>> {
    match base {
        "prior" => (sizes(), choices()).prop_map(prior_settings).boxed(),
        _ => (sizes(), choices()).prop_map(tokenizer_settings).boxed(),
    }
}

/// Small numbers, one for each size.
fn sizes() -> impl Strategy<Value = [usize; 12]> {
    let small = || 1_usize..=9;
    let few = || 1_usize..=4;
    (
        (small(), few(), few(), few(), small(), few()),
        (small(), 1_usize..=2, 1_usize..=2, small(), few(), few()),
    )
        .prop_map(|((a, b, c, d, e, f), (g, h, i, j, k, l))| [a, b, c, d, e, f, g, h, i, j, k, l])
}

/// A number for each choice, of which it takes the remainder.
fn choices() -> impl Strategy<Value = [u8; 20]> {
    proptest::array::uniform20(0_u8..12)
}

fn quoted(words: &[&str], choice: u8) -> String {
    format!("\"{}\"", words[usize::from(choice) % words.len()])
}

fn tokenizer_settings((sizes, choices): ([usize; 12], [u8; 20])) -> Vec<(&'static str, String)> {
    let [
        patch,
        rows,
        columns,
        heads,
        per_head,
        decoder_heads,
        per_decoder_head,
        layers,
        decoder_layers,
        group,
        groups,
        batch,
    ] = sizes;
    let text = |value: usize| value.to_string();
    let yes = |choice: u8| (choice % 2 == 1).to_string();
    let size = format!("[{}, {}]", rows * patch, columns * patch);
    let masks = ["none", "causal", "block-causal"];
    let modes = ["group", "analytical"];
    let mut settings = vec![
        ("model.embed_dim", text(group * groups)),
        ("model.embed_group_size", text(group)),
        ("model.n_embed", text(group * groups + 1)),
        ("model.l2_norm", yes(choices[0])),
        ("model.post_q_l2_norm", yes(choices[1])),
        (
            "model.persample_entropy_compute",
            quoted(&modes, choices[2]),
        ),
        (
            "model.cb_entropy_compute",
            quoted(&["follow", "group", "analytical"], choices[3]),
        ),
        ("model.beta_compat", yes(choices[4])),
        ("model.freeze_codebook", yes(choices[4])),
        ("model.vitconfig.image_size", size.clone()),
        ("model.dvitconfig.image_size", size),
        ("model.vitconfig.patch_size", text(patch)),
        ("model.dvitconfig.patch_size", text(patch)),
        ("model.vitconfig.heads", text(heads)),
        ("model.vitconfig.width", text(heads * per_head)),
        ("model.dvitconfig.heads", text(decoder_heads)),
        (
            "model.dvitconfig.width",
            text(decoder_heads * per_decoder_head),
        ),
        ("model.vitconfig.layers", text(layers)),
        ("model.dvitconfig.layers", text(decoder_layers)),
        (
            "model.vitconfig.mlp_ratio",
            text(1 + usize::from(choices[5] % 4)),
        ),
        (
            "model.dvitconfig.mlp_ratio",
            text(1 + usize::from(choices[6] % 4)),
        ),
        ("model.vitconfig.ln_pre", yes(choices[7])),
        ("model.dvitconfig.ln_pre", yes(choices[8])),
        ("model.dvitconfig.ln_post", yes(choices[9])),
        ("model.dvitconfig.use_ffn_output", yes(choices[10])),
        ("model.vitconfig.mask_type", quoted(&masks, choices[11])),
        ("model.dvitconfig.mask_type", quoted(&masks, choices[12])),
        ("data.batch_size", text(batch)),
        ("loss.reconstruction", quoted(&["l1", "mse"], choices[13])),
        (
            "loss.codebook_weight",
            text(usize::from(choices[14] % 3 > 0)),
        ),
        ("train.exact", yes(choices[15])),
        ("train.use_ema", yes(choices[16])),
        ("optimizer.grad_clip_per_layer", yes(choices[17])),
    ];
    if choices[18] % 3 == 0 {
        settings.push(("optimizer.grad_clip_norm", "0.5".to_string()));
    }
    if choices[19] % 2 == 0 {
        let likely = ["model.logit_laplace", "data.zero_mean"].into_iter();
        settings.extend(likely.zip(["true".to_string(), "false".to_string()]));
        settings.push(("model.clamp_range", "[0.0, 1.0]".to_string()));
        settings.push((
            "loss.logit_laplace_weight",
            text(usize::from(choices[19] % 3 > 0)),
        ));
    }
    settings
}

fn prior_settings((sizes, choices): ([usize; 12], [u8; 20])) -> Vec<(&'static str, String)> {
    let [
        side,
        sub_bits,
        depth,
        heads,
        per_head,
        neighbours,
        head_width,
        layers,
        slope,
        _,
        mlp,
        batch,
    ] = sizes;
    let text = |value: usize| value.to_string();
    let yes = |choice: u8| (choice % 2 == 1).to_string();
    let side = 2 + side % 4;
    let rotary = choices[0] % 2 == 1;
    let width = heads
        * if rotary {
            4 * (1 + per_head % 3)
        } else {
            per_head
        };
    vec![
        ("prior.bits", text(sub_bits * depth)),
        ("prior.sub_token_bits", text(sub_bits)),
        ("prior.side", text(side)),
        ("prior.slope", text(1 + slope % side)),
        ("prior.neighbours", text(neighbours)),
        ("prior.width", text(width)),
        ("prior.heads", text(heads)),
        ("prior.layers", text(layers)),
        ("prior.mlp_ratio", text(mlp)),
        ("prior.head_width", text(head_width)),
        (
            "prior.position",
            quoted(&["learned", "rotary"], u8::from(rotary)),
        ),
        ("data.batch_size", text(batch)),
        ("train.exact", yes(choices[1])),
        ("train.use_ema", yes(choices[2])),
        ("optimizer.grad_clip_per_layer", yes(choices[3])),
    ]
}
