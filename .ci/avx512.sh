#!/usr/bin/env bash
# The codec's golden streams on an emulated CPU with AVX-512, for machines that have none: Debian's
# Bochs, a whole PC. Seconds become minutes; the larger pictures take too long.
#
#     .ci/avx512.sh [FILTERS...]      tests of `models/tests/codec`: `golden` if nothing is said
set -euo pipefail
cd "$(dirname "$0")/.."
needed=(bochs bochsbios vgabios isolinux syslinux-common xorriso busybox-static cpio
  linux-image-cloud-amd64)
dpkg -s "${needed[@]}" > /dev/null 2>&1 || { echo "install ${needed[*]} first"; exit 2; }
export BSQ_CPU=avx512
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$PWD/.ci/bochs"
cargo test --release --workspace --test codec -- "${@:-golden}" --skip golden_streams_of_the_default --skip golden_stream_of_clips_of_bsq36
