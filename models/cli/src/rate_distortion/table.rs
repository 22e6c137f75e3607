//! Means over all pictures as a Markdown table.

use super::Comparison;
use std::fmt::Write;

/// A line for each codec at each of the rungs with these positions; with `times`, also how long
/// files took. LPIPS has a column where it was measured.
pub fn markdown_table(comparison: &Comparison, rungs: &[usize], times: bool) -> String {
    let mut columns = vec![
        comparison.knob,
        "codec",
        "bits per pixel",
        "PSNR, dB",
        "MS-SSIM",
    ];
    let ours = &comparison.codecs[0];
    let lpips = ours.rungs.iter().flatten().flatten();
    let lpips = lpips.clone().any(|one| one.lpips.is_some());
    columns.extend(lpips.then_some("LPIPS"));
    if times {
        columns.extend(["encoding, s", "decoding, s"]);
    }
    let mut text = format!(
        "| {} |\n|{}\n",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
    let mut line = |first: &str, rest: &str| {
        writeln!(text, "| {first} | {rest} |").expect("a String takes all");
    };
    for &rung in rungs {
        for (position, codec) in comparison.codecs.iter().enumerate() {
            let first = match position {
                0 => comparison.rungs[rung].to_string(),
                _ => String::new(),
            };
            let name = codec.name;
            let Some(mean) = codec.mean(rung) else {
                let reason = match codec.missing {
                    true => "missing",
                    false => "no file as small for every picture",
                };
                line(
                    &first,
                    &format!("{name} | {reason} |{}", " |".repeat(columns.len() - 4)),
                );
                continue;
            };
            let share = |value: Option<f64>| value.map_or("-".into(), |x| format!("{x:.4}"));
            let mut rates = format!(
                "{name} | {:.3} | {:.2} | {}",
                mean.bits_per_pixel,
                mean.psnr,
                share(mean.ms_ssim)
            );
            if lpips {
                rates += &format!(" | {}", share(mean.lpips));
            }
            let times = match times {
                true => format!(
                    " | {:.3} | {:.3}",
                    mean.encoding_seconds, mean.decoding_seconds
                ),
                false => String::new(),
            };
            line(&first, &(rates + &times));
        }
    }
    text
}
