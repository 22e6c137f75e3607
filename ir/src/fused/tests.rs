//! Expansions have the types of their ops, and the bits of what they stand for.

use super::*;
use crate::autodiff::vjp;
use crate::eval::{Precision, Value, Values, evaluate};
use crate::op::infer;
use crate::op::{Float, Mask};

#[test]
fn expansions_have_the_types_of_their_ops() {
    let scale = Float::new(0.25);
    let rows = [2, 3, 5];
    let attention = |mask, bias: Option<Vec<usize>>| {
        let shapes = [vec![2, 4, 8], vec![2, 6, 8], vec![2, 6, 3]].into_iter();
        let forward: Vec<Vec<usize>> = shapes.clone().chain(bias.clone()).collect();
        let statistics = [vec![2, 4], vec![2, 4], vec![2, 4, 3]];
        let backward: Vec<Vec<usize>> = shapes.chain(statistics).chain(bias).collect();
        [
            (Op::Attention { scale, mask }, forward),
            (Op::AttentionBackward { scale, mask }, backward),
        ]
    };
    let epsilon = Float::new(1e-5);
    let row_ops = [
        (Op::Softmax, vec![rows.to_vec()]),
        (Op::SoftmaxBackward, vec![rows.to_vec(); 2]),
        (
            Op::LayerNorm { epsilon },
            vec![rows.to_vec(), vec![5], vec![5]],
        ),
        (
            Op::LayerNormBackward,
            vec![
                rows.to_vec(),
                vec![5],
                vec![2, 3],
                vec![2, 3],
                rows.to_vec(),
            ],
        ),
        (Op::Gelu, vec![rows.to_vec()]),
        (Op::GeluBackward, vec![rows.to_vec(); 2]),
        (Op::PackSigns, vec![rows.to_vec()]),
    ];
    let cases = row_ops
        .into_iter()
        .chain(attention(Mask::None, None))
        .chain(attention(Mask::BlockCausal { size: 4 }, None))
        .chain(attention(Mask::Bias, Some(vec![4, 6])))
        .chain(attention(Mask::Bias, Some(vec![2, 4, 6])));
    for (op, shapes) in cases {
        let graph = Graph::new();
        let input =
            |(i, shape): (usize, Vec<usize>)| graph.input(&format!("x{i}"), DType::F32, shape);
        let operands: Vec<Tensor> = shapes.into_iter().enumerate().map(input).collect();
        let ids: Vec<NodeId> = operands.iter().map(|operand| operand.id()).collect();
        let types = operands.iter().map(|operand| [operand.ty()]);
        let types: Vec<_> = types.collect();
        let types: Vec<_> = types.iter().map(|ty| &ty[..]).collect();
        let wanted = infer(&op, &types).expect("well typed");
        let expanded = expand(&graph, &op, &operands);
        let got: Vec<_> = expanded.iter().map(|tensor| tensor.ty()).collect();
        assert_eq!(got, wanted.to_vec(), "{}", op.name());

        // As part of a function, with every result read through a projection.
        let node = graph.add(op, &ids).expect("well typed");
        let result = |index| match wanted.len() {
            1 => node,
            _ => graph.add(Op::Projection(index), &[node]).expect("a result"),
        };
        let names: Vec<String> = (0..wanted.len()).map(|index| format!("y{index}")).collect();
        let mut outputs: Vec<(&str, NodeId)> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            outputs.push((name, result(index)));
        }
        let function = expand_function(&graph.function(outputs, []));
        let families = || function.nodes().iter().map(|node| node.op.family());
        assert!(families().all(|family| !matches!(family, Family::Fused | Family::Projection)));
        let got = function
            .outputs()
            .iter()
            .map(|(_, id)| function.node(*id).ty().clone());
        assert_eq!(got.collect::<Vec<_>>(), wanted.to_vec());
    }
}

/// Asserts that two spellings of a function of `x` and `g` (`f32[64]`) give equal bits.
#[track_caller]
fn assert_same_bits(build: impl for<'g> Fn(Tensor<'g>, Tensor<'g>) -> [Tensor<'g>; 2]) {
    let graph = Graph::new();
    let input = |name| graph.input(name, DType::F32, [64]);
    let [a, b] = build(input("x"), input("g"));
    let function = graph.function([("a", a.id()), ("b", b.id())], []);
    let values = |seed: f32| {
        let value = |i: usize| (i as f32 * seed).sin() * 4.0;
        Value::new([64], (0..64).map(value).collect::<Vec<_>>())
    };
    let inputs = [("x", values(1.3)), ("g", values(0.7))];
    let inputs: Values = inputs.map(|(name, value)| (name.to_string(), value)).into();
    let got = evaluate(&function, &inputs, &Values::new(), Precision::F32).expect("complete");
    assert_eq!(got.outputs["a"], got.outputs["b"]);
}

#[test]
fn gelu_backward_is_what_differentiation_gives() {
    assert_same_bits(|x, g| {
        let differentiated = vjp(&[x.gelu()], &[g], &[x])[0];
        let fused = expand(x.graph(), &Op::GeluBackward, &[x, g])[0];
        [differentiated, fused]
    });
}
