//! Puts lowered kernels together: unique kernels, and the buffers that launches share.

use super::Lowering;
use super::builder::{Shared, shared_of};
use super::in_place::InPlace;
use crate::kernel::Kernel;
use crate::program::{Buffer, BufferId, BufferKind, Launch, Program, ValueId};
use bsq_ir::{Function, Op, Type};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The program of lowered kernels, its temporaries without a place yet. Values in `in_place` lie
/// where their parameter does.
pub(crate) fn assemble(function: &Function, lowered: Lowering, in_place: &InPlace) -> Program {
    let mut assembler = Assembler::new(function);
    for (&value, &parameter) in &in_place.0 {
        let target = assembler.id(Shared::Result(parameter, 0), &[]);
        assembler.ids.insert(shared_of(function, value), target);
    }
    let updated = function.updates().iter().map(|&(parameter, value)| {
        let (old, new) = (Shared::Result(parameter, 0), shared_of(function, value));
        (assembler.id(new, &[]), assembler.id(old, &[]))
    });
    let copies: Vec<_> = updated.filter(|(from, to)| from != to).collect();
    let mut kernels: Vec<Kernel> = Vec::new();
    let mut known: HashMap<Kernel, usize> = HashMap::new();
    let mut launches = Vec::new();
    for lowered in lowered.0 {
        let position = *known.entry(lowered.kernel).or_insert_with_key(|kernel| {
            kernels.push(kernel.clone());
            kernels.len() - 1
        });
        let shared = lowered.shared.iter();
        let arguments = shared.map(|&shared| assembler.id(shared, &lowered.extras));
        launches.push(Launch {
            kernel: position,
            arguments: arguments.collect(),
            values: assembler.values_of(&lowered.shared),
            rest: lowered.rest.map(|rest| assembler.value(rest)),
            label: lowered.label,
            flops: lowered.flops,
            invariant: false,
        });
    }
    let mut outputs = Vec::new();
    let mut results = Vec::new();
    for (name, id) in function.outputs() {
        let shared = shared_of(function, *id);
        outputs.push((name.clone(), assembler.id(shared, &[])));
        results.push(assembler.value(shared));
    }
    let updates = function.updates().iter().map(|&(parameter, value)| {
        let target = assembler.id(Shared::Result(parameter, 0), &[]);
        (target, assembler.value(shared_of(function, value)))
    });
    let updates = updates.collect();
    let mut program = Program {
        kernels,
        launches,
        buffers: assembler.buffers,
        outputs,
        results,
        updates,
        copies,
        arena_bytes: 0,
    };
    mark_invariant(&mut program);
    program
}

struct Assembler<'f> {
    function: &'f Function,
    buffers: Vec<Buffer>,
    ids: BTreeMap<Shared, BufferId>,
    values: BTreeMap<Shared, ValueId>,
}

impl<'f> Assembler<'f> {
    /// With buffers for the function's leaves.
    fn new(function: &'f Function) -> Self {
        let mut assembler = Assembler {
            function,
            buffers: Vec::new(),
            ids: BTreeMap::new(),
            values: BTreeMap::new(),
        };
        assembler.leaves();
        assembler
    }

    fn leaves(&mut self) {
        for (id, node) in self.function.iter() {
            let kind = match &node.op {
                Op::Input { name, .. } => BufferKind::Input(name.clone()),
                Op::Parameter { name, .. } => BufferKind::Parameter(name.clone()),
                Op::Constant(constant) if constant.splat_element().is_none() => {
                    BufferKind::Constant(constant.to_bytes().into())
                }
                _ => continue,
            };
            let shared = Shared::Result(id, 0);
            let initial = Some(self.value(shared));
            let buffer = self.add(node.ty().clone(), kind, initial);
            self.ids.insert(shared, buffer);
        }
    }

    fn value(&mut self, shared: Shared) -> ValueId {
        let next = ValueId(self.values.len() as u32);
        *self.values.entry(shared).or_insert(next)
    }

    fn values_of(&mut self, shared: &[Shared]) -> Vec<ValueId> {
        shared.iter().map(|&shared| self.value(shared)).collect()
    }

    fn add(&mut self, ty: Type, kind: BufferKind, initial: Option<ValueId>) -> BufferId {
        self.buffers.push(Buffer { ty, kind, initial });
        BufferId(self.buffers.len() as u32 - 1)
    }

    /// The buffer of a shared array; a temporary if it is new.
    fn id(&mut self, shared: Shared, extras: &[(Shared, Type)]) -> BufferId {
        if let Some(&id) = self.ids.get(&shared) {
            return id;
        }
        let ty = match shared {
            Shared::Result(node, result) => self.function.node(node).types[result].clone(),
            Shared::Extra(..) => {
                let found = extras.iter().find(|extra| extra.0 == shared);
                found
                    .expect("the kernel that makes an extra array comes first")
                    .1
                    .clone()
            }
        };
        let id = self.add(ty, BufferKind::Temporary { offset: 0 }, None);
        self.ids.insert(shared, id);
        id
    }
}

/// Marks launches whose every input stays the same from run to run.
fn mark_invariant(program: &mut Program) {
    let mut changing: BTreeSet<BufferId> = program.copies.iter().map(|copy| copy.1).collect();
    for (index, buffer) in program.buffers.iter().enumerate() {
        if matches!(buffer.kind, BufferKind::Input(_)) {
            changing.insert(BufferId(index as u32));
        }
    }
    for launch in &program.launches {
        let kernel = &program.kernels[launch.kernel];
        for (argument, array) in launch.arguments.iter().zip(&kernel.buffers) {
            let parameter = matches!(
                program.buffers[argument.0 as usize].kind,
                BufferKind::Parameter(_)
            );
            if array.written && parameter {
                changing.insert(*argument);
            }
        }
    }
    for launch in &mut program.launches {
        let kernel = &program.kernels[launch.kernel];
        let mut arguments = launch.arguments.iter().zip(&kernel.buffers);
        launch.invariant = arguments.all(|(argument, _)| !changing.contains(argument));
        for (argument, array) in launch.arguments.iter().zip(&kernel.buffers) {
            if array.written && !launch.invariant {
                changing.insert(*argument);
            } else if array.written {
                program.buffers[argument.0 as usize].kind = BufferKind::Invariant;
            }
        }
    }
}
