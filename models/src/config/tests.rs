//! Whole files: the released configurations, round trips, and mistakes with their messages.

use super::*;
use crate::image_io::resize::Filter;
use crate::token_grid::GridShape;
use proptest::prelude::*;
use std::fs;

macro_rules! reference_config {
    ($name:literal) => {
        include_str!(concat!("../../configs/reference/", $name, ".yaml"))
    };
}

/// Text, pixels, bits, group size, entropy mode.
const BSQ: [(&str, usize, usize, usize, EntropyMode); 4] = [
    (
        reference_config!("bsq_128_b18"),
        128,
        18,
        9,
        EntropyMode::Group,
    ),
    (
        reference_config!("bsq_256_b18g18"),
        256,
        18,
        1,
        EntropyMode::Analytical,
    ),
    (
        reference_config!("bsq_256_b18g2"),
        256,
        18,
        9,
        EntropyMode::Analytical,
    ),
    (
        reference_config!("bsq_256_b36g36"),
        256,
        36,
        1,
        EntropyMode::Analytical,
    ),
];
const LEECH: &str = reference_config!("vq_256_leech");

#[test]
fn the_released_bsq_configurations_read_as_they_are() {
    for (text, side, bits, group, mode) in BSQ {
        let (config, _) = Config::from_reference_yaml(text).unwrap();
        let vit = &config.model.encoder;
        assert_eq!(vit.image_size, ImageSize::square(side));
        assert_eq!(
            (vit.patch_size, vit.width, vit.layers, vit.heads),
            (8, 768, 12, 12)
        );
        assert_eq!((vit.mlp_width(), vit.head_width()), (3072, 64));
        assert_eq!((vit.ln_pre, vit.dim_ffn_output), (true, 3072));
        assert_eq!(config.model.decoder, *vit);
        assert_eq!(config.model.clamp_range, [-1.0, 1.0]);
        let QuantizerConfig::Bsq(bsq) = &config.model.quantizer else {
            panic!("not BSQ");
        };
        assert_eq!((bsq.embed_dim, bsq.embed_group_size), (bits, group));
        assert_eq!((bsq.l2_norm, bsq.post_q_l2_norm), (true, true));
        assert_eq!(
            (bsq.persample_entropy_compute, bsq.codebook_entropy()),
            (mode, mode)
        );
        assert_eq!(
            (bsq.beta, bsq.gamma0, bsq.gamma, bsq.zeta),
            (0.0, 1.0, 1.0, 1.0)
        );
        assert_eq!(bsq.effective_beta(), 0.0);

        let loss = &config.loss;
        assert_eq!(
            (
                loss.codebook_weight,
                loss.perceptual_weight,
                loss.disc_weight
            ),
            (0.1, 0.1, 0.1)
        );
        assert_eq!(
            (loss.codebook_rampup_multiplier, loss.codebook_rampup_steps),
            (3.0, 2000)
        );
        assert_eq!(loss.disc_type, DiscriminatorType::Stylegan);
        assert_eq!(loss.disc_loss, AdversarialLoss::Vanilla);
        assert_eq!(
            (loss.disc_input_size, loss.disc_channel_base),
            (side, 32768)
        );
        assert_eq!((loss.disc_reg_freq, loss.disc_reg_r1), (16, 10.0));
        assert!(!loss.use_adaptive_disc_weight);

        assert_eq!((config.data.batch_size, config.data.zero_mean), (32, true));
        assert_eq!((config.data.use_hflip, config.data.use_rrc), (false, false));
        assert_eq!(
            config.data.train_root.as_deref(),
            Some(Path::new("imagenet/train"))
        );

        let optimizer = &config.optimizer;
        assert_eq!((optimizer.betas, optimizer.eps), ([0.9, 0.99], 1e-8));
        assert_eq!(
            (optimizer.weight_decay, optimizer.max_iter),
            (1e-4, 1_000_000)
        );
        assert_eq!(optimizer.grad_clip_norm, None);
        assert!((optimizer.learning_rate(32 * 8) - 1.024e-4).abs() < 1e-18);
        let schedule = config.schedule.as_ref().unwrap();
        assert_eq!(
            (schedule.warm_up_steps, schedule.max_decay_steps),
            (5000, 1_000_000)
        );
        assert_eq!(
            (schedule.lr_start, schedule.lr_max, schedule.lr_min),
            (0.1, 1.0, 0.5)
        );
        assert_eq!(config.evaluation.interpolation, Filter::Lanczos);
        assert_eq!((config.train.seed, config.train.use_ema), (0, false));
    }
}

#[test]
fn the_leech_lattice_configuration_reads_as_it_is() {
    let (config, notices) = Config::from_reference_yaml(LEECH).unwrap();
    let QuantizerConfig::Vq(vq) = &config.model.quantizer else {
        panic!("not VQ");
    };
    assert_eq!((vq.n_embed, vq.embed_dim, vq.beta), (196_560, 24, 0.25));
    assert_eq!((vq.l2_norm, vq.freeze_codebook), (true, true));
    assert_eq!(vq.predefined_codebook, Some(PredefinedCodebook::Leech));
    assert_eq!(config.model.quantizer.bits_per_token(), 18);
    assert_eq!(
        (config.loss.codebook_weight, config.loss.disc_channel_base),
        (0.0, 16384)
    );
    assert_eq!(
        (
            config.loss.codebook_rampup_multiplier,
            config.loss.codebook_rampup_steps
        ),
        (1.0, 0)
    );
    assert_eq!(
        (config.data.batch_size, config.schedule.unwrap().lr_min),
        (16, 0.01)
    );
    let mentions = |what: &str| notices.iter().any(|notice| notice.contains(what));
    assert!(
        mentions("computed, not read from cache/leech"),
        "{notices:#?}"
    );
    assert!(
        mentions("model.grad_checkpointing is not used"),
        "{notices:#?}"
    );
}

#[test]
fn keys_without_effect_are_accepted_with_a_notice_that_names_their_line() {
    let (_, notices) = Config::from_reference_yaml(BSQ[0].0).unwrap();
    for key in [
        "data.use_hflip_aug",
        "optimizer.grad_clip_norm",
        "optimizer.grad_clip_per_layer",
        "optimizer.use_bf16",
        "evaluation.fid",
        "data.num_workers",
        "model.params.beta",
    ] {
        let notice = notices.iter().find(|notice| notice.contains(key));
        let notice = notice.unwrap_or_else(|| panic!("{key}: {notices:#?}"));
        assert!(notice.starts_with("line "), "{notice}");
    }
}

#[test]
fn what_is_written_reads_back_equal() {
    for text in BSQ.map(|(text, ..)| text).into_iter().chain([LEECH]) {
        let (config, _) = Config::from_reference_yaml(text).unwrap();
        let toml = config.to_toml();
        assert_eq!(Config::from_toml(&toml).unwrap(), config);
    }
}

/// A small configuration of ours with one line replaced or added.
fn toml(section: &str, line: &str) -> Result<Config, String> {
    let mut text = String::new();
    for (name, lines) in [
        (
            "model",
            vec!["embed_dim = 36", "embed_group_size = 9", "l2_norm = true"],
        ),
        (
            "model.vitconfig",
            vec![
                "image_size = 64",
                "patch_size = 8",
                "width = 128",
                "layers = 2",
                "heads = 4",
                "mlp_ratio = 4",
            ],
        ),
        ("loss", vec![]),
        ("data", vec!["batch_size = 4"]),
        ("optimizer", vec!["lr = 2e-3"]),
        (
            "optimizer.schedule",
            vec!["warm_up_steps = 10", "max_decay_steps = 100"],
        ),
        ("train", vec![]),
    ] {
        text += &format!("[{name}]\n");
        let key = line.split(' ').next().unwrap();
        let kept = lines
            .iter()
            .filter(|old| name != section || old.split(' ').next() != Some(key));
        kept.for_each(|line| text += &format!("{line}\n"));
        if name == section {
            text += &format!("{line}\n");
        }
    }
    Config::from_toml(&text).map_err(|error| error.to_string())
}

#[test]
fn our_own_format_has_the_defaults_of_the_reference() {
    let config = toml("train", "seed = 7").unwrap();
    assert_eq!(
        (
            config.train.seed,
            config.train.save_freq,
            config.train.ema_decay
        ),
        (7, 1000, 0.999)
    );
    assert_eq!(config.loss.reconstruction, ReconstructionLoss::L1);
    assert_eq!(config.optimizer.learning_rate(4), 2e-3);
    assert_eq!(config.evaluation.interpolation, Filter::Bilinear);
    assert_eq!(config.model.decoder, config.model.encoder);
}

#[test]
fn entropies_have_separate_switches_and_beta_its_own() {
    let config = toml("model", "cb_entropy_compute = \"analytical\"").unwrap();
    let QuantizerConfig::Bsq(bsq) = config.model.quantizer else {
        panic!()
    };
    assert_eq!(bsq.persample_entropy_compute, EntropyMode::Group);
    assert_eq!(bsq.codebook_entropy(), EntropyMode::Analytical);
    let config = toml("model", "beta_compat = true").unwrap();
    let QuantizerConfig::Bsq(bsq) = config.model.quantizer else {
        panic!()
    };
    assert_eq!((bsq.beta, bsq.effective_beta()), (0.0, 0.25));
}

#[test]
fn what_is_misspelt_is_named_before_it_is_missed() {
    let message = |text: &str| Config::from_toml(text).unwrap_err().to_string();
    for (text, expected) in [
        (
            "[modle]\nembed_dim = 4",
            "line 1: unknown key modle; did you mean model?",
        ),
        (
            "[model]\nembed_dim = 4\n[model.vitcofig]\nwidth = 8",
            "line 3: unknown key model.vitcofig; did you mean model.vitconfig?",
        ),
        (
            "[model]\nembed_dims = 4",
            "line 2: unknown key model.embed_dims; did you mean model.embed_dim?",
        ),
        (
            "[model]\nembed_dim = 4\n[model.vitconfig]\nhaeds = 2",
            "line 4: unknown key model.vitconfig.haeds; did you mean model.vitconfig.heads?",
        ),
    ] {
        assert_eq!(message(text), expected);
    }
    let prior = PriorConfig::from_toml("[prior]\nbit = 4").unwrap_err();
    assert!(
        prior.to_string().contains("did you mean prior.bits?"),
        "{prior}"
    );
}

#[test]
fn impossible_values_are_refused_with_a_reason() {
    for (section, line, message) in [
        (
            "model.vitconfig",
            "image_size = 60",
            "60x60 cannot be cut into patches of 8 pixels",
        ),
        (
            "model.vitconfig",
            "image_size = 0",
            "model.vitconfig.image_size: 0 is not between 1 and 16384",
        ),
        ("model.vitconfig", "image_size = 1000000", "is not between"),
        (
            "model.vitconfig",
            "image_size = [64, 60]",
            "60x64 cannot be cut into patches of 8 pixels",
        ),
        (
            "model.vitconfig",
            "heads = 5",
            "model.vitconfig.heads: 5 does not divide width 128",
        ),
        (
            "model.vitconfig",
            "drop_rate = 0.1",
            "dropout is not implemented",
        ),
        ("model.vitconfig", "act_layer = 'relu'", "must be \"gelu\""),
        ("model.vitconfig", "ls_init_value = 0.1", "layer scale"),
        (
            "model.vitconfig",
            "mask_type = 'random'",
            "\"none\" or \"causal\" or \"block-causal\"",
        ),
        (
            "model",
            "embed_dim = 513",
            "model.embed_dim: 513 is not between 1 and 512",
        ),
        (
            "model",
            "embed_group_size = 5",
            "5 does not divide embed_dim 36",
        ),
        ("model", "embed_group_size = 36", "at most 18"),
        (
            "model",
            "embeddim = 36",
            "unknown key model.embeddim; did you mean model.embed_dim?",
        ),
        ("model", "n_embed = 36", "unknown key model.n_embed"),
        ("model", "clamp_range = [1, -1]", "1 is not below -1"),
        ("model", "logit_laplace = true", "data.zero_mean = false"),
        (
            "data",
            "image_size = 128",
            "128 pixels, but the model takes 64x64",
        ),
        (
            "data",
            "batch_size = 0",
            "data.batch_size: 0 is not between",
        ),
        ("data", "resize_min = 32", "smaller than a crop of 64"),
        ("data", "resize_max = 32", "32 is below resize_min, 64"),
        (
            "data",
            "resize_max = 9_000_000_000_000_000",
            "is not between 1 and 32768",
        ),
        (
            "loss",
            "reconstruct_weight = 0.0\ncodebook_weight = 0.0",
            "all else that could be made small",
        ),
        (
            "optimizer",
            "betas = [0.9, 1.0]",
            "1 is not at least 0 and below 1",
        ),
        (
            "optimizer.schedule",
            "warm_up_steps = 100",
            "100 is not below max_decay_steps, 100",
        ),
        (
            "optimizer",
            "learning_rate = 1",
            "unknown key optimizer.learning_rate",
        ),
        ("train", "seeds = 1", "did you mean train.seed?"),
        (
            "train",
            "seed = -1",
            "line 21: train.seed: expected a whole number, not negative",
        ),
    ] {
        let error = toml(section, line).unwrap_err();
        assert!(error.contains(message), "{line}: {error}");
        assert!(!error.contains('\n'), "{line}: {error}");
    }
}

#[test]
fn unknown_and_misplaced_keys_of_a_reference_file_are_errors() {
    let with = |from: &str, to: &str| {
        let text = BSQ[0].0.replacen(from, to, 1);
        Config::from_reference_yaml(&text).unwrap_err().to_string()
    };
    assert_eq!(
        with("l2_norm: True", "l2norm: True"),
        "line 16: unknown key model.l2norm; did you mean model.l2_norm?"
    );
    assert!(
        with("VITBSQModel", "VITLFQModel").contains("expected a class VITBSQModel or VITVQModel")
    );
    assert!(with("AdamW", "SGD").contains("expected a class AdamW"));
    assert!(with("evaluation:", "evalution:").contains("did you mean evaluation?"));
    assert!(with("${data.image_size}", "${data.size}").contains("names no key"));
}

#[test]
fn files_are_named_in_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    let error = |path: &Path| Config::load(path).unwrap_err().to_string();
    assert!(error(&path).contains("x.toml: cannot be read"));
    fs::write(&path, "[model]\nembed_dim = \n").unwrap();
    assert!(error(&path).contains("x.toml:2: not TOML"));
    assert!(error(&folder.path().join("x.json")).contains("a configuration is a .toml file"));
    let path = folder.path().join("b18.YAML");
    fs::write(&path, BSQ[0].0).unwrap();
    assert_eq!(
        Config::load(&path).unwrap().0.model.quantizer.embed_dim(),
        18
    );
}

#[test]
fn model_objects_of_recorded_cases_read_as_they_are() {
    let bsq = serde_json::json!({
        "vitconfig": {"image_size": [24, 40], "patch_size": 8, "width": 32, "layers": 2,
            "heads": 4, "mlp_ratio": 2, "drop_rate": 0.0, "ln_pre": false},
        "dvitconfig": {"image_size": [24, 40], "patch_size": 8, "width": 32, "layers": 2,
            "heads": 4, "mlp_ratio": 2, "drop_rate": 0.0, "ln_pre": false, "ln_post": false,
            "use_ffn_output": false},
        "clamp_range": [-1, 1], "embed_dim": 18, "embed_group_size": 3,
        "l2_norm": true, "post_q_l2_norm": true
    });
    let config = TokenizerConfig::from_json(&bsq).unwrap();
    assert_eq!(config.encoder.grid(), GridShape::still(3, 5));
    assert!(config.encoder.ln_post && !config.decoder.ln_post && !config.decoder.use_ffn_output);
    let vq = serde_json::json!({
        "vitconfig": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 1, "heads": 4,
            "mlp_ratio": 4, "drop_rate": 0.0},
        "n_embed": 64, "embed_dim": 8, "l2_norm": false, "beta": 0.25
    });
    let config = TokenizerConfig::from_json(&vq).unwrap();
    assert_eq!(config.quantizer.bits_per_token(), 6);
    let short = serde_json::json!({
        "vitconfig": {"image_size": 256, "patch_size": 8, "width": 768, "layers": 12, "heads": 12,
            "mlp_ratio": 4, "drop_rate": 0.0},
        "embed_dim": 36, "embed_group_size": 1, "l2_norm": true, "post_q_l2_norm": true,
        "persample": "analytical", "dim_ffn_output": 1024
    });
    let config = TokenizerConfig::from_json(&short).unwrap();
    assert_eq!(config.decoder.dim_ffn_output, 1024);
    let QuantizerConfig::Bsq(bsq) = config.quantizer else {
        panic!()
    };
    assert_eq!(bsq.codebook_entropy(), EntropyMode::Analytical);
    assert!(TokenizerConfig::from_json(&serde_json::json!([1])).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "[a-z:=\\[\\]{}$'\"#& *\\-0-9.\n]{0,80}") {
        let _ = Config::from_toml(&text);
        let _ = Config::from_reference_yaml(&text);
    }

    /// A released file with a piece cut out or doubled.
    #[test]
    fn no_damaged_file_makes_a_reader_panic(at in 0_usize..2000, length in 0_usize..60, doubled: bool) {
        let text = BSQ[0].0;
        let clamp = |at: usize| at.min(text.len());
        let (start, end) = (clamp(at), clamp(at + length));
        let middle = if doubled { text[start..end].repeat(2) } else { String::new() };
        let _ = Config::from_reference_yaml(&[&text[..start], &middle, &text[end..]].concat());
    }
}
