//! The parts of a picture's levels: coded one after another, with a context model each.

use super::context::{ContextModel, Side, of_levels, surroundings};
use super::{COARSE, TransformCodec, coarse_features};
use bsq_ir::Tensor;
use std::fmt;
use std::ops::Range;

/// Coordinates in the first group of the detail, most of whose levels are zero.
const DETAIL_GROUP: usize = 32;

/// Which part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// The second transform's levels, in patches of 4x4 patches.
    Coarse,
    /// The first coordinates of each patch.
    Base,
    /// The others.
    Detail,
}

/// A part and its context model.
#[derive(Clone, Debug)]
pub struct Part {
    pub kind: PartKind,
    /// The first transform's coordinates that it codes; the second's are others.
    pub coordinates: Range<usize>,
    pub context: ContextModel,
}

impl TransformCodec {
    /// The parts, in the order of coding.
    pub fn parts(&self) -> Vec<Part> {
        let config = self.config();
        let (base, all) = (config.base_coordinates, config.coordinates);
        let first = if config.second_level { COARSE } else { 0 };
        let mut parts = Vec::new();
        if config.second_level {
            let coordinates = self.coarse().coordinates;
            parts.push(Part {
                kind: PartKind::Coarse,
                coordinates: 0..COARSE,
                context: ContextModel {
                    coordinates,
                    width: config.coarse_context_width,
                    level_width: config.level_width,
                    first_group: 1,
                },
            });
        }
        parts.push(Part {
            kind: PartKind::Base,
            coordinates: first..base,
            context: ContextModel {
                coordinates: base - first,
                width: config.context_width,
                level_width: config.level_width,
                first_group: 1,
            },
        });
        if all > base {
            parts.push(Part {
                kind: PartKind::Detail,
                coordinates: base..all,
                context: ContextModel {
                    coordinates: all - base,
                    width: config.detail_context_width,
                    level_width: config.detail_level_width,
                    first_group: DETAIL_GROUP,
                },
            });
        }
        parts
    }
}

impl Part {
    /// The shape of the levels of a picture whose sides are padded, `[1, rows, columns, coordinates]`.
    pub(super) fn shape(&self, height: usize, width: usize) -> [usize; 4] {
        let [rows, columns, coordinates] = self.grid([height, width]);
        [1, rows, columns, coordinates]
    }

    /// Rows and columns of patches and coordinates of each, of a picture whose height and width are padded.
    pub fn grid(&self, padded: [usize; 2]) -> [usize; 3] {
        let [rows, columns] = padded.map(|side| side / self.kind.patch());
        [rows, columns, self.context.coordinates]
    }
}

impl fmt::Display for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PartKind::Coarse => "coarse",
            PartKind::Base => "base",
            PartKind::Detail => "detail",
        })
    }
}

impl PartKind {
    /// What the names of its context model's parameters begin with.
    pub fn scope(self) -> &'static str {
        match self {
            PartKind::Coarse => "coarse_context",
            PartKind::Base => "context",
            PartKind::Detail => "detail_context",
        }
    }

    /// Pixels along a side of its patches.
    pub fn patch(self) -> usize {
        match self {
            PartKind::Coarse => 32,
            PartKind::Base | PartKind::Detail => 8,
        }
    }

    /// What is known of each of its patches, `[B, rows, columns, F]`, of features of those of the first
    /// transform.
    #[track_caller]
    pub(super) fn expected(self, features: Tensor<'_>) -> Tensor<'_> {
        match self {
            PartKind::Coarse => coarse_features(features),
            PartKind::Base | PartKind::Detail => features,
        }
    }

    /// What earlier parts say of each of its patches. `picture` is the
    /// [`coarse_picture`](TransformCodec::coarse_picture), `levels` end with those of the part
    /// before.
    #[track_caller]
    pub(super) fn side<'g>(
        self,
        picture: Option<Tensor<'g>>,
        levels: &[Tensor<'g>],
    ) -> Option<Side<'g>> {
        match self {
            PartKind::Coarse => None,
            PartKind::Base => picture.map(|picture| surroundings(picture.stop_gradient())),
            PartKind::Detail => levels.last().map(|base| of_levels(base.stop_gradient())),
        }
    }
}
