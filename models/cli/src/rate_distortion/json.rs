//! Figures in the schema of CompressAI's `results` folder, which its plotting programs read.
//!
//! ```json
//! { "name": "JPEG", "description": "...", "results": {
//!     "psnr-rgb": [28.1, 30.9], "ms-ssim-rgb": [0.91, 0.95], "bpp": [0.21, 0.35],
//!     "encoding_time": [0.01, 0.01], "decoding_time": [0.004, 0.005] } }
//! ```
//!
//! The lists run in parallel, by ascending rate; each value is a mean over all pictures. A codec
//! that is missing has empty lists, and its description says why.

use super::{Comparison, Figures, Measured};
use serde_json::{Value, json};

/// The codec at the rungs of our rate ladder; rungs that it has not for every picture are left
/// out.
pub fn same_size_json(comparison: &Comparison, figures: &Figures) -> Value {
    // The ladder descends.
    let means = (0..comparison.rungs.len()).rev();
    schema(
        figures,
        means.filter_map(|rung| figures.mean(rung)).collect(),
    )
}

/// The codec along its own settings; ours at the rungs of its ladder.
pub fn sweep_json(comparison: &Comparison, figures: &Figures) -> Value {
    match figures.sweep.is_empty() {
        true => same_size_json(comparison, figures),
        false => {
            let means = figures.sweep.iter();
            schema(
                figures,
                means.filter_map(|(_, all)| Measured::mean(all)).collect(),
            )
        }
    }
}

/// [`sweep_json`] with FVD along the curve, where it was measured; of tokens also with their bits per pixel as
/// they are and by how often each occurs.
pub fn clips_json(comparison: &Comparison, figures: &Figures) -> Value {
    let mut value = sweep_json(comparison, figures);
    let fvd: Option<Vec<f64>> = figures.fvd.iter().copied().collect();
    if let Some(mut fvd) = fvd.filter(|fvd| !fvd.is_empty()) {
        // Our ladder descends.
        if figures.sweep.is_empty() {
            fvd.reverse();
        }
        value["results"]["fvd"] = json!(fvd);
    }
    if let Some(rates) = &figures.token_rates {
        value["results"]["bpp-raw"] = json!([rates.raw()]);
        value["results"]["bpp-zero-order"] = json!([rates.zero_order()]);
    }
    value
}

fn schema(figures: &Figures, means: Vec<Measured>) -> Value {
    let list = |value: fn(&Measured) -> f64| means.iter().map(value).collect::<Vec<f64>>();
    let mut results = json!({
        "psnr-rgb": list(|one| one.psnr),
        "bpp": list(|one| one.bits_per_pixel),
        "encoding_time": list(|one| one.encoding_seconds),
        "decoding_time": list(|one| one.decoding_seconds),
    });
    // A list with holes would not be the schema's: below 256 pixels there is no MS-SSIM.
    // Without weights there is no LPIPS.
    let all = |value: fn(&Measured) -> Option<f64>| means.iter().map(value).collect();
    let (ms_ssim, lpips): (Option<Vec<f64>>, Option<Vec<f64>>) =
        (all(|one| one.ms_ssim), all(|one| one.lpips));
    for (name, values) in [("ms-ssim-rgb", ms_ssim), ("lpips-rgb", lpips)] {
        if let Some(values) = values {
            results[name] = json!(values);
        }
    }
    json!({
        "name": figures.name,
        "description": figures.description,
        "results": results,
    })
}
