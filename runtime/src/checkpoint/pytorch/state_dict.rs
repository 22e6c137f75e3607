//! Which of the dictionaries in a checkpoint holds a model's weights.
//!
//! Everyone who trains wraps the weights in another way: `{"model": ...}`,
//! `{"state_dict": ..., "optimizer": ...}`, `{"ema": {"module": ...}}`. Under the usual names they
//! are found by themselves; where two could be meant, the user has to say which.

use std::collections::HashSet;

use super::rebuild::{is_tensor, rebuilt};
use crate::checkpoint::error::Cause;
use crate::checkpoint::pickle::Node;
use crate::checkpoint::{Selection, Weights};

/// Keys of averaged weights.
const AVERAGED: &[&str] = &[
    "ema_state_dict",
    "state_dict_ema",
    "model_ema",
    "ema_model",
    "model_ema_state_dict",
    "ema_model_state_dict",
    "model_state_dict_ema",
    "ema",
    "ema_params",
    "params_ema",
    "ema_weights",
    "ema_generator",
    "generator_ema",
    "netG_ema",
    "g_ema",
    "G_ema",
    "averaged_model",
    "swa_model",
    "shadow",
    "shadow_params",
];

/// Keys of the weights that were trained.
const TRAINED: &[&str] = &[
    "state_dict",
    "model",
    "model_state_dict",
    "model_state",
    "module",
    "net",
    "network",
    "generator",
    "generator_state_dict",
    "netG",
    "gen",
    "g",
    "G",
    "params",
    "parameters",
    "weights",
    "model_weights",
    "vae",
    "autoencoder",
    "tokenizer",
    "vqgan",
    "vqmodel",
];

/// What parts of other keys tell that no weights of a model are below.
const OTHERS: &[&str] = &["optim", "sched", "scaler", "config", "args", "rng"];

/// How deep dictionaries are looked for in dictionaries.
const DEPTH: usize = 6;

/// How many keys a message lists.
const LISTED: usize = 20;

/// A dictionary of tensors.
pub(super) struct StateDict<'a> {
    /// The keys that lead to it, joined by dots; empty for the saved object itself.
    pub(super) path: String,
    pub(super) dict: Node<'a>,
    /// Only what has a name that starts so is meant.
    pub(super) prefix: String,
}

/// The state dict of a saved object that is asked for.
pub(super) fn state_dict<'a>(
    root: Node<'a>,
    selection: Selection<'_>,
) -> Result<StateDict<'a>, Cause> {
    let mut search = Search {
        weights: selection.weights,
        seen: HashSet::new(),
    };
    let Some(key) = selection.key else {
        let found = search.below(root, String::new(), DEPTH)?;
        return found.ok_or_else(|| no_weights(root, selection.weights));
    };
    let Some((node, rest)) = follow(root, key) else {
        return Err(Cause::Content(format!(
            "it has no key `{key}`, but {root} with {}",
            keys(root)
        )));
    };
    if !rest.is_empty() {
        return Ok(StateDict {
            path: key.to_string(),
            dict: node,
            prefix: format!("{rest}."),
        });
    }
    let found = search.below(node, key.to_string(), DEPTH)?;
    found.ok_or_else(|| {
        Cause::Content(format!(
            "there are no tensors under the key `{key}`, but {node} with {}",
            keys(node)
        ))
    })
}

struct Search {
    weights: Weights,
    /// Objects that have been looked into: one object can be found under many names.
    seen: HashSet<u32>,
}

impl Search {
    /// The state dict in a dictionary, or in those in it.
    fn below<'a>(
        &mut self,
        node: Node<'a>,
        path: String,
        depth: usize,
    ) -> Result<Option<StateDict<'a>>, Cause> {
        let new = node.object_id().is_some_and(|id| self.seen.insert(id));
        if !node.is_mapping() || !new {
            return Ok(None);
        }
        if depth > 0 {
            let tiers = match self.weights {
                Weights::Ema => &[AVERAGED, TRAINED][..],
                Weights::Raw => &[TRAINED][..],
            };
            for names in tiers {
                let named = names
                    .iter()
                    .filter_map(|name| Some((*name, node.get(name)?)));
                if let Some(found) = self.one_of(named, &path, depth)? {
                    return Ok(Some(found));
                }
            }
        }
        if node.entries().any(|(_, value)| is_tensor(value)) {
            return Ok(Some(StateDict {
                path,
                dict: node,
                prefix: String::new(),
            }));
        }
        if depth == 0 {
            return Ok(None);
        }
        let others = node.entries().filter_map(|(key, value)| {
            let key = key.as_str()?;
            let lower = key.to_ascii_lowercase();
            let other = OTHERS.iter().any(|part| lower.contains(part))
                || self.weights == Weights::Raw && AVERAGED.contains(&key);
            (!other).then_some((key, value))
        });
        let others: Vec<_> = others.collect();
        self.one_of(others, &path, depth)
    }

    /// The one state dict below some entries.
    fn one_of<'a, 'k>(
        &mut self,
        entries: impl IntoIterator<Item = (&'k str, Node<'a>)>,
        path: &str,
        depth: usize,
    ) -> Result<Option<StateDict<'a>>, Cause> {
        let mut found: Vec<StateDict<'a>> = Vec::new();
        for (key, node) in entries {
            let path = match path {
                "" => key.to_string(),
                _ => format!("{path}.{key}"),
            };
            if let Some(new) = self.below(node, path, depth - 1)?
                && !found.iter().any(|old| is_same(old.dict, new.dict))
            {
                found.push(new);
            }
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            count => {
                let paths = found.iter().take(LISTED);
                let paths: Vec<String> = paths.map(|found| format!("`{}`", found.path)).collect();
                Err(Cause::Content(format!(
                    "it holds {count} state dicts: {}; name the one that is meant with --key",
                    paths.join(", ")
                )))
            }
        }
    }
}

/// Whether two dictionaries hold the same views of the same storages under the same names, as
/// those do that one module gave twice.
fn is_same(a: Node<'_>, b: Node<'_>) -> bool {
    a.entries().len() == b.entries().len()
        && a.entries().zip(b.entries()).all(|(a, b)| {
            a.0.as_str().is_some()
                && a.0.as_str() == b.0.as_str()
                && match (rebuilt(a.1), rebuilt(b.1)) {
                    (Ok(a), Ok(b)) => a == b,
                    _ => !is_tensor(a.1) && !is_tensor(b.1),
                }
        })
}

/// What a path of keys leads to: a dictionary, and what is left of the path, with which names in
/// it start. Keys may have dots themselves.
fn follow<'a, 'p>(node: Node<'a>, path: &'p str) -> Option<(Node<'a>, &'p str)> {
    let dots = path.match_indices('.').map(|(place, _)| place);
    let ends: Vec<usize> = dots.chain([path.len()]).collect();
    for &end in ends.iter().rev() {
        let child = node.get(&path[..end]).filter(|child| child.is_mapping());
        let rest = path.get(end + 1..).unwrap_or_default();
        let found = match child {
            Some(child) if rest.is_empty() => Some((child, rest)),
            Some(child) => follow(child, rest),
            None => None,
        };
        if found.is_some() {
            return found;
        }
    }
    let prefixed = |name: &str| {
        let rest = name.strip_prefix(path);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let mut names = node.entries().filter_map(|(name, _)| name.as_str());
    names.any(prefixed).then_some((node, path))
}

fn no_weights(root: Node<'_>, weights: Weights) -> Cause {
    let wanted = match weights {
        Weights::Ema => "ema_state_dict, state_dict or tensors",
        Weights::Raw => "state_dict or tensors",
    };
    Cause::Content(format!(
        "it holds no {wanted}, but {root} with {}",
        keys(root)
    ))
}

fn keys(node: Node<'_>) -> String {
    let keys = node.entries().take(LISTED).map(|(key, _)| key.to_string());
    let keys: Vec<String> = keys.collect();
    let more = match node.entries().len() > LISTED {
        true => ", ...",
        false => "",
    };
    format!("the keys [{}{more}]", keys.join(", "))
}
