//! Which keys there are, and what may stand at them.

use super::sensible::sensible;
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

    pub fn fsq() -> Base {
        let text =
            format!("[model]\nquantizer = \"fsq\"\nlevels = [4, 2, 4]\n{TRANSFORMER}{TRAINING}");
        Base::of("fsq", &Config::from_toml(&text).unwrap().to_toml())
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
const WORDS: [&str; 28] = [
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
    "\"fsq\"",
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
