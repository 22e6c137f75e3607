//! A page on which clips are watched side by side, frame for frame.

use super::super::pages::{Row, STYLE, caption, codecs_list, files_table, rates};
use super::super::{Comparison, Measured, svg_plot};
use crate::html::escaped;
use std::fmt::Write;
use std::path::PathBuf;

/// Plays the clips of a row together.
const PLAYER: &str = include_str!("player.js");

/// A clip to be watched.
#[derive(Clone, Debug)]
pub struct View {
    pub name: String,
    pub path: PathBuf,
    /// Of what it was decoded from; none of the original.
    pub figures: Option<Measured>,
}

impl View {
    pub(super) fn new(name: &str, path: PathBuf, figures: Option<Measured>) -> View {
        View {
            name: name.to_string(),
            path,
            figures,
        }
    }
}

/// What there is to watch of a clip.
#[derive(Clone, Debug)]
pub struct Watched {
    pub views: Vec<View>,
    pub frames: usize,
    /// Frames per second.
    pub rate: f64,
}

/// A complete HTML file beside a folder of clips: what there is to watch of each of the comparison's.
pub fn clips_page(comparison: &Comparison, clips: &[Watched]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <title>bsq beside video codecs</title><style>{STYLE}\
         video{{display:block;max-width:46vw}}</style></head><body>\n\
         <h1>bsq beside video codecs</h1>\n{}\n\
         <p>Our files are whole, the others raw streams. PSNR and MS-SSIM are those of 8-bit RGB, means over \
         frames. What is shown is decoded and coded again, near-lossless, for the browser. Keys: space plays and \
         pauses, arrows go a frame back and on, Home and End to the first and the last.</p>\n{}\n",
        codecs_list(comparison),
        svg_plot(comparison)
    );
    if comparison.codecs.len() > 1 {
        page += &rates(comparison);
    }
    page += &fvd_table(comparison);
    page += &tokens_table(comparison);
    for (number, original) in comparison.pictures.iter().enumerate() {
        page += &format!("\n<h2>{}</h2>\n", escaped(&original.name));
        if let Some(clip) = clips.get(number).filter(|clip| !clip.views.is_empty()) {
            page += &row(clip);
        }
        page += &files_table(files(comparison, number));
    }
    page + &format!("<script>\n{PLAYER}</script>\n</body></html>\n")
}

/// What a setting of ours is called.
fn setting(comparison: &Comparison, rung: usize) -> String {
    match comparison.knob {
        "quality" => format!("quality {}", comparison.rungs[rung]),
        knob => knob.to_string(),
    }
}

/// Rates of tokens, of files that are made of them.
fn tokens_table(comparison: &Comparison) -> String {
    let ours = &comparison.codecs[0];
    let (Some(rates), Some(files)) = (&ours.token_rates, ours.mean(0)) else {
        return String::new();
    };
    let lines = rates.lines(files.bits_per_pixel).into_iter();
    let line = |(name, pixel, token): (String, f64, f64)| {
        format!("<tr><td>{name}</td><td>{pixel:.4}</td><td>{token:.2}</td></tr>\n")
    };
    format!(
        "\n<table><tr><th>tokens</th><th>bits per pixel</th><th>bits per token</th></tr>\n{}</table>\n",
        lines.map(line).collect::<String>()
    )
}

/// FVD along each codec's settings; nothing where it was not measured.
fn fvd_table(comparison: &Comparison) -> String {
    let mut lines = String::new();
    for (codec, setting, fvd) in fvd_points(comparison) {
        let fvd = fvd.map_or("-".to_string(), |fvd| format!("{fvd:.1}"));
        writeln!(
            lines,
            "<tr><td>{codec}</td><td>{setting}</td><td>{fvd}</td></tr>"
        )
        .expect("a String takes all");
    }
    match lines.is_empty() {
        true => lines,
        false => format!(
            "\n<table><tr><th>codec</th><th>setting</th><th>FVD, all clips</th></tr>\n{lines}</table>\n"
        ),
    }
}

/// Codec, setting and FVD.
fn fvd_points(
    comparison: &Comparison,
) -> impl Iterator<Item = (&'static str, String, Option<f64>)> {
    comparison.codecs.iter().flat_map(|codec| {
        let settings: Vec<String> = match codec.sweep.is_empty() {
            true => (0..comparison.rungs.len())
                .map(|rung| setting(comparison, rung))
                .collect(),
            false => codec
                .sweep
                .iter()
                .map(|(rate, _)| format!("CRF {rate}"))
                .collect(),
        };
        let points = settings.into_iter().zip(codec.fvd.iter().copied());
        points.map(|(setting, fvd)| (codec.name, setting, fvd))
    })
}

fn row(clip: &Watched) -> String {
    let Watched {
        views,
        frames,
        rate,
    } = clip;
    let mut row = format!(
        "<div class=\"clips\" tabindex=\"0\" data-frames=\"{frames}\" data-rate=\"{rate}\">\
         <div class=\"bar\"><button>play</button> <input type=\"range\" aria-label=\"frame\" min=\"0\" max=\"{}\" \
         value=\"0\"> <output></output></div><div class=\"row\">\n",
        frames.saturating_sub(1)
    );
    for view in views {
        let caption = match view.figures {
            None => "original".to_string(),
            Some(one) => format!("{}: {}", escaped(&view.name), caption(&one)),
        };
        let file = view.path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(
            row,
            "<figure><video muted playsinline preload=\"auto\" src=\"clips/{}\"></video>\
             <figcaption>{caption}</figcaption></figure>",
            escaped(&file)
        )
        .expect("a String takes all");
    }
    row + "</div></div>\n"
}

/// Means over clips as a Markdown table.
pub fn clip_table(comparison: &Comparison) -> String {
    let mut text = "| codec | setting | bits per pixel | PSNR, dB | MS-SSIM | LPIPS | encoding, s | decoding, s |\n\
                    |---|---|---|---|---|---|---|---|\n"
        .to_string();
    let mut line = |codec: &str, setting: String, mean: Option<Measured>| {
        let Some(mean) = mean else { return };
        let share = |value: Option<f64>| value.map_or("-".to_string(), |x| format!("{x:.4}"));
        writeln!(
            text,
            "| {codec} | {setting} | {:.4} | {:.2} | {} | {} | {:.2} | {:.2} |",
            mean.bits_per_pixel,
            mean.psnr,
            share(mean.ms_ssim),
            share(mean.lpips),
            mean.encoding_seconds,
            mean.decoding_seconds
        )
        .expect("a String takes all");
    };
    for codec in &comparison.codecs {
        for rung in 0..comparison.rungs.len() {
            line(codec.name, setting(comparison, rung), codec.mean(rung));
        }
        for (rate, all) in codec.sweep.iter().rev() {
            line(codec.name, format!("CRF {rate}"), Measured::mean(all));
        }
    }
    let mut points = fvd_points(comparison).peekable();
    if points.peek().is_some() {
        text += "\n| codec | setting | FVD, all clips |\n|---|---|---|\n";
    }
    for (codec, setting, fvd) in points {
        let fvd = fvd.map_or("-".to_string(), |fvd| format!("{fvd:.1}"));
        writeln!(text, "| {codec} | {setting} | {fvd} |").expect("a String takes all");
    }
    let ours = &comparison.codecs[0];
    match (&ours.token_rates, ours.mean(0)) {
        (Some(rates), Some(files)) => text + &rates.table(files.bits_per_pixel),
        _ => text,
    }
}

/// Every setting of one clip, by ascending rate.
fn files(comparison: &Comparison, number: usize) -> impl Iterator<Item = Row<'_>> {
    let ours = (0..comparison.rungs.len()).rev().filter_map(move |rung| {
        let file = comparison.codecs[0].rungs[rung][number]?;
        Some(("bsq", setting(comparison, rung), Ok(file)))
    });
    let others = comparison.codecs[1..].iter().flat_map(move |codec| {
        let point = move |(rate, all): &(f64, Vec<Measured>)| {
            (codec.name, format!("CRF {rate}"), Ok(all[number]))
        };
        codec.sweep.iter().map(point)
    });
    ours.chain(others)
}
