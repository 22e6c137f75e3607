//! Coding the levels of a strip of a picture: wavefront after wavefront, group after group.
//!
//! A patch's neighbours are all of earlier *wavefronts*: patch (row, column) is in wavefront
//! `column + 2 row`. The patches of a wavefront are evaluated together. Encoder and decoder run the
//! same programs on the same numbers; an encoder knows the levels that a decoder finds.

use super::context::{NEIGHBOURS, neighbour};
use super::functions::{group_function, patches_function, side_function};
use super::level_coder::{Decide, Distribution, LevelEncoder, Subject};
use super::logistic::TABLE;
use super::{ExpectedFeatures, PartKind, PartLevels, TransformCodec};
use bsq_runtime::executor::Tensors;
use bsq_runtime::{BoundPrograms, CompileOptions, HostTensor, ProgramError};
use std::ops::Range;
use std::time::Duration;

/// Columns that a row of patches is ahead of the next.
const SLOPE: usize = 2;
/// Programs at a time: those of all groups of three parts, for two heights of strips.
const PROGRAMS: usize = 128;

/// The context models of a codec with their programs, each compiled when it is first needed.
pub struct ContextCoder {
    codec: TransformCodec,
    programs: BoundPrograms<Key>,
}

impl ContextCoder {
    /// Nothing is compiled yet. The options must be exact: see [`CompileOptions`]. Programs run on
    /// one thread: those of a wavefront are too short for more.
    pub fn new(
        codec: TransformCodec,
        parameters: Tensors,
        mut options: CompileOptions,
    ) -> ContextCoder {
        options.threads = 1;
        ContextCoder {
            codec,
            programs: BoundPrograms::new(parameters, options, PROGRAMS),
        }
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.programs.compile_time()
    }

    /// Writes the levels of all parts of a strip, or of a predicted frame. Returns, for
    /// [`read`](ContextCoder::read), how many groups of each part are coded, and the bits of each.
    ///
    /// # Errors
    /// If a program cannot be compiled or run.
    pub fn write(
        &mut self,
        (levels, step): (&mut [PartLevels], f32),
        expected: Option<&ExpectedFeatures>,
        coder: &mut LevelEncoder,
    ) -> Result<Vec<(u8, f64)>, ProgramError> {
        let mut written = Vec::new();
        for (index, part) in self.codec.parts().iter().enumerate() {
            let used = levels[index].used_coordinates();
            let groups = part.context.groups();
            let groups = groups.iter().filter(|group| group.start < used).count();
            let before = coder.bits;
            self.code((index, groups), (levels, step), expected, coder)?;
            written.push((groups as u8, coder.bits - before));
        }
        Ok(written)
    }

    /// Fills in the levels of all parts of a strip, which are zero before. False if no encoder has
    /// written this.
    ///
    /// # Errors
    /// If a program cannot be compiled or run.
    pub fn read(
        &mut self,
        groups: &[u8],
        (levels, step): (&mut [PartLevels], f32),
        expected: Option<&ExpectedFeatures>,
        coder: &mut impl Decide,
    ) -> Result<bool, ProgramError> {
        for (index, part) in self.codec.parts().iter().enumerate() {
            let groups = usize::from(groups[index]);
            let is_known = groups <= part.context.groups().len();
            if !is_known || !self.code((index, groups), (levels, step), expected, coder)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Codes the levels of part `index` of a strip, of which the first `groups` groups of
    /// coordinates may be other than zero. `levels` are those of all parts; a decoder fills in
    /// this one's. False if no encoder has written what a decoder reads.
    ///
    /// # Errors
    /// If a program cannot be compiled or run.
    fn code(
        &mut self,
        (index, groups): (usize, usize),
        (levels, step): (&mut [PartLevels], f32),
        expected: Option<&ExpectedFeatures>,
        coder: &mut impl Decide,
    ) -> Result<bool, ProgramError> {
        let part = self.codec.parts().swap_remove(index);
        let groups = &part.context.groups()[..groups];
        if groups.is_empty() {
            return Ok(true);
        }
        let before = Before {
            side: self.side(index, levels)?,
            expected: expected.map(|features| match part.kind {
                PartKind::Coarse => &features.coarse,
                PartKind::Base | PartKind::Detail => &features.patches,
            }),
        };
        let step = HostTensor::from_slice([1], &[step])?;
        let own = &mut levels[index];
        let lanes = own.rows.min(own.columns.div_ceil(SLOPE));
        for wavefront in 0..own.columns + SLOPE * (own.rows - 1) {
            let patches = patches_of(wavefront, own.rows, own.columns);
            let known = KnownPatches::of(own, &before, &patches, lanes)?;
            let prepared = self.prepared(index, known, &step)?;
            for (number, group) in groups.iter().enumerate() {
                let key = (index, group.clone(), lanes);
                let known = own.tensor_of(&patches, lanes)?;
                let table = self.group(key, &prepared, &known, &step)?;
                let table = table.as_slice::<f32>()?;
                coder.about(Subject::Group {
                    part: index,
                    group: number,
                });
                if code_group(table, group, lanes, own, &patches, coder).is_none() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// What the part before says of each patch; nothing comes before the first.
    fn side(&mut self, index: usize, levels: &[PartLevels]) -> Result<Option<Side>, ProgramError> {
        let Some(before) = index.checked_sub(1).map(|before| &levels[before]) else {
            return Ok(None);
        };
        let (rows, columns, codec) = (before.rows, before.columns, &self.codec);
        let key = Key::Side([index, rows, columns]);
        let function = || side_function(codec, index, rows, columns);
        let session = self.programs.get(key, function)?;
        let mut outputs = session.run(&[("levels", &before.tensor()?)])?;
        Ok(Some(Side {
            features: outputs.take("features"),
            raw: outputs.take("raw"),
        }))
    }

    fn prepared(
        &mut self,
        index: usize,
        known: KnownPatches,
        step: &HostTensor,
    ) -> Result<Prepared, ProgramError> {
        let (lanes, codec) = (known.lanes, &self.codec);
        let widths = known
            .side
            .as_ref()
            .map(|side| [&side.features, &side.raw].map(|x| x.shape()[1]));
        let function = || patches_function(codec, index, lanes, widths);
        let session = self.programs.get(Key::Patches([index, lanes]), function)?;
        let mut inputs = vec![
            ("neighbours", &known.neighbours),
            ("inside", &known.inside),
            ("step", step),
        ];
        if let Some(side) = &known.side {
            inputs.extend([("features", &side.features), ("raw", &side.raw)]);
        }
        inputs.extend(known.expected.iter().map(|features| ("expected", features)));
        let mut outputs = session.run(&inputs)?;
        Ok(Prepared {
            hidden: outputs.take("hidden"),
            mean: outputs.take("mean"),
        })
    }

    /// The table of a group's distributions, `[TABLE, group, lanes]`.
    fn group(
        &mut self,
        (index, group, lanes): (usize, Range<usize>, usize),
        prepared: &Prepared,
        levels: &HostTensor,
        step: &HostTensor,
    ) -> Result<HostTensor, ProgramError> {
        let codec = &self.codec;
        let function = || group_function(codec, index, group.clone(), lanes);
        let key = Key::Group([index, lanes], group.clone());
        let session = self.programs.get(key, function)?;
        let hidden = rows(&prepared.hidden, group.clone())?;
        let mean = rows(&prepared.mean, group.clone())?;
        let inputs = [
            ("hidden", &hidden),
            ("mean", &mean),
            ("levels", levels),
            ("step", step),
        ];
        Ok(session.run(&inputs)?.take("table"))
    }
}

/// What a program is compiled for; first the part.
#[derive(Clone, Debug, PartialEq)]
enum Key {
    /// Rows and columns of the part before.
    Side([usize; 3]),
    /// Lanes.
    Patches([usize; 2]),
    /// Lanes, and coordinates.
    Group([usize; 2], Range<usize>),
}

/// What the part before says of patches: `[patches, ..]`.
struct Side {
    features: HostTensor,
    raw: HostTensor,
}

/// What was coded before a part.
struct Before<'a> {
    side: Option<Side>,
    /// Of predicted frames, features of each patch: the last axis.
    expected: Option<&'a HostTensor>,
}

/// What `patches_function` gives.
struct Prepared {
    hidden: HostTensor,
    mean: HostTensor,
}

/// What is known of the patches of a wavefront; lanes without a patch have zeros.
struct KnownPatches {
    lanes: usize,
    neighbours: HostTensor,
    inside: HostTensor,
    side: Option<Side>,
    expected: Option<HostTensor>,
}

impl KnownPatches {
    fn of(
        own: &PartLevels,
        before: &Before<'_>,
        patches: &[[usize; 2]],
        lanes: usize,
    ) -> Result<KnownPatches, ProgramError> {
        let (k, count) = (own.coordinates, NEIGHBOURS.len());
        let mut neighbours = vec![0.0_f32; lanes * count * k];
        let mut inside = vec![0.0_f32; lanes * count];
        let places = neighbours.chunks_exact_mut(k).zip(&mut inside);
        let wanted = patches.iter().flat_map(|&patch| {
            NEIGHBOURS.map(|place| neighbour([own.rows, own.columns], patch, place))
        });
        for ((levels, flag), patch) in places.zip(wanted) {
            if let Some([row, column]) = patch {
                *flag = 1.0;
                own.write_patch(row, column, levels);
            }
        }
        let gathered = |all: &HostTensor| {
            let width = all.shape()[all.shape().len() - 1];
            let (values, mut some) = (all.as_slice::<f32>()?, vec![0.0_f32; lanes * width]);
            for (&[row, column], lane) in patches.iter().zip(some.chunks_exact_mut(width)) {
                let start = (row * own.columns + column) * width;
                lane.copy_from_slice(&values[start..start + width]);
            }
            HostTensor::from_slice([lanes, width], &some)
        };
        let side = match &before.side {
            None => None,
            Some(side) => Some(Side {
                features: gathered(&side.features)?,
                raw: gathered(&side.raw)?,
            }),
        };
        Ok(KnownPatches {
            lanes,
            neighbours: HostTensor::from_slice([lanes, count, k], &neighbours)?,
            inside: HostTensor::from_slice([lanes, count], &inside)?,
            side,
            expected: before.expected.map(gathered).transpose()?,
        })
    }
}

/// The patches of a wavefront, from the top.
fn patches_of(wavefront: usize, rows: usize, columns: usize) -> Vec<[usize; 2]> {
    let patch = |row: usize| Some([row, wavefront.checked_sub(SLOPE * row)?]);
    let patches = (0..rows).map_while(patch);
    patches.filter(|&[_, column]| column < columns).collect()
}

/// Some rows of a matrix.
fn rows(x: &HostTensor, rows: Range<usize>) -> Result<HostTensor, ProgramError> {
    let width = x.shape()[1];
    let values = &x.as_slice::<f32>()?[rows.start * width..rows.end * width];
    Ok(HostTensor::from_slice([rows.len(), width], values)?)
}

/// Codes a group's levels: coordinate by coordinate, patch by patch.
fn code_group(
    table: &[f32],
    group: &Range<usize>,
    lanes: usize,
    own: &mut PartLevels,
    patches: &[[usize; 2]],
    coder: &mut impl Decide,
) -> Option<()> {
    let column = |i: usize| &table[i * group.len() * lanes..(i + 1) * group.len() * lanes];
    let columns: [&[f32]; TABLE] = std::array::from_fn(column);
    for coordinate in group.clone() {
        for (lane, &[row, column]) in patches.iter().enumerate() {
            let at = (coordinate - group.start) * lanes + lane;
            let [mean, first, second, share, nearest] = columns.map(|values| values[at]);
            let distribution = Distribution {
                mean,
                reciprocal_scales: [first, second],
                share,
                nearest,
            };
            let level = own.level_mut(row, column, coordinate);
            *level = distribution.code(coder, i32::from(*level))? as i16;
        }
    }
    Some(())
}
