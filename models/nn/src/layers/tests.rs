//! Names and values: blocks beside the same arithmetic spelled out, masks element by element, and
//! a cache beside attention over everything at once.

use super::*;
use bsq_ir::{DType, Function, Graph, Scope, Shape, Tensor};
use bsq_runtime::executor::{Evaluator, Executor, Results, Tensors};
use bsq_runtime::tensor_data::HostTensor;

fn names(scope: &Scope<'_>) -> Vec<String> {
    scope.specs().into_iter().map(|spec| spec.name).collect()
}

fn noise(shape: &[usize]) -> HostTensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin()).collect();
    HostTensor::from_slice(shape.to_vec(), &values).unwrap()
}

fn run(function: &Function, parameters: &Tensors, inputs: &[(&str, HostTensor)]) -> Results {
    let inputs = inputs.iter().map(|(name, x)| (name.to_string(), x.clone()));
    let inputs = inputs.collect();
    Evaluator.run(function, parameters, &inputs).unwrap()
}

#[test]
fn parameters_have_the_names_of_pytorchs_transformers() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [1, 4, 6]);
    Block::pre_norm(6, 2).forward(&model / 0, x, &mut |heads| heads.attend(None));
    let expected = [
        "0.ln_1.weight",
        "0.ln_1.bias",
        "0.attn.in_proj_weight",
        "0.attn.in_proj_bias",
        "0.attn.out_proj.weight",
        "0.attn.out_proj.bias",
        "0.ln_2.weight",
        "0.ln_2.bias",
        "0.mlp.c_fc.weight",
        "0.mlp.c_fc.bias",
        "0.mlp.c_proj.weight",
        "0.mlp.c_proj.bias",
    ];
    assert_eq!(names(&model), expected);
}

/// Attention of 2 heads of width 3, in primitives, with parameters that exist.
fn spelled_attention<'g>(scope: &Scope<'g>, x: Tensor<'g>) -> Tensor<'g> {
    let g = scope.graph();
    let weight = g.known_parameter("attn.in_proj_weight").unwrap();
    let bias = g.known_parameter("attn.in_proj_bias").unwrap();
    let parts = (x.matmul_transposed(weight) + bias).reshape([2, 5, 3, 2, 3]);
    let [q, k, v] = [0, 1, 2].map(|i| {
        let part = parts.slice(2, i..i + 1).squeeze(2);
        part.transpose(&[0, 2, 1, 3])
    });
    let scores = q.matmul(k.swap_axes(-1, -2)) * (1.0 / 3.0_f64.sqrt());
    let joined = scores.softmax().matmul(v).transpose(&[0, 2, 1, 3]);
    let joined = joined.reshape([2, 5, 6]);
    Linear::normal(6, 0.02).forward(scope / "attn" / "out_proj", joined)
}

/// Both orders of a block beside their formulas, in primitives.
#[test]
fn a_block_is_its_formula() {
    for (order, block) in [
        (NormOrder::Pre, Block::pre_norm(6, 2)),
        (NormOrder::Post, Block::post_norm(6, 2)),
    ] {
        let g = Graph::new();
        let model = Scope::root(&g);
        let x = g.input("x", DType::F32, [2, 5, 6]);
        let y = block.forward(&model, x, &mut |heads| heads.attend(None));
        let again = model.sharing();
        let norm = |name: &str, x| block.norm.forward(&again / name, x);
        let attention = |x| spelled_attention(&again, x);
        let mlp = |x| block.mlp.forward(&again / "mlp", x);
        let spelled = match order {
            NormOrder::Pre => {
                let x = x + attention(norm("ln_1", x));
                x + mlp(norm("ln_2", x))
            }
            NormOrder::Post => {
                let x = norm("ln_1", x + attention(x));
                norm("ln_2", x + mlp(x))
            }
        };
        let function = g.function([("y", y.id()), ("spelled", spelled.id())], []);
        let parameters = crate::init::init(&model.specs(), 3).unwrap();
        let outputs = run(&function, &parameters, &[("x", noise(&[2, 5, 6]))]).outputs;
        let close = |name: &str| outputs[name].as_slice::<f32>().unwrap().to_vec();
        let pairs = close("y").into_iter().zip(close("spelled"));
        let worst = pairs.fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 1e-6, "{order:?}: {worst}");
        assert!(close("y").iter().any(|x| x.abs() > 0.1));
    }
}

#[test]
fn masks_let_through_what_their_names_say() {
    let g = Graph::new();
    let as_integers = |mask: Tensor<'_>| mask.cast(DType::I32).id();
    let function = g.function(
        [
            ("causal", as_integers(causal(&g, 4))),
            ("blocks", as_integers(block_causal(&g, 6, 2))),
        ],
        [],
    );
    let outputs = run(&function, &Tensors::new(), &[]).outputs;
    let causal = outputs["causal"].as_slice::<i32>().unwrap();
    for (i, &may) in causal.iter().enumerate() {
        assert_eq!(may, i32::from(i % 4 <= i / 4), "{i}");
    }
    let blocks = outputs["blocks"].as_slice::<i32>().unwrap();
    for (i, &may) in blocks.iter().enumerate() {
        assert_eq!(may, i32::from(i % 6 / 2 <= i / 6 / 2), "{i}");
    }
}

#[test]
#[should_panic(expected = "7 tokens are not whole blocks of 2")]
fn blocks_must_be_whole() {
    block_causal(&Graph::new(), 7, 2);
}

/// Tokens one at a time through a cache, and all at once under a causal mask: the same bits.
#[test]
fn a_cache_gives_the_bits_of_the_whole() {
    const TOKENS: usize = 5;
    let attention = Attention::new(6, 2);
    let forward = |g: &Graph, tokens: usize| -> Function {
        let model = Scope::root(g);
        let x = g.input("x", DType::F32, [1, tokens, 6]);
        let heads = attention.project(&model, x);
        let mut updates = Vec::new();
        let attended = if tokens == TOKENS {
            heads.attend(Some(causal(g, TOKENS)))
        } else {
            let start = g.input("start", DType::I32, Shape::scalar());
            let cache = CacheSpec::new("cache", [1, 2, TOKENS, 3]).parameters(g);
            let (heads, new) = cache.extended(heads, start);
            updates.extend(new.map(|(old, new)| (old.id(), new.id())));
            let known = g.iota(DType::I32, [TOKENS], 0);
            heads.attend(Some(known.le(start.broadcast_to([TOKENS]))))
        };
        let y = attention.join(&model, attended);
        g.function([("y", y.id())], updates)
    };
    let (whole, one) = (Graph::new(), Graph::new());
    let (whole, one) = (forward(&whole, TOKENS), forward(&one, 1));
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [1, 1, 6]);
    let heads = attention.project(&model, x);
    attention.join(&model, heads.queries);
    let mut parameters = crate::init::init(&model.specs(), 5).unwrap();
    let x = noise(&[1, TOKENS, 6]);
    let expected = run(&whole, &parameters, &[("x", x.clone())]).outputs;
    let expected = expected["y"].as_slice::<f32>().unwrap().to_vec();
    for name in CacheSpec::new("cache", [1, 2, TOKENS, 3]).names() {
        let zeros = HostTensor::zeros(DType::F32, vec![1, 2, TOKENS, 3]).unwrap();
        parameters.insert(name, zeros);
    }
    for token in 0..TOKENS {
        let own = &x.as_slice::<f32>().unwrap()[6 * token..6 * token + 6];
        let inputs = [
            ("x", HostTensor::from_slice([1, 1, 6], own).unwrap()),
            ("start", HostTensor::scalar(token as i32).unwrap()),
        ];
        let Results { outputs, updates } = run(&one, &parameters, &inputs);
        parameters.extend(updates);
        let y = outputs["y"].as_slice::<f32>().unwrap();
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(y), bits(&expected[6 * token..6 * token + 6]));
    }
}

#[test]
fn narrow_weights_are_parameters_of_their_type() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [2, 4]);
    for (storage, name) in [(Storage::Bf16, "half"), (Storage::U8, "byte")] {
        let linear = Linear {
            storage,
            ..Linear::new(3)
        };
        assert_eq!(*linear.forward(&model / name, x).shape(), [2, 3]);
    }
    let ty = |name: &str| g.known_parameter(name).unwrap().ty().to_string();
    assert_eq!(ty("half.weight"), "bf16[3,4]");
    assert_eq!(ty("byte.weight"), "u8[3,4]");
    assert_eq!(ty("byte.weight_scales"), "f32[3]");
    assert_eq!(names(&model), ["half.bias", "byte.bias"]);
}

#[test]
fn an_embedding_reads_rows_of_its_table() {
    let g = Graph::new();
    let model = Scope::root(&g);
    let ids = g.input("ids", DType::I32, [3]);
    let y = Embedding::new(5, 2).forward(&model, ids);
    let function = g.function([("y", y.id())], []);
    let parameters = crate::init::init(&model.specs(), 1).unwrap();
    let ids = HostTensor::from_slice([3], &[4, 0, 4]).unwrap();
    let outputs = run(&function, &parameters, &[("ids", ids)]).outputs;
    let table = parameters["weight"].as_slice::<f32>().unwrap();
    let expected = [&table[8..10], &table[0..2], &table[8..10]].concat();
    assert_eq!(outputs["y"].as_slice::<f32>().unwrap(), expected);
}
