//! What a transform codec is before its first step: principal components of filtered patches.

use super::super::TrainError;
use super::super::samples::samples;
use super::super::transform_coding::principal::PrincipalComponents;
use crate::config::TransformCodecConfig;
use crate::data::Dataset;
use crate::lapped::MATRIX_SCALE;
use crate::transform_codec::context::NEIGHBOURS;
use crate::transform_codec::{
    COARSE, LappedTransform, PIXEL_SCALE, PartKind, TransformCodec, USUAL_STEP,
};
use bsq_runtime::HostTensor;
use bsq_runtime::executor::Tensors;

/// Patches that the first transform's statistics are of, at least; of the second's, whose patches
/// are sixteen times as large.
const PATCHES: usize = 100_000;
const COARSE_PATCHES: usize = 25_000;
/// Scales of the mixture's components that levels begin with: parts of a coordinate's standard
/// deviation, and the least ones, below which zeros would be so certain that nothing is learned.
const SCALES: [(f64, f64); 2] = [(0.15, 2.0), (0.5, 8.0)];

/// Writes the transforms, and what context models know of levels from them alone.
pub(super) fn transform(
    config: &TransformCodecConfig,
    codec: &TransformCodec,
    dataset: &Dataset,
    parameters: &mut Tensors,
) -> Result<(), TrainError> {
    let (fine, shape) = (codec.fine(), crops(config));
    let samples = samples(shape, dataset, parameters, PATCHES, |_, image| {
        fine.filtered_patches(image * PIXEL_SCALE)
    })?;
    let fine_components = Components::of(&samples, fine);
    fine_components.write("transform", parameters)?;
    for part in codec.parts() {
        let own = part.coordinates.clone();
        let (deviations, means) = match part.kind {
            PartKind::Coarse => {
                let components = coarse(config, codec, dataset, parameters)?;
                (components.deviations, COARSE)
            }
            PartKind::Base | PartKind::Detail => {
                let means = COARSE.saturating_sub(own.start);
                (fine_components.deviations[own].to_vec(), means)
            }
        };
        write_context(part.kind.scope(), &deviations, means, parameters)?;
    }
    Ok(())
}

/// The shape of a batch of training crops.
fn crops(config: &TransformCodecConfig) -> [usize; 4] {
    let crop = config.crop();
    [config.data.batch_size, 3, crop.height, crop.width]
}

/// Writes the second transform.
fn coarse(
    config: &TransformCodecConfig,
    codec: &TransformCodec,
    dataset: &Dataset,
    parameters: &mut Tensors,
) -> Result<Components, TrainError> {
    let (fine, coarse) = (codec.fine(), codec.coarse());
    let shape = crops(config);
    let samples = samples(
        shape,
        dataset,
        parameters,
        COARSE_PATCHES,
        |scope, image| {
            let patches = fine.filtered_patches(image * PIXEL_SCALE);
            let all = fine.analysis(&(scope / "transform"), patches);
            coarse.filtered_patches(all.slice(-1, 0..COARSE).transpose(&[0, 3, 1, 2]))
        },
    )?;
    let components = Components::of(&samples, coarse);
    components.write("coarse_transform", parameters)?;
    Ok(components)
}

/// The principal directions that a transform keeps.
struct Components {
    directions: Vec<Vec<f64>>,
    deviations: Vec<f64>,
}

impl Components {
    /// Those of samples `[count, features]`: first one for each channel, the directions with the
    /// largest share of channels' means; then the others, the one of most variance first.
    fn of(samples: &[f32], transform: &LappedTransform) -> Components {
        let found = PrincipalComponents::of(samples, transform.features());
        let share_of_means = |index: usize| -> f64 {
            let channels = found.directions[index].chunks_exact(transform.block * transform.block);
            channels.map(|part| part.iter().sum::<f64>().powi(2)).sum()
        };
        let mut order: Vec<usize> = (0..transform.features()).collect();
        order.sort_by(|&i, &j| share_of_means(j).total_cmp(&share_of_means(i)));
        order[..transform.channels].sort_unstable();
        order[transform.channels..].sort_unstable();
        order.truncate(transform.coordinates);
        Components {
            directions: order.iter().map(|&i| found.directions[i].clone()).collect(),
            deviations: order
                .iter()
                .map(|&i| found.variances[i].max(1e-6).sqrt())
                .collect(),
        }
    }

    /// Both matrices of a transform.
    fn write(&self, name: &str, parameters: &mut Tensors) -> Result<(), TrainError> {
        let (count, features) = (self.directions.len(), self.directions[0].len());
        let scaled = |x: f64| (x * MATRIX_SCALE) as f32;
        let synthesis: Vec<f32> = self
            .directions
            .iter()
            .flatten()
            .map(|&x| scaled(x))
            .collect();
        let analysis =
            (0..features).flat_map(|i| self.directions.iter().map(move |d| scaled(d[i])));
        let analysis: Vec<f32> = analysis.collect();
        put(
            parameters,
            &format!("{name}.analysis"),
            [features, count],
            &analysis,
        )?;
        put(
            parameters,
            &format!("{name}.synthesis"),
            [count, features],
            &synthesis,
        )
    }
}

/// Scales after the coordinates' deviations; the first `means` coordinates, which are means of
/// patches, are taken to be half the left neighbour's and half the upper one's.
fn write_context(
    name: &str,
    deviations: &[f64],
    means: usize,
    parameters: &mut Tensors,
) -> Result<(), TrainError> {
    let k = deviations.len();
    let biases = deviations.iter().flat_map(|deviation| {
        let [first, second] = SCALES
            .map(|(part, least)| libm::log((part * deviation).max(least) / USUAL_STEP) as f32);
        [0.0, first, second, 0.0]
    });
    let biases: Vec<f32> = biases.collect();
    put(parameters, &format!("{name}.output.bias"), [k, 4], &biases)?;
    let places = 0..NEIGHBOURS.len();
    let alike = places
        .flat_map(|place| (0..k).map(move |i| if place < 2 && i < means { 0.5 } else { 0.0 }));
    let alike: Vec<f32> = alike.collect();
    put(
        parameters,
        &format!("{name}.mean.alike"),
        [NEIGHBOURS.len(), k],
        &alike,
    )
}

fn put<const N: usize>(
    parameters: &mut Tensors,
    name: &str,
    shape: [usize; N],
    values: &[f32],
) -> Result<(), TrainError> {
    let tensor = HostTensor::from_slice(shape, values)?;
    let old = parameters.insert(name.to_string(), tensor);
    debug_assert!(old.is_some_and(|old| old.shape() == shape), "{name}");
    Ok(())
}
