//! A large tokenizer on weights made by a formula: the encoder's side, and the decoder's from the
//! recorded bits.

use super::Comparison;
use super::case::{Case, CheckError};
use super::compare::{FORWARD, floats, integers};
use super::outputs::{keys, near_zero, tokenizer, tokens};
use super::{hashed, tokenizer::SCALES};
use bsq::tokenizer::{Tokenizer, bits::index_of};
use bsq_ir::{DType, Graph, Scope};
use bsq_runtime::executor::{Executor, Tensors};
use bsq_runtime::tensor_data::HostTensor;

pub(super) fn check(case: &Case, executor: &dyn Executor) -> Result<Vec<Comparison>, CheckError> {
    let tokenizer = tokenizer(case, "config")?;
    let mut weights = Tensors::new();
    for spec in tokenizer.parameters() {
        let shape = spec.ty.shape.to_vec();
        let tensor = HostTensor::from_slice(shape, &hashed::parameter(&spec))?;
        weights.insert(spec.name, tensor);
    }
    let mut comparisons = check_weights(case, &weights)?;
    let shape = tokenizer.image_shape(1);
    let picture = HostTensor::from_slice(shape, &hashed::picture(shape))?;
    let mut computed = encode(&tokenizer, executor, &weights, &picture)?;
    computed.extend(decode(case, &tokenizer, executor, &weights)?);
    computed.insert("input".to_string(), picture);
    comparisons.extend(check_tensors(case, &computed)?);
    comparisons.extend(check_numbers(case, &computed)?);
    Ok(comparisons)
}

fn encode(
    tokenizer: &Tokenizer,
    executor: &dyn Executor,
    weights: &Tensors,
    picture: &HostTensor,
) -> Result<Tensors, CheckError> {
    let g = Graph::new();
    let scope = Scope::root(&g);
    let image = g.input("image", DType::F32, picture.shape());
    let forward = tokenizer.forward(&scope, image);
    let named = super::outputs::named_outputs(&forward, &[]);
    let wanted = ["encoder_out", "z", "bits", "indices_exact", "quant_loss"];
    let named = named
        .iter()
        .filter(|(name, _)| wanted.contains(name) || SCALES.contains(name));
    let function = g.function(named.map(|(name, tensor)| (*name, tensor.id())), []);
    let inputs = Tensors::from([("image".to_string(), picture.clone())]);
    Ok(executor.run(&function, weights, &inputs)?.outputs)
}

/// From the recorded bits, so that a bit that may differ does not show in the picture.
fn decode(
    case: &Case,
    tokenizer: &Tokenizer,
    executor: &dyn Executor,
    weights: &Tensors,
) -> Result<Tensors, CheckError> {
    let bits = case.tensor("bits")?;
    let width = *bits
        .shape()
        .last()
        .ok_or_else(|| case.fail("bits", "a table"))?;
    let bits: Vec<bool> = integers(bits)?.into_iter().map(|bit| bit != 0).collect();
    let indices: Vec<u64> = bits.chunks(width).map(index_of).collect();
    let indices = HostTensor::from_slice([1, indices.len()], &indices)?;
    let g = Graph::new();
    let scope = Scope::root(&g);
    let codes = tokenizer.codes(&scope, g.input("indices", DType::U64, indices.shape()));
    let decoded = tokenizer.decode(&scope, codes);
    let outputs = [
        ("decoder_raw", decoded.raw),
        ("recon", decoded.reconstruction),
    ];
    let function = g.function(outputs.map(|(name, tensor)| (name, tensor.id())), []);
    let inputs = Tensors::from([("indices".to_string(), indices)]);
    Ok(executor.run(&function, weights, &inputs)?.outputs)
}

/// That the formula gives the recorded weights: a sum, the sum of magnitudes, three elements.
fn check_weights(case: &Case, weights: &Tensors) -> Result<Vec<Comparison>, CheckError> {
    let checks = &case.description["weight_checks"];
    let one = |name: String| {
        let label = format!("weights.{name}");
        let Some(tensor) = weights.get(&name) else {
            return Ok(Comparison::missing(&label));
        };
        let elements = floats(tensor)?;
        let recorded = &checks[&name];
        let three = recorded[2].as_array().into_iter().flatten();
        let mut recorded: Vec<f64> = [&recorded[0], &recorded[1]]
            .into_iter()
            .chain(three)
            .filter_map(|x| x.as_f64())
            .collect();
        let mut found = vec![
            elements.iter().sum(),
            elements.iter().map(|x| x.abs()).sum(),
        ];
        found.extend_from_slice(&elements[..3]);
        // A sum is a difference of what is added.
        let scale = found[1];
        for sums in [&mut found, &mut recorded] {
            sums.iter_mut().take(2).for_each(|sum| *sum /= scale);
        }
        Ok(Comparison::relative(&label, &found, &recorded, FORWARD))
    };
    keys(checks).into_iter().map(one).collect()
}

fn check_tensors(case: &Case, computed: &Tensors) -> Result<Vec<Comparison>, CheckError> {
    let near_zero = near_zero(case)?;
    // A crop is where its name says; one of the reconstruction without a place is where the others
    // are, and the input's at the top left.
    let named = case.recorded.keys().find_map(|name| corner(name));
    let place = |name: &str| corner(name).or(named).unwrap_or_default();
    let mut comparisons = Vec::new();
    for (name, recorded) in &case.recorded {
        if !recorded.dtype().is_float() {
            comparisons.push(match computed.get(name) {
                None => Comparison::missing(name),
                Some(found) => tokens(name, &integers(found)?, &integers(recorded)?, &near_zero),
            });
            continue;
        }
        let found = match name.as_str() {
            "z" => floats(&computed["z"])?,
            "input_crop" => crop(&computed["input"], [0, 0], recorded.shape())?,
            "recon_blockmean16" => block_means(&computed["recon"], 16)?,
            _ if name.starts_with("encoder_out_tok") => rows(&computed["encoder_out"], name)?,
            _ if name.starts_with("decoder_raw_crop") => {
                crop(&computed["decoder_raw"], place(name), recorded.shape())?
            }
            _ if name.starts_with("recon") && name.contains("crop") => {
                crop(&computed["recon"], place(name), recorded.shape())?
            }
            _ => Vec::new(),
        };
        comparisons.push(Comparison::relative(
            name,
            &found,
            &floats(recorded)?,
            FORWARD,
        ));
    }
    Ok(comparisons)
}

/// Scalars, and the statistics of whole tensors on the scale of their mean magnitude at least.
fn check_numbers(case: &Case, computed: &Tensors) -> Result<Vec<Comparison>, CheckError> {
    let item = |name: &str| Ok::<f64, CheckError>(f64::from(computed[name].item::<f32>()?));
    let mut comparisons = Vec::new();
    let mut terms = item("commit_unweighted")?;
    for name in ["H_persample", "H_codebook"] {
        let precise = case.optional_number(&format!("{name}_f64"));
        let recorded = precise.map_or_else(|| case.number(name), Ok)?;
        terms += item(name)?;
        comparisons.push(Comparison::number(name, item(name)?, recorded, FORWARD));
    }
    let (found, recorded) = (item("quant_loss")?, case.number("quant_loss")?);
    comparisons.push(Comparison::of_terms("quant_loss", found, recorded, terms));

    let (input, picture) = (floats(&computed["input"])?, floats(&computed["recon"])?);
    let difference: Vec<f64> = input.iter().zip(&picture).map(|(a, b)| a - b).collect();
    let [.., l1] = statistics(&difference);
    comparisons.push(Comparison::number("l1", l1.1, case.number("l1")?, FORWARD));

    for name in keys(&case.description["stats"]) {
        let Some(tensor) = computed.get(&name) else {
            comparisons.push(Comparison::missing(&name));
            continue;
        };
        let found = statistics(&floats(tensor)?);
        let magnitude = found[4].1;
        for (statistic, found) in found {
            let recorded = case.number(&format!("stats.{name}.{statistic}"))?;
            let scale = magnitude.max(recorded.abs());
            let name = format!("{name}.{statistic}");
            comparisons.push(Comparison::of_terms(&name, found, recorded, scale));
        }
    }
    Ok(comparisons)
}

fn statistics(x: &[f64]) -> [(&'static str, f64); 5] {
    let count = x.len() as f64;
    let mean = x.iter().sum::<f64>() / count;
    let squares: f64 = x.iter().map(|x| (x - mean) * (x - mean)).sum();
    [
        ("mean", mean),
        ("std", (squares / (count - 1.0)).sqrt()),
        ("min", x.iter().copied().fold(f64::INFINITY, f64::min)),
        ("max", x.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
        ("mean_abs", x.iter().map(|x| x.abs()).sum::<f64>() / count),
    ]
}

/// Rows of `[1, tokens, width]` whose numbers follow `tok` in the name, as in `tok0_5_512`.
fn rows(tensor: &HostTensor, name: &str) -> Result<Vec<f64>, CheckError> {
    let (width, elements) = (tensor.shape()[2], floats(tensor)?);
    let numbers = name.rsplit("tok").next().unwrap_or_default().split('_');
    let numbers = numbers.filter_map(|number| number.parse::<usize>().ok());
    let row = |number: usize| {
        elements
            .chunks(width)
            .nth(number)
            .unwrap_or_default()
            .to_vec()
    };
    Ok(numbers.flat_map(row).collect())
}

/// Row and column of a crop's corner from a name that ends in `_yROW_xCOLUMN`.
fn corner(name: &str) -> Option<[usize; 2]> {
    let (rest, column) = name.rsplit_once("_x")?;
    let (_, row) = rest.rsplit_once("_y")?;
    Some([row.parse().ok()?, column.parse().ok()?])
}

/// The part of `[1, channels, height, width]` at `corner` with the recorded extents
/// `[channels, rows, columns]`.
fn crop(
    tensor: &HostTensor,
    [top, left]: [usize; 2],
    extents: &[usize],
) -> Result<Vec<f64>, CheckError> {
    let (shape, elements) = (tensor.shape(), floats(tensor)?);
    let (height, width) = (shape[2], shape[3]);
    let &[channels, rows, columns] = extents else {
        return Ok(Vec::new());
    };
    let fits = channels <= shape[1] && top + rows <= height && left + columns <= width;
    let lines = (0..channels).flat_map(|c| (0..rows).map(move |row| c * height + top + row));
    let line = |line: usize| &elements[line * width + left..][..columns];
    Ok(if fits {
        lines.flat_map(line).copied().collect()
    } else {
        Vec::new()
    })
}

/// The means of blocks of `side` by `side` pixels of `[1, channels, height, width]`.
fn block_means(tensor: &HostTensor, side: usize) -> Result<Vec<f64>, CheckError> {
    let (shape, elements) = (tensor.shape(), floats(tensor)?);
    let (height, width) = (shape[2], shape[3]);
    let (rows, columns) = (height / side, width / side);
    let mut means = vec![0.0; shape[1] * rows * columns];
    for (at, pixel) in elements.iter().enumerate() {
        let (plane, y, x) = (at / (height * width), at / width % height, at % width);
        let block = (plane * rows + y / side) * columns + x / side;
        means[block] += pixel / (side * side) as f64;
    }
    Ok(means)
}
