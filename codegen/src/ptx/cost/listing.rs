//! PTX as a list of instructions with the registers that they define and use, and their blocks.
//!
//! This reads only what this project writes: one instruction or label a line.

use std::collections::HashMap;

/// A whole kernel.
pub struct Listing<'t> {
    pub instructions: Vec<Instruction<'t>>,
    /// The names of registers, by number.
    pub registers: Vec<&'t str>,
}

/// One instruction.
pub struct Instruction<'t> {
    /// Without its guard.
    pub opcode: &'t str,
    /// It may leave its results as they were.
    pub guarded: bool,
    pub defined: Vec<usize>,
    pub used: Vec<usize>,
    /// Where it may branch to, as the position of an instruction.
    pub target: Option<usize>,
}

impl<'t> Listing<'t> {
    pub fn parse(text: &'t str) -> Listing<'t> {
        let mut labels: HashMap<&str, usize> = HashMap::new();
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut branches: Vec<(usize, &str)> = Vec::new();
        let mut instructions = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(label) = line.strip_suffix(':') {
                labels.insert(label, instructions.len());
                continue;
            }
            // Directives, comments, braces and the list of parameters are no instructions.
            let other = line.starts_with('.') || line.starts_with("//");
            let Some(line) = line.strip_suffix(';').filter(|_| !other) else {
                continue;
            };
            let (guard, rest) = match line.strip_prefix('@') {
                Some(rest) => rest.split_once(' ').unwrap_or((rest, "")),
                None => ("", line),
            };
            let (opcode, operands) = rest.split_once(' ').unwrap_or((rest, ""));
            let mut number = |name: &'t str| {
                let next = numbers.len();
                *numbers.entry(name).or_insert(next)
            };
            let (results, sources) = match has_result(opcode) {
                true => split_result(operands),
                false => ("", operands),
            };
            // A result's address, if any, is used; a register that is named is defined.
            let defined: Vec<usize> = registers(results).map(&mut number).collect();
            let used = registers(guard).chain(registers(sources));
            let used = used.map(&mut number).collect();
            if opcode == "bra" {
                branches.push((instructions.len(), operands.trim()));
            }
            instructions.push(Instruction {
                opcode,
                guarded: !guard.is_empty(),
                defined,
                used,
                target: None,
            });
        }
        for (at, label) in branches {
            instructions[at].target = labels.get(label).copied();
        }
        let mut names: Vec<(usize, &str)> = numbers
            .iter()
            .map(|(&name, &number)| (number, name))
            .collect();
        names.sort_unstable();
        Listing {
            instructions,
            registers: names.into_iter().map(|(_, name)| name).collect(),
        }
    }
}

fn has_result(opcode: &str) -> bool {
    let none = ["st.", "bra", "ret", "exit", "bar.", "cp.async", "red."];
    !none.iter().any(|start| opcode.starts_with(start))
}

/// The first operand, which may be a list in braces, and the rest.
fn split_result(operands: &str) -> (&str, &str) {
    let end = match operands.starts_with('{') {
        true => operands.find('}').map(|at| at + 1),
        false => operands.find(','),
    };
    operands.split_at(end.unwrap_or(operands.len()))
}

/// The registers that a text names; `%tid.x` and its like are none of them.
fn registers(text: &str) -> impl Iterator<Item = &str> {
    text.split('%').skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric());
        let name = &rest[..end.unwrap_or(rest.len())];
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        let class = name.chars().next()?;
        (is_number(&name[class.len_utf8()..])).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_operands_are_told_apart() {
        let text = "
            // a comment with %r9;
            .reg .b32 %r<9>;
            mov.u32 %r0, %tid.x;
          $L0:
            @!%p1 ld.global.v2.f32 {%f0, %f1}, [%d3+8];
            @%p2 st.shared.f32 [%r4], %f0;
            setp.lt.s32 %p1, %r0, 7;
            cp.async.cg.shared.global [%r4+16], [%d3], 16;
            @%p1 bra $L0;
            ret;
        ";
        let listing = Listing::parse(text);
        let name = |list: &[usize]| -> Vec<&str> {
            list.iter().map(|&at| listing.registers[at]).collect()
        };
        let seen: Vec<_> = listing
            .instructions
            .iter()
            .map(|i| (i.opcode, name(&i.defined), name(&i.used), i.target))
            .collect();
        assert_eq!(
            seen,
            [
                ("mov.u32", vec!["r0"], vec![], None),
                ("ld.global.v2.f32", vec!["f0", "f1"], vec!["p1", "d3"], None),
                ("st.shared.f32", vec![], vec!["p2", "r4", "f0"], None),
                ("setp.lt.s32", vec!["p1"], vec!["r0"], None),
                ("cp.async.cg.shared.global", vec![], vec!["r4", "d3"], None),
                ("bra", vec![], vec!["p1"], Some(1)),
                ("ret", vec![], vec![], None),
            ]
        );
        assert!(listing.instructions[1].guarded && !listing.instructions[3].guarded);
    }
}
