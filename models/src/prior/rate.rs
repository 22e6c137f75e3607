//! The bits that a prior needs for tokens that are in the same graph, as a loss of what made them.
//!
//! Tokens come as the values of their sub-tokens, one-hot. Where those carry gradients, they get them in two ways:
//! as what is coded, for which value v of a sub-token counts with its code length `-log2 q(v)`; and as what later tokens
//! and the token's own later sub-tokens see, through the network.

use super::functions::wavefront_mask;
use super::{PriorModel, TileTokens};
use crate::token_grid::{GridShape, TokenGrid};
use bsq_ir::op::Constant;
use bsq_ir::shape::Type;
use bsq_ir::{DType, Scope, Tensor};

/// The mean bits per token, `f32[]`, of grids of tokens `[batch, tokens, sub_tokens, classes]`: those that coding needs,
/// tile by tile. A clip's frames each see the one before, the first none.
///
/// # Panics
/// If the tokens are not those of the grid, or their sub-tokens not the model's.
pub fn bits_per_token<'g>(
    model: &PriorModel,
    scope: &Scope<'g>,
    tokens: Tensor<'g>,
    grid: GridShape,
) -> Tensor<'g> {
    let (g, config, shape) = (scope.graph(), model.config(), tokens.shape());
    let (batch, count) = (shape[0], grid.tokens());
    let (depth, classes) = (config.sub_tokens(), config.classes());
    assert_eq!(
        shape[1..],
        [count, depth, classes][..],
        "tokens of {grid:?}"
    );
    let tiles = Tiles::of(model, grid);
    // Behind the last token one of which nothing is known.
    let tokens = tokens.reshape([batch, count, depth * classes]);
    let tokens = tokens.pad(1, 0, 1, 0.0);
    let (all, positions) = (batch * tiles.count, tiles.positions);
    let taken = |places: &[i32]| {
        let each = places.len() / positions / tiles.count;
        let bytes: Vec<u8> = places
            .iter()
            .flat_map(|place| place.to_le_bytes())
            .collect();
        let places = Type::new(DType::I32, [places.len()]);
        let places = g.constant(Constant::dense_bytes(places, bytes));
        let taken = tokens.gather(1, places);
        taken.reshape([all, positions, each * depth * classes])
    };
    let (seen, own) = (taken(&tiles.seen), taken(&tiles.own));
    let start = g.full(0.0, DType::I32, []);
    let places = model.positions(g).some(start, positions);
    let mask = wavefront_mask(model.order(), g, tiles.wavefronts);
    let features = model.features(scope, seen, &places, &mut |_, heads| {
        heads.attend(Some(mask))
    });
    let logits = model.logits(scope, model.projected(scope, features), own);
    let own = own.reshape([all, positions, depth, classes]);
    // A position without a token has no value and counts zero.
    let nats = own.transpose(&[2, 0, 1, 3]) * -logits.log_softmax();
    nats.sum(..) * (std::f64::consts::LOG2_E / (batch * count) as f64)
}

/// Which tokens of a grid lie where in its tiles: their places in raster order, for none the number of all.
struct Tiles {
    count: usize,
    /// Of the largest tile; later ones hold no tokens and are seen by none.
    wavefronts: usize,
    positions: usize,
    /// `[tiles, positions, seen]`.
    seen: Vec<i32>,
    /// `[tiles, positions]`.
    own: Vec<i32>,
}

impl Tiles {
    fn of(model: &PriorModel, grid: GridShape) -> Tiles {
        let GridShape {
            frames,
            rows,
            columns,
        } = grid;
        let (order, side) = (model.order(), model.order().side);
        let wavefronts = order.wavefronts_of(rows.min(side), columns.min(side));
        let positions = wavefronts * order.wavefront_width();
        let numbers = TokenGrid::new(grid, (0..grid.tokens() as u64).collect());
        let (mut count, mut seen, mut own) = (0, Vec::new(), Vec::new());
        for frame in 0..frames {
            for top in (0..rows).step_by(side) {
                for left in (0..columns).step_by(side) {
                    let (down, right) = (side.min(rows - top), side.min(columns - left));
                    let of_frame = |frame: usize| {
                        let frame = numbers.frames(frame..frame + 1);
                        let own = frame.cut(top, left, down, right).indices.into_iter();
                        TileTokens::numbered(down, right, own.map(|place| place as i32).collect())
                    };
                    let tile = match frame.checked_sub(1) {
                        Some(before) => of_frame(frame).after(&of_frame(before)),
                        None => of_frame(frame),
                    };
                    for &token in &order.tokens()[..positions] {
                        tile.append_known(model, token, &mut seen);
                        tile.append_token(token, &mut own);
                    }
                    count += 1;
                }
            }
        }
        for place in seen.iter_mut().chain(&mut own) {
            if *place < 0 {
                *place = grid.tokens() as i32;
            }
        }
        Tiles {
            count,
            wavefronts,
            positions,
            seen,
            own,
        }
    }
}
