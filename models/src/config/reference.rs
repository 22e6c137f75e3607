//! Configuration files of the reference implementation (YAML), rearranged into our sections.
//!
//! There every section names a Python class (`target`) and hands it `params`. Here a class is a
//! choice and its parameters are keys of the section itself. Keys that the reference reads but
//! this program has no use for, or that the reference itself ignores in silence, are dropped with
//! a notice; all others must be known.

use super::{
    ConfigError, Problem,
    quantizer::is_leech_file,
    tree::{Entry, Node, Table, Value, join},
};
use bsq_runtime::names::nearest;

/// Rearranges a file's tree; the notices say what was dropped or deserves attention.
pub(super) fn adapt(root: Table) -> Result<(Table, Vec<String>), ConfigError> {
    let mut adapter = Adapter {
        notices: Vec::new(),
    };
    let mut result = Table::default();
    for Entry { key, line, node } in root.entries {
        let adapted = match key.as_str() {
            "model" => adapter.model(section(node, &key)?)?,
            "loss" => adapter.loss(section(node, &key)?)?,
            "data" => adapter.data(section(node, &key)?)?,
            "optimizer" => adapter.optimizer(section(node, &key)?)?,
            "evaluation" => adapter.evaluation(section(node, &key)?)?,
            "wandb" => {
                adapter.notice(line, "wandb is not used: logs are files".into());
                continue;
            }
            _ => {
                let known = ["model", "loss", "data", "optimizer", "evaluation", "wandb"];
                let problem = Problem::UnknownKey {
                    suggestion: nearest(&key, known).map(str::to_owned),
                    key,
                };
                return Err(ConfigError::at(line, problem));
            }
        };
        result.insert(Entry {
            key,
            line,
            node: Node {
                value: Value::Table(adapted),
                line,
            },
        });
    }
    Ok((result, adapter.notices))
}

struct Adapter {
    notices: Vec<String>,
}

/// Keys that are dropped: section, key, and why.
const DROPPED: &[(&str, &str, &str)] = &[
    (
        "model",
        "grad_checkpointing",
        "the reference ignores it here, and it changes no result",
    ),
    ("model.params", "grad_checkpointing", "it changes no result"),
    (
        "model.params",
        "selective_checkpointing",
        "it changes no result",
    ),
    (
        "model.params",
        "ckpt_path",
        "name a checkpoint on the command line",
    ),
    (
        "model.params",
        "ignore_keys",
        "name a checkpoint on the command line",
    ),
    (
        "model.params",
        "cb_entropy_compute",
        "the reference ignores it: the codebook entropy follows persample_entropy_compute",
    ),
    (
        "loss.params",
        "pixelloss_weight",
        "the reference ignores it",
    ),
    ("loss.params", "disc_factor", "the reference ignores it"),
    ("loss.params", "use_bf16", "training is in f32"),
    ("loss.params", "zero_mean", "data.zero_mean decides"),
    ("data", "num_workers", "one thread reads ahead"),
    (
        "data",
        "use_hflip_aug",
        "the reference ignores it (its key is use_hflip): no mirroring",
    ),
    ("optimizer", "disable_amp", "training is in f32"),
    (
        "optimizer",
        "use_bf16",
        "training is in f32 unless --precision bf16 or train.precision asks for bf16",
    ),
    ("optimizer", "force_bf16_scaler", "training is in f32"),
    (
        "optimizer",
        "grad_clip_norm",
        "the reference ignores it: no clipping",
    ),
    (
        "optimizer",
        "grad_clip_per_layer",
        "the reference ignores it: no clipping",
    ),
    (
        "optimizer.lr_scheduler_config.params",
        "verbosity_interval",
        "it only prints",
    ),
    ("evaluation", "fid", "FID is not computed"),
];

impl Adapter {
    fn notice(&mut self, line: Option<usize>, text: String) {
        self.notices.push(match line {
            Some(line) => format!("line {line}: {text}"),
            None => text,
        });
    }

    /// Drops the keys of a section that have no effect.
    fn drop_from(&mut self, table: &mut Table, path: &str) {
        for (_, key, reason) in DROPPED.iter().filter(|(section, ..)| *section == path) {
            if let Some(entry) = table.take(key)
                && entry.node.value != Value::Null
            {
                self.notice(
                    entry.line,
                    format!("{} is not used: {reason}", join(path, key)),
                );
            }
        }
    }

    /// The last part of a section's `target`, which must be one of `classes`.
    fn class(
        &mut self,
        table: &mut Table,
        path: &str,
        classes: &[&str],
    ) -> Result<String, ConfigError> {
        let entry = table.take("target");
        let line = entry.as_ref().and_then(|entry| entry.line);
        let target = match entry.map(|entry| entry.node.value) {
            Some(Value::Scalar(target)) => target,
            _ => String::new(),
        };
        let class = target.rsplit('.').next().unwrap_or_default();
        if classes.contains(&class) {
            return Ok(class.into());
        }
        let problem = Problem::WrongType {
            key: join(path, "target"),
            expected: format!("a class {}", classes.join(" or ")),
            found: format!("\"{target}\""),
        };
        Err(ConfigError::at(line, problem))
    }

    /// A section `{target, params}` turned into its parameters, and the class.
    fn instance(
        &mut self,
        mut table: Table,
        path: &str,
        classes: &[&str],
    ) -> Result<(String, Table), ConfigError> {
        let class = self.class(&mut table, path, classes)?;
        let params_path = join(path, "params");
        let mut params = table.take_table("params", path)?.unwrap_or_default();
        self.drop_from(&mut params, &params_path);
        self.drop_from(&mut table, path);
        super::section::refuse_unknown(&table, path, &[&["target", "params"]])?;
        Ok((class, params))
    }

    fn model(&mut self, table: Table) -> Result<Table, ConfigError> {
        let classes = ["VITBSQModel", "VITVQModel"];
        let (class, mut params) = self.instance(table, "model", &classes)?;
        let is_bsq = class == classes[0];
        if let Some(entry) = params
            .entries
            .iter_mut()
            .find(|entry| entry.key == "predefined_codebook")
            && let Value::Scalar(file) = &entry.node.value
            && is_leech_file(file)
        {
            let text = format!("model.params.predefined_codebook: computed, not read from {file}");
            self.notices
                .push(format!("line {}: {text}", entry.line.unwrap_or_default()));
            entry.node.value = Value::Scalar("leech".into());
        }
        if let Some(beta) = params
            .entries
            .iter()
            .find(|entry| is_bsq && entry.key == "beta")
        {
            let text = format!(
                "model.params.beta: {} as written; the reference trains with 0.25 whatever is written (beta_compat = true does the same)",
                beta.node.describe()
            );
            self.notice(beta.line, text);
        }
        params.insert_text("quantizer", if is_bsq { "bsq" } else { "vq" });
        Ok(params)
    }

    fn loss(&mut self, table: Table) -> Result<Table, ConfigError> {
        Ok(self
            .instance(table, "loss", &["VQLPIPSWithDiscriminator"])?
            .1)
    }

    fn data(&mut self, mut table: Table) -> Result<Table, ConfigError> {
        self.drop_from(&mut table, "data");
        for (key, ours) in [("train", "train_root"), ("val", "val_root")] {
            let Some(folder) = table.take_table(key, "data")? else {
                continue;
            };
            let path = join("data", key);
            let (_, mut params) = self.instance(folder, &path, &["ImageFolder"])?;
            if let Some(mut root) = params.take("root") {
                root.key = ours.into();
                table.insert(root);
            }
            super::section::refuse_unknown(&params, &join(&path, "params"), &[&["root"]])?;
        }
        Ok(table)
    }

    fn optimizer(&mut self, mut table: Table) -> Result<Table, ConfigError> {
        self.drop_from(&mut table, "optimizer");
        self.class(&mut table, "optimizer", &["AdamW"])?;
        let schedule = table.take_table("lr_scheduler_config", "optimizer")?;
        if let Some(params) = table.take_table("params", "optimizer")? {
            table.entries.extend(params.entries);
        }
        if let Some(schedule) = schedule {
            let path = "optimizer.lr_scheduler_config";
            let (_, params) = self.instance(schedule, path, &["LambdaWarmUpCosineScheduler"])?;
            table.insert(Entry {
                key: "schedule".into(),
                line: None,
                node: Node {
                    value: Value::Table(params),
                    line: None,
                },
            });
        }
        Ok(table)
    }

    fn evaluation(&mut self, mut table: Table) -> Result<Table, ConfigError> {
        self.drop_from(&mut table, "evaluation");
        Ok(table)
    }
}

fn section(node: Node, key: &str) -> Result<Table, ConfigError> {
    match node.value {
        Value::Table(table) => Ok(table),
        Value::Null => Ok(Table::default()),
        _ => {
            let problem = Problem::WrongType {
                key: key.into(),
                expected: "a section".into(),
                found: node.describe(),
            };
            Err(ConfigError::at(node.line, problem))
        }
    }
}
