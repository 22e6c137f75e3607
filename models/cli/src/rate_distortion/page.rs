//! A page that needs nothing but itself: the plot, the pictures side by side, and every figure.

use super::{BdRate, Comparison, Figures, Measured, svg_plot};
use crate::html::{base64, escaped};
use bsq::image_io::{Picture, encode_png};
use std::fmt::Write;

pub(super) const STYLE: &str = "body{font-family:sans-serif;margin:2em;max-width:120em}\
table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}\
td:first-child,th:first-child,td:nth-child(2),th:nth-child(2){text-align:left}\
.row{display:flex;flex-wrap:wrap;gap:8px}figure{margin:0}figcaption{font-size:.8em;padding:.3em 0}\
img{image-rendering:pixelated;display:block}";

/// A complete HTML file. It shows the middle of each picture, pixel for pixel, at the first rung.
pub fn html_page(comparison: &Comparison) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>bsq beside other codecs</title><style>{STYLE}</style></head><body>\n\
         <h1>bsq beside other codecs at the same file sizes</h1>\n"
    );
    let mut add = |line: &str| {
        page += line;
        page.push('\n');
    };
    add(&codecs_list(comparison));
    add(
        "<p>Whole files are counted. The others' files are the largest that are not larger than \
         ours. PSNR is that of 8-bit RGB; MS-SSIM has five scales, per channel. Times are single \
         runs, those of programs with their start and their files.</p>",
    );
    add(&svg_plot(comparison));
    if comparison.codecs.len() > 1 {
        add(&rates(comparison));
    }
    for (number, (name, original)) in comparison.pictures.iter().enumerate() {
        add(&format!("<h2>{}</h2>\n<div class=\"row\">", escaped(name)));
        add(&shown(original, "original, the middle of it"));
        for codec in &comparison.codecs {
            let figures = codec.rungs[0][number];
            let caption = format!("{}: {}", codec.name, caption(codec, figures));
            match &codec.views[number] {
                Some(view) => add(&shown(view, &caption)),
                None => add(&format!(
                    "<figure><figcaption>{caption}</figcaption></figure>"
                )),
            }
        }
        add("</div>");
        add(&details(comparison, number));
    }
    add("</body></html>");
    page
}

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

fn caption(codec: &Figures, figures: Option<Measured>) -> String {
    match figures {
        Some(one) => format!(
            "{} bytes, {:.3} bits per pixel, {:.2} dB{}{}",
            one.bytes,
            one.bits_per_pixel,
            one.psnr,
            one.ms_ssim
                .map_or(String::new(), |x| format!(", MS-SSIM {x:.4}")),
            one.lpips
                .map_or(String::new(), |x| format!(", LPIPS {x:.4}"))
        ),
        None if codec.missing => "not measured".to_string(),
        None => "no file as small".to_string(),
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or("-".to_string(), |x| format!("{x:.4}"))
}

/// Every rung of one picture.
fn details(comparison: &Comparison, number: usize) -> String {
    let mut table = format!(
        "<details open><summary>all rates</summary><table><tr><th>{}</th><th>codec</th>\
         <th>bytes</th><th>bits per pixel</th><th>PSNR, dB</th><th>MS-SSIM</th><th>LPIPS</th>\
         <th>encoding, s</th><th>decoding, s</th></tr>",
        comparison.knob
    );
    for (rung, setting) in comparison.rungs.iter().enumerate() {
        for codec in &comparison.codecs {
            let first = format!("<tr><td>{setting}</td><td>{}</td>", codec.name);
            let rest = match codec.rungs[rung][number] {
                None => format!("<td colspan=\"7\">{}</td>", caption(codec, None)),
                Some(one) => format!(
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
            write!(table, "{first}{rest}</tr>").expect("a String takes all");
        }
    }
    table + "</table></details>"
}

fn shown(picture: &Picture, caption: &str) -> String {
    format!(
        "<figure><img alt=\"\" width=\"{}\" height=\"{}\" src=\"data:image/png;base64,{}\">\
         <figcaption>{caption}</figcaption></figure>",
        picture.width,
        picture.height,
        base64(&encode_png(picture))
    )
}
