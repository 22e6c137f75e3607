//! The programs of a transform codec: pixels to levels and back, and what its context models say.
//!
//! Shapes as in the [module](super); everything is `f32`, levels are integers.

use super::context::{Before, Known, NEIGHBOURS, Prepared, Side};
use super::{Expected, Part, PartKind, TransformCodec, log_step, rate_distortion};
use crate::config::RateDistortionConfig;
use bsq_ir::autodiff::gradients;
use bsq_ir::tensor::ParameterSpec;
use bsq_ir::{DType, Function, Graph, Scope, Tensor};
use std::ops::Range;

/// The second derivative of the loss by a feature, pixels times, as a search takes it. Of a squared
/// error in steps it is 2; with less than 5 features overshoot.
const CURVATURE: f64 = 5.0;

/// Names of the levels' inputs and outputs, by part.
pub const LEVELS: [&str; 3] = ["levels.0", "levels.1", "levels.2"];

/// `image` (`[1, 3, height, width]` in -1..1) and `step` (`[1]`) to `levels.I`
/// (`[1, rows, columns, coordinates]`) of part I.
pub fn levels_function(codec: &TransformCodec, height: usize, width: usize) -> Function {
    let graph = Graph::new();
    let image = graph.input("image", DType::F32, [1, 3, height, width]);
    let levels = codec.levels(&Scope::root(&graph), image, step(&graph));
    let outputs = LEVELS.into_iter().zip(levels);
    graph.function(outputs.map(|(name, levels)| (name, levels.id())), [])
}

/// `image` and `step` to the features that [`levels_function`] rounds, by the same names.
pub fn features_function(codec: &TransformCodec, [height, width]: [usize; 2]) -> Function {
    let graph = Graph::new();
    let image = graph.input("image", DType::F32, [1, 3, height, width]);
    let features = codec.features(&Scope::root(&graph), image, step(&graph));
    let outputs = LEVELS.into_iter().zip(features);
    graph.function(outputs.map(|(name, features)| (name, features.id())), [])
}

/// One round of a search for better features of an image: `image`, `step` and `rate` (`f32[]`, how
/// much of the way is gone). The features are parameters of the levels' names and are updated. The
/// output `loss` is that of the levels before.
pub fn refine_function(
    codec: &TransformCodec,
    loss: &RateDistortionConfig,
    [height, width]: [usize; 2],
) -> Function {
    let graph = Graph::new();
    let image = graph.input("image", DType::F32, [1, 3, height, width]);
    let (step, rate) = (step(&graph), graph.scalar("rate"));
    let of_part = |(name, part): (&str, &Part)| {
        let shape = part.shape(height, width);
        graph.parameter(name, DType::F32, shape)
    };
    let features: Vec<_> = LEVELS
        .into_iter()
        .zip(&codec.parts())
        .map(of_part)
        .collect();
    let levels: Vec<_> = features
        .iter()
        .map(|&y| codec.quantizer().levels(y).stop_gradient())
        .collect();
    let forward = codec.forward_of(&Scope::root(&graph), levels.clone(), &levels, step, None);
    let figures = rate_distortion(loss, &forward, image, step);
    let pixels = (height * width) as f64;
    let slopes = gradients(figures.loss, &levels);
    let updates = features
        .iter()
        .zip(&levels)
        .zip(slopes)
        .map(|((&y, &q), slope)| {
            let best = q - (slope * (pixels / CURVATURE)).clamp(-1.0, 1.0);
            (y.id(), (y + (best - y) * rate).id())
        });
    graph.function([("loss", figures.loss.id())], updates)
}

/// Of a predicted frame `expected` and `lacked` (`[1, 3, height, width]`: see [`Expected`]) and `step` to
/// `features` of patches (`[1, R, C, F]`) and `coarse_features` of 4x4 of them
/// (`[1, R / 4, C / 4, F]`).
pub fn expected_function(codec: &TransformCodec, [height, width]: [usize; 2]) -> Function {
    let graph = Graph::new();
    let image = |name| graph.input(name, DType::F32, [1, 3, height, width]);
    let expected = Expected {
        picture: image("expected"),
        lacked: image("lacked"),
    };
    let scope = Scope::root(&graph);
    let features = codec.expected_features(&scope, expected, step(&graph));
    let coarse = PartKind::Coarse.expected(features);
    let outputs = [
        ("features", features.id()),
        ("coarse_features", coarse.id()),
    ];
    graph.function(outputs, [])
}

/// `levels.I` of all parts and `step` to `pixels` (`[3, height, width]`, from -127.5 to 127.5 and a
/// little beyond); of predicted frames with `expected`, the `features` of [`expected_function`].
pub fn pixels_function(codec: &TransformCodec, height: usize, width: usize) -> Function {
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let levels = levels_inputs(codec, &graph, height, width);
    let picture = codec.coarse_picture(&scope, &levels);
    let features = codec.config().expected_features;
    let patches = [1, height / 8, width / 8, features];
    let expected = (features > 0).then(|| graph.input("expected", DType::F32, patches));
    let pixels = codec.pixels(&scope, &levels, picture, step(&graph), expected);
    graph.function([("pixels", pixels.squeeze(0).id())], [])
}

/// What the part before part `index`, which is not the first, says of this one's patches:
/// its `levels` (`[1, rows, columns, coordinates]`) to `features` and `raw` (`[R * C, ..]`).
///
/// # Panics
/// If the codec has no part of this index, or it is the first.
pub fn side_function(
    codec: &TransformCodec,
    index: usize,
    rows: usize,
    columns: usize,
) -> Function {
    let graph = Graph::new();
    let parts = codec.parts();
    let before = &parts[index - 1].context;
    let shape = [1, rows, columns, before.coordinates];
    let levels = graph.input("levels", DType::F32, shape);
    let picture = match parts[index].kind {
        PartKind::Coarse | PartKind::Detail => None,
        PartKind::Base => codec.coarse_picture(&Scope::root(&graph), &[levels]),
    };
    let side = parts[index].kind.side(picture, &[levels]);
    let side = side.expect("only the first part has none");
    let outputs = [("features", side.features), ("raw", side.raw)].map(|(name, x)| {
        let shape = x.shape();
        (name, x.reshape([shape[1] * shape[2], shape[3]]).id())
    });
    graph.function(outputs, [])
}

/// What is known of `lanes` patches of part `index` before their own levels: `neighbours`
/// (`[lanes, 6, K]`), `inside` (`[lanes, 6]`), `step`, `features` and `raw` (`[lanes, ..]`, of
/// [`side_function`]), and of predicted frames `expected` (`[lanes, F]`, of [`expected_function`]) to `hidden` (`[K, H * lanes]`) and `mean` (`[K, lanes]`).
pub fn patches_function(
    codec: &TransformCodec,
    index: usize,
    lanes: usize,
    side: Option<[usize; 2]>,
) -> Function {
    let graph = Graph::new();
    let Part { kind, context, .. } = &codec.parts()[index];
    let k = context.coordinates;
    let (count, expected) = (NEIGHBOURS.len(), codec.config().expected_features);
    let neighbours = graph.input("neighbours", DType::F32, [lanes, count, k]);
    let neighbour = |i: usize| neighbours.slice(1, i..i + 1).squeeze(1);
    let known = Known {
        neighbours: (0..count).map(neighbour).collect(),
        inside: graph.input("inside", DType::F32, [lanes, count]),
        log_step: log_step(step(&graph)),
        before: Before {
            side: side.map(|[features, raw]| Side {
                features: graph.input("features", DType::F32, [lanes, features]),
                raw: graph.input("raw", DType::F32, [lanes, raw]),
            }),
            expected: (expected > 0)
                .then(|| graph.input("expected", DType::F32, [lanes, expected])),
        },
    };
    let scope = Scope::root(&graph) / kind.scope();
    let Prepared { hidden, mean } = context.prepared(&scope, &known);
    let hidden = hidden.reshape([k, context.level_width * lanes]);
    graph.function([("hidden", hidden.id()), ("mean", mean.id())], [])
}

/// A group of coordinates of `lanes` patches of part `index`: `hidden`
/// (`[group, H * lanes]`) and `mean` (`[group, lanes]`) of [`patches_function`], `levels`
/// (`[lanes, K]`, of which those of earlier groups matter) and `step` to `table`
/// (`[5, group, lanes]`): see `logistic`.
pub fn group_function(
    codec: &TransformCodec,
    index: usize,
    group: Range<usize>,
    lanes: usize,
) -> Function {
    let graph = Graph::new();
    let Part { kind, context, .. } = &codec.parts()[index];
    let (count, h) = (group.len(), context.level_width);
    let hidden = graph.input("hidden", DType::F32, [count, h * lanes]);
    let prepared = Prepared {
        hidden: hidden.reshape([count * h, lanes]),
        mean: graph.input("mean", DType::F32, [count, lanes]),
    };
    let levels = graph.input("levels", DType::F32, [lanes, context.coordinates]);
    let scope = Scope::root(&graph) / kind.scope();
    let mixture = context.mixture_of_group(&scope, group, prepared, levels, log_step(step(&graph)));
    graph.function([("table", mixture.table().id())], [])
}

/// Every parameter of a codec.
pub fn parameter_specs(codec: &TransformCodec) -> Vec<ParameterSpec> {
    let graph = Graph::new();
    let scope = Scope::root(&graph);
    let side = codec.config().alignment();
    let image = graph.input("image", DType::F32, [1, 3, side, side]);
    let expected = (codec.config().expected_features > 0).then_some(Expected {
        picture: image,
        lacked: image,
    });
    codec.forward(&scope, image, step(&graph), expected);
    scope.specs()
}

fn step(graph: &Graph) -> Tensor<'_> {
    graph.input("step", DType::F32, [1])
}

/// Levels of all parts of a picture.
fn levels_inputs<'g>(
    codec: &TransformCodec,
    graph: &'g Graph,
    height: usize,
    width: usize,
) -> Vec<Tensor<'g>> {
    let parts = codec.parts();
    let input =
        |(name, part): (&str, &Part)| graph.input(name, DType::F32, part.shape(height, width));
    LEVELS.into_iter().zip(&parts).map(input).collect()
}
