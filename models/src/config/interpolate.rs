//! `${section.key}` in a YAML file stands for the value of that key, as OmegaConf has it.

use super::{
    ConfigError, Problem,
    tree::{Node, Table, Value},
};

/// References may lead to references, but not further than this.
const LONGEST_CHAIN: usize = 16;

/// Replaces every `${...}` in the tree.
///
/// A scalar that is nothing but a reference takes the referenced value, sections included; a
/// reference inside a longer text takes the text of the value.
pub(super) fn interpolate(root: &mut Table) -> Result<(), ConfigError> {
    let original = root.clone();
    resolve_table(root, &original)
}

fn resolve_table(table: &mut Table, root: &Table) -> Result<(), ConfigError> {
    for entry in &mut table.entries {
        resolve(&mut entry.node, root)?;
    }
    Ok(())
}

fn resolve(node: &mut Node, root: &Table) -> Result<(), ConfigError> {
    match &mut node.value {
        Value::Table(table) => resolve_table(table, root),
        Value::List(items) => items.iter_mut().try_for_each(|item| resolve(item, root)),
        Value::Scalar(_) => resolve_scalar(node, root),
        Value::Null | Value::Bool(_) => Ok(()),
    }
}

fn resolve_scalar(node: &mut Node, root: &Table) -> Result<(), ConfigError> {
    let line = node.line;
    let error = |message: String| ConfigError::at(line, Problem::Syntax(message));
    for _ in 0..LONGEST_CHAIN {
        let Value::Scalar(text) = &node.value else {
            // A referenced section may hold references, too; the tree it was copied from is
            // finite, so only scalars can go round in circles.
            return Ok(());
        };
        let Some(start) = text.find("${") else {
            return Ok(());
        };
        let Some(length) = text[start..].find('}') else {
            return Err(error(format!("\"{text}\" has a ${{ without }}")));
        };
        let end = start + length + 1;
        let key = text[start + 2..end - 1].trim();
        let found = look_up(root, key)
            .ok_or_else(|| error(format!("${{{key}}} names no key of this file")))?;
        if start == 0 && end == text.len() {
            node.value = match &found.value {
                Value::Table(_) | Value::List(_) if contains_reference(found) => {
                    return Err(error(format!(
                        "${{{key}}} names a section that has references itself"
                    )));
                }
                value => value.clone(),
            };
            continue;
        }
        let Value::Scalar(inner) = &found.value else {
            return Err(error(format!(
                "${{{key}}} inside a text is {}",
                found.describe()
            )));
        };
        node.value = Value::Scalar(format!("{}{inner}{}", &text[..start], &text[end..]));
    }
    Err(error("references go round in a circle".into()))
}

fn contains_reference(node: &Node) -> bool {
    match &node.value {
        Value::Scalar(text) => text.contains("${"),
        Value::List(items) => items.iter().any(contains_reference),
        Value::Table(table) => table
            .entries
            .iter()
            .any(|entry| contains_reference(&entry.node)),
        Value::Null | Value::Bool(_) => false,
    }
}

fn look_up<'a>(root: &'a Table, path: &str) -> Option<&'a Node> {
    let mut parts = path.split('.');
    let mut node = find(root, parts.next()?)?;
    for part in parts {
        node = match &node.value {
            Value::Table(table) => find(table, part)?,
            _ => return None,
        };
    }
    Some(node)
}

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a Node> {
    let entry = table.entries.iter().find(|entry| entry.key == key)?;
    Some(&entry.node)
}

#[cfg(test)]
mod tests {
    use super::super::tree::parse_yaml;
    use super::*;

    fn resolved(text: &str, key: &str) -> Result<Value, String> {
        let mut root = parse_yaml(text).unwrap();
        interpolate(&mut root).map_err(|error| error.to_string())?;
        Ok(look_up(&root, key).unwrap().value.clone())
    }

    #[test]
    fn references_take_values_texts_and_sections() {
        let text = "size: 256\ndata:\n  side: ${size}\n  name: x_${data.side}.npz\ncopy: ${data2}\ndata2: {a: 1}\n";
        let scalar = |text: &str| Ok(Value::Scalar(text.into()));
        assert_eq!(resolved(text, "data.side"), scalar("256"));
        assert_eq!(resolved(text, "data.name"), scalar("x_256.npz"));
        assert_eq!(resolved(text, "copy.a"), scalar("1"));
    }

    #[test]
    fn references_to_nothing_and_in_circles_are_refused() {
        let error = |text: &str| resolved(text, "a").unwrap_err();
        assert_eq!(
            error("a: ${b.c}\n"),
            "line 1: ${b.c} names no key of this file"
        );
        assert!(error("a: ${b}\nb: ${a}\n").contains("circle"));
        assert!(error("a: ${a\n").contains("without }"));
        assert!(error("a: x${b}\nb: {c: 1}\n").contains("a section"));
    }

    #[test]
    fn growing_references_stop() {
        let error = resolved("a: ${b}${b}\nb: ${a}${a}\n", "a").unwrap_err();
        assert!(error.contains("circle"));
    }
}
