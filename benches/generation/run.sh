#!/usr/bin/env bash
# Tokenizers of equal size that differ in their quantizer, the same masked language model over the tokens of
# each, and how good its pictures are: the rows of docs/generation.md.
#
#   benches/generation/run.sh DATA OUT [COUNT]
#
# DATA has the IDX files of Fashion-MNIST, OUT keeps the trainings (a second call goes on where the first
# stopped), COUNT is how many pictures of each class a row is made of (50). About an hour on one thread.
set -euo pipefail
data="$1" out="$2" count="${3:-50}"
here="$(cd "$(dirname "$0")" && pwd)"
bsq="${BSQ:-$here/../../target/release/bsq}"
train() { # CONFIG FOLDER [OPTIONS]
  local config="$1" folder="$2"
  shift 2
  [[ -e "$folder/done" ]] && return
  local resume=()
  [[ -e "$folder/checkpoint.safetensors" ]] && resume=(--resume)
  "$bsq" train "$here/$config" --data "$data" --out "$folder" --threads 1 "${resume[@]}" "$@"
  touch "$folder/done"
}
for kind in bsq vq fsq; do
  train "$kind.toml" "$out/$kind"
  train masked_lm.toml "$out/$kind-lm" --model "$out/$kind"
done
train bitwise.toml "$out/bitwise-lm" --model "$out/bsq"
judge="${JUDGE:-$here/../../target/release/examples/judge_generation}"
for kind in bsq vq fsq; do
  echo "## $kind"
  "$judge" "$data" "$out" "$count" "$out/$kind-lm" "$out/$kind" 3
done
echo "## bsq, a classifier for each bit"
# A token is drawn at once there: 16 of them allow no 32 steps.
"$judge" "$data" "$out" "$count" "$out/bitwise-lm" "$out/bsq" 2
