//! Words of the DSL beside plain loops over numbers: values, corners, NaN and infinities.

use bsq_ir::eval::{Data, Precision, Value, Values, evaluate};
use bsq_ir::tensor::Keep;
use bsq_ir::{DType, Graph, Shape, Tensor};

const NAN: f32 = f32::NAN;
const INF: f32 = f32::INFINITY;

/// The result of a word of one `f32` tensor.
fn data(shape: &[usize], x: &[f32], word: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Value {
    let g = Graph::new();
    let y = word(g.input("x", DType::F32, shape));
    let function = g.function([("y", y.id())], []);
    let again: bsq_ir::Function = function.to_string().parse().unwrap();
    assert_eq!(again, function);
    let inputs = Values::from([("x".to_string(), Value::new(shape, x.to_vec()))]);
    let run = evaluate(&function, &inputs, &Values::new(), Precision::F32).unwrap();
    run.outputs["y"].clone()
}

fn floats(shape: &[usize], x: &[f32], word: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Vec<f32> {
    data(shape, x, word).as_f32().to_vec()
}

/// The elements of a result that is no float: truths are 1 and 0.
fn whole(value: &Value, dtype: DType) -> Vec<i64> {
    assert_eq!(value.dtype(), dtype);
    value.to_f64().iter().map(|&x| x as i64).collect()
}

fn each(x: &[f32], word: impl for<'g> Fn(Tensor<'g>) -> Tensor<'g>) -> Vec<f32> {
    floats(&[x.len()], x, word)
}

#[track_caller]
fn assert_bits(got: &[f32], wanted: &[f32]) {
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    let all = got.len() == wanted.len() && got.iter().zip(wanted).all(same);
    assert!(all, "{got:?}, not {wanted:?}");
}

#[track_caller]
fn assert_close(got: &[f32], wanted: impl IntoIterator<Item = f64>, relative: f64) {
    let wanted: Vec<f64> = wanted.into_iter().collect();
    assert_eq!(got.len(), wanted.len());
    for (&got, wanted) in got.iter().zip(wanted) {
        let error = (f64::from(got) - wanted).abs();
        let same = (got.is_nan() && wanted.is_nan()) || f64::from(got) == wanted;
        assert!(
            same || error <= relative * wanted.abs(),
            "{got}, not {wanted}"
        );
    }
}

/// Numbers of both signs, of many sizes, without repetition.
fn numbers(count: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 37 % 101) as f32 - 50.3) * 0.0713;
    (0..count).map(number).collect()
}

#[test]
fn activations() {
    let x = [-INF, -2.0, -0.0, 0.0, 3.0, INF, NAN];
    assert_bits(
        &each(&x, |x| x.relu()),
        &[0.0, 0.0, 0.0, 0.0, 3.0, INF, NAN],
    );
    assert_bits(
        &each(&x, |x| x.leaky_relu(0.5)),
        &[-INF, -1.0, -0.0, 0.0, 3.0, INF, NAN],
    );
    let x = numbers(40);
    let wide = || x.iter().map(|&x| f64::from(x));
    assert_close(
        &each(&x, |x| x.silu()),
        wide().map(|x| x / (1.0 + (-x).exp())),
        1e-6,
    );
    assert_bits(
        &each(&[-1000.0, INF, -INF], |x| x.silu()),
        &[-0.0, INF, NAN],
    );
    let gelu =
        |x: f64| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh());
    let errors = each(&x, |x| x.gelu_tanh())
        .into_iter()
        .zip(wide().map(gelu));
    assert!(
        errors
            .into_iter()
            .all(|(y, wanted)| (f64::from(y) - wanted).abs() < 1e-6)
    );
    assert_close(
        &each(&[4.0, 0.25, 0.0, -1.0, INF], |x| x.rsqrt()),
        [0.5, 2.0, f64::INFINITY, f64::NAN, 0.0],
        0.0,
    );
}

#[test]
fn rounding() {
    let mut x = vec![
        -INF,
        INF,
        NAN,
        0.0,
        -0.0,
        0.499_999_97,
        -0.499_999_97,
        8_388_609.0,
        -8_388_607.5,
    ];
    x.extend([
        0.5,
        1.5,
        2.5,
        -0.5,
        -1.5,
        -2.5,
        1e-40,
        -1e-40,
        f32::MAX,
        4_194_303.5,
        4_194_304.5,
    ]);
    x.extend(numbers(60));
    let wanted = |f: fn(f32) -> f32| -> Vec<f32> { x.iter().map(|&x| f(x)).collect() };
    assert_bits(&each(&x, |x| x.round()), &wanted(f32::round_ties_even));
    assert_bits(&each(&x, |x| x.ceil()), &wanted(f32::ceil));
    assert_bits(&each(&x, |x| x.trunc()), &wanted(f32::trunc));
}

#[test]
fn powers() {
    let x = [-3.0, -1.0, -0.0, 0.0, 0.5, 2.0, INF, NAN];
    for n in [-3, -2, -1, 0, 1, 2, 3, 7, 64] {
        let wanted: Vec<f64> = x.iter().map(|&x| f64::from(x).powi(n)).collect();
        let wanted = wanted.into_iter().map(|x| {
            if x.abs() > 1e39 {
                x.signum() * f64::INFINITY
            } else {
                x
            }
        });
        assert_close(&each(&x, |x| x.powi(n)), wanted, 1e-6);
        let whole = f64::from(n);
        assert_bits(&each(&x, |x| x.pow(whole)), &each(&x, |x| x.powi(n)));
    }
    assert_bits(&each(&[4.0, -1.0], |x| x.pow(0.5)), &[2.0, NAN]);
    // Bases down, exponents across.
    let bases = [-2.5, -1.0, 0.0, 0.3, 1.0, 7.0, INF, NAN];
    let exponents = [-3.0, -1.5, 0.0, 0.5, 1.0, 2.0, 3.0];
    let g = Graph::new();
    let x = g.constant_f32(&bases, [bases.len(), 1]);
    let y = x.pow(g.constant_f32(&exponents, [exponents.len()]));
    let function = g.function([("y", y.id())], []);
    let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F32).unwrap();
    let wanted = bases
        .iter()
        .flat_map(|&x| exponents.map(|y| f64::from(x).powf(f64::from(y))));
    assert_close(run.outputs["y"].as_f32(), wanted, 2e-6);
    // Numbers through the logarithm.
    let wanted = bases.map(|x| f64::from(x).powf(1.7));
    assert_close(&each(&bases, |x| x.pow(1.7)), wanted, 2e-6);
    let wanted = bases
        .map(|x| f64::from(x).powf(-71.0))
        .map(|x| if x.abs() < 1e-45 { 0.0 } else { x });
    assert_close(&each(&bases, |x| x.pow(-71.0)), wanted, 2e-5);
    let integers = data(&[3], &[-3.0, 0.0, 5.0], |x| x.cast(DType::I32).powi(3));
    assert_eq!(whole(&integers, DType::I32), [-27, 0, 125]);
}

#[test]
fn log_softmax_and_log_sum_exp() {
    let x = [
        1.0, 2.0, 4.0, 1000.0, -1000.0, 0.0, -INF, 0.0, 1.0, NAN, 0.0, 1.0,
    ];
    let rows: Vec<Vec<f64>> = x
        .chunks(3)
        .map(|row| row.iter().map(|&x| f64::from(x)).collect())
        .collect();
    let sum = |row: &Vec<f64>| {
        let m = row.iter().copied().fold(f64::MIN, f64::max);
        m + row.iter().map(|x| (x - m).exp()).sum::<f64>().ln()
    };
    let sums = floats(&[4, 3], &x, |x| x.log_sum_exp(-1));
    assert_close(&sums, rows.iter().map(sum), 1e-6);
    let softmax = floats(&[4, 3], &x, |x| x.log_softmax());
    assert_close(
        &softmax,
        rows.iter()
            .flat_map(|row| row.iter().map(|x| x - sum(row)).collect::<Vec<_>>()),
        1e-6,
    );
    assert_bits(
        &floats(&[2, 2], &[-INF, -INF, INF, 0.0], |x| x.log_sum_exp(1)),
        &[-INF, INF],
    );
}

#[test]
fn reductions() {
    let x = [3.0, -1.0, 4.0, 0.0, -5.0, 9.0];
    let all = |word: for<'g> fn(Tensor<'g>) -> Tensor<'g>| floats(&[2, 3], &x, word);
    assert_bits(&all(|x| x.min(-1)), &[-1.0, -5.0]);
    assert_bits(&all(|x| x.min(..)), &[-5.0]);
    assert_bits(&all(|x| x.prod(-1)), &[-12.0, -0.0]);
    assert_bits(&all(|x| x.prod(0)), &[0.0, 5.0, 36.0]);
    assert_bits(&all(|x| x.prod(..)), &[0.0]);
    assert_close(&all(|x| x.var(-1, 0)), [14.0 / 3.0, 302.0 / 9.0], 1e-6);
    assert_close(&all(|x| x.var(-1, 1)), [7.0, 151.0 / 3.0], 1e-6);
    assert_close(
        &all(|x| x.std(-1, 1)),
        [7.0_f64.sqrt(), (151.0_f64 / 3.0).sqrt()],
        1e-6,
    );
    assert_bits(&all(|x| x.var(0, 2)), &[NAN; 3]);
    assert_bits(&floats(&[2, 0], &[], |x| x.prod(1)), &[1.0; 2]);
    assert_bits(&floats(&[2, 0], &[], |x| x.sum(1)), &[0.0; 2]);
    assert_bits(&floats(&[2, 0], &[], |x| x.mean(1)), &[NAN; 2]);
    assert_bits(&floats(&[2, 0], &[], |x| x.var(1, 0)), &[NAN; 2]);
    assert_bits(&each(&[1.0, NAN, -INF], |x| x.min(..)), &[NAN]);
    assert_bits(&each(&[0.0, -0.0], |x| x.min(..)), &[-0.0]);
    assert_bits(&each(&[2.0; 5], |x| x.prod(..)), &[32.0]);
    let least = data(&[3], &[5.0, -7.0, 2.0], |x| {
        (x.cast(DType::I32).maximum(-2.0) + f64::from(i32::MIN + 2)).min(..)
    });
    assert_eq!(whole(&least, DType::I32), [i64::from(i32::MIN)]);
    let least = data(&[3], &[5.0, 7.0, 2.0], |x| x.cast(DType::U8).min(..));
    assert_eq!(whole(&least, DType::U8), [2]);
}

#[test]
fn truths() {
    let of = |word: for<'g> fn(Tensor<'g>) -> Tensor<'g>| {
        data(&[3, 2], &[0.0, 1.0, 0.0, 0.0, 2.0, 1.0], word)
    };
    assert_eq!(whole(&of(|x| x.ne(0.0).any(-1)), DType::Bool), [1, 0, 1]);
    assert_eq!(whole(&of(|x| x.ne(0.0).all(-1)), DType::Bool), [0, 0, 1]);
    assert_eq!(whole(&of(|x| x.ne(0.0).any(..)), DType::Bool), [1]);
    let empty = |word: for<'g> fn(Tensor<'g>) -> Tensor<'g>| data(&[0], &[], word);
    assert_eq!(whole(&empty(|x| x.ne(0.0).any(..)), DType::Bool), [0]);
    assert_eq!(whole(&empty(|x| x.ne(0.0).all(..)), DType::Bool), [1]);
    let truths = of(|x| (x.eq(1.0) | x.eq(2.0)) & !x.eq(2.0));
    assert_eq!(whole(&truths, DType::Bool), [0, 1, 0, 0, 0, 1]);
    let truths = of(|x| x.eq(1.0) ^ x.ge(1.0));
    assert_eq!(whole(&truths, DType::Bool), [0, 0, 0, 0, 1, 0]);
    let bits = of(|x| ((x.cast(DType::I32) << 3.0) | 1.0) >> 1.0);
    assert_eq!(whole(&bits, DType::I32), [0, 4, 0, 0, 8, 4]);
    let bits = of(|x| (!x.cast(DType::I32) & 3.0) ^ 1.0);
    assert_eq!(whole(&bits, DType::I32), [2, 3, 2, 2, 0, 3]);
}

#[test]
fn kept_axes_have_extent_one() {
    let g = Graph::new();
    let x = g.input("x", DType::F32, [2, 3, 4]);
    let kept = [
        x.sum(Keep(1)),
        x.mean(Keep(1)),
        x.max(Keep(1)),
        x.min(Keep(1)),
        x.prod(Keep(1)),
        x.var(Keep(1), 1),
        x.std(Keep(1), 1),
        x.log_sum_exp(Keep(1)),
        x.ne(0.0).any(Keep(1)),
        x.ne(0.0).all(Keep(1)),
    ];
    assert!(kept.iter().all(|y| *y.shape() == [2, 1, 4]));
    assert_eq!(*x.sum(Keep(..)).shape(), [1, 1, 1]);
    assert_eq!(*x.sum(Keep([0, -1])).shape(), [1, 3, 1]);
    let x = numbers(6);
    let centred = floats(&[2, 3], &x, |x| x - x.mean(Keep(-1)));
    let spelled = floats(&[2, 3], &x, |x| x - x.mean(-1).expand_axes(-1, [2, 3]));
    assert_bits(&centred, &spelled);
}

#[test]
fn running_sums_and_triangles() {
    let x: Vec<f32> = (0..22).map(|i| (i * i % 13) as f32).collect();
    let sums = floats(&[2, 11], &x, |x| x.cumsum(1));
    for row in 0..2 {
        let mut sum = 0.0;
        for i in 0..11 {
            sum += x[row * 11 + i];
            assert_eq!(sums[row * 11 + i], sum);
        }
    }
    // What comes later does not touch what is before.
    assert_bits(
        &each(&[1.0, INF, NAN, 1.0], |x| x.cumsum(0)),
        &[1.0, INF, NAN, NAN],
    );
    assert_bits(&each(&[], |x| x.cumsum(0)), &[]);
    let integers = data(&[3], &[250.0, 5.0, 3.0], |x| x.cast(DType::U8).cumsum(0));
    assert_eq!(whole(&integers, DType::U8), [250, 255, 2]);
    let x = [NAN, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0];
    for diagonal in -5..5_isize {
        let keeps = |below: bool| -> Vec<f32> {
            let element = |i: usize| {
                let (row, column) = (i / 4, i % 4);
                let distance = column as isize - row as isize;
                let kept = if below {
                    distance <= diagonal
                } else {
                    distance >= diagonal
                };
                if kept { x[i] } else { 0.0 }
            };
            (0..12).map(element).collect()
        };
        assert_bits(&floats(&[3, 4], &x, |x| x.tril(diagonal)), &keeps(true));
        assert_bits(&floats(&[3, 4], &x, |x| x.triu(diagonal)), &keeps(false));
    }
    assert_bits(&floats(&[3, 4], &x, |x| x.triu(isize::MIN)), &x);
}

#[test]
fn stacks_and_one_hots() {
    let y = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0], |x| {
        x.graph().stack(&[x, -x], 1)
    });
    assert_eq!(y, [1.0, 2.0, -1.0, -2.0, 3.0, 4.0, -3.0, -4.0]);
    let y = floats(&[2], &[1.0, 2.0], |x| x.graph().stack(&[x, -x], -1));
    assert_eq!(y, [1.0, -1.0, 2.0, -2.0]);
    let y = floats(&[3], &[2.0, 0.0, -1.0], |x| x.cast(DType::I32).one_hot(3));
    assert_eq!(y, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    // More classes than the type of the labels counts.
    let y = floats(&[1], &[1.0], |x| x.cast(DType::U8).one_hot(300));
    assert_eq!(y.iter().position(|&x| x == 1.0), Some(1));
    assert_eq!(y.iter().sum::<f32>(), 1.0);
}

/// Every formula beside loops over all letters.
#[test]
fn einsum_is_its_definition() {
    let extents = |letter: u8| [2, 3, 4, 2, 3][(letter - b'a') as usize];
    for formula in [
        "ab->ab",
        "ab->ba",
        "ab->a",
        "ab->b",
        "ab->",
        "->",
        "a,b->ab",
        "a,b->ba",
        "a,b->",
        "ab,bc->ac",
        "ab,bc->ca",
        "abc,acd->abd",
        "abc,acd->dba",
        "ab,ab->ab",
        "ab,ab->",
        "ab,ab->a",
        "abc,cd->ab",
        "abe,bcd->ce",
        "ab,bc,cd->ad",
        "abc,cb,bd->dca",
        "a,a,a->a",
        "ab , ba -> b",
        "aa->a",
        "aa->",
        "aba->ba",
        "beeb->be",
        "aaa,ab->b",
        "ad,bb->bad",
    ] {
        let plain: String = formula.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = plain.split_once("->").unwrap();
        let sides: Vec<&[u8]> = left.split(',').map(str::as_bytes).collect();
        let mut letters: Vec<u8> = left.bytes().filter(|b| *b != b',').collect();
        letters.sort_unstable();
        letters.dedup();
        let g = Graph::new();
        let count = |side: &[u8]| side.iter().map(|&l| extents(l)).product::<usize>();
        let values: Vec<Vec<f32>> = sides
            .iter()
            .enumerate()
            .map(|(n, side)| numbers(count(side) + n)[n..].to_vec())
            .collect();
        let operands: Vec<Tensor> = sides
            .iter()
            .zip(&values)
            .map(|(side, x)| g.constant_f32(x, side.iter().map(|&l| extents(l)).collect::<Shape>()))
            .collect();
        let y = g.einsum(formula, &operands);
        assert_eq!(
            y.shape().to_vec(),
            right.bytes().map(extents).collect::<Vec<_>>(),
            "{formula}"
        );
        let function = g.function([("y", y.id())], []);
        let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F64).unwrap();
        let Data::F64(got) = run.outputs["y"].data() else {
            panic!("f64")
        };
        let mut wanted = vec![0.0; got.len()];
        let total: usize = letters.iter().map(|&l| extents(l)).product();
        for mut number in 0..total {
            let mut at = [0; 5];
            for &letter in &letters {
                at[(letter - b'a') as usize] = number % extents(letter);
                number /= extents(letter);
            }
            let place = |side: &[u8]| {
                side.iter()
                    .fold(0, |i, &l| i * extents(l) + at[(l - b'a') as usize])
            };
            let product: f64 = sides
                .iter()
                .zip(&values)
                .map(|(side, x)| f64::from(x[place(side)]))
                .product();
            wanted[place(right.as_bytes())] += product;
        }
        for (got, wanted) in got.iter().zip(&wanted) {
            assert!(
                (got - wanted).abs() < 1e-9,
                "{formula}: {got}, not {wanted}"
            );
        }
    }
}

/// The elements of a tensor without inputs.
fn elements(y: Tensor<'_>) -> Vec<f32> {
    let function = y.graph().function([("y", y.id())], []);
    let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F32).unwrap();
    run.outputs["y"].as_f32().to_vec()
}

/// An ellipsis is the axes that it stands for, broadcast.
#[test]
fn an_ellipsis_of_einsum_names_the_other_axes() {
    type Case = (
        &'static str,
        &'static [&'static [usize]],
        &'static str,
        &'static [&'static [usize]],
    );
    let cases: &[Case] = &[
        (
            "...ij,...jk->...ik",
            &[&[2, 5, 3, 4], &[2, 5, 4, 2]],
            "abij,abjk->abik",
            &[],
        ),
        (
            "...ij,jk->...ik",
            &[&[2, 5, 3, 4], &[4, 2]],
            "abij,jk->abik",
            &[],
        ),
        ("i...->...i", &[&[3, 2, 4]], "iab->abi", &[]),
        ("...->...", &[&[3, 2]], "ab->ab", &[]),
        ("...,...->...", &[&[], &[]], ",->", &[]),
        ("...ii->...i", &[&[2, 3, 3]], "aii->ai", &[]),
        ("i...j,...->j...", &[&[3, 2, 4], &[2]], "iaj,a->ja", &[]),
        // Repeated where an operand has one element.
        (
            "...i,...i->...",
            &[&[2, 1, 3], &[5, 3]],
            "abi,abi->ab",
            &[&[2, 5, 3], &[2, 5, 3]],
        ),
        (
            "...ij,...jk->...ik",
            &[&[1, 3, 4], &[5, 4, 2]],
            "aij,ajk->aik",
            &[&[5, 3, 4], &[5, 4, 2]],
        ),
        (
            "...,...,...->...",
            &[&[2, 1], &[1, 3], &[1]],
            "ab,ab,ab->ab",
            &[&[2, 3], &[2, 3], &[2, 3]],
        ),
    ];
    for (short, shapes, long, repeated) in cases {
        let g = Graph::new();
        let operand = |(n, shape): (usize, &&[usize])| {
            let count = shape.iter().product::<usize>();
            g.constant_f32(&numbers(count + n)[n..], *shape)
        };
        let operands: Vec<Tensor> = shapes.iter().enumerate().map(operand).collect();
        let whole: Vec<Tensor> = match repeated.is_empty() {
            true => operands.clone(),
            false => operands
                .iter()
                .zip(*repeated)
                .map(|(x, to)| x.broadcast_to(*to))
                .collect(),
        };
        let (y, wanted) = (g.einsum(short, &operands), g.einsum(long, &whole));
        assert_eq!(y.shape(), wanted.shape(), "{short}");
        for (got, wanted) in elements(y).iter().zip(elements(wanted)) {
            assert!((got - wanted).abs() < 1e-5, "{short}: {got}, not {wanted}");
        }
    }
}

/// A function of key and counter.
fn drawn(
    key: u64,
    counter: u64,
    word: impl for<'g> Fn(&'g Graph, [Tensor<'g>; 2]) -> Tensor<'g>,
) -> Vec<f32> {
    let g = Graph::new();
    let y = word(
        &g,
        ["key", "counter"].map(|name| g.input(name, DType::U64, [])),
    );
    let inputs = [("key", key), ("counter", counter)];
    let inputs = inputs.map(|(name, x)| (name.to_string(), Value::new(Shape::scalar(), vec![x])));
    let function = g.function([("y", y.id())], []);
    let run = evaluate(&function, &inputs.into(), &Values::new(), Precision::F32).unwrap();
    run.outputs["y"].as_f32().to_vec()
}

fn moments(x: &[f32]) -> [f64; 4] {
    let mean =
        |f: &dyn Fn(f64) -> f64| x.iter().map(|&x| f(f64::from(x))).sum::<f64>() / x.len() as f64;
    let first = mean(&|x| x);
    let second = mean(&|x| (x - first).powi(2));
    let standard = |n| mean(&|x| ((x - first) / second.sqrt()).powi(n));
    [first, second, standard(3), standard(4)]
}

#[test]
fn random_numbers_have_their_distributions() {
    let count = 200_001;
    let uniform = drawn(7, 3, |g, [key, counter]| g.uniform([count], key, counter));
    assert!(uniform.iter().all(|x| (0.0..1.0).contains(x)));
    let [mean, variance, skew, tail] = moments(&uniform);
    assert!(
        (mean - 0.5).abs() < 2e-3 && (variance - 1.0 / 12.0).abs() < 1e-3,
        "{mean} {variance}"
    );
    assert!(
        skew.abs() < 0.02 && (tail - 1.8).abs() < 0.02,
        "{skew} {tail}"
    );
    // Word i mod 4 of block counter + i / 4, its upper 24 bits.
    for i in [0, 1, 5, count - 1] {
        let word = bsq_ir::philox::random_word(7, 3, i as u64);
        assert_eq!(uniform[i], (word >> 8) as f32 / (1 << 24) as f32);
    }
    let normal = drawn(7, 3, |g, [key, counter]| g.normal([count], key, counter));
    let [mean, variance, skew, tail] = moments(&normal);
    assert!(
        mean.abs() < 7e-3 && (variance - 1.0).abs() < 1e-2,
        "{mean} {variance}"
    );
    assert!(
        skew.abs() < 0.02 && (tail - 3.0).abs() < 0.05,
        "{skew} {tail}"
    );
    // Shares within 1, 2 and 3 deviations.
    for (bound, share) in [(1.0, 0.682_689), (2.0, 0.954_500), (3.0, 0.997_300)] {
        let within = normal.iter().filter(|x| x.abs() < bound).count() as f64 / count as f64;
        assert!((within - share).abs() < 4e-3, "{within} within {bound}");
    }
    // The pairs of the transform do not depend on each other.
    let half = count.div_ceil(2);
    let products = (0..count - half).map(|i| f64::from(normal[i] * normal[half + i]));
    assert!((products.sum::<f64>() / (count - half) as f64).abs() < 0.01);
    assert_eq!(
        drawn(1, 0, |g, [key, counter]| g.normal([3, 0], key, counter)),
        []
    );
    assert_ne!(
        normal[..8],
        drawn(8, 3, |g, [key, counter]| g.normal([8], key, counter))[..]
    );
}

#[test]
fn dropout_drops_its_share_and_keeps_the_mean() {
    let ones = |probability: f64| {
        drawn(11, 2, |g, [key, counter]| {
            g.full(1.0, DType::F32, [1000, 100])
                .dropout(probability, key, counter)
        })
    };
    let y = ones(0.25);
    let dropped = y.iter().filter(|&&x| x == 0.0).count() as f64 / y.len() as f64;
    assert!((dropped - 0.25).abs() < 5e-3, "{dropped}");
    assert!(y.iter().all(|&x| x == 0.0 || x == 1.0 / 0.75));
    assert!(ones(0.0).iter().all(|&x| x == 1.0));
    assert!(ones(1.0).iter().all(|&x| x == 0.0));
    // The gradient passes where the value does, by the same factor.
    let gradient = drawn(11, 2, |g, [key, counter]| {
        let x = g.full(1.0, DType::F32, [1000, 100]);
        let y = x.dropout(0.25, key, counter);
        bsq_ir::autodiff::gradients(y.sum(..), &[x])[0]
    });
    assert_eq!(gradient, y);
}

#[test]
fn sorting_is_stable_with_nan_last() {
    let x = [2.0, NAN, -1.0, INF, -0.0, 2.0, 0.0, -INF, NAN, 1.0];
    let numbered = |word: for<'g> fn(Tensor<'g>) -> (Tensor<'g>, Tensor<'g>)| {
        let values = each(&x, |x| word(x).0);
        (values, data(&[10], &x, |x| word(x).1))
    };
    let (values, indices) = numbered(|x| x.sort(0));
    assert_bits(
        &values,
        &[-INF, -1.0, -0.0, 0.0, 1.0, 2.0, 2.0, INF, NAN, NAN],
    );
    assert_eq!(whole(&indices, DType::I32), [7, 2, 4, 6, 9, 0, 5, 3, 1, 8]);
    let (values, indices) = numbered(|x| x.top_k(5, 0));
    assert_bits(&values, &[INF, 2.0, 2.0, 1.0, -0.0]);
    assert_eq!(whole(&indices, DType::I32), [3, 0, 5, 9, 4]);
    let (values, _) = numbered(|x| x.top_k(10, -1));
    assert_bits(&values[7..], &[-INF, NAN, NAN]);
    // Every axis of three.
    let x = numbers(60);
    for axis in 0..3 {
        let g = Graph::new();
        let y = g.constant_f32(&x, [3, 4, 5]);
        let (sorted, indices) = y.sort(axis as isize);
        assert!(sorted.shape() == y.shape() && indices.shape() == y.shape());
        let function = g.function([("y", sorted.id())], []);
        let run = evaluate(&function, &Values::new(), &Values::new(), Precision::F32).unwrap();
        let got = run.outputs["y"].as_f32();
        let (extent, stride) = ([3, 4, 5][axis], [20, 5, 1][axis]);
        for start in (0..60).filter(|i| i / stride % extent == 0) {
            let mut row: Vec<f32> = (0..extent).map(|i| x[start + i * stride]).collect();
            row.sort_by(f32::total_cmp);
            let got: Vec<f32> = (0..extent).map(|i| got[start + i * stride]).collect();
            assert_eq!(got, row);
        }
    }
    assert_bits(&each(&[], |x| x.sort(0).0), &[]);
    assert_bits(&each(&[1.0], |x| x.top_k(0, 0).0), &[]);
    let integers = data(&[4], &[3.0, 1.0, 3.0, 0.0], |x| {
        x.cast(DType::I64).sort(0).1
    });
    assert_eq!(whole(&integers, DType::I32), [3, 1, 0, 2]);
}

#[test]
fn what_is_taken_along_an_axis() {
    let y = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], |x| {
        let at = x
            .graph()
            .constant_f32(&[2.0, 0.0, -1.0, 9.0], [2, 2])
            .cast(DType::I32);
        x.take_along(1, at)
    });
    assert_eq!(y, [3.0, 1.0, 4.0, 6.0]);
    let y = floats(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], |x| {
        x.take_along(0, x.argmax(0).unsqueeze(0))
    });
    assert_eq!(y, [4.0, 5.0, 6.0]);
}

#[test]
fn a_layer_norm_by_scope_is_that_of_its_parameters() {
    let g = Graph::new();
    let model = bsq_ir::Scope::root(&g);
    let x = g.input("x", DType::F32, [2, 3]);
    let y = x.layer_norm(&model / "norm", 1e-5);
    let [weight, bias] = ["norm.weight", "norm.bias"].map(|name| g.known_parameter(name).unwrap());
    assert_eq!(y.id(), x.layer_norm_with(weight, bias, 1e-5).id());
    let starts: Vec<_> = model.specs().into_iter().map(|spec| spec.init).collect();
    assert_eq!(starts, [1.0, 0.0].map(bsq_ir::tensor::Init::Constant));
}
