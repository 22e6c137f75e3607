//! Products by letters.

use super::numbers;
use bsq_ir::eval::{Data, Precision, Values, evaluate};
use bsq_ir::{Graph, Shape, Tensor};

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
