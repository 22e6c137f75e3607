//! A curve as SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 180.0;
/// Room on the left for numbers, and below.
const LEFT: f64 = 62.0;
const BELOW: f64 = 20.0;
const ABOVE: f64 = 24.0;

/// Points that a curve has at most: more are means of neighbours.
const POINTS: usize = 300;

/// From this ratio of the largest to the smallest value on, if all are positive, the scale is
/// logarithmic.
const LOGARITHMIC: f64 = 20.0;

/// A curve of values by step, with its name and last value above.
pub(super) fn chart(name: &str, points: &[(u64, f64)]) -> String {
    let finite = points.iter().filter(|(_, value)| value.is_finite());
    let finite: Vec<(f64, f64)> = finite.map(|(step, value)| (*step as f64, *value)).collect();
    let Some(&(last_step, last)) = finite.last() else {
        return format!("<figcaption>{name}: no number yet</figcaption>");
    };
    let thinned = thinned(&finite);
    let values = thinned.iter().map(|(_, value)| *value);
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let is_logarithmic = low > 0.0 && high / low > LOGARITHMIC;
    let scaled = |value: f64| if is_logarithmic { value.log10() } else { value };
    let (bottom, top) = (scaled(low), scaled(high));
    let (first_step, span) = (finite[0].0, (last_step - finite[0].0).max(1.0));
    let x = |step: f64| LEFT + (step - first_step) / span * (WIDTH - LEFT - 8.0);
    let y = |value: f64| {
        let share = match top > bottom {
            true => (scaled(value) - bottom) / (top - bottom),
            false => 0.5,
        };
        HEIGHT - BELOW - share * (HEIGHT - BELOW - ABOVE)
    };
    let mut line = String::new();
    for (step, value) in &thinned {
        let _ = write!(line, "{:.1},{:.1} ", x(*step), y(*value));
    }
    let scale = if is_logarithmic { ", logarithmic" } else { "" };
    let label = |place: f64, text: &str| {
        format!(
            "<text x=\"{}\" y=\"{place:.0}\" text-anchor=\"end\">{text}</text>",
            LEFT - 5.0
        )
    };
    let mut svg = format!(
        "<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" font-size=\"11\" role=\"img\" aria-label=\"{name}\">\
         <text x=\"8\" y=\"15\" font-size=\"13\">{name}: {last}{scale}</text>",
        last = number(last)
    );
    svg += &label(y(high) + 4.0, &number(high));
    if top > bottom {
        svg += &label(y(low) + 4.0, &number(low));
    }
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{foot}\">{first_step}</text>\
         <text x=\"{right}\" y=\"{foot}\" text-anchor=\"end\">step {last_step}</text>\
         <polyline fill=\"none\" stroke=\"#3572b0\" stroke-width=\"1.5\" points=\"{line}\"/>",
        foot = HEIGHT - 5.0,
        right = WIDTH - 8.0,
    );
    let (x, y) = (
        x(last_step),
        y(thinned.last().map_or(last, |point| point.1)),
    );
    let _ = write!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"#3572b0\"/></svg>"
    );
    svg
}

/// Four significant digits.
fn number(value: f64) -> String {
    let size = value.abs();
    match () {
        _ if size == 0.0 => "0".to_string(),
        _ if !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        _ if size < 1.0 => format!("{value:.4}"),
        _ if size < 100.0 => format!("{value:.3}"),
        _ => format!("{value:.0}"),
    }
}

fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(POINTS);
    let mean = |part: &[(f64, f64)]| {
        let count = part.len() as f64;
        let (steps, values) = part
            .iter()
            .fold((0.0, 0.0), |(steps, values), (step, value)| {
                (steps + step, values + value)
            });
        (steps / count, values / count)
    };
    points.chunks(each.max(1)).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_lie_inside_and_long_ones_are_thinned() {
        let points: Vec<(u64, f64)> = (0..5000).map(|i| (i, (1.0 + i as f64).powi(2))).collect();
        let svg = chart("loss", &points);
        assert!(svg.contains("logarithmic"), "{svg}");
        let line = svg
            .split("points=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let places: Vec<(f64, f64)> = line
            .split_whitespace()
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert!(places.len() <= POINTS && places.len() > POINTS / 2);
        assert!(places.is_sorted_by(|a, b| a.0 < b.0 && a.1 >= b.1));
        for (x, y) in places {
            assert!((LEFT..WIDTH).contains(&x) && (ABOVE..=HEIGHT - BELOW).contains(&y));
        }
    }

    #[test]
    fn one_number_and_none_are_shown_too() {
        assert!(chart("psnr", &[(3, 31.25)]).contains("psnr: 31.250"));
        assert!(chart("flat", &[(1, 0.0), (2, 0.0)]).contains("flat: 0"));
        assert!(chart("loss", &[(1, f64::NAN)]).contains("no number yet"));
    }
}
