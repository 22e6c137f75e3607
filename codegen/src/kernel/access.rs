//! What statements load and store.

use super::{Affine, Element, Inst, Kernel, Place, Stmt, Var};

/// How an element is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    pub written: bool,
    /// Only this element; otherwise it is the first of a range.
    pub single: bool,
}

impl Access {
    const LOAD: Access = Access {
        written: false,
        single: true,
    };
    const STORE: Access = Access {
        written: true,
        single: true,
    };
    const READ: Access = Access {
        written: false,
        single: false,
    };
    const WRITE: Access = Access {
        written: true,
        single: false,
    };
}

/// Visits every element that statements touch, in program order.
pub fn for_each_access<'k>(body: &'k [Stmt], visit: &mut impl FnMut(&'k Element, Access)) {
    for stmt in body {
        match stmt {
            Stmt::Let {
                inst: Inst::Load(from),
                ..
            } => visit(from, Access::LOAD),
            Stmt::Let { .. } => {}
            Stmt::Store { to, .. } => visit(to, Access::STORE),
            Stmt::Loop { body, .. } => for_each_access(body, visit),
            Stmt::Reduce(reduce) => for_each_access(&reduce.body, visit),
            Stmt::Contract(contract) => {
                contract
                    .reads()
                    .for_each(|element| visit(element, Access::READ));
                if contract.accumulate {
                    visit(&contract.c, Access::READ);
                }
                visit(&contract.c, Access::WRITE);
            }
            Stmt::AttendBackward(backward) => {
                let (reads, writes) = (backward.reads(), backward.writes());
                reads.into_iter().for_each(|x| visit(x, Access::READ));
                writes.into_iter().for_each(|x| visit(x, Access::WRITE));
            }
            Stmt::Attend(attend) => {
                attend
                    .reads()
                    .into_iter()
                    .for_each(|element| visit(element, Access::READ));
                attend
                    .writes()
                    .into_iter()
                    .for_each(|element| visit(element, Access::WRITE));
            }
        }
    }
}

/// True if the two arrays may be the same memory: every element of `old` that is read is read
/// before it is written as an element of `new`, whichever items run first.
///
/// So it is if one statement writes, at an address that differs for every item and every turn of the
/// loops around it; and every read has the same address in terms of loop variables, and comes before.
pub fn reads_first(kernel: &Kernel, old: Place, new: Place) -> bool {
    let several = kernel.grid.iter().filter(|axis| axis.extent > 1);
    let mut order = Order {
        arrays: [old, new],
        around: several.map(|axis| axis.var).collect(),
        loads: Vec::new(),
        store: None,
        in_order: true,
    };
    order.walk(&kernel.body);
    let same = |store: &Affine| order.loads.iter().all(|load| *load == store);
    order.in_order && order.store.is_some_and(same)
}

/// What has been seen of two arrays, in program order.
struct Order<'k> {
    arrays: [Place; 2],
    /// Variables that have several values where the walk is.
    around: Vec<Var>,
    loads: Vec<&'k Affine>,
    store: Option<&'k Affine>,
    in_order: bool,
}

impl<'k> Order<'k> {
    fn walk(&mut self, body: &'k [Stmt]) {
        for stmt in body {
            let (var, turns, inner) = match stmt {
                Stmt::Loop {
                    var, extent, body, ..
                } => (*var, extent.largest(), body),
                Stmt::Reduce(reduce) => (reduce.var, reduce.extent.largest(), &reduce.body),
                _ => {
                    let touch = &mut |element, access| self.touch(element, access);
                    for_each_access(std::slice::from_ref(stmt), touch);
                    continue;
                }
            };
            let depth = self.around.len();
            self.around.extend((turns > 1).then_some(var));
            self.walk(inner);
            self.around.truncate(depth);
        }
    }

    fn touch(&mut self, element: &'k Element, access: Access) {
        if !self.arrays.contains(&element.place) {
            return;
        }
        self.in_order &= element.dynamic.is_none() && access.single && self.store.is_none();
        if !access.written {
            self.loads.push(&element.at);
            return;
        }
        let mut around = self.around.iter();
        self.in_order &= around.all(|&var| element.at.coefficient(var) != 0);
        self.store = Some(&element.at);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Array, Axis, Extent, Value};
    use super::*;
    use bsq_ir::DType;

    const OLD: Place = Place::Buffer(0);
    const NEW: Place = Place::Buffer(1);

    fn load(at: Affine) -> Stmt {
        Stmt::load(Value(0), DType::F32, Element::new(OLD, at))
    }

    fn store(at: Affine) -> Stmt {
        Stmt::store(Element::new(NEW, at), Value(0))
    }

    /// Four items, in each so many turns of a loop around `body`.
    fn ordered(turns: usize, body: Vec<Stmt>) -> bool {
        let array = || Array::written(DType::F32, 32);
        let kernel = Kernel {
            buffers: vec![array(), array()],
            scratch: Vec::new(),
            grid: vec![Axis {
                var: Var(0),
                extent: 4,
            }],
            body: vec![Stmt::serial_loop(Var(1), Extent::Static(turns), body)],
        };
        reads_first(&kernel, OLD, NEW)
    }

    #[test]
    fn an_element_is_read_before_it_is_written_and_by_nobody_afterwards() {
        let item = || Affine::var(Var(0));
        let both = || item().scale(8).add(&Affine::var(Var(1)));
        assert!(ordered(3, vec![load(both()), store(both())]));
        assert!(
            !ordered(3, vec![store(both()), load(both())]),
            "read behind the write"
        );
        assert!(
            !ordered(3, vec![load(both().offset(1)), store(both())]),
            "another's element"
        );
        assert!(
            !ordered(3, vec![load(item()), store(item())]),
            "read again in the next turn"
        );
        assert!(ordered(1, vec![load(item()), store(item())]));
        assert!(
            !ordered(
                3,
                vec![load(Affine::var(Var(1))), store(Affine::var(Var(1)))]
            ),
            "of all items"
        );
    }
}
