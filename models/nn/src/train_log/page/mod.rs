//! A page that shows a training as it goes: curves, pictures, what is left. One file, no network.

mod chart;

use super::LogError;
use crate::train_log::json_lines::records;
use base64::{Engine, engine::general_purpose::STANDARD};
use chart::chart;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The page's name in the folder of the training.
pub const PAGE_NAME: &str = "page.html";

/// The folder of pictures beside it: `STEP-TAG.png`.
const PICTURES: &str = "pictures";

/// Steps of which a page shows pictures: the first, the last, and some between.
const SHOWN_STEPS: usize = 6;

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:76em;padding:0 1em;color:#222;background:#fff}\
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}.charts{display:flex;flex-wrap:wrap;gap:1.2em}\
figure{margin:0}figcaption{color:#555;font-size:.9em}svg{background:#fafafa;border:1px solid #ddd}\
.bar{background:#eee;height:.8em;max-width:40em}.bar div{background:#3572b0;height:.8em}\
.row{display:flex;gap:.6em;align-items:flex-end;flex-wrap:wrap;margin-bottom:1em}\
img{max-width:20em;height:auto;image-rendering:pixelated}pre{overflow-x:auto;background:#fafafa;padding:1em}";

/// How far a training is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// Steps that are done.
    pub done: u64,
    /// Steps that it ends with.
    pub last: u64,
    /// Seconds of a step, if any was measured.
    pub seconds_per_step: Option<f64>,
}

/// The page of a training.
#[derive(Debug)]
pub struct Page {
    folder: PathBuf,
    /// By name, in the order of steps.
    curves: BTreeMap<String, Vec<(u64, f64)>>,
    /// PNG files by tag and step.
    pictures: BTreeMap<String, BTreeMap<u64, Vec<u8>>>,
}

impl Page {
    /// The page of the log in a folder, with what lies before `step`. Nothing is written yet.
    ///
    /// # Errors
    /// If the log or a picture cannot be read.
    pub fn open(folder: &Path, step: u64) -> Result<Page, LogError> {
        let mut page = Page {
            folder: folder.into(),
            curves: BTreeMap::new(),
            pictures: BTreeMap::new(),
        };
        let log = folder.join("log.jsonl");
        for (at, name, value) in records(&log)? {
            if at < step {
                page.curves.entry(name).or_default().push((at, value));
            }
        }
        let Ok(entries) = fs::read_dir(folder.join(PICTURES)) else {
            return Ok(page);
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let Some((at, tag)) = stem.split_once('-') else {
                continue;
            };
            if let Some(at) = at.parse().ok().filter(|at| *at < step) {
                let png = fs::read(&path).map_err(LogError::at(&path))?;
                let of_tag = page.pictures.entry(tag.to_string()).or_default();
                of_tag.insert(at, png);
            }
        }
        Ok(page)
    }

    /// Adds named numbers of a step.
    pub fn scalars(&mut self, step: u64, scalars: &[(&str, f64)]) {
        for (name, value) in scalars {
            let curve = self.curves.entry(name.to_string()).or_default();
            curve.push((step, *value));
        }
    }

    /// Adds a picture of a step, a PNG file, and keeps it in the folder.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn image(&mut self, step: u64, tag: &str, png: &[u8]) -> Result<(), LogError> {
        let folder = self.folder.join(PICTURES);
        fs::create_dir_all(&folder).map_err(LogError::at(&folder))?;
        let path = folder.join(format!("{step}-{tag}.png"));
        fs::write(&path, png).map_err(LogError::at(&path))?;
        let of_tag = self.pictures.entry(tag.to_string()).or_default();
        of_tag.insert(step, png.to_vec());
        Ok(())
    }

    /// The largest number of that name so far.
    pub fn largest(&self, name: &str) -> Option<f64> {
        let values = self.curves.get(name)?.iter().map(|(_, value)| *value);
        values.reduce(f64::max)
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, place: Place) -> Result<(), LogError> {
        let (path, html) = (self.folder.join(PAGE_NAME), self.html(place));
        let write = |file: &mut std::io::BufWriter<_>| file.write_all(html.as_bytes());
        bsq_runtime::atomic_file::write_atomically(&path, write).map_err(LogError::at(&path))
    }

    fn html(&self, place: Place) -> String {
        let title = self
            .folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let title = escaped(&title);
        let mut html = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">{refresh}<title>{title}: step {done}</title>\
             <style>{STYLE}</style><h1>{title}</h1>",
            refresh = match place.done < place.last {
                true => "<meta http-equiv=\"refresh\" content=\"60\">",
                false => "",
            },
            done = place.done,
        );
        html += &progress(place);
        for (heading, prefix) in [("Evaluation", "eval/"), ("Training", "train/")] {
            let curves = self
                .curves
                .iter()
                .filter(|(name, _)| name.starts_with(prefix));
            let charts: Vec<String> = curves
                .map(|(name, points)| {
                    let name = escaped(&name[prefix.len()..].replace('_', " "));
                    format!("<figure>{}</figure>", chart(&name, points))
                })
                .collect();
            if !charts.is_empty() {
                let charts = charts.concat();
                let _ = write!(
                    html,
                    "<h2>{heading}</h2><div class=\"charts\">{charts}</div>"
                );
            }
        }
        if !self.pictures.is_empty() {
            html += "<h2>Pictures</h2>";
        }
        for (tag, by_step) in &self.pictures {
            html += "<div class=\"row\">";
            for (step, png) in shown(by_step) {
                let (data, tag) = (STANDARD.encode(png), escaped(tag));
                let _ = write!(
                    html,
                    "<figure><img alt=\"{tag} at step {step}\" src=\"data:image/png;base64,{data}\">\
                     <figcaption>{tag}, step {step}</figcaption></figure>"
                );
            }
            html += "</div>";
        }
        if let Ok(config) = fs::read_to_string(self.folder.join("config.toml")) {
            let config = escaped(&config);
            let _ = write!(
                html,
                "<h2>Configuration</h2><details><summary>config.toml</summary><pre>{config}</pre></details>"
            );
        }
        html += "</html>\n";
        html
    }
}

fn progress(place: Place) -> String {
    let Place { done, last, .. } = place;
    let share = 100.0 * done as f64 / last.max(1) as f64;
    let mut text = format!("<p>Step {done} of {last}");
    if let Some(seconds) = place.seconds_per_step {
        let left = seconds * last.saturating_sub(done) as f64;
        let rate = match seconds < 1.0 {
            true => format!("{:.1} steps a second", 1.0 / seconds),
            false => format!("{seconds:.1} seconds a step"),
        };
        text += &format!(", {rate}");
        if done < last {
            text += &format!(", {} left", duration(left));
        }
    }
    format!("{text}.</p><div class=\"bar\"><div style=\"width:{share:.1}%\"></div></div>")
}

/// Hours and minutes, as people say them.
fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).ceil() as u64;
    match minutes {
        0..60 => format!("{minutes} min"),
        _ => format!("{} h {} min", minutes / 60, minutes % 60),
    }
}

/// The first, the last, and some steps between.
fn shown(by_step: &BTreeMap<u64, Vec<u8>>) -> Vec<(u64, &[u8])> {
    let all: Vec<_> = by_step
        .iter()
        .map(|(step, png)| (*step, &png[..]))
        .collect();
    let count = all.len().min(SHOWN_STEPS);
    let place = |i: usize| i * (all.len() - 1) / (count - 1).max(1);
    (0..count).map(|i| all[place(i)]).collect()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_curves_pictures_and_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let mut page = Page::open(folder.path(), 1).unwrap();
        for step in 1..=20 {
            page.scalars(step, &[("train/loss", 1.0 / step as f64)]);
        }
        page.scalars(20, &[("eval/psnr", 30.0)]);
        page.image(20, "a<b", b"not looked at").unwrap();
        let place = Place {
            done: 20,
            last: 80,
            seconds_per_step: Some(60.0),
        };
        page.write(place).unwrap();
        let html = fs::read_to_string(folder.path().join(PAGE_NAME)).unwrap();
        for part in [
            "Step 20 of 80",
            "1 h 0 min left",
            "polyline",
            "psnr",
            "bm90IGxvb2tl",
            "a&lt;b",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("http://") && !html.contains("https://"));
    }

    #[test]
    fn a_resumed_page_keeps_what_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = crate::train_log::TrainLog::open(folder.path(), 0).unwrap();
        for step in [10, 20, 30] {
            log.scalars(step, &[("train/loss", step as f64)]).unwrap();
        }
        let mut page = Page::open(folder.path(), 0).unwrap();
        for step in [10, 30] {
            page.image(step, "photo", b"x").unwrap();
        }
        let page = Page::open(folder.path(), 21).unwrap();
        assert_eq!(page.curves["train/loss"], [(10, 10.0), (20, 20.0)]);
        assert_eq!(page.pictures["photo"].keys().collect::<Vec<_>>(), [&10]);
    }

    #[test]
    fn pictures_of_many_steps_are_thinned_out() {
        let by_step: BTreeMap<u64, Vec<u8>> = (0..100).map(|step| (step, vec![0])).collect();
        let steps: Vec<u64> = shown(&by_step).into_iter().map(|(step, _)| step).collect();
        assert_eq!((steps.len(), steps[0], steps[5]), (SHOWN_STEPS, 0, 99));
        assert_eq!(shown(&BTreeMap::from([(7, vec![0])])).len(), 1);
    }
}
