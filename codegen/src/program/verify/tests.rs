//! Each promise, broken in a program that kept it.

use super::*;
use crate::pipeline;
use bsq_ir::{DType, Function, Graph};

const SHAPE: [usize; 2] = [4, 8];

fn lowered(function: &Function) -> Program {
    pipeline::lower(function, &Default::default()).unwrap()
}

/// `p <- p * 2 + x`, with a sum of the old `p`'s rows and several products in between.
fn program() -> Program {
    let g = Graph::new();
    let x = g.input("x", DType::F32, SHAPE);
    let (p, w) = (
        g.parameter("p", DType::F32, SHAPE),
        g.parameter("w", DType::F32, [8, 8]),
    );
    let y = x.matmul(w).exp().matmul(w).tanh().matmul(w + 1.0);
    let seen = (y + p).sum(0);
    let new = p * 2.0 + x;
    let program = lowered(&g.function([("seen", seen.id())], [(p.id(), new.id())]));
    assert_eq!(verify(&program), Ok(()));
    program
}

fn message(program: &Program) -> String {
    verify(program).expect_err("it is wrong").to_string()
}

fn buffer(program: &Program, name: &str) -> BufferId {
    let wanted = |kind: &BufferKind| match kind {
        BufferKind::Input(known) | BufferKind::Parameter(known) => known == name,
        _ => false,
    };
    let at = program
        .buffers
        .iter()
        .position(|buffer| wanted(&buffer.kind));
    BufferId(at.expect("a buffer of that name") as u32)
}

fn writes(program: &Program, launch: &Launch, buffer: BufferId) -> bool {
    let arrays = &program.kernels[launch.kernel].buffers;
    let mut arguments = launch.arguments.iter().zip(arrays);
    arguments.any(|(&id, array)| id == buffer && array.written)
}

#[test]
fn a_parameter_that_is_overwritten_before_it_is_read() {
    let mut program = program();
    let p = buffer(&program, "p");
    let update = program
        .launches
        .iter()
        .position(|launch| writes(&program, launch, p));
    let update = program
        .launches
        .remove(update.expect("the update is in place"));
    program.launches.insert(0, update);
    let message = message(&program);
    assert!(message.contains("parameter p holds"), "{message}");
}

#[test]
fn a_launch_that_comes_too_early_or_not_at_all() {
    for missing in [true, false] {
        let mut program = program();
        let last = program.launches.len() - 1;
        let launch = program.launches.remove(last - 1);
        if !missing {
            program.launches.push(launch);
        }
        assert!(verify(&program).is_err(), "missing: {missing}");
    }
}

#[test]
fn temporaries_that_share_bytes_while_both_are_needed() {
    let mut program = program();
    let mut moved = 0;
    for buffer in &mut program.buffers {
        if let BufferKind::Temporary { offset } = &mut buffer.kind {
            *offset = 0;
            moved += 1;
        }
    }
    assert!(moved > 2, "{moved} temporaries");
    assert!(verify(&program).is_err());
}

#[test]
fn an_update_that_does_not_arrive() {
    let g = Graph::new();
    let (a, b) = (
        g.parameter("a", DType::F32, [3]),
        g.parameter("b", DType::F32, [3]),
    );
    let function = g.function([], [(a.id(), b.id()), (b.id(), a.id())]);
    let mut program = lowered(&function);
    assert!(!program.copies.is_empty(), "an exchange is not in place");
    program.copies.pop();
    let message = message(&program);
    assert!(
        message.starts_with("after the last launch: parameter"),
        "{message}"
    );
}

#[test]
fn what_changes_from_run_to_run_is_not_stable() {
    let mut program = program();
    program
        .launches
        .iter_mut()
        .for_each(|launch| launch.invariant = true);
    let message = message(&program);
    assert!(message.contains("it is invariant, but"), "{message}");
}

/// One kernel that reads and writes: each element is read before it is written, or it is an error.
#[test]
fn reads_behind_writes_within_a_launch() {
    for flipped in [false, true] {
        let g = Graph::new();
        let [x, p] = [
            g.input("x", DType::F32, [8]),
            g.parameter("p", DType::F32, [8]),
        ];
        let new = x * 2.0;
        let old = if flipped { p.flip([0]) } else { p };
        let function = g.function([("change", (new - old).id())], [(p.id(), new.id())]);
        let mut program = lowered(&function);
        assert_eq!(verify(&program), Ok(()));
        assert_eq!(program.launches.len(), 1);
        // What is copied at the end is written in its place at once.
        let (from, to) = program.copies.pop().expect("it is not in place");
        let arguments = &mut program.launches[0].arguments;
        arguments
            .iter_mut()
            .filter(|id| **id == from)
            .for_each(|id| *id = to);
        assert!(message(&program).contains("parameter p is used while parameter p is written"));
    }
}

/// A cache of which a launch writes a part finds the rest of it there.
#[test]
fn a_part_needs_the_rest() {
    let g = Graph::new();
    let cache = g.parameter("cache", DType::F32, [8, 4]);
    let (x, at) = (
        g.input("x", DType::F32, [2, 4]),
        g.input("at", DType::I32, []),
    );
    let new = cache.dynamic_update_slice(0, x, at);
    let mut program = lowered(&g.function([], [(cache.id(), new.id())]));
    assert_eq!(verify(&program), Ok(()));
    let launch = program
        .launches
        .iter()
        .position(|launch| launch.rest.is_some());
    let launch = launch.expect("only the slice is written");
    program.launches[launch].rest = Some(ValueId(1000));
    assert!(message(&program).contains("parameter cache holds"));
}
