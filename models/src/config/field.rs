//! The types that a key can have, and how their values look in a file.

use super::tree::{Node, Value};
use std::path::PathBuf;

/// A type that a key can have.
pub(super) trait Field: Sized {
    /// What belongs there, for messages: "a whole number".
    fn expected() -> String;
    /// The value in a node, if it has this type.
    fn parse(node: &Node) -> Option<Self>;
    /// The value as TOML; `None` for a value that is written by leaving the key out.
    fn show(&self) -> Option<String>;
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text) => Some(text),
        _ => None,
    }
}

/// A number's text without the underscores between its digits.
fn digits(node: &Node) -> Option<String> {
    scalar(node).map(|text| text.replace('_', ""))
}

impl Field for bool {
    fn expected() -> String {
        "true or false".into()
    }
    fn parse(node: &Node) -> Option<bool> {
        // The words are those of YAML 1.1, which Python reads.
        match &node.value {
            Value::Bool(value) => Some(*value),
            Value::Scalar(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => Some(true),
                "false" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Field for i64 {
    fn expected() -> String {
        "a whole number".into()
    }
    fn parse(node: &Node) -> Option<i64> {
        let text = digits(node)?;
        text.parse().ok().or_else(|| {
            // 1e6 is a whole number to everyone but a parser.
            let value: f64 = text.parse().ok()?;
            (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64)
        })
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Field for usize {
    fn expected() -> String {
        "a whole number, not negative".into()
    }
    fn parse(node: &Node) -> Option<usize> {
        i64::parse(node)?.try_into().ok()
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Field for u64 {
    fn expected() -> String {
        usize::expected()
    }
    fn parse(node: &Node) -> Option<u64> {
        i64::parse(node)?.try_into().ok()
    }
    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Field for f64 {
    fn expected() -> String {
        "a number".into()
    }
    fn parse(node: &Node) -> Option<f64> {
        digits(node)?
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
    }
    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Field for String {
    fn expected() -> String {
        "a text".into()
    }
    fn parse(node: &Node) -> Option<String> {
        scalar(node).map(str::to_owned)
    }
    fn show(&self) -> Option<String> {
        Some(toml::Value::String(self.clone()).to_string())
    }
}

impl Field for PathBuf {
    fn expected() -> String {
        "a path".into()
    }
    fn parse(node: &Node) -> Option<PathBuf> {
        scalar(node).map(PathBuf::from)
    }
    fn show(&self) -> Option<String> {
        self.to_string_lossy().into_owned().show()
    }
}

impl<T: Field> Field for Option<T> {
    fn expected() -> String {
        T::expected()
    }
    fn parse(node: &Node) -> Option<Option<T>> {
        match node.value {
            Value::Null => Some(None),
            _ => T::parse(node).map(Some),
        }
    }
    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }
}

impl<T: Field> Field for Vec<T> {
    fn expected() -> String {
        format!("a list, each {}", T::expected())
    }
    fn parse(node: &Node) -> Option<Vec<T>> {
        match &node.value {
            Value::List(items) => items.iter().map(T::parse).collect(),
            _ => None,
        }
    }
    fn show(&self) -> Option<String> {
        let items: Vec<String> = self.iter().filter_map(T::show).collect();
        Some(format!("[{}]", items.join(", ")))
    }
}

impl<T: Field> Field for [T; 2] {
    fn expected() -> String {
        format!("a list of two, each {}", T::expected())
    }
    fn parse(node: &Node) -> Option<[T; 2]> {
        Vec::<T>::parse(node)?.try_into().ok()
    }
    fn show(&self) -> Option<String> {
        let [a, b] = self;
        Some(format!("[{}, {}]", a.show()?, b.show()?))
    }
}
