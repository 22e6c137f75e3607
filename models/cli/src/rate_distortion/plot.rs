//! Rate and distortion as an SVG drawing: PSNR and MS-SSIM over bits per pixel.

use super::{Comparison, Figures, Measured};
use std::fmt::Write;

/// Size of a panel's field, and what surrounds it.
const FIELD: (f64, f64) = (420.0, 320.0);
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
/// Room for the curves' names, right of their field.
const RIGHT: f64 = 90.0;
const PANEL: f64 = FIELD.0 + LEFT + RIGHT;

/// One for each codec that there is.
const COLOURS: [&str; 6] = [
    "#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf",
];
/// Between the lines of two names.
const LINE: f64 = 15.0;

/// Rates are drawn up to this multiple of our largest.
const FARTHEST: f64 = 2.0;

/// A complete SVG file. Our curve is the rate ladder, the others' go along their own settings.
pub fn svg_plot(comparison: &Comparison) -> String {
    let curves: Vec<(&Figures, Vec<Measured>)> = comparison
        .codecs
        .iter()
        .map(|figures| (figures, curve(comparison, figures)))
        .collect();
    let rates = curves[0].1.iter().map(|point| point.bits_per_pixel);
    let farthest = FARTHEST * rates.fold(0.0, f64::max);
    let (width, height) = (2.0 * PANEL, FIELD.1 + TOP + 50.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let psnr = |point: &Measured| Some(point.psnr).filter(|psnr| psnr.is_finite());
    panel(&mut svg, 0.0, "PSNR, dB", &curves, farthest, &psnr);
    let ms_ssim = |point: &Measured| point.ms_ssim;
    panel(&mut svg, PANEL, "MS-SSIM", &curves, farthest, &ms_ssim);
    svg += "</svg>\n";
    svg
}

/// Means by ascending rate.
fn curve(comparison: &Comparison, figures: &Figures) -> Vec<Measured> {
    match figures.sweep.is_empty() {
        true => {
            let rungs = (0..comparison.rungs.len()).rev();
            rungs.filter_map(|rung| figures.mean(rung)).collect()
        }
        false => {
            let means = figures.sweep.iter();
            means.filter_map(|(_, all)| Measured::mean(all)).collect()
        }
    }
}

fn panel(
    svg: &mut String,
    left: f64,
    title: &str,
    curves: &[(&Figures, Vec<Measured>)],
    farthest: f64,
    value: &dyn Fn(&Measured) -> Option<f64>,
) {
    let drawn = |points: &[Measured]| -> Vec<(f64, f64)> {
        let near = points
            .iter()
            .filter(|point| point.bits_per_pixel <= farthest);
        near.filter_map(|point| Some((point.bits_per_pixel, value(point)?)))
            .collect()
    };
    let all = curves.iter().flat_map(|(_, points)| drawn(points));
    let (lowest, highest) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, y)| {
        (low.min(y), high.max(y))
    });
    let (x0, y0) = (left + LEFT, TOP + FIELD.1);
    let mut add = |line: String| writeln!(svg, "{line}").expect("a String takes all");
    add(format!(
        "<text x=\"{x0}\" y=\"20\" font-weight=\"bold\">{title}</text>"
    ));
    add(format!(
        "<rect x=\"{x0}\" y=\"{TOP}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#888\"/>",
        FIELD.0, FIELD.1
    ));
    if lowest > highest {
        add(format!(
            "<text x=\"{}\" y=\"{}\">not measured</text>",
            x0 + 20.0,
            TOP + 30.0
        ));
        return;
    }
    let (bottom, step_y) = axis(lowest, highest);
    let top = bottom + step_y * ((highest - bottom) / step_y).ceil().max(1.0);
    let at_x = |x: f64| x0 + x / farthest * FIELD.0;
    let at_y = |y: f64| y0 - (y - bottom) / (top - bottom) * FIELD.1;
    let (_, step_x) = axis(0.0, farthest);
    for tick in 0..=(farthest / step_x) as usize {
        let (x, label) = (at_x(tick as f64 * step_x), tick as f64 * step_x);
        let y = y0 + 18.0;
        add(format!(
            "<path d=\"M{x:.1} {y0}V{TOP}\" stroke=\"#eee\"/>\
             <text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
            short(label)
        ));
    }
    for tick in 0..=((top - bottom) / step_y).round() as usize {
        let label = bottom + tick as f64 * step_y;
        let y = at_y(label);
        add(format!(
            "<path d=\"M{x0} {y:.1}H{}\" stroke=\"#eee\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            x0 + FIELD.0,
            x0 - 6.0,
            y + 4.0,
            short(label)
        ));
    }
    let (x, y) = (x0 + FIELD.0 / 2.0, y0 + 38.0);
    add(format!(
        "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">bits per pixel</text>"
    ));
    let mut ends = Vec::new();
    for (index, (figures, points)) in curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let places = drawn(points).into_iter().map(|(x, y)| (at_x(x), at_y(y)));
        let places: Vec<(f64, f64)> = places.collect();
        let line: Vec<String> = places
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        add(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        ));
        for (x, y) in &places {
            add(format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            ));
        }
        let name = match figures.missing {
            true => format!("{} (missing)", figures.name),
            false => figures.name.to_string(),
        };
        let corner = (x0 + FIELD.0, y0);
        ends.push((places.last().copied().unwrap_or(corner), colour, name));
    }
    for (((x, y), colour, name), at) in names(ends, TOP + 6.0, y0) {
        let left = x0 + FIELD.0 + 8.0;
        add(format!(
            "<path d=\"M{x:.1} {y:.1}L{left} {at:.1}\" stroke=\"{colour}\" stroke-dasharray=\"2 3\"/>\
             <text x=\"{}\" y=\"{:.1}\" fill=\"{colour}\">{name}</text>",
            left + 4.0,
            at + 4.0
        ));
    }
}

/// Where a curve ends, its colour and its name.
type End = ((f64, f64), &'static str, String);

/// The height of each curve's name: that of its end, or as near as the other names allow.
fn names(mut ends: Vec<End>, top: f64, bottom: f64) -> Vec<(End, f64)> {
    ends.sort_by(|((_, a), ..), ((_, b), ..)| a.total_cmp(b));
    let mut lowest = bottom - LINE * (ends.len() as f64 - 1.0);
    let mut highest = top;
    let placed = ends.into_iter().map(|end| {
        let ((_, y), ..) = end;
        let at = y.min(lowest).max(highest);
        (lowest, highest) = (lowest + LINE, at + LINE);
        (end, at)
    });
    placed.collect()
}

/// Where an axis starts, and the distance of its ticks: 1, 2 or 5 times a power of ten, about six
/// of them.
fn axis(lowest: f64, highest: f64) -> (f64, f64) {
    let rough = ((highest - lowest) / 6.0).max(1e-4);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power);
    let step = step
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(10.0 * power);
    ((lowest / step).floor() * step, step)
}

/// At most four digits behind the point, without zeros at the end.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}
