//! How many neighbouring elements a thread takes at once: the one place that decides how wide
//! accesses to memory are.
//!
//! A thread that takes 4 iterations of a loop together loads and stores 16 bytes of f32 with one
//! instruction, and has all its loads under way before it computes. The loop is the innermost one,
//! over which lanes are spread, if all that it touches lies side by side. Otherwise it may be one
//! around it along which something lies side by side: a thread then takes 4 rows of a column, and
//! what is stored row by row is still shared by lanes.

use crate::kernel::{AccessPattern, Affine, Element, Extent, Inst, Stmt, Var, for_each_access};

/// Iterations that may be taken together, the most first.
const ELEMENTS: [usize; 2] = [4, 2];
/// Bytes of the widest access. Arrays start at multiples of it.
pub const MOST_BYTES: usize = 16;

/// A loop of which a thread takes some neighbouring iterations together. Their number divides
/// that of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorAccess {
    pub var: Var,
    pub elements: usize,
}

impl VectorAccess {
    /// For a loop with none around it that is wide for it.
    pub fn of(stmt: &Stmt) -> Option<VectorAccess> {
        let mut nest = Vec::new();
        let body = straight_body(stmt, &mut nest)?;
        let mut accessed: Vec<(Element, bool)> = Vec::new();
        for_each_access(body, &mut |element, access| {
            accessed.push((element.clone(), access.written));
        });
        let (innermost, around) = nest.split_last()?;
        let row = candidates(innermost).find(|access| access.is_row(&accessed));
        row.or_else(|| {
            let mut around = around.iter().rev().flat_map(candidates);
            around.find(|access| access.is_column(&accessed))
        })
    }

    /// Iterations of the loop over `var` that are taken together.
    pub fn elements(access: Option<VectorAccess>, var: Var) -> usize {
        let own = access.filter(|access| access.var == var);
        own.map_or(1, |access| access.elements)
    }

    /// How what iterations taken together access lies in memory: contiguous only where an access of
    /// all may start at the first.
    pub fn pattern(&self, at: &Affine) -> AccessPattern {
        let whole = |factor: i64| factor % self.elements as i64 == 0;
        let mut others = at.terms.iter().filter(|term| term.0 != self.var);
        match at.pattern(self.var) {
            AccessPattern::Contiguous
                if !whole(at.constant) || !others.all(|term| whole(term.1)) =>
            {
                AccessPattern::Strided(1)
            }
            pattern => pattern,
        }
    }

    /// True if nothing lies apart.
    fn is_row(&self, accessed: &[(Element, bool)]) -> bool {
        let apart = |at: &Affine| matches!(self.pattern(at), AccessPattern::Strided(_));
        accessed.iter().all(|(element, _)| !apart(&element.at))
    }

    /// True if something lies side by side, and no iteration needs what another one stores: each
    /// has separate elements. Arrays that may be the same memory are touched at the same ones.
    fn is_column(&self, accessed: &[(Element, bool)]) -> bool {
        let gains = |at: &Affine| self.pattern(at) == AccessPattern::Contiguous;
        let stores = || accessed.iter().filter(|(_, written)| *written);
        let own = |(to, _): &(Element, bool)| {
            let same = accessed.iter().filter(|(other, _)| other.place == to.place);
            to.at.coefficient(self.var) != 0 && same.clone().all(|(other, _)| other.at == to.at)
        };
        accessed.iter().any(|(element, _)| gains(&element.at)) && stores().all(own)
    }
}

/// What may be taken together of a loop.
fn candidates(&(var, extent): &(Var, &Extent)) -> impl Iterator<Item = VectorAccess> {
    let divisor = extent.divisor();
    let whole = ELEMENTS
        .into_iter()
        .filter(move |n| divisor.is_multiple_of(*n));
    whole.map(move |elements| VectorAccess { var, elements })
}

/// The loops of a nest that has nothing in it but a vector loop of loads, elementwise ops and
/// stores; and what is in that.
fn straight_body<'s>(stmt: &'s Stmt, nest: &mut Vec<(Var, &'s Extent)>) -> Option<&'s [Stmt]> {
    let Stmt::Loop {
        var,
        extent,
        kind,
        body,
    } = stmt
    else {
        return None;
    };
    nest.push((*var, extent));
    match (kind.is_vector(), &body[..]) {
        (true, body) if is_straight(body) => Some(body),
        (false, [inner]) => straight_body(inner, nest),
        _ => None,
    }
}

/// True for loads, elementwise ops and stores at addresses that are known.
fn is_straight(body: &[Stmt]) -> bool {
    body.iter().all(|stmt| match stmt {
        Stmt::Let {
            inst: Inst::Load(element),
            ..
        }
        | Stmt::Store { to: element, .. } => element.dynamic.is_none(),
        Stmt::Let { .. } => true,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Place, Value};

    const ROW: Var = Var(0);
    const COLUMN: Var = Var(1);

    /// Copies a matrix of 8 rows and `columns` between arrays of other strides.
    fn copy(columns: usize, from: [i64; 2], to: [i64; 2]) -> Stmt {
        let element = |place, [row, column]: [i64; 2]| {
            Element::new(
                Place::Buffer(place),
                Affine::var(ROW)
                    .scale(row)
                    .add(&Affine::var(COLUMN).scale(column)),
            )
        };
        let body = vec![
            Stmt::load(Value(0), bsq_ir::DType::F32, element(0, from)),
            Stmt::store(element(1, to), Value(0)),
        ];
        let inner = Stmt::vector_loop(COLUMN, Extent::Static(columns), body);
        Stmt::serial_loop(ROW, Extent::Static(8), vec![inner])
    }

    #[test]
    fn the_width_is_what_extents_and_strides_are_multiples_of() {
        let of = |columns, from, to| {
            let access = VectorAccess::of(&copy(columns, from, to));
            access.map(|access| (access.var, access.elements))
        };
        assert_eq!(of(12, [12, 1], [16, 1]), Some((COLUMN, 4)));
        assert_eq!(of(10, [12, 1], [16, 1]), Some((COLUMN, 2)));
        assert_eq!(of(12, [12, 1], [14, 1]), Some((COLUMN, 2)));
        assert_eq!(of(12, [12, 1], [13, 1]), None);
        assert_eq!(of(12, [12, 0], [16, 1]), Some((COLUMN, 4)));
        assert_eq!(of(9, [9, 1], [9, 1]), None);
        // Transposed: rows of what is read lie side by side.
        assert_eq!(of(12, [1, 8], [12, 1]), Some((ROW, 4)));
        assert_eq!(of(12, [1, 9], [12, 1]), None);
    }

    #[test]
    fn rows_that_store_the_same_element_are_taken_one_by_one() {
        assert_eq!(VectorAccess::of(&copy(12, [1, 8], [0, 1])), None);
    }
}
