//! Names of tensors, without what wrappers have put into them.

use std::collections::BTreeMap;

use super::Tensors;
use super::error::{Cause, Failure};

/// What wrappers put before a name: data-parallel training and averaging, a training's own class
/// around the model, compilation, sharding, checkpointing of activations.
const PREFIXES: [&str; 5] = [
    "module.",
    "model.",
    "_orig_mod.",
    "_fsdp_wrapped_module.",
    "_checkpoint_wrapped_module.",
];

/// Removes from each name what wrappers have put there.
pub(super) fn without_wrappers(named: Tensors) -> Result<Tensors, Failure> {
    let mut result = Tensors::default();
    for (name, tensor) in named.tensors {
        if result.tensors.insert(bare(&name), tensor).is_some() {
            return Err(Failure::of(&name, Cause::DuplicateName));
        }
    }
    result.skipped = unique(named.skipped, &result.tensors);
    Ok(result)
}

/// What was skipped keeps its whole name where the bare one is a tensor's or another's.
fn unique<T>(
    skipped: BTreeMap<String, String>,
    tensors: &BTreeMap<String, T>,
) -> BTreeMap<String, String> {
    let mut result = BTreeMap::new();
    for (name, reason) in skipped {
        let bare = bare(&name);
        let taken = tensors.contains_key(&bare) || result.contains_key(&bare);
        result.insert(if taken { name } else { bare }, reason);
    }
    result
}

/// A name without any sequence of prefixes, and without the parts that only a wrapper of an inner
/// module can have put there.
fn bare(name: &str) -> String {
    let mut bare = name;
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| bare.strip_prefix(prefix)) {
        bare = rest;
    }
    let inner = |part: &&str| {
        !PREFIXES
            .iter()
            .any(|p| part.starts_with('_') && p.strip_suffix('.') == Some(part))
    };
    bare.split('.').filter(inner).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn wrappers_are_removed_in_any_order() {
        for (name, expected) in [
            ("a.weight", "a.weight"),
            ("module.module.a", "a"),
            ("model._orig_mod.module.a.b", "a.b"),
            ("_fsdp_wrapped_module.model.a", "a"),
            ("_orig_mod._fsdp_wrapped_module.module.model.a", "a"),
            (
                "a._fsdp_wrapped_module.b._checkpoint_wrapped_module.c",
                "a.b.c",
            ),
            ("a._orig_mod.weight", "a.weight"),
            // Inside a name these are a model's own.
            ("a.module.b", "a.module.b"),
            ("a.model.b", "a.model.b"),
            ("module", "module"),
            ("modules.a", "modules.a"),
        ] {
            assert_eq!(bare(name), expected);
        }
    }
}
