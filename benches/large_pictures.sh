#!/usr/bin/env bash
# Peak resident memory and time of the command on pictures of 50 and 200 megapixels; docs/performance.md
# has the table. Needs GNU time.
#
#     benches/large_pictures.sh [FOLDER]      for the pictures, which are made if they are not there
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
folder="${1:-$root/target/large-pictures}"
cd "$root"
cargo build --release -p bsq --bin bsq --example large_picture
target="${CARGO_TARGET_DIR:-$root/target}/release"
mkdir -p "$folder"
cd "$folder"

measure() {
    printf '%-28s' "$1"
    shift
    /usr/bin/time -f '%e s %M KB' "$target/bsq" "$@" --max-pixels 300000000 2>&1 >/dev/null | tail -1
}

for size in 8192x6144 16384x12288; do
    for file in "$size.png" "$size.jpg" "$size-progressive.jpg"; do
        [ -e "$file" ] || "$target/examples/large_picture" "${size%x*}" "${size#*x}" "$file"
        measure "encode --raw $file" encode "$file" --raw -o "$file.bsq"
    done
    measure "decode, raw, $size" decode "$size.png.bsq" -o back.png
    measure "reconstruct $size.png" reconstruct "$size.png" -o back.png
    measure "encode $size.png" encode "$size.png" -o prior.bsq
    measure "decode $size" decode prior.bsq -o back.png
done
