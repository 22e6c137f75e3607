//! Which axis of inputs and outputs is the batch's: read from the functions of two sizes.

use super::error::BatchError;
use bsq_ir::batch::{BatchAxis, batch_axes};
use bsq_ir::{Function, Op, Type};
use std::collections::{BTreeMap, BTreeSet};

/// Types by name.
type Types<'f> = BTreeMap<&'f str, &'f Type>;
type Axes = BTreeMap<String, Option<BatchAxis>>;

/// Where samples lie in a program's inputs and outputs; `None` in what is the same for all.
pub(super) struct Layout {
    /// The size that `inputs` and `outputs` are of.
    size: usize,
    pub inputs: BTreeMap<String, (Type, Option<BatchAxis>)>,
    pub outputs: Axes,
}

impl Layout {
    /// Of a function of `size`, and that of one sample more.
    pub fn new(size: usize, one: &Function, more: &Function) -> Result<Layout, BatchError> {
        let sizes = (size, size + 1);
        fixed(sizes, one, more)?;
        let (inputs, others) = (inputs(one), inputs(more));
        let axes = axes("input", sizes, &inputs, &others)?;
        if axes.values().all(Option::is_none) {
            return Err(BatchError::NoInput { size });
        }
        let found = mixing(more, size + 1, &axes)?;
        let outputs = self::axes("output", sizes, &outputs(one), &outputs(more))?;
        for (name, axis) in &outputs {
            if *axis != found[name] {
                let (one, two) = (ty(one, name), ty(more, name));
                let what = "its samples do not come from the inputs'";
                return Err(follows("output", name, (one, two), sizes, what));
            }
        }
        let inputs = inputs.into_iter();
        let inputs = inputs.map(|(name, ty)| (name.to_string(), (ty.clone(), axes[name])));
        Ok(Layout {
            size,
            inputs: inputs.collect(),
            outputs,
        })
    }

    /// That the function of another size differs in the batch alone.
    pub fn check(&self, size: usize, own: &Function, known: &Function) -> Result<(), BatchError> {
        let sizes = (size, self.size + 1);
        fixed(sizes, own, known)?;
        let wanted: Axes = self
            .inputs
            .iter()
            .map(|(name, (_, axis))| (name.clone(), *axis))
            .collect();
        for (kind, wanted, own, known) in [
            ("input", &wanted, inputs(own), inputs(known)),
            ("output", &self.outputs, outputs(own), outputs(known)),
        ] {
            let found = axes(kind, sizes, &own, &known)?;
            if let Some((name, _)) = wanted.iter().find(|(name, axis)| found[*name] != **axis) {
                let types = (own[&**name], known[&**name]);
                let what = "another axis is the batch's than in other sizes";
                return Err(follows(kind, name, types, sizes, what));
            }
        }
        // Of one sample nothing can mix, and axes of one element need no broadcast that tells them.
        if size > 1 {
            mixing(own, size, &wanted)?;
        }
        if constants(own) != constants(known) {
            let other = self.size + 1;
            return Err(BatchError::Constants { size, other });
        }
        Ok(())
    }
}

/// That nothing is updated, and that parameters are those of the other size.
fn fixed(sizes: (usize, usize), own: &Function, known: &Function) -> Result<(), BatchError> {
    if let Some((id, _)) = own.updates().first()
        && let Op::Parameter { name, .. } = &own.node(*id).op
    {
        let name = name.clone();
        return Err(BatchError::Updates { name });
    }
    let fixed = axes("parameter", sizes, &parameters(own), &parameters(known))?;
    if let Some((name, _)) = fixed.iter().find(|(_, axis)| axis.is_some()) {
        let types = (parameters(own)[&**name], parameters(known)[&**name]);
        let what = "parameters are the same in every batch";
        return Err(follows("parameter", name, types, sizes, what));
    }
    Ok(())
}

fn mixing(function: &Function, size: usize, inputs: &Axes) -> Result<Axes, BatchError> {
    let inputs = inputs.iter();
    let inputs = inputs.filter_map(|(name, axis)| Some((name.as_str(), (*axis)?)));
    batch_axes(function, size, &inputs.collect()).map_err(BatchError::Mixed)
}

fn inputs(function: &Function) -> Types<'_> {
    function.inputs().map(|(_, name, ty)| (name, ty)).collect()
}

fn parameters(function: &Function) -> Types<'_> {
    let parameters = function.parameters();
    parameters.map(|(_, name, ty)| (name, ty)).collect()
}

fn outputs(function: &Function) -> Types<'_> {
    let outputs = function.outputs().iter();
    outputs
        .map(|(name, id)| (name.as_str(), function.node(*id).ty()))
        .collect()
}

fn ty<'f>(function: &'f Function, output: &str) -> &'f Type {
    outputs(function)[output]
}

/// Every constant's type of element and bytes; shapes may be of the batch.
fn constants(function: &Function) -> BTreeSet<(bsq_ir::DType, Vec<u8>)> {
    let constants = function.nodes().iter().filter_map(|node| match &node.op {
        Op::Constant(constant) => {
            let bytes = constant.splat_element().map(<[u8]>::to_vec);
            let bytes = bytes.unwrap_or_else(|| constant.to_bytes());
            Some((constant.ty().dtype, bytes))
        }
        _ => None,
    });
    constants.collect()
}

/// The axis of each type that grows with the batch.
fn axes(
    kind: &'static str,
    sizes: (usize, usize),
    ones: &Types<'_>,
    twos: &Types<'_>,
) -> Result<Axes, BatchError> {
    if !ones.keys().eq(twos.keys()) {
        let names = |types: &Types<'_>| types.keys().copied().collect::<Vec<_>>().join(", ");
        return Err(BatchError::Names {
            kind,
            size: sizes.0,
            other: sizes.1,
            names: names(ones),
            others: names(twos),
        });
    }
    let axis = |(name, one): (&&str, &&Type)| {
        let two = twos[name];
        let axis = follow(one, two, sizes);
        let axis = axis.map_err(|what| follows(kind, name, (one, two), sizes, what))?;
        Ok((name.to_string(), axis))
    };
    ones.iter().map(axis).collect()
}

/// The one axis that differs, if there is one, whose extents are multiples of the sizes.
fn follow(
    one: &Type,
    two: &Type,
    (size, other): (usize, usize),
) -> Result<Option<BatchAxis>, &'static str> {
    if one.dtype != two.dtype || one.shape.rank() != two.shape.rank() {
        return Err("only the extent of one axis may follow the batch");
    }
    let differ = (0..one.shape.rank()).filter(|&axis| one.shape[axis] != two.shape[axis]);
    match differ.collect::<Vec<_>>()[..] {
        [] => Ok(None),
        [axis] => {
            let each = two.shape[axis] / other;
            let fits = one.shape[axis] == size * each && two.shape[axis] == other * each;
            fits.then_some(Some(BatchAxis { axis, each }))
                .ok_or("its extent is no multiple of the batch")
        }
        _ => Err("only the extent of one axis may follow the batch"),
    }
}

fn follows(
    kind: &'static str,
    name: &str,
    types: (&Type, &Type),
    sizes: (usize, usize),
    what: &'static str,
) -> BatchError {
    BatchError::Follows {
        kind,
        name: name.to_string(),
        one: types.0.clone(),
        two: types.1.clone(),
        size: sizes.0,
        other: sizes.1,
        what,
    }
}
