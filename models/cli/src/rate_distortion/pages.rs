//! What pages of pictures and of clips have in common.

use super::{BdRate, Comparison, Figures, Measured};
use crate::html::escaped;
use std::fmt::Write;

pub(super) const STYLE: &str = "body{font-family:sans-serif;margin:2em;max-width:120em}\
table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}\
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}\
.row{display:flex;flex-wrap:wrap;gap:8px}figure{margin:0}figcaption{font-size:.8em;padding:.3em 0}\
.bar{padding:.5em 0}.bar input[type=range]{width:30em}";

/// What each codec is, and why it is missing.
pub(super) fn codecs_list(comparison: &Comparison) -> String {
    let line = |codec: &Figures| {
        let missing = if codec.missing { "not measured: " } else { "" };
        let description = escaped(&codec.description);
        format!("<li><b>{}</b>: {missing}{description}</li>\n", codec.name)
    };
    let lines: String = comparison.codecs.iter().map(line).collect();
    format!("<ul>\n{lines}</ul>")
}

/// Rates at equal quality.
pub(super) fn rates(comparison: &Comparison) -> String {
    let mut table = "<table><tr><th>bits of bsq at equal quality</th><th>beside</th><th>PSNR</th>\
                     <th>MS-SSIM</th></tr>\n"
        .to_string();
    for (position, codec) in comparison.codecs.iter().enumerate().skip(1) {
        let BdRate { psnr, ms_ssim } = comparison.bd_rate(position);
        let [psnr, ms_ssim] = [psnr, ms_ssim]
            .map(|rate| rate.map_or("-".to_string(), |rate| format!("{:+.1}%", 100.0 * rate)));
        let name = codec.name;
        writeln!(
            table,
            "<tr><td></td><td>{name}</td><td>{psnr}</td><td>{ms_ssim}</td></tr>"
        )
        .expect("a String takes all");
    }
    table + "</table>"
}

/// What a file came to, in a line.
pub(super) fn caption(one: &Measured) -> String {
    let share = |name: &str, value: Option<f64>| {
        value.map_or(String::new(), |x| format!(", {name} {x:.4}"))
    };
    format!(
        "{} bytes, {:.4} bits per pixel, {:.2} dB{}{}",
        one.bytes,
        one.bits_per_pixel,
        one.psnr,
        share("MS-SSIM", one.ms_ssim),
        share("LPIPS", one.lpips)
    )
}

/// A row of a table of files: codec, setting, and what the file came to or why there is none.
pub(super) type Row<'a> = (&'a str, String, Result<Measured, &'a str>);

/// Every file of one picture or clip.
pub(super) fn files_table<'a>(rows: impl Iterator<Item = Row<'a>>) -> String {
    let mut table = "<details open><summary>all rates</summary><table><tr><th>codec</th><th>setting</th>\
                     <th>bytes</th><th>bits per pixel</th><th>PSNR, dB</th><th>MS-SSIM</th><th>LPIPS</th>\
                     <th>encoding, s</th><th>decoding, s</th></tr>\n"
        .to_string();
    let share = |value: Option<f64>| value.map_or("-".to_string(), |x| format!("{x:.4}"));
    for (codec, setting, file) in rows {
        let rest = match file {
            Err(reason) => format!("<td colspan=\"7\">{reason}</td>"),
            Ok(one) => format!(
                "<td>{}</td><td>{:.4}</td><td>{:.2}</td><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3}</td>",
                one.bytes,
                one.bits_per_pixel,
                one.psnr,
                share(one.ms_ssim),
                share(one.lpips),
                one.encoding_seconds,
                one.decoding_seconds
            ),
        };
        writeln!(table, "<tr><td>{codec}</td><td>{setting}</td>{rest}</tr>")
            .expect("a String takes all");
    }
    table + "</table></details>\n"
}
