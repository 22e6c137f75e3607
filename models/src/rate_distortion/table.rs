//! Means over all pictures as a Markdown table.

use super::Comparison;
use std::fmt::Write;

/// A line for each codec at each of the rungs with these positions.
pub fn markdown_table(comparison: &Comparison, rungs: &[usize]) -> String {
    let mut text = String::from(
        "| sub-tokens | codec | bits per pixel | PSNR, dB | MS-SSIM | encoding, s | decoding, s |\n\
         |---|---|---|---|---|---|---|\n",
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
                line(&first, &format!("{name} | {reason} | | | |"));
                continue;
            };
            let ms_ssim = mean.ms_ssim.map_or("-".into(), |x| format!("{x:.4}"));
            line(
                &first,
                &format!(
                    "{name} | {:.3} | {:.2} | {ms_ssim} | {:.3} | {:.3}",
                    mean.bits_per_pixel, mean.psnr, mean.encoding_seconds, mean.decoding_seconds
                ),
            );
        }
    }
    text
}
