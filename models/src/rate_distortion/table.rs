//! Means over all pictures as a Markdown table.

use super::Comparison;
use std::fmt::Write;

/// A line for each codec at each of the rungs with these positions; with `times`, also how long
/// files took.
pub fn markdown_table(comparison: &Comparison, rungs: &[usize], times: bool) -> String {
    let mut text = String::from("| sub-tokens | codec | bits per pixel | PSNR, dB | MS-SSIM |");
    text += match times {
        true => " encoding, s | decoding, s |\n|---|---|---|---|---|---|---|\n",
        false => "\n|---|---|---|---|---|\n",
    };
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
                let rest = if times { " | |" } else { "" };
                line(&first, &format!("{name} | {reason} | |{rest}"));
                continue;
            };
            let ms_ssim = mean.ms_ssim.map_or("-".into(), |x| format!("{x:.4}"));
            let rates = format!(
                "{name} | {:.3} | {:.2} | {ms_ssim}",
                mean.bits_per_pixel, mean.psnr
            );
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
