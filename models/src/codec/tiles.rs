//! Tokens of a batch of tiles to their payloads, and back.

use super::frames::ReadTile;
use super::models::Codec;
use super::quantized_cdf::{QuantizedCdf, most_probable};
use super::range_coder::{SymbolDecoder, SymbolEncoder, pack_bits, unpack_bits};
use super::{CodecError, Coding, Frame, Header, TileArea};
use crate::prior::{SubTokenPosition, TileTokens};
use crate::token_grid::TokenGrid;
use crate::tokenizer::bits::{first_bits, split_token, word_widths, words_of};

/// The tokens of a tile, row by row: indices, or words.
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
    /// Codes some tiles of a picture.
    pub(super) fn encode(
        &mut self,
        header: &Header,
        tiles: &[KnownTile],
    ) -> Result<Vec<(Frame, TileReport)>, CodecError> {
        let (bits, coded_bits) = (usize::from(header.bits), header.coded_bits());
        let plain = |tokens: &Tokens| {
            let tokens = tokens.chunks_exact(header.words());
            pack_bits(tokens.flat_map(|token| first_bits(token, bits, coded_bits)))
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
                    cross_entropy_bits: (tokens.len() / header.words() * coded_bits) as f64,
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
            let bits = usize::from(header.bits);
            let tokens = tiles.iter().map(|(area, frame)| {
                let tokens = unpack_bits(&frame.payload, widths(bits, count(area)));
                tokens.filter(|tokens| frame.plain && self.are_tokens(tokens))
            });
            return Ok(tokens.collect());
        };
        let (coded_sub_tokens, model) =
            (usize::from(coded_sub_tokens), prior.session.model().clone());
        let mut sources: Vec<Source> = tiles
            .iter()
            .map(|(area, frame)| match frame.plain {
                false => Source::Coded(SymbolDecoder::new(&frame.payload)),
                true => match unpack_bits(&frame.payload, widths(header.coded_bits(), count(area)))
                {
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
                    let (bits, token) = (
                        coded_sub_tokens * width,
                        place.row * areas[place.tile].1 + place.column,
                    );
                    let words = words_of(bits);
                    let token = &tokens[token * words..][..words];
                    Some(split_token(token, bits, width)[place.index] as usize)
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
        let tokens = decided.iter().zip(&sources).map(|(tile, source)| {
            let complete = match source {
                Source::Broken => false,
                Source::Plain(_) => true,
                Source::Coded(decoder) => decoder.is_exhausted(),
            };
            let mut tokens = tile.indices(&model);
            if coded_sub_tokens < model.config().sub_tokens() {
                // What is made up must be tokens too; only a table of codes has an end.
                let limits = self.limits.iter().cycle();
                let words = tokens.iter_mut().zip(limits);
                words.for_each(|(word, limit)| *word = (*word).min(limit - 1));
            }
            (complete && self.are_tokens(&tokens)).then_some(tokens)
        });
        Ok(tokens.collect())
    }
}

/// Bits of the words of `count` tokens of so many bits each.
fn widths(bits: usize, count: usize) -> impl Iterator<Item = usize> + Clone {
    (0..count).flat_map(move |_| word_widths(bits))
}

/// Where a tile's sub-tokens come from.
enum Source {
    Coded(SymbolDecoder),
    /// The coded bits of each token, in words.
    Plain(Vec<u64>),
    /// No encoder has written the payload, or it has run out.
    Broken,
}
