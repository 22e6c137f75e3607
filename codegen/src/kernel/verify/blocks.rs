//! Checks of statements that touch blocks: contractions and attention.

use super::super::{Affine, Attend, AttendBackward, Contract, Element, Extent, PANEL, Var};
use super::groups::Levels;
use super::{Outcome, Verifier};
use bsq_ir::DType;

impl Verifier<'_> {
    pub(super) fn contract(&mut self, c: &Contract) -> Outcome {
        if self.within.vector || self.within.reduce {
            return Err("a contraction inside a vector loop or a reduction".into());
        }
        for extent in [&c.m, &c.n, &c.k] {
            self.extent(extent)?;
        }
        if c.k.may_be_empty() && c.k.largest() > 0 {
            return Err("terms that there may be none of".into());
        }
        let format = c.format;
        let types = [format.a(), format.b(), format.c()];
        let mut typed: Vec<_> = [&c.a, &c.b, &c.c].into_iter().zip(types).collect();
        match (&c.columns, format.columns()) {
            (Some(columns), Some(dtype)) => typed.push((columns, dtype)),
            (None, None) => {}
            _ => {
                return Err(format!(
                    "{} with or without columns' own values",
                    format.name()
                ));
            }
        }
        for (element, dtype) in typed {
            let array = self.kernel.array(element.place);
            if array.dtype != dtype {
                return Err(format!("{} is {}, not {dtype}", element.place, array.dtype));
            }
        }
        let terms = format.terms();
        if terms > 1 && c.a_k_stride != 1 {
            return Err(format!("terms of A are {} apart, not 1", c.a_k_stride));
        }
        if !self.kernel.array(c.c.place).written {
            return Err(format!("{} is not marked as written", c.c.place));
        }
        // The elements touched are those of loops over row, column and term.
        let [row, column, panel, step, within, term] =
            [0, 1, 2, 3, 4, 5].map(|i| Var(u32::MAX - i));
        let extents = [
            (row, c.m.clone()),
            (column, c.n.clone()),
            (panel, panels(&c.n)),
            (step, steps(&c.k, terms)?),
            (within, Extent::Static(PANEL * terms)),
            (term, Extent::Static(terms)),
        ];
        for (var, extent) in extents.clone() {
            self.ranges.bind(var, extent)?;
        }
        let along = |var, stride| Affine::var(var).scale(stride);
        let shifted = |element: &Element, parts: &[Affine]| Element {
            at: parts.iter().fold(element.at.clone(), |at, p| at.add(p)),
            ..element.clone()
        };
        let mut levels = Levels::default();
        let mut a = match &c.a_row_groups[..] {
            [] => vec![along(row, c.a_row_stride)],
            groups => levels.split(&c.m, c.a_row_stride, groups)?,
        };
        a.extend(match &c.a_groups[..] {
            [] => vec![
                along(step, c.a_k_stride * terms as i64),
                along(term, c.a_k_stride),
            ],
            groups => levels.split(&c.k, c.a_k_stride, groups)?,
        });
        for (var, extent) in levels.extents.clone() {
            self.ranges.bind(var, extent)?;
        }
        let b = [
            along(panel, c.b_panel_stride),
            along(step, (PANEL * terms) as i64),
            along(within, 1),
        ];
        let to = [along(row, c.c_row_stride), along(column, 1)];
        self.element(&shifted(&c.a, &a))?;
        self.element(&shifted(&c.b, &b))?;
        self.element(&shifted(&c.c, &to))?;
        if let Some(columns) = &c.columns {
            self.element(&shifted(columns, &[along(column, 1)]))?;
        }
        for (var, _) in extents.into_iter().chain(levels.extents) {
            self.ranges.unbind(var);
        }
        Ok(())
    }

    pub(super) fn attend(&mut self, a: &Attend) -> Outcome {
        if self.within.vector || self.within.reduce {
            return Err("attention inside a vector loop or a reduction".into());
        }
        self.extent(&a.rows)?;
        self.affine(&a.first)?;
        let side = a.format.b();
        let typed = a.reads().into_iter().zip([DType::F32, side, side]);
        for (element, dtype) in typed.chain(a.writes().map(|element| (element, DType::F32))) {
            let array = self.kernel.array(element.place);
            if array.dtype != dtype {
                return Err(format!("{} is {}, not {dtype}", element.place, array.dtype));
            }
        }
        if let Some(to) = a
            .writes()
            .iter()
            .find(|to| !self.kernel.array(to.place).written)
        {
            return Err(format!("{} is not marked as written", to.place));
        }
        let panel = |terms: usize| terms.next_multiple_of(a.format.terms()) * PANEL;
        let value_depth = a.value_depth as i64;
        let touched = [
            (&a.q, a.q_row_stride, (1, 0), (a.depth, a.q_column_stride)),
            (
                &a.k,
                0,
                (a.keys.div_ceil(PANEL), a.k_panel_stride),
                (panel(a.depth), 1),
            ),
            (
                &a.v,
                0,
                (a.value_depth.div_ceil(PANEL), a.v_panel_stride),
                (panel(a.keys), 1),
            ),
            (&a.output, value_depth, (1, 0), (a.value_depth, 1)),
            (&a.maxima, 1, (1, 0), (1, 0)),
            (&a.sums, 1, (1, 0), (1, 0)),
        ];
        self.ranges_of_rows(&a.rows, &touched)
    }

    pub(super) fn attend_backward(&mut self, a: &AttendBackward) -> Outcome {
        if self.within.vector || self.within.reduce {
            return Err("attention inside a vector loop or a reduction".into());
        }
        self.extent(&a.rows)?;
        self.affine(&a.first)?;
        for element in a.reads().into_iter().chain(a.writes()) {
            let dtype = self.kernel.array(element.place).dtype;
            if dtype != DType::F32 {
                return Err(format!("{} is {dtype}, not f32", element.place));
            }
        }
        if let Some(to) = a
            .writes()
            .into_iter()
            .find(|to| !self.kernel.array(to.place).written)
        {
            return Err(format!("{} is not marked as written", to.place));
        }
        if a.results.len() != 1 + usize::from(a.by_keys) {
            return Err(format!(
                "{} results of attention's backward pass",
                a.results.len()
            ));
        }
        let mut touched = Vec::new();
        for ((side, panels), width) in a.lhs.iter().zip(&a.rhs).zip(a.depths) {
            let along = (width, side.column_stride);
            touched.push((&side.first, side.row_stride, (1, 0), along));
            let outer = (width.div_ceil(PANEL), panels.stride);
            touched.push((&panels.first, 0, outer, (a.columns * PANEL, 1)));
        }
        for of_queries in [&a.maxima, &a.sums, &a.inner] {
            touched.push(match a.by_keys {
                true => (of_queries, 0, (1, 0), (a.columns, 1)),
                false => (of_queries, 1, (1, 0), (1, 0)),
            });
        }
        for (to, width) in a.results.iter().zip(a.depths) {
            touched.push((to, width as i64, (1, 0), (width, 1)));
        }
        self.ranges_of_rows(&a.rows, &touched)
    }

    /// Checks that elements stay inside their buffers.
    fn ranges_of_rows(&mut self, rows: &Extent, touched: &[OfRows]) -> Outcome {
        let [row, x, y] = [0, 1, 2].map(|i| Var(u32::MAX - i));
        self.ranges.bind(row, rows.clone())?;
        for (element, row_stride, outer, inner) in touched.iter().copied() {
            self.ranges.bind(x, Extent::Static(outer.0))?;
            self.ranges.bind(y, Extent::Static(inner.0))?;
            let moving = [(row, row_stride), (x, outer.1), (y, inner.1)];
            let add = |at: Affine, (var, stride)| at.add(&Affine::var(var).scale(stride));
            self.element(&Element {
                at: moving.into_iter().fold(element.at.clone(), add),
                ..element.clone()
            })?;
            self.ranges.unbind(x);
            self.ranges.unbind(y);
        }
        self.ranges.unbind(row);
        Ok(())
    }
}

/// An element with its row stride, and two ranges and their strides beside rows.
type OfRows<'a> = (&'a Element, i64, (usize, i64), (usize, i64));

/// Panels of B that a contraction over `n` columns reads.
fn panels(n: &Extent) -> Extent {
    let panel = PANEL as i64;
    match &n.unmasked() {
        Extent::Static(n) => Extent::Static(n.div_ceil(PANEL)),
        Extent::Block { size, start, limit }
        | Extent::Visible {
            size, start, limit, ..
        } => {
            let aligned = start.constant % panel == 0
                && start.terms.iter().all(|(_, factor)| factor % panel == 0);
            if !aligned {
                return Extent::Static(size.div_ceil(PANEL));
            }
            let terms = start.terms.iter().map(|&(v, factor)| (v, factor / panel));
            Extent::Block {
                size: size.div_ceil(PANEL),
                start: Affine {
                    constant: start.constant / panel,
                    terms: terms.collect(),
                },
                limit: limit.div_ceil(PANEL),
            }
        }
    }
}

/// Steps of `terms` terms each.
pub(super) fn steps(k: &Extent, terms: usize) -> Result<Extent, String> {
    match k {
        k if terms == 1 => Ok(k.clone()),
        Extent::Static(k) => Ok(Extent::Static(k.div_ceil(terms))),
        Extent::Visible { mask_block, .. } if !mask_block.is_multiple_of(terms) => Err(format!(
            "{mask_block} terms at a time, no multiple of {terms}"
        )),
        Extent::Block { size, start, limit }
        | Extent::Visible {
            size, start, limit, ..
        } => {
            let whole = |factor: i64| factor % terms as i64 == 0;
            let aligned =
                whole(start.constant) && start.terms.iter().all(|&(_, factor)| whole(factor));
            if !aligned || !whole(*size as i64) {
                return Err(format!("blocks of terms that are no multiples of {terms}"));
            }
            let scaled = start.terms.iter();
            let scaled = scaled.map(|&(var, factor)| (var, factor / terms as i64));
            Ok(Extent::Block {
                size: size / terms,
                start: Affine {
                    constant: start.constant / terms as i64,
                    terms: scaled.collect(),
                },
                limit: limit.div_ceil(terms),
            })
        }
    }
}
