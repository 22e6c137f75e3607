//! A masked language model ready to run: pictures sampled in batches.

use super::sample::{Noise, Sampling};
use super::{
    MaskedLm, MaskedLmError, MaskedLmFile, SampleSettings, index_of, probabilities_function,
};
use crate::config::MaskedLmModelConfig;
use bsq_runtime::tensor_data::HostTensor;
use bsq_runtime::{BoundPrograms, CompileOptions, Precision};
use std::time::Duration;

/// Tokens that are run together at most, over all pictures: bounds memory.
const TOKENS_PER_BATCH: usize = 4096;

/// What a picture begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// `[tokens, groups]`; the vocabulary's size where masked.
    pub sub_tokens: Vec<i32>,
    /// The class; without one the model is not told any.
    pub class: Option<usize>,
}

impl Start {
    /// Everything is masked.
    pub fn empty(model: &MaskedLm, class: Option<usize>) -> Start {
        let config = model.config();
        Start {
            sub_tokens: vec![config.vocabulary() as i32; config.tokens * config.groups],
            class,
        }
    }

    /// Entries that are masked.
    pub fn masked_entries(&self, config: &MaskedLmModelConfig) -> usize {
        Sampling::new(config, self.sub_tokens.clone()).at_start()
    }
}

/// A masked language model with its programs, each compiled when a batch size first occurs.
pub struct MaskedLmSession {
    model: MaskedLm,
    /// By pictures in a batch and whether it is guided; one at a time.
    programs: BoundPrograms<(usize, bool)>,
}

impl MaskedLmSession {
    /// A session of a model. Nothing is compiled yet.
    ///
    /// # Errors
    /// [`MaskedLmError::NotExact`] for options outside the promise of the same bits everywhere.
    pub fn new(
        file: &MaskedLmFile,
        options: &CompileOptions,
    ) -> Result<MaskedLmSession, MaskedLmError> {
        if options.precision != Precision::F32 || options.tf32 || !options.exact {
            return Err(MaskedLmError::NotExact);
        }
        Ok(MaskedLmSession {
            model: file.model.clone(),
            programs: BoundPrograms::new(file.parameters.clone(), options.clone(), 1),
        })
    }

    pub fn model(&self) -> &MaskedLm {
        &self.model
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.programs.compile_time()
    }

    /// Pictures that are run together at most.
    pub fn batch_limit(&self) -> usize {
        (TOKENS_PER_BATCH / (1 + self.model.config().tokens)).max(1)
    }

    /// The tokens of pictures: indices, `[tokens]` each. Picture i draws the noise of number
    /// `first + i`; `progress(step, drawn)` is told what each step of a batch has drawn, sub-tokens
    /// of every picture of it.
    ///
    /// # Errors
    /// If the settings make no sense, or the program cannot be compiled or run.
    pub fn sample(
        &mut self,
        starts: &[Start],
        first: u64,
        settings: &SampleSettings,
        progress: &mut dyn FnMut(usize, &[&[i32]]),
    ) -> Result<Vec<Vec<u64>>, MaskedLmError> {
        let config = self.model.config();
        for start in starts {
            settings.check(start.masked_entries(config))?;
        }
        let guided = !settings.guidance.is_none();
        if guided && starts.iter().any(|start| start.class.is_none()) {
            return Err(MaskedLmError::NoClass);
        }
        let batches = starts.len().div_ceil(self.batch_limit());
        let batch = starts.len().div_ceil(batches.max(1)).max(1);
        let mut pictures = Vec::with_capacity(starts.len());
        for (number, starts) in starts.chunks(batch).enumerate() {
            let first = first + (number * batch) as u64;
            let done = self.sample_batch(starts, first, settings, guided, progress)?;
            pictures.extend(done);
        }
        Ok(pictures)
    }

    fn sample_batch(
        &mut self,
        starts: &[Start],
        first: u64,
        settings: &SampleSettings,
        guided: bool,
        progress: &mut dyn FnMut(usize, &[&[i32]]),
    ) -> Result<Vec<Vec<u64>>, MaskedLmError> {
        let (model, batch) = (&self.model, starts.len());
        let config = model.config();
        let program = self.programs.get((batch, guided), || {
            probabilities_function(model, batch, guided)
        })?;
        let classes = starts.iter().map(|start| start.class);
        let classes = classes.map(|class| class.map_or(-1, |class| class as i32));
        let classes = HostTensor::from_slice([batch], &classes.collect::<Vec<i32>>())?;
        let begin = |start: &Start| Sampling::new(config, start.sub_tokens.clone());
        let mut pictures: Vec<Sampling> = starts.iter().map(begin).collect();
        let each = config.tokens * config.groups * config.vocabulary();
        for step in 0..settings.steps {
            let tokens = pictures.iter().flat_map(|picture| &picture.sub_tokens);
            let tokens: Vec<i32> = tokens.copied().collect();
            let tokens = HostTensor::from_slice([batch, config.tokens, config.groups], &tokens)?;
            let strength = settings.guidance.at(step, settings.steps);
            let strength = HostTensor::scalar(strength as f32)?;
            let mut inputs = vec![("tokens", &tokens)];
            if !config.classes.is_empty() {
                inputs.push(("classes", &classes));
            }
            if guided {
                inputs.push(("guidance", &strength));
            }
            let outputs = program.run(&inputs)?;
            let probabilities = outputs["probabilities"].as_slice::<f32>()?;
            for (number, picture) in pictures.iter_mut().enumerate() {
                let noise = Noise::of(settings.seed, first + number as u64, step, config);
                let own = &probabilities[number * each..][..each];
                picture.step(settings, step, own, &noise);
            }
            let drawn: Vec<&[i32]> = pictures.iter().map(|picture| &picture.drawn[..]).collect();
            progress(step, &drawn);
        }
        let indices = |picture: &Sampling| {
            let tokens = picture.drawn.chunks_exact(config.groups);
            tokens.map(|token| index_of(config, token)).collect()
        };
        Ok(pictures.iter().map(indices).collect())
    }
}
