//! Tokenizer and prior as a coder sees them.

use super::header::raw_side;
use super::{CodecError, Coding, Header};
use crate::pipeline::{CompileOptions, ModelFile, fingerprint, fingerprint_number};
use crate::prior::{PriorFile, PriorSession, check_bits};
use crate::token_grid::GridShape;

/// What both sides must have in common: a tokenizer, and a prior unless coding is raw.
pub struct Codec {
    tokenizer: u64,
    tokenizer_name: String,
    bits: u16,
    /// Each word of a token is below its own.
    pub(super) limits: Vec<u64>,
    patch: u16,
    window: GridShape,
    pub(super) prior: Option<Prior>,
}

pub(super) struct Prior {
    fingerprint: u64,
    name: String,
    pub(super) session: PriorSession,
}

impl Codec {
    /// A codec of a tokenizer's tokens; without a prior it is raw.
    ///
    /// # Errors
    /// If the prior is for the tokens of another tokenizer, or the options are outside the promise
    /// of the same bits on every machine.
    pub fn new(
        tokenizer: &ModelFile,
        prior: Option<&PriorFile>,
        options: &CompileOptions,
    ) -> Result<Codec, CodecError> {
        let config = tokenizer.tokenizer.config();
        let own = fingerprint(config, &tokenizer.parameters);
        if let Some(prior) = prior
            && prior.tokenizer == own
        {
            check_bits(&prior.config.prior, tokenizer)?;
        }
        if let Some(prior) = prior
            && prior.tokenizer != own
        {
            return Err(CodecError::PriorOfOtherTokenizer {
                prior: prior.name.clone(),
                its: prior.tokenizer.clone(),
                tokenizer: tokenizer.name.clone(),
                given: own,
            });
        }
        let open = |prior: &PriorFile| {
            Ok::<_, CodecError>(Prior {
                fingerprint: prior.fingerprint(),
                name: prior.name.clone(),
                session: PriorSession::new(prior, options)?,
            })
        };
        Ok(Codec {
            tokenizer: fingerprint_number(config, &tokenizer.parameters),
            tokenizer_name: tokenizer.name.clone(),
            bits: config.quantizer.bits_per_token() as u16,
            limits: config.quantizer.word_limits(),
            patch: config.encoder.patch_size as u16,
            window: config.encoder.grid(),
            prior: prior.map(open).transpose()?,
        })
    }

    /// Sub-tokens of a token; none without a prior.
    pub fn sub_tokens(&self) -> Option<usize> {
        let prior = self.prior.as_ref()?;
        Some(prior.session.model().config().sub_tokens())
    }

    /// The header of a picture's stream; `coded_sub_tokens` sub-tokens of each token go into it, all if
    /// `None`.
    ///
    /// # Errors
    /// If the picture is larger than a stream can hold, or a token has fewer sub-tokens.
    pub fn header(
        &self,
        width: usize,
        height: usize,
        coded_sub_tokens: Option<usize>,
    ) -> Result<Header, CodecError> {
        let too_large = |_| CodecError::TooLarge { width, height };
        let sub_tokens = self.sub_tokens().unwrap_or(1);
        let coded_sub_tokens = coded_sub_tokens.unwrap_or(sub_tokens);
        if !(1..=sub_tokens).contains(&coded_sub_tokens) {
            return Err(CodecError::SubTokens {
                coded_sub_tokens,
                sub_tokens,
            });
        }
        let (coding, side) = match &self.prior {
            None => (Coding::Raw, raw_side(usize::from(self.bits))),
            Some(prior) => {
                let config = prior.session.model().config();
                let coding = Coding::Prior {
                    fingerprint: prior.fingerprint,
                    sub_token_bits: config.sub_token_bits as u8,
                    coded_sub_tokens: coded_sub_tokens as u16,
                };
                (coding, config.side as u8)
            }
        };
        let header = Header {
            coding,
            bits: self.bits,
            width: u32::try_from(width).map_err(too_large)?,
            height: u32::try_from(height).map_err(too_large)?,
            patch: self.patch,
            window: self.window,
            side,
            tokenizer: self.tokenizer,
        };
        header.check()?;
        Ok(header)
    }

    /// Whether a stream with this header can be decoded with these models.
    ///
    /// # Errors
    /// Says which model is the wrong one.
    pub fn check(&self, header: &Header) -> Result<(), CodecError> {
        let own = (self.bits, self.patch, self.window);
        if header.tokenizer != self.tokenizer {
            return Err(CodecError::OtherTokenizer {
                its: header.tokenizer,
                given: self.tokenizer,
                given_name: self.tokenizer_name.clone(),
            });
        }
        if (header.bits, header.patch, header.window) != own {
            let what = "its tokens are not those of its tokenizer";
            return Err(CodecError::Header(what.to_string()));
        }
        let Coding::Prior {
            fingerprint: its,
            sub_token_bits,
            ..
        } = header.coding
        else {
            return Ok(());
        };
        let Some(prior) = &self.prior else {
            return Err(CodecError::NoPrior { its });
        };
        if prior.fingerprint != its {
            return Err(CodecError::OtherPrior {
                its,
                given: prior.fingerprint,
                given_name: prior.name.clone(),
            });
        }
        let config = prior.session.model().config();
        let fits = config.sub_token_bits == usize::from(sub_token_bits)
            && config.side == usize::from(header.side);
        match fits {
            true => Ok(()),
            false => Err(CodecError::Header(
                "its tiles are not those of its prior".into(),
            )),
        }
    }

    /// Whether all of these, indices or words, are those of tokens.
    pub(super) fn are_tokens(&self, tokens: &[u64]) -> bool {
        let limits = self.limits.iter().cycle();
        tokens
            .iter()
            .zip(limits)
            .all(|(token, limit)| token < limit)
    }

    /// Tiles that are best coded together, of one picture or of several.
    pub fn batch_limit(&self) -> usize {
        self.prior
            .as_ref()
            .map_or(64, |prior| prior.session.batch_limit())
    }

    /// Tiles of a batch when so many are coded: batches of about one size, none too large.
    pub(super) fn batch_size(&self, tiles: usize) -> usize {
        tiles
            .div_ceil(tiles.div_ceil(self.batch_limit()).max(1))
            .max(1)
    }
}
