#!/usr/bin/env bash
# How long a package outside of this workspace takes to build from nothing, with a perceptron in it: one
# that names `bsq`, and one that names `bsq-nn` alone. Arguments are cargo's, such as --release.
#
# CPU time is of all compilers together, and says more than the clock on a machine that is busy.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# A package `perceptron` that depends on `$1`, which lies at `$2`, and uses its prelude.
package() {
    mkdir -p "$work/$1/src"
    cp "$root/Cargo.lock" "$work/$1/"
    cat > "$work/$1/Cargo.toml" << TOML
[package]
name = "perceptron"
version = "0.1.0"
edition = "2024"

[dependencies]
$1 = { path = "$root/$2" }
TOML
    cat > "$work/$1/src/main.rs" << RUST
use ${1//-/_}::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let g = Graph::new();
    let model = Scope::root(&g);
    let x = g.input("x", DType::F32, [8, 2]);
    let y = g.input("y", DType::F32, [8, 1]);
    let loss = (Mlp::new(16, 1).forward(&model, x) - y).square().mean(..);
    let step = minimize(loss, &model.parameters(), &AdamW::new(g.scalar("lr")));
    let mut parameters = init(&model.specs(), 1)?;
    parameters.extend(step.initial_state(&parameters)?);
    let mut session = compile(&step.function(), &CompileOptions::default())?.bind(parameters)?;
    let x = HostTensor::zeros(DType::F32, vec![8, 2])?;
    let y = HostTensor::zeros(DType::F32, vec![8, 1])?;
    let lr = HostTensor::scalar(0.01f32)?;
    println!("loss {}", session.run(&[("x", &x), ("y", &y), ("lr", &lr)])?["loss"].item::<f32>()?);
    weights::save("$work/$1.safetensors", session.parameters()?, Weights::Raw)?;
    weights::load("$work/$1.safetensors", &model.specs())?;
    Ok(())
}
RUST
}

TIMEFORMAT="%R s, of CPU %U s"
for package in "bsq-nn models/nn" "bsq models"; do
    read -r name path <<< "$package"
    package "$name" "$path"
    cd "$work/$name"
    cargo fetch --quiet
    count="$(cargo tree --offline --prefix none --edges normal,build | cut -d' ' -f1,2 | sort -u | wc -l)"
    echo "$name: $count packages"
    time CARGO_TARGET_DIR="$work/$name/target" cargo build --offline --quiet "$@"
    CARGO_TARGET_DIR="$work/$name/target" cargo run --offline --quiet "$@"
done
