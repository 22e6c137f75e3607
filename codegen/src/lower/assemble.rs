//! Puts lowered kernels together: unique kernels, buffers, in-place updates, memory plan.

use super::Lowered;
use super::builder::Shared;
use crate::kernel::{Affine, Kernel, Place, for_each_access};
use crate::memory;
use crate::program::{Buffer, BufferId, BufferKind, Launch, Program};
use bsq_ir::{Function, NodeId, Op, Type};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(super) fn assemble(
    function: &Function,
    lowered: Vec<Lowered>,
    in_place: &BTreeSet<NodeId>,
) -> Program {
    let mut assembler = Assembler {
        function,
        buffers: Vec::new(),
        ids: BTreeMap::new(),
    };
    assembler.leaves();
    let mut copies = Vec::new();
    let writers = writers(&lowered);
    for &(parameter, value) in function.updates() {
        let target = assembler.id(Shared::Result(parameter, 0), &[]);
        let writer = writers.get(&shared_of(function, value));
        let aliased = in_place.contains(&value)
            && writer
                .is_some_and(|writer| reads_where_it_writes(writer, function, parameter, value))
            && !assembler.ids.contains_key(&shared_of(function, value));
        if aliased {
            assembler.ids.insert(shared_of(function, value), target);
        } else {
            let source = assembler.id(shared_of(function, value), &[]);
            copies.push((source, target));
        }
    }
    let mut kernels: Vec<Kernel> = Vec::new();
    let mut known: HashMap<Kernel, usize> = HashMap::new();
    let mut launches = Vec::new();
    for Lowered {
        kernel,
        shared,
        extras,
        label,
        flops,
    } in lowered
    {
        let arguments: Vec<BufferId> = shared
            .iter()
            .map(|&shared| assembler.id(shared, &extras))
            .collect();
        let position = *known.entry(kernel).or_insert_with_key(|kernel| {
            kernels.push(kernel.clone());
            kernels.len() - 1
        });
        launches.push(Launch {
            kernel: position,
            arguments,
            label,
            flops,
            stable: false,
        });
    }
    let outputs: Vec<(String, BufferId)> = function
        .outputs()
        .iter()
        .map(|(name, id)| (name.clone(), assembler.id(shared_of(function, *id), &[])))
        .collect();
    let mut program = Program {
        kernels,
        launches,
        buffers: assembler.buffers,
        outputs,
        copies,
        arena_bytes: 0,
    };
    mark_stable(&mut program);
    memory::plan(&mut program);
    program
}

fn shared_of(function: &Function, id: NodeId) -> Shared {
    let node = function.node(id);
    match node.op {
        Op::Projection(result) => Shared::Result(node.operands[0], result),
        _ => Shared::Result(id, 0),
    }
}

/// What writes each shared array first.
fn writers(lowered: &[Lowered]) -> BTreeMap<Shared, &Lowered> {
    let mut writers = BTreeMap::new();
    for lowered in lowered {
        for (shared, array) in lowered.shared.iter().zip(&lowered.kernel.buffers) {
            if array.written {
                writers.entry(*shared).or_insert(lowered);
            }
        }
    }
    writers
}

struct Assembler<'f> {
    function: &'f Function,
    buffers: Vec<Buffer>,
    ids: BTreeMap<Shared, BufferId>,
}

impl Assembler<'_> {
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
            let buffer = self.add(node.ty().clone(), kind);
            self.ids.insert(Shared::Result(id, 0), buffer);
        }
    }

    fn add(&mut self, ty: Type, kind: BufferKind) -> BufferId {
        self.buffers.push(Buffer { ty, kind });
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
        let id = self.add(ty, BufferKind::Temporary { offset: 0 });
        self.ids.insert(shared, id);
        id
    }
}

/// True if the kernel reads the old value of an element only where it writes the new one.
fn reads_where_it_writes(
    lowered: &Lowered,
    function: &Function,
    parameter: NodeId,
    value: NodeId,
) -> bool {
    let position = |id: NodeId| {
        lowered
            .shared
            .iter()
            .position(|&s| s == shared_of(function, id))
    };
    let Some(old) = position(parameter) else {
        return true;
    };
    let Some(new) = position(value) else {
        return false;
    };
    let (old, new) = (Place::Buffer(old as u32), Place::Buffer(new as u32));
    let mut loads: BTreeSet<(i64, Vec<_>)> = BTreeSet::new();
    let mut stores = BTreeSet::new();
    let mut plain = true;
    let key = |at: &Affine| (at.constant, at.terms.clone());
    for_each_access(&lowered.kernel.body, &mut |element, access| {
        if element.place == old || element.place == new {
            plain &= element.dynamic.is_none() && access.single;
            let set = if access.written {
                &mut stores
            } else {
                &mut loads
            };
            set.insert(key(&element.at));
        }
    });
    plain && stores.len() == 1 && loads.iter().all(|load| stores.contains(load))
}

/// Marks launches whose every input stays the same from run to run.
fn mark_stable(program: &mut Program) {
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
        launch.stable = arguments.all(|(argument, _)| !changing.contains(argument));
        for (argument, array) in launch.arguments.iter().zip(&kernel.buffers) {
            if array.written && !launch.stable {
                changing.insert(*argument);
            } else if array.written {
                program.buffers[argument.0 as usize].kind = BufferKind::Stable;
            }
        }
    }
}
