//! A case: its header, its function, and what is expected.

use bsq_codegen::lower::Precision;
use bsq_ir::{Function, Graph, NodeId, Op, Tensor, autodiff};

/// A file of `cases/`.
pub struct Case {
    /// All before the first `; expect:`, as it is written.
    head: String,
    pub function: Function,
    pub exact: bool,
    pub precision: Precision,
    /// As on targets that multiply bf16 no faster than f32.
    pub wide_activations: bool,
    pub tf32: bool,
    /// What to show: the words behind `; test:`.
    pub tests: Vec<String>,
}

impl Case {
    pub fn parse(text: &str) -> Result<Case, String> {
        let end = text.find("; expect:").unwrap_or(text.len());
        let head = text[..end].trim_end().to_string();
        let mut case = Case {
            function: Graph::new().function([], []),
            exact: true,
            precision: Precision::F32,
            wide_activations: false,
            tf32: false,
            tests: Vec::new(),
            head: String::new(),
        };
        let mut loss = None;
        let mut program = String::new();
        for line in head.lines() {
            let Some(directive) = line.strip_prefix(';') else {
                program.push_str(line);
                program.push('\n');
                continue;
            };
            // Lines keep their numbers, for errors.
            program.push('\n');
            let (key, value) = directive.split_once(':').unwrap_or((directive, ""));
            match (key.trim(), value.trim()) {
                ("test", test) => case.tests.push(test.to_string()),
                ("inexact", "") => case.exact = false,
                ("tf32", "") => case.tf32 = true,
                ("wide activations", "") => case.wide_activations = true,
                ("precision", "bf16") => case.precision = Precision::Bf16,
                ("precision", "bf16 training") => case.precision = Precision::Bf16Training,
                ("precision", "f16") => case.precision = Precision::F16,
                ("precision", "int8") => case.precision = Precision::Int8,
                ("gradients", name) => loss = Some(name.to_string()),
                _ => return Err(format!("there is no header line `{line}`")),
            }
        }
        if case.tests.is_empty() {
            return Err("no `; test:`".to_string());
        }
        let function: Function = program.parse().map_err(|error| format!("{error}"))?;
        case.function = match loss {
            Some(loss) => with_gradients(&function, &loss)?,
            None => function,
        };
        case.head = head;
        Ok(case)
    }

    /// The file with what `show` says to each test.
    pub fn print(&self, show: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
        let mut text = format!("{}\n", self.head);
        for test in &self.tests {
            let shown = show(test).map_err(|error| format!("{test}: {error}"))?;
            text += &format!("\n; expect: {test}\n");
            for line in shown.trim_end().lines() {
                text += line.trim_end();
                text.push('\n');
            }
        }
        Ok(text)
    }
}

/// The function with the gradients of an output as further outputs.
fn with_gradients(function: &Function, loss: &str) -> Result<Function, String> {
    let graph = Graph::new();
    let mut new: Vec<NodeId> = Vec::new();
    for (_, node) in function.iter() {
        let operands: Vec<NodeId> = node.operands.iter().map(|id| new[id.index()]).collect();
        let added = graph.add(node.op.clone(), &operands);
        new.push(added.map_err(|error| error.to_string())?);
    }
    let tensor = |id: NodeId| Tensor::new(&graph, new[id.index()]);
    let mut outputs = function.outputs().iter();
    let found = outputs.find(|(name, _)| name == loss);
    let (_, found) = found.ok_or_else(|| format!("no output {loss:?}"))?;
    let parameters = function.iter().filter_map(|(id, node)| match &node.op {
        Op::Parameter { name, .. } => Some((format!("d {name}"), tensor(id))),
        _ => None,
    });
    let (names, parameters): (Vec<String>, Vec<Tensor>) = parameters.unzip();
    let gradients = autodiff::gradients(tensor(*found), &parameters);
    let outputs = function.outputs().iter();
    let outputs = outputs.map(|(name, id)| (name.as_str(), new[id.index()]));
    let gradients = gradients.iter().map(|gradient| gradient.id());
    let outputs = outputs.chain(names.iter().map(String::as_str).zip(gradients));
    let updates = function.updates().iter();
    let updates = updates.map(|&(to, from)| (new[to.index()], new[from.index()]));
    Ok(graph.function(outputs, updates))
}
