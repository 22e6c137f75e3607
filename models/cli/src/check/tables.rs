//! Tables of learning rates and of quality metrics.

use super::Comparison;
use super::case::{Case, CheckError};
use super::outputs::keys;
use bsq::config::LrSchedule;
use bsq::metrics::{ms_ssim, psnr, ssim};

/// Everything here is computed in f64.
const LIMIT: f64 = 1e-9;

/// Multipliers by step.
pub(super) fn check_learning_rate(case: &Case) -> Result<Vec<Comparison>, CheckError> {
    let schedule = LrSchedule {
        warm_up_steps: case.number("params.warm_up_steps")? as u64,
        max_decay_steps: case.number("params.max_decay_steps")? as u64,
        lr_start: case.number("params.lr_start")?,
        lr_max: case.number("params.lr_max")?,
        lr_min: case.number("params.lr_min")?,
    };
    let rows = case.description["table"].as_array();
    let rows = rows.ok_or_else(|| case.fail("table", "a list"))?;
    let one = |row: &serde_json::Value| {
        let (step, recorded) = (row[0].as_u64(), row[1].as_f64());
        let (Some(step), Some(recorded)) = (step, recorded) else {
            return Err(case.fail("table", "pairs of a step and a multiplier"));
        };
        let found = schedule.multiplier(step);
        Ok(Comparison::number(
            &format!("step {step}"),
            found,
            recorded,
            LIMIT,
        ))
    };
    rows.iter().map(one).collect()
}

/// PSNR, SSIM and MS-SSIM of pairs `NAME.a`, `NAME.b` of 8-bit pictures `[1, channels, height,
/// width]`, against the record's f64 values.
pub(super) fn check_metrics(case: &Case) -> Result<Vec<Comparison>, CheckError> {
    let table = &case.description["table"];
    let mut comparisons = Vec::new();
    for pair in keys(table) {
        let (a, shape) = picture(case, &format!("{pair}.a"))?;
        let (b, other) = picture(case, &format!("{pair}.b"))?;
        if shape != other {
            return Err(case.fail("table", "pairs of pictures of one size"));
        }
        let values = [
            ("psnr", Some(psnr(&a, &b))),
            ("ssim", Some(ssim(&a, &b, shape))),
            ("ms_ssim", ms_ssim(&a, &b, shape)),
        ];
        for (metric, found) in values {
            let recorded = table[&pair][format!("{metric}_f64")].as_f64();
            let name = format!("{pair}.{metric}");
            comparisons.push(match (found, recorded) {
                (Some(found), Some(recorded)) => Comparison::number(&name, found, recorded, LIMIT),
                // Both say that the pictures are too small.
                (None, None) => Comparison::count(&name, 0),
                _ => Comparison::missing(&name),
            });
        }
    }
    Ok(comparisons)
}

/// Samples on -1..1 as models see them, and `[channels, height, width]`.
fn picture(case: &Case, name: &str) -> Result<(Vec<f32>, [usize; 3]), CheckError> {
    let tensor = case.tensor(name)?;
    let &[1, channels, height, width] = tensor.shape() else {
        return Err(case.fail(name, "a picture [1, channels, height, width]"));
    };
    let samples = tensor.as_slice::<u8>()?.iter();
    let values = samples.map(|&sample| f32::from(sample) / 127.5 - 1.0);
    Ok((values.collect(), [channels, height, width]))
}
