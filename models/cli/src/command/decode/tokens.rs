//! Decoding streams of tokens.

use super::{Arguments, open, written};
use crate::command::error::{CliError, Context};
use crate::command::files::{Files, reason};
use crate::command::limits::LimitArgument;
use crate::command::output::Output;
use crate::command::picture::PictureFile;
use crate::command::progress::Progress;
use bsq::codec::{CodecError, DecodedStream, FrameReader, HEADER_BYTES, Header, most_bytes};
use bsq::image_io::ImageSize;
use bsq::photo::tokens::{TokensCodec, TokensDecodeReport, prior_of};
use bsq::photo::{PhotoError, WriteRow};
use bsq::pipeline::CompileOptions;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;
use std::time::Instant;

/// Tiles of files that are decoded together: some batches, and a part of a second at most passes
/// before the first picture is written. A file with more is decoded by itself, row by row.
const TOGETHER: usize = 64;

/// What streams of tokens came to.
pub struct Outcome<'a> {
    /// The tokenizer.
    pub model: String,
    /// Time for tokens that were decoded apart from their pictures.
    pub token_seconds: f64,
    pub is_damaged: bool,
    pub results: Vec<(&'a Path, Value)>,
}

/// Decodes streams and writes their pictures.
pub fn run<'a>(
    arguments: &Arguments,
    files: &[(&'a Path, &'a Path)],
    options: CompileOptions,
    under_way: &mut Files,
    output: &Output,
) -> Result<Option<Outcome<'a>>, CliError> {
    // Headers first: a file that is none of ours is found before any model is read.
    let mut jobs = Vec::new();
    for &(input, path) in files {
        let read = read(input, arguments.recover, arguments.limits);
        let job = |(header, frames)| Job {
            input,
            path,
            header,
            frames,
        };
        jobs.extend(under_way.keep(input, read)?.map(job));
    }
    if jobs.is_empty() {
        return Ok(None);
    }
    let tokenizer = arguments
        .run
        .model
        .open_for(jobs[0].header.tokenizer, output)?;
    let mut codec = TokensCodec::new(&tokenizer, None, options)?;
    // Every prior that a stream names; all before the first picture is written.
    let mut ready = Vec::new();
    for job in jobs {
        let added = add_prior(&mut codec, &job.header, arguments, output);
        ready.extend(under_way.keep(job.input, added)?.map(|()| job));
    }
    let mut work = Work {
        codec,
        recover: arguments.recover,
        limits: arguments.limits,
    };
    let mut outcome = Outcome {
        model: tokenizer.name,
        token_seconds: 0.0,
        is_damaged: false,
        results: Vec::new(),
    };
    // A group is called by its first file.
    let groups = groups(ready);
    let inputs = |group: &Vec<Job<'a>>| group.iter().map(|job| job.input).collect::<Vec<_>>();
    let inputs: Vec<Vec<&Path>> = groups.iter().map(inputs).collect();
    let groups = groups.into_iter().map(|group| (group[0].input, group));
    let decoded = under_way.each(groups, |group, output| work.group(group, output))?;
    for (inputs, (_, (seconds, results))) in inputs.into_iter().zip(decoded) {
        outcome.token_seconds += seconds;
        for (input, result) in inputs.into_iter().zip(results) {
            let result = result.map_err(CliError::Message);
            if let Some((value, is_damaged)) = under_way.keep(input, result)? {
                outcome.is_damaged |= is_damaged;
                outcome.results.push((input, value));
            }
        }
    }
    Ok(Some(outcome))
}

/// A stream that is to become a picture.
struct Job<'a> {
    input: &'a Path,
    path: &'a Path,
    header: Header,
    /// The whole stream, in memory: a process may have fewer files open than a command line names.
    /// None of a large one, which is read when its turn comes.
    frames: Option<Frames>,
}

type Frames = FrameReader<Cursor<Vec<u8>>>;

/// Adds the prior of a stream, if it is not there.
fn add_prior(
    codec: &mut TokensCodec,
    header: &Header,
    arguments: &Arguments,
    output: &Output,
) -> Result<(), CliError> {
    match prior_of(header) {
        Some(its) if !codec.has_prior_of(header) => Ok(codec.add_prior(&{
            let prior = &arguments.prior;
            prior.open_for(its, &arguments.run.model, output)?
        })?),
        _ => Ok(()),
    }
}

/// Streams that are decoded together: neighbours with the same prior, until they are a few batches.
fn groups(jobs: Vec<Job<'_>>) -> Vec<Vec<Job<'_>>> {
    let mut groups: Vec<Vec<Job<'_>>> = Vec::new();
    let mut tiles = 0;
    for job in jobs {
        let own = job.header.tiles();
        match groups.last_mut() {
            Some(group)
                if prior_of(&group[0].header) == prior_of(&job.header)
                    && tiles + own <= TOGETHER =>
            {
                group.push(job);
                tiles += own;
            }
            _ => {
                groups.push(vec![job]);
                tiles = own;
            }
        }
    }
    groups
}

/// The decoding of the streams.
struct Work {
    codec: TokensCodec,
    recover: bool,
    limits: LimitArgument,
}

/// A picture that was written, and whether any of it was damaged; or why there is none.
type Written = Result<(Value, bool), String>;

impl Work {
    /// Decodes streams of one prior, and writes their pictures; and the seconds for tokens that were
    /// decoded apart from these.
    fn group(
        &mut self,
        group: Vec<Job<'_>>,
        output: &Output,
    ) -> Result<(f64, Vec<Written>), CliError> {
        if let [job] = &group[..]
            && job.frames.is_none()
        {
            return Ok((0.0, vec![reason(self.large(job, output))?]));
        }
        let start = Instant::now();
        let label = match &group[..] {
            [job] => job.input.display().to_string(),
            _ => format!("{} files", group.len()),
        };
        let decoded = self.tokens(group, &label);
        let count = |stream: &Result<DecodedStream, _>| {
            stream.as_ref().map_or(0, |s| s.tokens.shape.tokens())
        };
        let seconds = start.elapsed().as_secs_f64();
        output.detail(format_args!(
            "{label}: {} tokens in {seconds:.2} s",
            decoded.iter().map(|(_, _, s)| count(s)).sum::<usize>(),
        ));
        let written = decoded.into_iter().map(|(input, path, stream)| {
            reason(stream.and_then(|stream| self.picture(stream, (input, path), output)))
        });
        Ok((seconds, written.collect::<Result<_, CliError>>()?))
    }

    /// The tokens of streams of one prior. Should they fail together, they are decoded one by one, so
    /// that it is only the bad one that fails.
    fn tokens<'a>(&mut self, group: Vec<Job<'a>>, label: &str) -> Vec<Decoded<'a>> {
        let tiles = group.iter().map(|job| job.header.tiles());
        let progress = Progress::new(label, "tiles", tiles.sum());
        let files: Vec<(&Path, &Path)> = group.iter().map(|job| (job.input, job.path)).collect();
        let frames = group.into_iter().filter_map(|job| job.frames).collect();
        let together = self
            .codec
            .decode_tokens(frames, &mut |done| progress.set(done));
        let streams: Vec<Result<DecodedStream, CliError>> = match together {
            Ok(streams) => streams
                .into_iter()
                .map(|stream| stream.map_err(CliError::from))
                .collect(),
            Err(error) if files.len() == 1 => vec![Err(error.into())],
            Err(_) => files.iter().map(|(input, _)| self.alone(input)).collect(),
        };
        let decoded = files.into_iter().zip(streams);
        decoded
            .map(|((input, path), stream)| (input, path, stream))
            .collect()
    }

    fn alone(&mut self, input: &Path) -> Result<DecodedStream, CliError> {
        let frames = open_frames(input, self.recover, self.limits)?;
        let stream = self.codec.decode_tokens(vec![frames], &mut |_| {})?.pop();
        Ok(stream.expect("one stream was given")?)
    }

    /// Writes the picture of a stream whose tokens are known.
    fn picture(
        &mut self,
        stream: DecodedStream,
        files: (&Path, &Path),
        output: &Output,
    ) -> Result<(Value, bool), CliError> {
        let size = stream.header.size();
        self.write(files, size, output, |codec, write, done| {
            codec.write_rows(stream, write, done)
        })
    }

    /// Reads, decodes and writes a large stream, none of which is in memory as a whole.
    fn large(&mut self, job: &Job, output: &Output) -> Result<(Value, bool), CliError> {
        let frames = open_frames(job.input, self.recover, self.limits)?;
        let (files, size) = ((job.input, job.path), job.header.size());
        self.write(files, size, output, |codec, write, done| {
            codec.decode_rows(frames, write, done)
        })
    }

    /// Writes a picture, and says what became of it.
    fn write(
        &mut self,
        (input, path): (&Path, &Path),
        size: ImageSize,
        output: &Output,
        decode: impl FnOnce(
            &mut TokensCodec,
            &mut WriteRow,
            &mut dyn FnMut(usize),
        ) -> Result<TokensDecodeReport, PhotoError>,
    ) -> Result<(Value, bool), CliError> {
        let (start, name) = (Instant::now(), input.display().to_string());
        let progress = Progress::new(&name, "windows", self.codec.windows(size));
        let mut file = PictureFile::create(path, size)?;
        let mut write = |row: &[u8]| file.write_row(row);
        let report = decode(&mut self.codec, &mut write, &mut |done| progress.set(done))?;
        drop(progress);
        file.finish()?;
        let seconds = start.elapsed().as_secs_f64();
        let (ImageSize { height, width }, damage) = (size, &report.damage);
        written((&name, path), size, damage, output)?;
        output.detail(format_args!("the picture in {seconds:.2} s"));
        let value = json!({
            "input": name,
            "output": path.display().to_string(),
            "width": width,
            "height": height,
            "tokens": report.tokens,
            "damaged_tiles": damage.iter().map(|damage| damage.tile).collect::<Vec<_>>(),
            "picture_seconds": seconds,
        });
        Ok((value, !damage.is_empty()))
    }
}

/// A stream's tokens, with its file and that of its picture.
type Decoded<'a> = (&'a Path, &'a Path, Result<DecodedStream, CliError>);

/// The header of a stream, and all of it unless it is large and can be read again.
fn read(
    path: &Path,
    recover: bool,
    limits: LimitArgument,
) -> Result<(Header, Option<Frames>), CliError> {
    let mut file = open(path)?;
    let is_regular = file.metadata().in_(path.display())?.is_file();
    let mut bytes = Vec::new();
    let mut read = || {
        file.by_ref()
            .take(HEADER_BYTES as u64)
            .read_to_end(&mut bytes)?;
        // A file that is none of ours is not read to its end.
        let header = Header::read(&mut &bytes[..])?;
        header.check_pixels(limits.max_pixels())?;
        if is_regular && header.tiles() > TOGETHER {
            return Ok((header, None));
        }
        file.by_ref()
            .take(most_bytes(&header))
            .read_to_end(&mut bytes)?;
        let bytes = Cursor::new(std::mem::take(&mut bytes));
        let frames = FrameReader::within(bytes, recover, limits.max_pixels())?;
        Ok((header, Some(frames)))
    };
    read()
        .map_err(|error: CodecError| CliError::from(error))
        .in_(path.display())
}

/// A stream that is read as it is decoded.
fn open_frames(
    path: &Path,
    recover: bool,
    limits: LimitArgument,
) -> Result<FrameReader<BufReader<File>>, CliError> {
    let file = BufReader::new(open(path)?);
    FrameReader::within(file, recover, limits.max_pixels()).in_(path.display())
}
