#!/usr/bin/env bash
# Installs the pinned peers into a virtual environment, builds our side, and compares them; the
# arguments are those of compare.py.
set -euo pipefail
root="$(cd "$(dirname "$0")/../.." && pwd)"
venv="${BSQ_PEERS_VENV:-$root/target/peers-venv}"
requirements="$root/benches/peers/requirements.txt"

if ! cmp -s "$requirements" "$venv/installed.txt"; then
    "${PYTHON:-python3}" -m venv "$venv"
    # The usual wheel of PyTorch for Linux is the one for CUDA, which does not load without its
    # libraries (5 GB on disk). BSQ_PEERS_INDEX names an index that has the build for CPUs (200 MB).
    if [ -n "${BSQ_PEERS_INDEX:-}" ]; then
        grep '^torch==' "$requirements" |
            "$venv/bin/pip" install --no-cache-dir --index-url "$BSQ_PEERS_INDEX" -r /dev/stdin
    fi
    "$venv/bin/pip" install --no-cache-dir -r "$requirements"
    cp "$requirements" "$venv/installed.txt"
fi

cd "$root"
cargo build --release -p bsq-benches --bin ours
target="${CARGO_TARGET_DIR:-$root/target}"
exec "$venv/bin/python" benches/peers/compare.py --ours "$target/release/ours" "$@"
