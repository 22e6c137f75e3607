//! What the bits of a stream of levels go to, group by group.

use crate::command::error::{CliError, Context};
use crate::command::output::Output;
use crate::command::progress::Progress;
use bsq::pipeline::CompileOptions;
use bsq::pretrained;
use bsq::transform_codec::stream::{GroupBits, LevelsCodec, LevelsHeader, StreamBits};
use serde_json::{Value, json};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// Finds the levels of a stream with its codec, and says what they take.
pub fn inspect(path: &Path, codec: &str, output: &Output) -> Result<Value, CliError> {
    if !pretrained::is_codec(codec) {
        return Err(CliError::new(format_args!(
            "{codec}: no transform codec, which --bits needs"
        )));
    }
    let options = CompileOptions {
        threads: output.threads,
        ..CompileOptions::default()
    };
    let mut codec = LevelsCodec::new(&pretrained::open_codec(codec)?, options)?;
    let mut file = BufReader::new(File::open(path).in_(path.display())?);
    let header = LevelsHeader::read(&mut file).in_(path.display())?;
    let strips = codec.strips(header.size).count();
    let progress = Progress::new(&path.display().to_string(), "strips", strips);
    let found = codec.bits_of(&header, file, &mut |done| progress.set(done));
    drop(progress);
    say(&found.in_(path.display())?, output)
}

fn say(bits: &StreamBits, output: &Output) -> Result<Value, CliError> {
    let StreamBits {
        groups,
        group_counts,
        framing,
        coder,
        all,
    } = bits;
    output.say(
        "  part    coordinates       levels      not 0         bits   share    nearest       side   distance",
    )?;
    let share = |bits: f64| 100.0 * bits / *all as f64;
    let coded = groups.iter().filter(|group| group.levels > 0);
    for group in coded.clone() {
        let GroupBits {
            part,
            coordinates,
            levels,
            nonzero,
            nearest,
            side,
            distance,
        } = group;
        let (own, places) = (
            group.bits(),
            format!("{}..{}", coordinates.start, coordinates.end),
        );
        output.say(format_args!(
            "  {:<7} {places:>11} {levels:>12} {nonzero:>10} {own:>12.1} {:>6.2}% {nearest:>10.1} {side:>10.1} {distance:>10.1}",
            part.to_string(),
            share(own)
        ))?;
    }
    let sum = |of: fn(&GroupBits) -> f64| groups.iter().map(of).sum::<f64>();
    let (nearest, side, distance) = (
        sum(|group| group.nearest),
        sum(|group| group.side),
        sum(|group| group.distance),
    );
    output.say(format_args!(
        "  levels: {:.1} bits, of which whether they are the expected ones {nearest:.1}, on which side {side:.1}, how far {distance:.1}",
        nearest + side + distance
    ))?;
    output.say(format_args!(
        "  numbers of coded groups: {group_counts} bits; header, lengths and checksums: {framing}; rounding and ends of the range coder: {coder:.1}; all: {all}"
    ))?;
    let groups = coded.map(|group| {
        json!({
            "part": group.part.to_string(),
            "coordinates": [group.coordinates.start, group.coordinates.end],
            "levels": group.levels,
            "nonzero": group.nonzero,
            "bits": group.bits(),
            "nearest": group.nearest,
            "side": group.side,
            "distance": group.distance,
        })
    });
    Ok(json!({
        "groups": groups.collect::<Vec<Value>>(),
        "group_counts": group_counts,
        "framing": framing,
        "coder": coder,
        "all": all,
    }))
}
