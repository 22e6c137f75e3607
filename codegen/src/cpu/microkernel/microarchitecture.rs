//! What CPUs with the same instructions differ in: how fast these are.
//!
//! Measured instruction by instruction with independent sums in registers, in instructions of 512 bits a cycle:
//!
//! | | multiply-adds of f32 | `vdpbf16ps`, two terms each | `vpdpbusd`, four terms each |
//! |---|---|---|---|
//! | Intel, Sapphire Rapids | 2 | 0.5 | 2 |
//! | AMD, Zen 4 | 1 | 1 | 1 |

use std::arch::x86_64::__cpuid;
use std::sync::LazyLock;

/// Whether `vdpbf16ps` is there, and takes terms faster than multiply-adds of f32 do: on AMD's CPUs. On Intel's
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
