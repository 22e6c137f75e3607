//! One step of a generator: an op on values that there are, one file per family.

mod contraction;
mod elementwise;
mod fused;
mod indexing;
mod layers;
mod movement;
mod reduction;

use super::generate::Builder;

/// Adds one op or layer. What is not well typed or too large is left out.
pub(super) fn step(builder: &mut Builder) {
    match builder.choices.below(34) {
        0..9 => elementwise::step(builder),
        9..18 => movement::step(builder),
        18..22 => reduction::step(builder),
        22..25 => contraction::step(builder),
        25..28 => indexing::step(builder),
        28..31 => layers::step(builder),
        31 => fused::step(builder),
        32 => builder.twin(),
        _ => drop(builder.any_leaf()),
    }
}
