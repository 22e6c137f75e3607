//! A page that needs nothing but itself: the plot, the pictures side by side, and every figure.

use super::pages::{Row, STYLE, caption, codecs_list, files_table, rates};
use super::{Comparison, Figures, Part, svg_plot};
use crate::html::{base64, escaped};
use bsq::image_io::{Picture, encode_png};

/// Lays two codecs' pictures over each other.
const VIEWER: &str = include_str!("viewer.js");
const VIEWER_STYLE: &str = "img{image-rendering:pixelated;display:block}\
.stage{position:relative;display:inline-block;isolation:isolate;touch-action:none;cursor:ew-resize}\
.stage img{width:512px;height:auto}.stage img+img{position:absolute;left:0;top:0}\
.compare select{font:inherit}.compare:not(.ready) .bar,.compare:not(.ready) .stage,.compare.ready .row{display:none}";

/// A complete HTML file. It shows parts of each picture at twice their size, two codecs at a time.
pub fn html_page(comparison: &Comparison) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>bsq beside other codecs</title><style>{STYLE}{VIEWER_STYLE}</style></head><body>\n\
         <h1>bsq beside other codecs at the same file sizes</h1>\n{}\n\
         <p>Whole files are counted. The others' files are the largest that are not larger than \
         ours. PSNR is that of 8-bit RGB; MS-SSIM has five scales, per channel. Times are single \
         runs, those of programs with their start and their files. Keys, where pictures lie over each other: \
         arrows move the line between them, space flickers, d shows four times their difference.</p>\n{}\n",
        codecs_list(comparison),
        svg_plot(comparison)
    );
    if comparison.codecs.len() > 1 {
        page += &rates(comparison);
    }
    for number in 0..comparison.pictures.len() {
        let name = escaped(&comparison.pictures[number].name);
        page += &format!("\n<h2>{name}</h2>\n{}", viewer(comparison, number));
        page += &files_table(files(comparison, number));
    }
    page + &format!("<script>\n{VIEWER}</script>\n</body></html>\n")
}

/// Two pictures over each other, of all that there are.
fn viewer(comparison: &Comparison, number: usize) -> String {
    let original = &comparison.pictures[number];
    let mut shown = vec![("original", "original".to_string(), &original.views)];
    for codec in &comparison.codecs {
        let views = &codec.views[number];
        if let (Some(one), false) = (&codec.rungs[original.rung][number], views.is_empty()) {
            let caption = format!("{}: {}", codec.name, caption(one));
            shown.push((codec.name, caption, views));
        }
    }
    let options = |chosen: usize| -> String {
        let option = |(position, (name, ..)): (usize, &(&str, String, _))| {
            let selected = if position == chosen { " selected" } else { "" };
            format!("<option value=\"{position}\"{selected}>{name}</option>")
        };
        shown.iter().enumerate().map(option).collect()
    };
    let part = |(position, part): (usize, &Part)| {
        format!("<option value=\"{position}\">{}</option>", part.what)
    };
    let parts: String = original.parts.iter().enumerate().map(part).collect();
    let figure = |position: usize, part: usize| {
        let (_, caption, views) = &shown[position];
        image(&views[part], caption, [position, part])
    };
    let figures = (0..original.parts.len())
        .flat_map(|part| (0..shown.len()).map(move |position| (position, part)))
        .map(|(position, part)| figure(position, part));
    format!(
        "<div class=\"compare\" tabindex=\"0\"><div class=\"bar\">\
         <select aria-label=\"left\">{}</select> <input type=\"range\" aria-label=\"line between them\" value=\"50\"> \
         <select aria-label=\"right\">{}</select> <select aria-label=\"part\">{parts}</select> \
         <button>flicker</button> <label><input type=\"checkbox\"> difference</label></div>\n\
         <div class=\"stage\"><img alt=\"left\"><img alt=\"right\"></div>\n<p><output></output></p>\n\
         <div class=\"row\">\n{}</div></div>\n",
        options(0),
        options(1),
        figures.collect::<String>()
    )
}

fn image(picture: &Picture, caption: &str, [position, part]: [usize; 2]) -> String {
    format!(
        "<figure data-codec=\"{position}\" data-part=\"{part}\"><img alt=\"\" width=\"{}\" height=\"{}\" \
         src=\"data:image/png;base64,{}\"><figcaption>{caption}</figcaption></figure>\n",
        picture.width,
        picture.height,
        base64(&encode_png(picture))
    )
}

/// Every rung of one picture.
fn files(comparison: &Comparison, number: usize) -> impl Iterator<Item = Row<'_>> {
    let rungs = comparison.rungs.iter().enumerate();
    rungs.flat_map(move |(rung, setting)| {
        comparison.codecs.iter().map(move |codec| {
            let setting = format!("{} {setting}", comparison.knob);
            let file = codec.rungs[rung][number].ok_or_else(|| lack(codec));
            (codec.name, setting, file)
        })
    })
}

/// Why there is no file.
fn lack(codec: &Figures) -> &'static str {
    match codec.missing {
        true => "not measured",
        false => "no file as small",
    }
}
