//! A page that needs nothing but itself: means, every picture's figures, the worst side by side.

use super::{PictureFigures, SetFigures, spread};
use crate::html::{base64, escaped};
use std::fmt::Write;

const STYLE: &str = "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}\
td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}\
td:first-child,th:first-child{text-align:left}.row{display:flex;gap:8px}figure{margin:0 0 1em}\
figcaption{font-size:.8em}";

/// A complete HTML file. `worst` are shown, the worst first: each original and reconstruction as PNG.
pub fn html_page(
    model: &str,
    figures: &[PictureFigures],
    sets: Option<&SetFigures>,
    worst: &[(PictureFigures, [Vec<u8>; 2])],
) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>bsq eval</title>\
         <style>{STYLE}</style></head><body>\n<h1>{} on {} pictures</h1>\n",
        escaped(model),
        figures.len()
    );
    page += "<table><tr><th></th><th>mean</th><th>deviation</th></tr>\n";
    for (name, values) in columns(figures) {
        let values = values.into_iter().flatten();
        if let Some((mean, deviation)) = spread(values) {
            let _ = writeln!(
                page,
                "<tr><td>{name}</td><td>{mean:.4}</td><td>{deviation:.4}</td></tr>"
            );
        }
    }
    page += "</table>\n";
    if let Some(sets) = sets {
        page += "<table>\n";
        for (name, value) in [
            ("FID", sets.fid),
            ("inception score", sets.inception_score),
            ("precision", sets.precision),
            ("recall", sets.recall),
        ] {
            let value = value.map_or("-".to_string(), |value| format!("{value:.4}"));
            let _ = writeln!(page, "<tr><td>{name}</td><td>{value}</td></tr>");
        }
        page += "</table>\n";
    }
    page += "<h2>The worst</h2>\n";
    for (figures, [original, reconstruction]) in worst {
        let _ = writeln!(
            page,
            "<figure><div class=\"row\">{}{}</div><figcaption>{}: {:.2} dB</figcaption></figure>",
            shown(original),
            shown(reconstruction),
            escaped(&figures.path),
            figures.psnr
        );
    }
    page += "<h2>All</h2>\n<table><tr><th>picture</th>";
    for (name, _) in columns(figures) {
        let _ = write!(page, "<th>{name}</th>");
    }
    page += "</tr>\n";
    let columns = columns(figures);
    for (row, figures) in figures.iter().enumerate() {
        let _ = write!(page, "<tr><td>{}</td>", escaped(&figures.path));
        for (_, values) in &columns {
            let value = values[row].map_or("-".to_string(), |value| format!("{value:.4}"));
            let _ = write!(page, "<td>{value}</td>");
        }
        page += "</tr>\n";
    }
    page + "</table></body></html>\n"
}

/// Figures by name.
pub(crate) fn columns(figures: &[PictureFigures]) -> Vec<(&'static str, Vec<Option<f64>>)> {
    let column = |of: fn(&PictureFigures) -> Option<f64>| figures.iter().map(of).collect();
    vec![
        ("PSNR", column(|own| Some(own.psnr))),
        ("SSIM", column(|own| Some(own.ssim))),
        ("MS-SSIM", column(|own| own.ms_ssim)),
        ("LPIPS", column(|own| own.lpips)),
    ]
}

fn shown(png: &[u8]) -> String {
    let png = base64(png);
    format!("<img src=\"data:image/png;base64,{png}\" alt=\"\">")
}
