//! Several streams at once: tiles are independent, whatever picture they are of.

use super::frames::ReadTile;
use super::tile_rows::TileRows;
use super::{Codec, CodecError, Damage, FrameReader, Header};
use crate::token_grid::TokenGrid;
use std::io::Read;

/// What a whole stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedStream {
    pub header: Header,
    pub tokens: TokenGrid,
    /// Tiles that were damaged, and are filled in.
    pub damage: Vec<Damage>,
}

/// A stream that has been read to its end.
struct Whole<R> {
    /// Which of the streams.
    number: usize,
    tile_rows: TileRows<R>,
    tiles: Vec<ReadTile>,
}

/// The tokens of several streams of the same models, whose tiles are decoded in common batches:
/// small pictures take less time together than one by one. Streams beside one another share
/// batches if they keep the same number of sub-tokens.
///
/// Each stream has the tokens that a [`Decoder`](super::Decoder) finds in it, bit for bit, and its
/// own error: one that is damaged, or of other models, costs the others nothing. All of them are
/// in memory at once. `progress` hears how many tiles are done, of all streams.
///
/// # Errors
/// If the prior cannot be run; what is wrong with a stream is in its own result.
pub fn decode_together<R: Read>(
    codec: &mut Codec,
    streams: impl IntoIterator<Item = FrameReader<R>>,
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<Result<DecodedStream, CodecError>>, CodecError> {
    let (mut results, mut good) = (Vec::new(), Vec::new());
    for (number, frames) in streams.into_iter().enumerate() {
        match read(codec, number, frames) {
            Ok(stream) => {
                good.push(stream);
                results.push(None);
            }
            Err(error) => results.push(Some(Err(error))),
        }
    }
    let mut done = 0;
    let coding = |stream: &Whole<R>| stream.tile_rows.header().coding;
    for group in good.chunk_by_mut(|a, b| coding(a) == coding(b)) {
        let header = group[0].tile_rows.header().clone();
        let tiles: Vec<ReadTile> = group
            .iter_mut()
            .flat_map(|stream| std::mem::take(&mut stream.tiles))
            .collect();
        let tokens = codec.decode(&header, &tiles, None, &mut |more| {
            done += more;
            progress(done);
        })?;
        let areas = tiles.iter().map(|(area, _)| *area);
        let mut tokens = areas.zip(tokens);
        for stream in group {
            let own: Vec<_> = tokens
                .by_ref()
                .take(stream.tile_rows.header().tiles())
                .collect();
            let decoded = stream
                .tile_rows
                .rows(own.into_iter())
                .map(|rows| DecodedStream {
                    header: stream.tile_rows.header().clone(),
                    tokens: TokenGrid::of_words(
                        stream.tile_rows.header().grid(),
                        stream.tile_rows.header().words(),
                        rows,
                    ),
                    damage: stream.tile_rows.damage().to_vec(),
                });
            results[stream.number] = Some(decoded);
        }
    }
    // Each stream is in a group, so that none is missing.
    Ok(results.into_iter().flatten().collect())
}

/// All tiles of a stream, and nothing behind them.
fn read<R: Read>(
    codec: &Codec,
    number: usize,
    frames: FrameReader<R>,
) -> Result<Whole<R>, CodecError> {
    let mut tile_rows = TileRows::new(codec, frames)?;
    let tiles = tile_rows.read_all()?;
    Ok(Whole {
        number,
        tile_rows,
        tiles,
    })
}
