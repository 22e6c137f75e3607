//! Names that are nearly right: what to suggest for one that is not known.

/// The known name nearest to `name`, if at most a third of its letters have to change. Neighbours
/// that have changed places count as one change.
///
/// ```
/// use bsq_runtime::names::nearest;
///
/// assert_eq!(nearest("los", ["loss", "lr"]), Some("loss"));
/// assert_eq!(nearest("weight", ["loss", "lr"]), None);
/// ```
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known.into_iter().map(|candidate| {
        let distance = strsim::osa_distance(name, candidate);
        (distance, candidate)
    });
    let near = distances
        .filter(|&(distance, candidate)| distance <= candidate.len().max(name.len()).div_ceil(3));
    near.min().map(|(_, candidate)| candidate)
}

/// Names for a message, no more than a reader wants to see, and the one that was perhaps meant:
/// `a, b, c; did you mean \`b\`?`
pub(crate) fn known_names<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    const LISTED: usize = 8;
    let mut listed: Vec<&str> = known.clone().take(LISTED + 1).collect();
    if listed.len() > LISTED {
        listed[LISTED] = "...";
    }
    let names = match listed.is_empty() {
        true => "none".to_string(),
        false => listed.join(", "),
    };
    match nearest(name, known) {
        Some(near) => format!("{names}; did you mean `{near}`?"),
        None => names,
    }
}

#[cfg(test)]
mod tests {
    use super::{known_names, nearest};

    #[test]
    fn only_similar_names_are_suggested() {
        let known = ["embed_dim", "embed_group_size", "l2_norm"];
        assert_eq!(nearest("embeddim", known), Some("embed_dim"));
        assert_eq!(nearest("l2norm", known), Some("l2_norm"));
        assert_eq!(nearest("optimizer", known), None);
        assert_eq!(nearest("kitten", ["sitting"]), Some("sitting"));
        assert_eq!(nearest("", known), None);
        // The first of equals.
        assert_eq!(nearest("ax", ["ab", "aa"]), Some("aa"));
    }

    #[test]
    fn a_message_names_some_and_the_nearest_of_all() {
        assert_eq!(known_names("x", [].into_iter()), "none");
        assert_eq!(
            known_names("los", ["loss", "lr"].into_iter()),
            "loss, lr; did you mean `loss`?"
        );
        let many: Vec<String> = (0..20).map(|i| format!("layer.{i}.weight")).collect();
        let message = known_names("layer.19.wieght", many.iter().map(String::as_str));
        assert!(message.starts_with("layer.0.weight, "), "{message}");
        assert!(message.contains("layer.7.weight, ...; "), "{message}");
        assert!(
            message.ends_with("did you mean `layer.19.weight`?"),
            "{message}"
        );
    }
}
