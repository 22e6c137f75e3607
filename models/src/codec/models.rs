//! Tokenizer and prior as a coder sees them, and the coding of a batch of tiles.

use super::frames::ReadTile;
use super::quantized_cdf::{QuantizedCdf, most_probable};
use super::range_coder::{SymbolDecoder, SymbolEncoder, pack_bits, unpack_bits};
use super::{CodecError, Coding, Frame, Header, RAW_SIDE, TileArea};
use crate::pipeline::{CompileOptions, ModelFile, fingerprint, fingerprint_number};
use crate::prior::{PriorFile, PriorSession, SubTokenPosition, TileTokens, check_bits};
use crate::token_grid::{GridShape, TokenGrid};
use crate::tokenizer::bits::split_index;

/// What both sides must have in common: a tokenizer, and a prior unless coding is raw.
pub struct Codec {
    tokenizer: u64,
    tokenizer_name: String,
    bits: u8,
    /// Tokens are below this.
    limit: u64,
    patch: u16,
    window: GridShape,
    prior: Option<Prior>,
}

struct Prior {
    fingerprint: u64,
    name: String,
    session: PriorSession,
}

/// The tokens of a tile, row by row.
pub(super) type Tokens = Vec<u64>;

/// A tile whose tokens are known.
pub(super) struct KnownTile {
    pub area: TileArea,
    pub tokens: Tokens,
    /// The same tile of a clip's frame before.
    pub before: Option<Tokens>,
}

/// What coding a tile came to.
#[derive(Clone, Debug, PartialEq)]
pub struct TileReport {
    /// Bytes of the payload.
    pub bytes: usize,
    /// Stored bit by bit, because coding would have taken more.
    pub plain: bool,
    /// What the prior's own probabilities ask for; without a prior, the bits that are stored.
    pub cross_entropy_bits: f64,
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
        let limit = config.quantizer.codes();
        let bits = (u64::BITS - (limit - 1).leading_zeros()) as u8;
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
            bits,
            limit,
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
            None => (Coding::Raw, RAW_SIDE),
            Some(prior) => {
                let config = prior.session.model().config();
                let coding = Coding::Prior {
                    fingerprint: prior.fingerprint,
                    sub_token_bits: config.sub_token_bits as u8,
                    coded_sub_tokens: coded_sub_tokens as u8,
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

    /// Codes some tiles of a picture.
    pub(super) fn encode(
        &mut self,
        header: &Header,
        tiles: &[KnownTile],
    ) -> Result<Vec<(Frame, TileReport)>, CodecError> {
        let plain = |tokens: &Tokens| {
            let dropped = usize::from(header.bits) - header.coded_bits();
            pack_bits(
                tokens.iter().map(|token| token >> dropped),
                header.coded_bits(),
            )
        };
        let (
            Some(prior),
            Coding::Prior {
                coded_sub_tokens, ..
            },
        ) = (&mut self.prior, header.coding)
        else {
            let stored = tiles.iter().map(|KnownTile { tokens, .. }| {
                let payload = plain(tokens);
                let report = TileReport {
                    bytes: payload.len(),
                    plain: true,
                    cross_entropy_bits: (tokens.len() * header.coded_bits()) as f64,
                };
                (
                    Frame {
                        plain: true,
                        payload,
                    },
                    report,
                )
            });
            return Ok(stored.collect());
        };
        let (coded_sub_tokens, model) =
            (usize::from(coded_sub_tokens), prior.session.model().clone());
        let parts: Vec<TileTokens> = tiles
            .iter()
            .map(|tile| {
                let of = |tokens: &Tokens| {
                    let TileArea { rows, columns, .. } = tile.area;
                    TileTokens::new(&model, rows, columns, tokens, coded_sub_tokens)
                };
                let own = of(&tile.tokens);
                match &tile.before {
                    Some(before) => own.after(&of(before)),
                    None => own,
                }
            })
            .collect();
        let mut coders: Vec<(SymbolEncoder, f64)> = Vec::new();
        coders.resize_with(tiles.len(), Default::default);
        let mut cdf = QuantizedCdf::default();
        let mut code = |place: SubTokenPosition, probabilities: &[f32]| {
            let token = parts[place.tile].token(place.row, place.column);
            let value = token[place.index] as usize;
            cdf.set(probabilities);
            let (coder, bits) = &mut coders[place.tile];
            // A probability that has underflowed counts as the smallest that has not.
            *bits -= f64::from(probabilities[value].max(f32::MIN_POSITIVE)).log2();
            coder.encode(value, &cdf);
            Ok::<_, CodecError>(())
        };
        prior
            .session
            .teacher_forced(&parts, coded_sub_tokens, &mut code)?;
        let finished = coders.into_iter().zip(tiles).map(|((coder, bits), tile)| {
            let (coded, stored) = (coder.finish(), plain(&tile.tokens));
            let plain = stored.len() < coded.len();
            let payload = if plain { stored } else { coded };
            let report = TileReport {
                bytes: payload.len(),
                plain,
                cross_entropy_bits: bits,
            };
            (Frame { plain, payload }, report)
        });
        Ok(finished.collect())
    }

    /// The tokens of some tiles, in batches; `None` for one that is damaged, or whose payload
    /// no encoder has written. They may be of several pictures, whose headers differ in the size
    /// only; or of a clip's frame, which is decoded behind the one before. `done` hears of the tiles of each
    /// batch.
    pub(super) fn decode(
        &mut self,
        header: &Header,
        tiles: &[ReadTile],
        before: Option<&TokenGrid>,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Option<Tokens>>, CodecError> {
        let good: Vec<(TileArea, &Frame)> = tiles
            .iter()
            .filter_map(|(area, frame)| Some((*area, frame.as_ref()?)))
            .collect();
        done(tiles.len() - good.len());
        let mut decoded = Vec::new();
        for batch in good.chunks(self.batch_size(good.len())) {
            decoded.extend(self.decode_batch(header, batch, before)?);
            done(batch.len());
        }
        let mut decoded = decoded.into_iter();
        let in_order = tiles
            .iter()
            .map(|(_, frame)| frame.as_ref().and_then(|_| decoded.next().flatten()));
        Ok(in_order.collect())
    }

    fn decode_batch(
        &mut self,
        header: &Header,
        tiles: &[(TileArea, &Frame)],
        before: Option<&TokenGrid>,
    ) -> Result<Vec<Option<Tokens>>, CodecError> {
        let count = |area: &TileArea| area.rows * area.columns;
        let (
            Some(prior),
            Coding::Prior {
                coded_sub_tokens, ..
            },
        ) = (&mut self.prior, header.coding)
        else {
            let (bits, limit) = (usize::from(header.bits), self.limit);
            let tokens = tiles.iter().map(|(area, frame)| {
                let tokens = unpack_bits(&frame.payload, bits, count(area));
                tokens.filter(|tokens| frame.plain && tokens.iter().all(|&token| token < limit))
            });
            return Ok(tokens.collect());
        };
        let (coded_sub_tokens, model) =
            (usize::from(coded_sub_tokens), prior.session.model().clone());
        let mut sources: Vec<Source> = tiles
            .iter()
            .map(|(area, frame)| match frame.plain {
                false => Source::Coded(SymbolDecoder::new(&frame.payload)),
                true => match unpack_bits(&frame.payload, header.coded_bits(), count(area)) {
                    Some(tokens) => Source::Plain(tokens),
                    None => Source::Broken,
                },
            })
            .collect();
        let areas: Vec<(usize, usize)> = tiles
            .iter()
            .map(|(area, _)| (area.rows, area.columns))
            .collect();
        let (mut cdf, width) = (QuantizedCdf::default(), model.config().sub_token_bits);
        let mut decide = |place: SubTokenPosition, probabilities: &[f32]| {
            let filler = most_probable(probabilities);
            if place.index >= coded_sub_tokens {
                return Ok::<_, CodecError>(filler);
            }
            let source = &mut sources[place.tile];
            let value = match source {
                Source::Broken => None,
                Source::Plain(tokens) => {
                    let token = tokens[place.row * areas[place.tile].1 + place.column];
                    Some(split_index(token, coded_sub_tokens * width, width)[place.index] as usize)
                }
                Source::Coded(decoder) => {
                    cdf.set(probabilities);
                    decoder.decode(&cdf)
                }
            };
            if value.is_none() {
                *source = Source::Broken;
            }
            Ok(value.unwrap_or(filler))
        };
        let unknown = tiles.iter().map(|(area, _)| {
            let own = TileTokens::unknown(&model, area.rows, area.columns);
            match before {
                None => own,
                Some(grid) => own.after(&TileTokens::new(
                    &model,
                    area.rows,
                    area.columns,
                    &area.of(grid),
                    coded_sub_tokens,
                )),
            }
        });
        let unknown = unknown.collect();
        let decided =
            prior
                .session
                .step_by_step_from(unknown, coded_sub_tokens, &mut decide, &mut |_| {})?;
        let limit = self.limit;
        let tokens = decided.iter().zip(&sources).map(|(tile, source)| {
            let complete = match source {
                Source::Broken => false,
                Source::Plain(_) => true,
                Source::Coded(decoder) => decoder.is_exhausted(),
            };
            let mut tokens = tile.indices(&model);
            if coded_sub_tokens < model.config().sub_tokens() {
                // What is made up must be tokens too; only a table of codes has an end.
                tokens
                    .iter_mut()
                    .for_each(|token| *token = (*token).min(limit - 1));
            }
            (complete && tokens.iter().all(|&token| token < limit)).then_some(tokens)
        });
        Ok(tokens.collect())
    }
}

/// Where a tile's sub-tokens come from.
enum Source {
    Coded(SymbolDecoder),
    /// The coded bits of each token.
    Plain(Vec<u64>),
    /// No encoder has written the payload, or it has run out.
    Broken,
}
