//! Parameters that a program does not need.

use crate::optimizer::{AVERAGE_PREFIX, is_state};

/// Names that are listed.
const LISTED: usize = 4;

/// A line about a model's parameters that no output depends on; `unused` is what a function or a
/// compilation says. Moving averages and the optimizer's state are meant to be so: nothing reads
/// them but the checkpoint.
pub fn unused_note<'a>(unused: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let of_model = |name: &&str| !name.starts_with(AVERAGE_PREFIX) && !is_state(name);
    let names: Vec<&str> = unused.into_iter().filter(of_model).collect();
    let listed = names[..names.len().min(LISTED)].join(", ");
    let more = match names.len() {
        0 => return None,
        count if count > LISTED => format!(" and {} more", count - LISTED),
        _ => String::new(),
    };
    Some(format!(
        "no output depends on these parameters, whatever they are: {listed}{more}"
    ))
}

#[cfg(test)]
mod tests {
    use super::unused_note;

    #[test]
    fn only_what_is_suspicious_is_named() {
        let kept = [
            "ema.weight",
            "adamw.exp_avg.weight",
            "optimizer.sgd.momentum.w",
        ];
        assert_eq!(unused_note(kept), None);
        let line = unused_note(kept.into_iter().chain(["head.weight", "head.bias"])).unwrap();
        assert!(line.ends_with(": head.weight, head.bias"), "{line}");
        let line = unused_note(["a", "b", "c", "d", "e", "f"]).unwrap();
        assert!(line.ends_with(": a, b, c, d and 2 more"), "{line}");
    }
}
