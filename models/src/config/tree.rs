//! A configuration file as a tree of values with line numbers, whatever format it came from.

use super::{ConfigError, Problem};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::borrow::Cow;
use toml::de::{DeTable, DeValue};

/// A value and the line it stands on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    pub line: Option<usize>,
}

/// Numbers stay text: whether `1e-4` or `1_000` is one is for the schema to say, since YAML
/// readers disagree about it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Scalar(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys with values, in the order of the file.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Table {
    pub entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    /// The line of the key.
    pub line: Option<usize>,
    pub node: Node,
}

impl Node {
    /// What the value is, for messages.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(value) => value.to_string(),
            Value::Scalar(text) => format!("\"{text}\""),
            Value::List(items) => format!("a list of {}", items.len()),
            Value::Table(_) => "a section".into(),
        }
    }
}

impl Table {
    /// Removes and returns a key.
    pub fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Removes a key that holds a section; absent and empty ones are `None`.
    pub fn take_table(&mut self, key: &str, path: &str) -> Result<Option<Table>, ConfigError> {
        let Some(entry) = self.take(key) else {
            return Ok(None);
        };
        match entry.node.value {
            Value::Table(table) => Ok(Some(table)),
            Value::Null => Ok(None),
            _ => Err(ConfigError::at(
                entry.line,
                Problem::WrongType {
                    key: join(path, key),
                    expected: "a section".into(),
                    found: entry.node.describe(),
                },
            )),
        }
    }

    pub fn insert(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Adds a key that no file contains.
    pub fn insert_text(&mut self, key: &str, text: &str) {
        self.insert(Entry {
            key: key.into(),
            line: None,
            node: Node {
                value: Value::Scalar(text.into()),
                line: None,
            },
        });
    }
}

/// `path.key`, or `key` at the top.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.into()
    } else {
        format!("{path}.{key}")
    }
}

/// Deeper files are refused: no configuration needs it, and trees are walked recursively.
const DEEPEST: usize = 32;

/// The tree of a YAML file whose top is a mapping.
pub(super) fn parse_yaml(text: &str) -> Result<Table, ConfigError> {
    let syntax =
        |line: usize, message: String| ConfigError::at(Some(line), Problem::Syntax(message));
    let mut parser = Parser::new_from_str(text);
    // Collections that are open; a mapping waits with the key of the value that comes next.
    let mut open: Vec<(Node, Option<(String, usize)>)> = Vec::new();
    let mut root = None;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            syntax(error.marker().line(), format!("not YAML: {}", error.info()))
        })?;
        let line = span.start.line();
        let done = match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if open.len() == DEEPEST {
                    return Err(syntax(line, format!("nested deeper than {DEEPEST} levels")));
                }
                let value = if matches!(event, Event::MappingStart(..)) {
                    Value::Table(Table::default())
                } else {
                    Value::List(Vec::new())
                };
                let line = Some(line);
                open.push((Node { value, line }, None));
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().map(|(node, _)| node),
            Event::Scalar(text, style, ..) => Some(Node {
                value: yaml_scalar(text, style),
                line: Some(line),
            }),
            Event::Alias(_) => {
                return Err(syntax(
                    line,
                    "YAML aliases (*name) are not supported".into(),
                ));
            }
            _ => continue,
        };
        let Some(node) = done else { continue };
        match open.last_mut() {
            None if root.is_some() => {
                return Err(syntax(line, "more than one YAML document".into()));
            }
            None => root = Some(node),
            Some((
                Node {
                    value: Value::List(items),
                    ..
                },
                _,
            )) => items.push(node),
            Some((
                Node {
                    value: Value::Table(table),
                    ..
                },
                key,
            )) => match key.take() {
                None => *key = Some(yaml_key(table, &node, &span).map_err(|e| syntax(line, e))?),
                Some((key, line)) => table.insert(Entry {
                    key,
                    line: Some(line),
                    node,
                }),
            },
            Some(_) => unreachable!("only collections are open"),
        }
    }
    match root.map(|node| node.value) {
        Some(Value::Table(table)) => Ok(table),
        None | Some(Value::Null) => Ok(Table::default()),
        Some(_) => Err(syntax(1, "expected sections, as in \"model:\"".into())),
    }
}

fn yaml_key(table: &Table, node: &Node, span: &Span) -> Result<(String, usize), String> {
    let Value::Scalar(key) = &node.value else {
        return Err(format!("expected a key, found {}", node.describe()));
    };
    if table.entries.iter().any(|entry| entry.key == *key) {
        return Err(format!("the key {key} occurs twice"));
    }
    Ok((key.clone(), span.start.line()))
}

fn yaml_scalar(text: Cow<'_, str>, style: ScalarStyle) -> Value {
    let plain = matches!(style, ScalarStyle::Plain);
    match &*text {
        "" | "~" | "null" | "Null" | "NULL" if plain => Value::Null,
        _ => Value::Scalar(text.into_owned()),
    }
}

/// The tree of a TOML file.
pub(super) fn parse_toml(text: &str) -> Result<Table, ConfigError> {
    let parsed = DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| line_of(text, span.start));
        let message = error.message().replace('\n', " ");
        ConfigError::at(line, Problem::Syntax(format!("not TOML: {message}")))
    })?;
    Ok(toml_table(text, parsed.into_inner()))
}

fn toml_table(text: &str, table: DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, value)| {
            let line = Some(line_of(text, key.span().start));
            Entry {
                key: key.into_inner().into_owned(),
                line,
                node: toml_node(text, value.into_inner(), line),
            }
        })
        .collect();
    entries.sort_by_key(|entry| entry.line);
    Table { entries }
}

fn toml_node(text: &str, value: DeValue<'_>, line: Option<usize>) -> Node {
    let value = match value {
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::String(value) => Value::Scalar(value.into_owned()),
        DeValue::Integer(value) if value.radix() == 10 => Value::Scalar(value.as_str().into()),
        // No key takes a number in another base: say so by the text that was written.
        DeValue::Integer(value) => {
            Value::Scalar(format!("{} (base {})", value.as_str(), value.radix()))
        }
        DeValue::Float(value) => Value::Scalar(value.as_str().into()),
        DeValue::Datetime(value) => Value::Scalar(value.to_string()),
        DeValue::Array(items) => Value::List(
            items
                .into_iter()
                .map(|item| toml_node(text, item.into_inner(), line))
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(toml_table(text, table)),
    };
    Node { value, line }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
}

/// The tree of a JSON value, without line numbers.
pub(super) fn from_json(value: &serde_json::Value) -> Node {
    let value = match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => Value::Scalar(number.to_string()),
        serde_json::Value::String(text) => Value::Scalar(text.clone()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(from_json).collect()),
        serde_json::Value::Object(object) => Value::Table(Table {
            entries: object
                .iter()
                .map(|(key, value)| Entry {
                    key: key.clone(),
                    line: None,
                    node: from_json(value),
                })
                .collect(),
        }),
    };
    Node { value, line: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without_lines(table: &Table) -> String {
        let show = |node: &Node| match &node.value {
            Value::Table(table) => format!("{{{}}}", without_lines(table)),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(Node::describe).collect();
                format!("[{}]", items.join(" "))
            }
            _ => node.describe(),
        };
        let entries = table.entries.iter();
        let entries: Vec<String> = entries
            .map(|entry| format!("{}={}", entry.key, show(&entry.node)))
            .collect();
        entries.join(" ")
    }

    #[test]
    fn yaml_keeps_scalars_as_written_and_knows_its_lines() {
        let table = parse_yaml("a: 1e-4 # small\nb:\n  c: 1_000\n  d: [0.9, 'x']\ne:\n").unwrap();
        assert_eq!(
            without_lines(&table),
            r#"a="1e-4" b={c="1_000" d=["0.9" "x"]} e=nothing"#
        );
        let Value::Table(b) = &table.entries[1].node.value else {
            panic!()
        };
        assert_eq!(b.entries[1].line, Some(4));
    }

    #[test]
    fn toml_gives_the_same_tree() {
        let table = parse_toml("a = 1e-4\n[b]\nd = [0.9, 'x']\nc = 1_000\n").unwrap();
        assert_eq!(
            without_lines(&table),
            r#"a="1e-4" b={d=["0.9" "x"] c="1000"}"#
        );
        assert_eq!(table.entries[1].line, Some(2));
    }

    #[test]
    fn broken_files_are_refused_with_their_line() {
        let message = |result: Result<Table, ConfigError>| result.unwrap_err().to_string();
        assert!(message(parse_yaml("a: 1\nb: [1,\n")).starts_with("line 3: not YAML"));
        assert_eq!(
            message(parse_yaml("a: 1\na: 2\n")),
            "line 2: the key a occurs twice"
        );
        assert!(message(parse_yaml("a: &x 1\nb: *x\n")).contains("aliases"));
        let deep = message(parse_yaml(&"[".repeat(40)));
        assert!(deep.contains("deeper than 32"), "{deep}");
        assert!(message(parse_yaml("- 1\n")).contains("expected sections"));
        assert!(message(parse_toml("a = 1\nb = \n")).starts_with("line 2: not TOML"));
        assert!(message(parse_toml("a = 1\na = 2\n")).starts_with("line 2: not TOML"));
    }
}
