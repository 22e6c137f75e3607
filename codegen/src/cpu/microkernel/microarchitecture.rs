//! What CPUs with the same instructions differ in: how fast these are.
//!
//! Intel, Emerald Rapids, with independent sums in registers: 5.4 multiply-adds of f32 of 512 bits in a nanosecond, 5.6
//! `vpdpbusd` of four terms each, and 1.34 `vdpbf16ps` of two. On a CPU of AMD whole models in bf16 are 1.7 times as fast
//! as in f32 with that instruction (docs/precision.md).

use std::arch::x86_64::__cpuid;
use std::sync::LazyLock;

/// Whether `vdpbf16ps` is there, and takes terms faster than multiply-adds of f32 do. On Intel's CPUs
/// blocks of bf16 are widened, and the tile of f32 runs on them.
pub(super) fn pairs_of_bf16_pay() -> bool {
    static PAY: LazyLock<bool> =
        LazyLock::new(|| is_x86_feature_detected!("avx512bf16") && vendor() != *b"GenuineIntel");
    *PAY
}

/// Who made this CPU, as CPUID names them.
fn vendor() -> [u8; 12] {
    let leaf = __cpuid(0);
    let mut name = [0; 12];
    for (part, word) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.edx, leaf.ecx]) {
        part.copy_from_slice(&word.to_le_bytes());
    }
    name
}
