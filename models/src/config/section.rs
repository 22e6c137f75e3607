//! Declaring a section once: its keys, their types, defaults and documentation.
//!
//! `section!` makes a struct out of a declaration, with a reader that refuses unknown keys and a
//! writer that puts the documentation beside every value. `choices!` does the same for a key that
//! takes one of a few words.

use super::{
    ConfigError, Problem,
    field::Field,
    tree::{Entry, Table, join},
};
use bsq_runtime::names::nearest;
use std::fmt::Write;

/// A struct whose fields are the keys of a section of the configuration file.
pub(super) trait Section: Sized {
    /// Every key, for suggestions.
    const KEYS: &'static [&'static str];
    /// Takes the section's keys out of a table; others are left in it.
    fn take_from(table: &mut Table, path: &str) -> Result<Self, ConfigError>;
    /// Appends the keys as TOML, each below its documentation.
    fn write(&self, out: &mut String);

    /// Reads a table that has this section's keys and no others.
    fn read(mut table: Table, path: &str) -> Result<Self, ConfigError> {
        refuse_unknown(&table, path, &[Self::KEYS])?;
        Self::take_from(&mut table, path)
    }
}

/// An error if a table has keys beside the known ones. Asked before any key is missed: the unknown
/// one may be that one, misspelt.
pub(super) fn refuse_unknown(
    table: &Table,
    path: &str,
    known: &[&[&str]],
) -> Result<(), ConfigError> {
    let known = || known.iter().flat_map(|keys| keys.iter().copied());
    let mut entries = table.entries.iter();
    let Some(Entry { key, line, .. }) = entries.find(|entry| !known().any(|k| k == entry.key))
    else {
        return Ok(());
    };
    let problem = Problem::UnknownKey {
        key: join(path, key),
        suggestion: nearest(key, known()).map(|near| join(path, near)),
    };
    Err(ConfigError::at(*line, problem))
}

/// Takes one key; `default` stands in for an absent one.
pub(super) fn take_field<T: Field>(
    table: &mut Table,
    path: &str,
    key: &str,
    default: Option<T>,
) -> Result<T, ConfigError> {
    let Some(entry) = table.take(key) else {
        return default.ok_or_else(|| {
            let problem = Problem::Missing {
                key: join(path, key),
                expected: T::expected(),
            };
            ConfigError::at(None, problem)
        });
    };
    T::parse(&entry.node).ok_or_else(|| {
        let problem = Problem::WrongType {
            key: join(path, key),
            expected: T::expected(),
            found: entry.node.describe(),
        };
        ConfigError::at(entry.line, problem)
    })
}

/// Appends one key below its documentation.
pub(super) fn write_field<T: Field>(
    out: &mut String,
    key: &str,
    documentation: &[&str],
    value: &T,
) {
    for line in documentation {
        writeln!(out, "#{line}").expect("a String takes everything");
    }
    match value.show() {
        Some(text) => writeln!(out, "{key} = {text}"),
        None => writeln!(out, "# {key} is not set"),
    }
    .expect("a String takes everything");
}

/// Declares the struct of a section. A field without a default must be in the file.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident : $type:ty $(= $default:expr)? ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $field_doc])* pub $field: $type, )*
        }

        impl $crate::config::section::Section for $name {
            const KEYS: &'static [&'static str] = &[$( stringify!($field) ),*];

            fn take_from(
                table: &mut $crate::config::tree::Table,
                path: &str,
            ) -> Result<Self, $crate::config::ConfigError> {
                Ok($name {
                    $( $field: $crate::config::section::take_field(
                        table,
                        path,
                        stringify!($field),
                        section!(@default $($default)?),
                    )?, )*
                })
            }

            fn write(&self, out: &mut String) {
                $( $crate::config::section::write_field(
                    out,
                    stringify!($field),
                    &[$( $field_doc ),*],
                    &self.$field,
                ); )*
            }
        }
    };
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
}
pub(super) use section;

/// Declares an enum whose variants are words in the configuration file.
macro_rules! choices {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $( $(#[doc = $variant_doc:literal])* $variant:ident = $word:literal ),* $(,)?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[doc = $variant_doc])* $variant, )*
        }

        $crate::config::section::words!($name { $( $variant = $word ),* });
    };
}
pub(super) use choices;

/// Makes an enum that is declared elsewhere a field type.
macro_rules! words {
    ($name:ty { $( $variant:ident = $word:literal ),* }) => {
        impl $crate::config::field::Field for $name {
            fn expected() -> String {
                let words: Vec<String> = [$( $word ),*]
                    .iter()
                    .map(|word| format!("\"{word}\""))
                    .collect();
                words.join(" or ")
            }
            fn parse(node: &$crate::config::tree::Node) -> Option<Self> {
                match &node.value {
                    $crate::config::tree::Value::Scalar(text) => match text.as_str() {
                        $( $word => Some(<$name>::$variant), )*
                        _ => None,
                    },
                    _ => None,
                }
            }
            fn show(&self) -> Option<String> {
                Some(match self { $( <$name>::$variant => concat!("\"", $word, "\"").into(), )* })
            }
        }
    };
}
pub(super) use words;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::{parse_toml, parse_yaml};

    choices! {
        /// For the test.
        pub enum Color {
            /// Like blood.
            Red = "red",
            /// Like the sky.
            Blue = "light-blue",
        }
    }

    section! {
        /// For the test.
        pub struct Sample {
            /// Needed.
            count: usize,
            /// Has a default.
            rate: f64 = 0.5,
            /// May be absent.
            limit: Option<f64> = None,
            /// Two numbers.
            pair: [f64; 2] = [0.9, 0.99],
            /// A word.
            color: Color = Color::Blue,
            /// Yes or no.
            flag: bool = false,
        }
    }

    fn read(text: &str) -> Result<Sample, String> {
        Sample::read(parse_yaml(text).unwrap(), "sample").map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_numbers_however_yaml_writers_write_them() {
        let sample = read("count: 1_000_000\nrate: 1e-4\nlimit: 0.\nflag: True\n").unwrap();
        assert_eq!((sample.count, sample.rate), (1_000_000, 1e-4));
        assert_eq!((sample.limit, sample.flag), (Some(0.0), true));
        assert_eq!(read("count: 1e6").unwrap().count, 1_000_000);
    }

    #[test]
    fn what_was_written_reads_back() {
        let sample = read("count: 3\nrate: 1e-7\ncolor: red\npair: [1, 2.5]").unwrap();
        let mut text = String::new();
        sample.write(&mut text);
        assert!(text.contains("# Needed.\ncount = 3\n"), "{text}");
        assert!(text.contains("# limit is not set\n"), "{text}");
        assert_eq!(
            Sample::read(parse_toml(&text).unwrap(), "").unwrap(),
            sample
        );
    }

    #[test]
    fn errors_name_the_key_its_line_and_what_belongs_there() {
        for (text, message) in [
            (
                "",
                "sample.count is missing: expected a whole number, not negative",
            ),
            (
                "count: -1",
                "line 1: sample.count: expected a whole number, not negative, found \"-1\"",
            ),
            (
                "count: 1.5",
                "line 1: sample.count: expected a whole number, not negative, found \"1.5\"",
            ),
            (
                "count: 1\nrate: fast",
                "line 2: sample.rate: expected a number, found \"fast\"",
            ),
            (
                "count: 1\nrate: .inf",
                "line 2: sample.rate: expected a number, found \".inf\"",
            ),
            (
                "count: 1\nrate: inf",
                "line 2: sample.rate: expected a number, found \"inf\"",
            ),
            (
                "count: 1\ncolor: green",
                "line 2: sample.color: expected \"red\" or \"light-blue\", found \"green\"",
            ),
            (
                "count: 1\npair: [1]",
                "line 2: sample.pair: expected a list of two, each a number, found a list of 1",
            ),
            (
                "count: 1\ncolour: red",
                "line 2: unknown key sample.colour; did you mean sample.color?",
            ),
            (
                "countt: 1",
                "line 1: unknown key sample.countt; did you mean sample.count?",
            ),
            (
                "count: 1\nnonsense: 2",
                "line 2: unknown key sample.nonsense",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), message);
        }
    }
}
