//! What the command says about an encoded photo.

use bsq::photo::EncodeReport;
use bsq::photo::tokens::TokensEncodeReport;
use bsq::transform_codec::stream::{LevelsEncodeReport, PartReport};
use serde_json::{Value, json};

/// What a photo came to, beside its size.
pub struct Said {
    /// In brackets after the size.
    pub short: String,
    pub details: Vec<String>,
    /// Members of an object.
    pub value: Value,
}

impl From<&EncodeReport> for Said {
    fn from(report: &EncodeReport) -> Said {
        match report {
            EncodeReport::Levels(report) => of_levels(report),
            EncodeReport::Tokens(report) => of_tokens(report),
        }
    }
}

fn of_levels(report: &LevelsEncodeReport) -> Said {
    let part = |part: &PartReport| {
        json!({
            "part": part.kind.to_string(),
            "levels": part.levels,
            "nonzero": part.nonzero,
            "bits": part.bits,
        })
    };
    let detail = |part: &PartReport| {
        let share = 100.0 * part.nonzero as f64 / part.levels as f64;
        let (kind, bytes) = (part.kind, part.bits / 8.0);
        format!("{kind}: {bytes:.0} bytes, {share:.1}% of its levels are not zero")
    };
    Said {
        short: format!("step {:.1}", report.step),
        details: report.parts.iter().map(detail).collect(),
        value: json!({
            "step": report.step,
            "strips": report.strips,
            "parts": report.parts.iter().map(part).collect::<Vec<_>>(),
        }),
    }
}

fn of_tokens(report: &TokensEncodeReport) -> Said {
    let (tiles, raw) = (report.stream.tiles.len(), report.raw_bits_per_pixel());
    Said {
        short: format!("{raw:.4} before coding"),
        details: vec![format!("{tiles} tiles")],
        value: json!({
            "raw_bits_per_pixel": raw,
            "tiles": tiles,
            "cross_entropy_bits": report.stream.cross_entropy_bits(),
            "tokens": report.tokens,
        }),
    }
}
