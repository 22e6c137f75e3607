#!/usr/bin/env bash
# The golden streams on an emulated CPU that has no AVX and no FMA: Debian's qemu-user.
# One window with the default prior, and as little with the default codec, take a minute. `all` behind the CPU's name adds the larger
# pictures, which take eleven.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v qemu-x86_64 > /dev/null || { echo "install qemu-user first"; exit 2; }
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="qemu-x86_64 -cpu ${1:-Nehalem}"
skip=(--skip golden_streams_of_the_default --skip golden_stream_of_clips_of_bsq36)
if [ "${2:-}" = all ]; then skip=(); fi
cargo test --release --workspace --test codec golden -- "${skip[@]}"
