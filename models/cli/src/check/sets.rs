//! Figures of whole sets, from their features: FID, inception score, precision and recall, FVD.

use super::case::{Case, CheckError};
use super::compare::{Comparison, VALUES, floats, integers};
use super::outputs::keys;
use bsq::i3d::{I3d, SIDE};
use bsq::metrics::sets::{
    FeatureStatistics, InceptionScore, PrecisionRecall, frechet_distance, inception_score,
    inception_score_of_parts, precision_recall,
};
use bsq_ir::{DType, Graph, Scope};
use bsq_nn::layers::{Interpolation, resize};
use bsq_runtime::executor::{Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;
use serde_json::Value;

/// Features and probabilities come as `f32`; all else is f64.
const LIMIT: f64 = 1e-6;

/// Pairs `a`, `b` of features, `NAME_a`, `NAME_b` under any key but `full`.
pub(super) fn check_fid(case: &Case) -> Result<Vec<Comparison>, CheckError> {
    let mut comparisons = Vec::new();
    for key in keys(&case.description) {
        let pair = &case.description[&key];
        let recorded = pair["fid_symmetric"].as_f64().or(pair["fid"].as_f64());
        let Some(recorded) = recorded else { continue };
        let prefix = if key == "full" {
            String::new()
        } else {
            format!("{key}_")
        };
        let of = |name: &str| {
            let (rows, features) = rows(case, &format!("{prefix}{name}"))?;
            Ok::<_, CheckError>(FeatureStatistics::of(&rows, features))
        };
        let (a, b) = (of("a")?, of("b")?);
        let number = |name: &str, found: f64, recorded: f64| {
            Comparison::number(&format!("{key}.{name}"), found, recorded, LIMIT)
        };
        comparisons.push(number("fid", frechet_distance(&a, &b), recorded));
        for (name, found) in [("trace_a", a.trace()), ("trace_b", b.trace())] {
            if let Some(recorded) = pair[name].as_f64() {
                comparisons.push(number(name, found, recorded));
            }
        }
        for (name, of) in [("a", &a), ("b", &b)] {
            for (what, found) in [("mu", &of.mean), ("sigma", &of.covariance)] {
                let name = format!("{prefix}{what}_{name}");
                if let Some(recorded) = case.recorded.get(&name) {
                    let recorded = floats(recorded)?;
                    comparisons.push(Comparison::relative(&name, found, &recorded, LIMIT));
                }
            }
        }
    }
    Ok(comparisons)
}

/// Rows of features, and how many there are in a row.
fn rows(case: &Case, name: &str) -> Result<(Vec<f32>, usize), CheckError> {
    let tensor = case.tensor(name)?;
    let &[_, features] = tensor.shape() else {
        return Err(case.fail(name, "a table [samples, features]"));
    };
    Ok((
        tensor.to_dtype(DType::F32)?.as_slice::<f32>()?.to_vec(),
        features,
    ))
}

/// Probabilities `p`: scores of equal parts, and of parts of a size.
pub(super) fn check_inception(case: &Case) -> Result<Vec<Comparison>, CheckError> {
    let (rows, classes) = rows(case, "p")?;
    let p: Vec<f64> = rows.into_iter().map(f64::from).collect();
    let mut comparisons = Vec::new();
    let equal = &case.description["equal"];
    for parts in keys(equal) {
        let count = parts.parse().ok().filter(|&count: &usize| count > 0);
        let count = count.ok_or_else(|| case.fail("equal", "scores by the number of parts"))?;
        let found = inception_score(&p, classes, count);
        compare_score(
            &format!("equal.{parts}"),
            &found,
            &equal[&parts],
            &mut comparisons,
        );
    }
    let adm = &case.description["adm"];
    if let Some(size) = adm["split_size"].as_u64().filter(|&size| size > 0) {
        let found = inception_score_of_parts(&p, classes, size as usize);
        compare_score("adm", &found, adm, &mut comparisons);
    }
    Ok(comparisons)
}

fn compare_score(name: &str, found: &InceptionScore, recorded: &Value, to: &mut Vec<Comparison>) {
    let scores = recorded["scores"].as_array().into_iter().flatten();
    let scores: Vec<f64> = scores.filter_map(Value::as_f64).collect();
    let label = |what: &str| format!("{name}.{what}");
    to.push(Comparison::relative(
        &label("scores"),
        &found.scores,
        &scores,
        LIMIT,
    ));
    for (what, found) in [("mean", found.mean), ("std", found.deviation)] {
        if let Some(recorded) = recorded[what].as_f64() {
            to.push(Comparison::number(&label(what), found, recorded, LIMIT));
        }
    }
}

/// `reference` and `sample`: shares, radii, and who is inside, for each `k`.
pub(super) fn check_precision(case: &Case) -> Result<Vec<Comparison>, CheckError> {
    let (reference, features) = rows(case, "reference")?;
    let (sample, _) = rows(case, "sample")?;
    let by_k = &case.description["k"];
    let mut comparisons = Vec::new();
    for k in keys(by_k) {
        let count = k.parse().map_err(|_| case.fail("k", "figures by k"))?;
        let found = precision_recall(&reference, &sample, features, count);
        for (name, value) in [("precision", found.precision), ("recall", found.recall)] {
            let recorded = by_k[&k][name].as_f64();
            let recorded = recorded.ok_or_else(|| case.fail(name, "a number"))?;
            comparisons.push(Comparison::number(
                &format!("k{k}.{name}"),
                value,
                recorded,
                LIMIT,
            ));
        }
        compare_sets(case, &k, &found, &mut comparisons)?;
    }
    Ok(comparisons)
}

fn compare_sets(
    case: &Case,
    k: &str,
    found: &PrecisionRecall,
    to: &mut Vec<Comparison>,
) -> Result<(), CheckError> {
    for (set, radii, inside) in [
        (
            "reference",
            &found.reference_radii,
            &found.references_inside,
        ),
        ("sample", &found.sample_radii, &found.samples_inside),
    ] {
        let name = format!("k{k}.radius2_{set}");
        if let Some(recorded) = case.recorded.get(&name) {
            to.push(Comparison::relative(
                &name,
                radii,
                &floats(recorded)?,
                LIMIT,
            ));
        }
        let name = format!("k{k}.{set}_inside");
        if let Some(recorded) = case.recorded.get(&name) {
            let recorded = integers(recorded)?;
            let pairs = inside.iter().zip(&recorded);
            let differing = pairs.filter(|&(&a, &b)| u64::from(a) != b).count();
            to.push(match recorded.len() == inside.len() {
                true => Comparison::count(&name, differing),
                false => Comparison::missing(&name),
            });
        }
    }
    Ok(())
}

/// `PREFIXclips`: logits under two ways to resize, and the means and middle columns of endpoints.
pub(super) fn check_i3d(
    case: &Case,
    executor: &dyn Executor,
) -> Result<Vec<Comparison>, CheckError> {
    let path = case.weights_file()?;
    let path = path.ok_or_else(|| case.fail("weights.file", "the name of a file of weights"))?;
    let weights = I3d.load(&path)?;
    let sets = case
        .recorded
        .keys()
        .filter_map(|name| name.strip_suffix("clips"));
    let mut comparisons = Vec::new();
    for prefix in sets {
        let clips = case.tensor(&format!("{prefix}clips"))?;
        let samples = clips.as_slice::<u8>()?.iter();
        let values: Vec<f32> = samples.map(|&x| f32::from(x) / 127.5 - 1.0).collect();
        let clips = HostTensor::from_slice(clips.shape().to_vec(), &values)?;
        for (suffix, how) in [
            ("", Interpolation::Linear),
            ("_tf1", Interpolation::LinearCorner),
        ] {
            let logits = format!("{prefix}logits{suffix}");
            if !case.recorded.contains_key(&logits) {
                continue;
            }
            // Only the first run has recorded endpoints.
            let with_parts = prefix.is_empty() && suffix.is_empty();
            let found = run_i3d(executor, &weights, &clips, how, with_parts)?;
            for (name, found) in found {
                let name = if name == "logits" {
                    logits.clone()
                } else {
                    name
                };
                if let Some(recorded) = case.recorded.get(&name) {
                    let (found, recorded) = (floats(&found)?, floats(recorded)?);
                    comparisons.push(Comparison::relative(&name, &found, &recorded, VALUES));
                }
            }
        }
    }
    let known = |name: &&String| comparisons.iter().any(|own| own.name == **name);
    let rest = case
        .recorded
        .keys()
        .filter(|name| !known(name) && !name.ends_with("clips"));
    let missing: Vec<Comparison> = rest.map(|name| Comparison::missing(name)).collect();
    comparisons.extend(missing);
    Ok(comparisons)
}

fn run_i3d(
    executor: &dyn Executor,
    weights: &Tensors,
    clips: &HostTensor,
    how: Interpolation,
    with_parts: bool,
) -> Result<Tensors, CheckError> {
    let g = Graph::new();
    let input = g.input("clips", DType::F32, clips.shape());
    let resized = resize(input, &[SIDE, SIDE], how);
    let endpoints = I3d.endpoints(&Scope::root(&g), resized);
    let mut outputs = Vec::new();
    for (name, value) in endpoints {
        if name == "logits" {
            outputs.push((name.to_string(), value));
        } else if with_parts {
            outputs.push((format!("mean.{name}"), value.mean([2, 3, 4])));
            let mut column = value;
            for axis in [4, 3, 2] {
                let middle = value.shape()[axis as usize] / 2;
                column = column.slice(axis, middle..middle + 1).squeeze(axis);
            }
            outputs.push((format!("column.{name}"), column));
        }
    }
    let named = outputs
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.id()));
    let function = g.function(named, []);
    let inputs = Tensors::from([("clips".to_string(), clips.clone())]);
    Ok(executor.run(&function, weights, &inputs)?.outputs)
}
