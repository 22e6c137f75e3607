//! The rate beside coding, and its gradient beside differences.

use bsq::config::{Config, PriorConfig};
use bsq::pipeline::CompileOptions;
use bsq::prior::{
    PriorFile, PriorSession, PriorSessionError, SubTokenPosition, TileTokens, bits_per_token,
};
use bsq::token_grid::{GridShape, TokenGrid};
use bsq::tokenizer::Tokenizer;
use bsq_ir::autodiff::gradients;
use bsq_ir::eval::{Data, Precision, Value, Values, evaluate};
use bsq_ir::philox::random_word;
use bsq_ir::{DType, Graph, Scope, Tensor};

const BITS: usize = 4;

const PRIOR: &str = "
[prior]
bits = 4
sub_token_bits = 2
side = 3
neighbours = 3
frame_before = 2
width = 8
layers = 1
heads = 2
head_width = 4
";

/// A prior that thinks some tokens much likelier than others.
fn prior() -> PriorFile {
    let config = PriorConfig::from_toml(PRIOR).unwrap();
    let mut prior = PriorFile::untrained("random", config, "none").unwrap();
    for tensor in prior.parameters.values_mut() {
        let values = tensor.as_mut_slice::<f32>().unwrap();
        values.iter_mut().for_each(|x| *x *= 8.0);
    }
    prior
}

fn tokenizer() -> Tokenizer {
    let config = Config::from_toml(
        "
        [model]
        embed_dim = 4
        embed_group_size = 4
        post_q_l2_norm = true
        inv_temperature = 1.5
        [model.vitconfig]
        image_size = 16
        patch_size = 8
        width = 8
        layers = 1
        heads = 2
        mlp_ratio = 2
        ",
    );
    Tokenizer::new(&config.unwrap().model)
}

/// Features in -1..1, `[2, tokens, bits]`.
fn features(tokens: usize, seed: u64) -> Vec<f64> {
    let value = |i: usize| f64::from(random_word(seed, 0, i as u64)) / f64::from(u32::MAX);
    (0..2 * tokens * BITS)
        .map(|i| 2.0 * value(i) - 1.0)
        .collect()
}

fn weights(prior: &PriorFile) -> Values {
    let value = |(name, tensor): (&String, &bsq_runtime::HostTensor)| {
        let values = tensor.as_slice::<f32>().unwrap();
        let values: Vec<f64> = values.iter().map(|&x| x.into()).collect();
        (name.clone(), Value::new(tensor.shape().to_vec(), values))
    };
    prior.parameters.iter().map(value).collect()
}

fn run(output: Tensor<'_>, inputs: &[(&str, &[f64])], prior: &PriorFile) -> Vec<f64> {
    let function = output.graph().function([("y", output.id())], []);
    let value = |&(name, values): &(&str, &[f64])| {
        let shape = [2, values.len() / BITS / 2, BITS];
        (name.to_string(), Value::new(shape, values.to_vec()))
    };
    let inputs = inputs.iter().map(value).collect();
    let run = evaluate(&function, &inputs, &weights(prior), Precision::F64).unwrap();
    match run.outputs["y"].data() {
        Data::F64(values) => values.clone(),
        other => panic!("{other:?}"),
    }
}

/// The bits per token that coding finds.
fn coded(prior: &PriorFile, grid: GridShape, u: &[f64]) -> f64 {
    let (model, depth) = (&prior.model, prior.config.prior.sub_tokens());
    let mut session = PriorSession::new(prior, &CompileOptions::default()).unwrap();
    let token = |bits: &[f64]| {
        let bit = |index: u64, &u: &f64| index << 1 | u64::from(u > 0.0);
        bits.iter().fold(0, bit)
    };
    let tokens: Vec<u64> = u.chunks_exact(BITS).map(token).collect();
    let mut bits = 0.0;
    for clip in tokens.chunks_exact(grid.tokens()) {
        let clip = TokenGrid::new(grid, clip.to_vec());
        let side = prior.config.prior.side;
        for (frame, top, left) in (0..grid.frames).flat_map(|frame| {
            let tops = (0..grid.rows).step_by(side);
            tops.flat_map(move |top| {
                (0..grid.columns)
                    .step_by(side)
                    .map(move |left| (frame, top, left))
            })
        }) {
            let (rows, columns) = (side.min(grid.rows - top), side.min(grid.columns - left));
            let of = |frame: usize| {
                let own = clip.frames(frame..frame + 1).cut(top, left, rows, columns);
                TileTokens::new(model, rows, columns, &own.indices, depth)
            };
            let tile = match frame {
                0 => of(0),
                frame => of(frame).after(&of(frame - 1)),
            };
            let mut visit = |place: SubTokenPosition, probabilities: &[f32]| {
                let value = tile.token(place.row, place.column)[place.index];
                bits -= f64::from(probabilities[value as usize]).log2();
                Ok::<_, PriorSessionError>(())
            };
            let given = [tile.clone()];
            session.teacher_forced(&given, depth, &mut visit).unwrap();
        }
    }
    bits / tokens.len() as f64
}

#[test]
fn its_value_is_what_coding_needs() {
    let prior = prior();
    let clip = GridShape {
        frames: 2,
        rows: 3,
        columns: 2,
    };
    // Smaller than a tile, several tiles of which some are cut, and a clip.
    for grid in [GridShape::still(2, 3), GridShape::still(4, 5), clip] {
        let u = features(grid.tokens(), 3);
        let g = Graph::new();
        let input = g.input("u", DType::F32, [2, grid.tokens(), BITS]);
        let tokens = tokenizer().sub_token_values(input, 2).straight_through();
        let rate = bits_per_token(&prior.model, &Scope::root(&g), tokens, grid);
        let (own, coded) = (run(rate, &[("u", &u)], &prior)[0], coded(&prior, grid, &u));
        assert!((own - coded).abs() < 1e-5 * coded, "{own}, coded {coded}");
        // Other than what a prior that knows nothing needs.
        assert!((own - BITS as f64).abs() > 0.05, "{own}");
    }
}

/// Of the bits as a function of probabilities: hard at one place, and moving as the soft ones do.
#[test]
fn its_gradient_is_that_of_the_expected_bits() {
    let prior = prior();
    let grid = GridShape {
        frames: 2,
        rows: 2,
        columns: 2,
    };
    let (place, direction) = (features(8, 5), features(8, 7));
    let g = Graph::new();
    let scope = Scope::root(&g).sharing();
    let [u, at] = ["u", "at"].map(|name| {
        let input = g.input(name, DType::F32, [2, 8, BITS]);
        (input, tokenizer().sub_token_values(input, 2))
    });
    let rate = |tokens| bits_per_token(&prior.model, &scope, tokens, grid);
    let gradient = gradients(rate(u.1.straight_through()), &[u.0])[0];
    let gradient = run(gradient, &[("u", &place)], &prior);
    let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
    let moving = rate(at.1.hard + (u.1.soft - at.1.soft));
    let bits = |step: f64| {
        let moved = place.iter().zip(&direction).map(|(x, d)| x + step * d);
        let moved: Vec<f64> = moved.collect();
        run(moving, &[("u", &moved), ("at", &place)], &prior)[0]
    };
    const STEP: f64 = 1e-4;
    let difference = (bits(STEP) - bits(-STEP)) / (2.0 * STEP);
    assert!(
        (slope - difference).abs() < 1e-6 * (1.0 + difference.abs()) && slope.abs() > 1e-2,
        "{slope}, differences {difference}"
    );
}
