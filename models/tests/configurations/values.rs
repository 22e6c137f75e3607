//! Which keys there are, and what may stand at them.

use bsq::config::{Config, PriorConfig};
use proptest::prelude::*;

/// A configuration that works, and every key that there is beside its own.
pub struct Base {
    pub name: &'static str,
    /// Section, key and value, in the order of the file.
    entries: Vec<(String, String, String)>,
}

/// A key by its number in a base, and what stands there; none leaves the key out.
#[derive(Clone, Debug)]
pub struct Setting {
    key: usize,
    value: Option<String>,
    /// At the same key of the other transformer, too.
    both: bool,
}

const TRAINING: &str = "
[loss]
perceptual_weight = 0.0
skip_disc = true
[data]
batch_size = 2
[optimizer]
lr = 1e-3
max_iter = 4
[optimizer.schedule]
max_decay_steps = 4
[train]
exact = true
";

const TRANSFORMER: &str = "
[model.vitconfig]
image_size = 8
patch_size = 4
width = 8
layers = 1
heads = 2
mlp_ratio = 2
dim_ffn_output = 8
";

impl Base {
    pub fn bsq() -> Base {
        let text = format!("[model]\nembed_dim = 4\nembed_group_size = 2\n{TRANSFORMER}{TRAINING}");
        Base::of("bsq", &Config::from_toml(&text).unwrap().to_toml())
    }

    pub fn vq() -> Base {
        let text = format!(
            "[model]\nquantizer = \"vq\"\nn_embed = 16\nembed_dim = 4\n{TRANSFORMER}{TRAINING}"
        );
        Base::of("vq", &Config::from_toml(&text).unwrap().to_toml())
    }

    pub fn prior() -> Base {
        let model = "[prior]\nbits = 4\nsub_token_bits = 2\nside = 3\nneighbours = 2\nwidth = 8\n\
                     layers = 1\nheads = 2\nmlp_ratio = 2\nhead_width = 4\n";
        let training = TRAINING.replace("perceptual_weight = 0.0\nskip_disc = true\n", "");
        let text = format!("{model}{}", training.replace("[loss]\n", ""));
        Base::of("prior", &PriorConfig::from_toml(&text).unwrap().to_toml())
    }

    /// Every key of a complete file; those that are not set stand in comments.
    fn of(name: &'static str, complete: &str) -> Base {
        let (mut section, mut entries) = (String::new(), Vec::new());
        for line in complete.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_string();
            } else if let Some(key) = line
                .strip_prefix("# ")
                .and_then(|line| line.strip_suffix(" is not set"))
            {
                entries.push((section.clone(), key.to_string(), String::new()));
            } else if let (false, Some((key, value))) =
                (line.starts_with('#'), line.split_once(" = "))
            {
                entries.push((section.clone(), key.to_string(), value.to_string()));
            }
        }
        assert!(entries.len() > 40, "keys of {name}: {}", entries.len());
        Base { name, entries }
    }

    /// Whether a refusal says where to look.
    pub fn names_a_key(&self, refusal: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|(section, key, _)| refusal.contains(&format!("{section}.{key}")))
            || refusal.contains("model.dvitconfig")
    }
}

const NUMBERS: [&str; 30] = [
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "12",
    "16",
    "18",
    "24",
    "63",
    "64",
    "-1",
    "1000000",
    "9000000000000000",
    "0.0",
    "0.25",
    "0.5",
    "1.5",
    "-0.5",
    "1e-8",
    "1e-45",
    "1e8",
    "1e39",
    "1e300",
    "nan",
];
const WORDS: [&str; 27] = [
    "\"l1\"",
    "\"mse\"",
    "\"group\"",
    "\"analytical\"",
    "\"follow\"",
    "\"none\"",
    "\"causal\"",
    "\"block-causal\"",
    "\"bsq\"",
    "\"vq\"",
    "\"leech\"",
    "\"stylegan\"",
    "\"patchgan\"",
    "\"vanilla\"",
    "\"hinge\"",
    "\"bilinear\"",
    "\"bicubic\"",
    "\"lanczos\"",
    "\"box\"",
    "\"random\"",
    "\"transform-coder\"",
    "\"learned\"",
    "\"rotary\"",
    "\"\"",
    "\"nonsense\"",
    "true",
    "false",
];
const LISTS: [&str; 12] = [
    "[]",
    "[0.9, 0.99]",
    "[0.0, 0.0]",
    "[1.0, 1.0]",
    "[-1.0, 1.0]",
    "[0.5, -0.5]",
    "[-1e30, 1e30]",
    "[8, 4]",
    "[4, 12]",
    "[\"bias\"]",
    "[\"encoder.\", \"layers\"]",
    "[\"\"]",
];

/// A few settings; mostly of the kind that the key has.
pub fn settings(base: &Base) -> impl Strategy<Value = Vec<Setting>> + use<> {
    let keys: Vec<(usize, &'static [&'static str])> = base
        .entries
        .iter()
        .map(|(_, _, value)| match value.chars().next() {
            Some('0'..='9' | '-') => &NUMBERS[..],
            Some('"' | 't' | 'f') => &WORDS[..],
            Some('[') => &LISTS[..],
            _ => &NUMBERS[..19],
        })
        .enumerate()
        .collect();
    let value = move |(key, kind): (usize, &'static [&'static str])| {
        let own = proptest::sample::select(kind);
        let all: Vec<&str> = [&NUMBERS[..], &WORDS, &LISTS].concat();
        let other = proptest::sample::select(all);
        let text = |value: &'static str| Some(value.to_string());
        let value = prop_oneof![
            12 => own.prop_map(text),
            1 => other.prop_map(text),
            1 => Just(None),
        ];
        (value, 0..4_u8).prop_map(move |(value, both)| Setting {
            key,
            value,
            both: both > 0,
        })
    };
    let setting = proptest::sample::select(keys).prop_flat_map(value);
    let any = proptest::collection::vec(setting, 0..4);
    let numbers: Vec<(String, String, usize)> = base
        .entries
        .iter()
        .enumerate()
        .map(|(at, (section, key, _))| (section.clone(), key.clone(), at))
        .collect();
    (sensible(base.name), any).prop_map(move |(sensible, any)| {
        let number = |path: &str| numbers.iter().find(|(s, k, _)| path == format!("{s}.{k}"));
        let named = sensible.into_iter().filter_map(|(path, value)| {
            // The other quantizer's keys are no keys here.
            let &(_, _, key) = number(path)?;
            let value = Some(value);
            Some(Setting {
                key,
                value,
                both: false,
            })
        });
        named.chain(any).collect()
    })
}

/// Settings that go together: a model of some size, with every choice that there is.
fn sensible(base: &str) -> BoxedStrategy<Vec<(&'static str, String)>> {
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

/// The file of a base with these settings, the later ones before the earlier.
pub fn text(base: &Base, settings: &[Setting]) -> String {
    let (mut text, mut current) = (String::new(), "");
    for (at, (section, key, value)) in base.entries.iter().enumerate() {
        let applies = |setting: &&Setting| {
            let (of, name, _) = &base.entries[setting.key];
            let twin = of.contains("vitconfig") && section.contains("vitconfig") && name == key;
            setting.key == at || setting.both && twin
        };
        let value = match settings.iter().rev().find(applies) {
            Some(setting) => setting.value.as_deref().unwrap_or(""),
            None => value,
        };
        if section != current {
            text += &format!("[{section}]\n");
            current = section;
        }
        if !value.is_empty() {
            text += &format!("{key} = {value}\n");
        }
    }
    text
}
