//! Decoding streams of transform codecs.

use super::{open, written};
use crate::command::error::{CliError, Context};
use crate::command::limits::LimitArgument;
use crate::command::model::ModelArgument;
use crate::command::output::Output;
use crate::command::picture::PictureFile;
use crate::command::progress::Progress;
use bsq::codec::CodecError;
use bsq::image_io::ImageSize;
use bsq::pipeline::CompileOptions;
use bsq::transform_codec::stream::{LevelsCodec, LevelsHeader};
use serde_json::{Value, json};
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

/// The codec of streams of levels.
pub struct Levels {
    codec: LevelsCodec,
    pub name: String,
    recover: bool,
    limits: LimitArgument,
}

impl Levels {
    pub fn new(
        model: &ModelArgument,
        options: CompileOptions,
        (recover, limits): (bool, LimitArgument),
        output: &Output,
    ) -> Result<Levels, CliError> {
        let Some(file) = model.open_codec(output)? else {
            return Err(CliError::new(format_args!(
                "{}: a tokenizer, and these files are a transform codec's: leave out --model, or name their codec",
                model.given().unwrap_or_default()
            )));
        };
        Ok(Levels {
            codec: LevelsCodec::new(&file, options)?,
            name: file.name,
            recover,
            limits,
        })
    }

    /// Decodes a stream, and writes its picture; whether any of it was damaged.
    pub fn decode(
        &mut self,
        (input, path): (&Path, &Path),
        output: &Output,
    ) -> Result<(Value, bool), CliError> {
        let (start, name) = (Instant::now(), input.display().to_string());
        let mut reader = BufReader::new(open(input)?);
        let read = LevelsHeader::read(&mut reader).and_then(|header| {
            header.check_pixels(self.limits.max_pixels())?;
            self.codec.check(&header)?;
            Ok(header)
        });
        let header = read.map_err(|error: CodecError| CliError::from(error));
        let header = header.in_(input.display())?;
        let ImageSize { height, width } = header.size;
        let strips = self.codec.strips(header.size).count();
        let progress = Progress::new(&name, "strips", strips);
        let mut file = PictureFile::create(path, header.size)?;
        let mut write = |row: &[u8]| file.write_row(row);
        let report =
            self.codec
                .decode_rows(&header, reader, self.recover, &mut write, &mut |done| {
                    progress.set(done)
                });
        drop(progress);
        let report = report.in_(input.display())?;
        file.finish()?;
        let seconds = start.elapsed().as_secs_f64();
        written((&name, path), header.size, &report.damage, output)?;
        output.detail(format_args!("step {:.1}, {seconds:.2} s", report.step));
        let value = json!({
            "input": name,
            "output": path.display().to_string(),
            "width": width,
            "height": height,
            "step": report.step,
            "damaged_strips": report.damage.iter().map(|damage| damage.tile).collect::<Vec<_>>(),
            "seconds": seconds,
        });
        Ok((value, !report.damage.is_empty()))
    }
}
