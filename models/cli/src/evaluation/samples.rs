//! Samples of a generator against a reference, both as files of ADM's suite.

use super::EvaluationError;
use super::seen::{InceptionSession, Seen};
use super::sets::{SetFigures, shares, statistics_of};
use bsq::inception::Convention;
use bsq::metrics::sets::{FeatureStatistics, NpzError, NpzPictures, frechet_distance};
use bsq::pipeline::CompileOptions;
use std::path::Path;

/// Pictures that are looked at at once.
const BATCH: usize = 8;
/// Pictures of a part of the inception score.
const PART: usize = 5000;

/// The figures of `samples` (`arr_0`) against `reference` (`mu` and `sigma`, `arr_0`, or all of them): precision and
/// recall need its pictures. `progress` is told how many pictures have been looked at, and of how many.
///
/// # Errors
/// If a file cannot be read, or the samples are no pictures.
pub fn compare_samples(
    samples: &Path,
    reference: &Path,
    (weights, convention): (&Path, Convention),
    options: &CompileOptions,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(SetFigures, [usize; 2]), EvaluationError> {
    let no_pictures = |path: &Path, what: &str| NpzError::Content {
        path: path.into(),
        reason: format!("has no array `arr_0`{what}"),
    };
    let found =
        NpzPictures::read(samples)?.ok_or_else(|| no_pictures(samples, ", which samples are"))?;
    let statistics = FeatureStatistics::read_if_there(reference)?;
    let pictures = NpzPictures::read(reference)?;
    if statistics.is_none() && pictures.is_none() {
        let what = " and no `mu` and `sigma`: a reference has one or the other";
        return Err(no_pictures(reference, what).into());
    }
    let counts = [
        found.shape[0],
        pictures.as_ref().map_or(0, |pictures| pictures.shape[0]),
    ];
    let total = counts.iter().sum();
    let mut done = 0;
    let mut look = |pictures: &NpzPictures| -> Result<Seen, EvaluationError> {
        let [_, height, width] = pictures.shape;
        let mut network =
            InceptionSession::new(weights, convention, [BATCH, height, width], options)?;
        let mut seen = Seen::default();
        for some in pictures.bytes.chunks(BATCH * height * width * 3) {
            let count = some.len() / (height * width * 3);
            let mut planes = vec![0.0; BATCH * 3 * height * width];
            let each = some.chunks_exact(height * width * 3);
            for (picture, planes) in each.zip(planes.chunks_exact_mut(3 * height * width)) {
                for (place, &byte) in picture.iter().enumerate() {
                    planes[place % 3 * height * width + place / 3] = f32::from(byte) / 127.5 - 1.0;
                }
            }
            network.look(&planes, count, &mut seen)?;
            done += count;
            progress(done, total);
        }
        Ok(seen)
    };
    let found = look(&found)?;
    let of_reference = pictures
        .as_ref()
        .map(&mut look)
        .transpose()?
        .unwrap_or_default();
    let statistics = statistics.or_else(|| statistics_of(&of_reference));
    let own = statistics_of(&found);
    let fid = statistics.as_ref().zip(own.as_ref());
    let figures = SetFigures {
        fid: fid.map(|(reference, own)| frechet_distance(reference, own)),
        inception_score: found.score(PART),
        ..shares(&of_reference, &found)
    };
    Ok((figures, counts))
}
