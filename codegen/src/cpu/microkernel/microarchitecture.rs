//! What CPUs with the same instructions differ in, read once: the table that blocking comes from.
//!
//! | fact | from where | what it decides |
//! |---|---|---|
//! | whether `vdpbf16ps` pays | the vendor | the tile of bf16, and whether activations are in bf16 at all |
//! | bytes of the second-level cache | CPUID's list of caches | terms of a block: what it reads again and again stays there |
//!
//! None of them decides in which order terms are added, and only the first which program is built.
//!
//! Intel, Emerald Rapids, with independent sums in registers: 5.4 multiply-adds of f32 of 512 bits in a nanosecond, 5.6
//! `vpdpbusd` of four terms each, and 1.34 `vdpbf16ps` of two. On a CPU of AMD whole models in bf16 are 1.7 times as fast
//! as in f32 with that instruction (docs/precision.md).

use std::sync::LazyLock;

/// The facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Microarchitecture {
    /// `vdpbf16ps` is there, and takes terms faster than multiply-adds of f32 do. On Intel's CPUs it does not.
    pub pairs_of_bf16_pay: bool,
    /// Bytes that a core has of it.
    pub second_level_cache: usize,
}

/// Of CPUs that do not say: what even small cores have.
const SECOND_LEVEL_CACHE: usize = 512 << 10;

impl Microarchitecture {
    /// Of this CPU.
    pub fn this() -> &'static Microarchitecture {
        static THIS: LazyLock<Microarchitecture> = LazyLock::new(|| {
            #[cfg(target_arch = "x86_64")]
            return Microarchitecture {
                pairs_of_bf16_pay: is_x86_feature_detected!("avx512bf16")
                    && cpuid::vendor() != *b"GenuineIntel",
                second_level_cache: cpuid::second_level_cache().unwrap_or(SECOND_LEVEL_CACHE),
            };
            #[cfg(not(target_arch = "x86_64"))]
            Microarchitecture {
                pairs_of_bf16_pay: false,
                second_level_cache: SECOND_LEVEL_CACHE,
            }
        });
        &THIS
    }
}

#[cfg(target_arch = "x86_64")]
mod cpuid {
    use std::arch::x86_64::{__cpuid, __cpuid_count, CpuidResult};

    /// Who made this CPU.
    pub fn vendor() -> [u8; 12] {
        let leaf = __cpuid(0);
        let mut name = [0; 12];
        for (part, word) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.edx, leaf.ecx]) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        name
    }

    /// Bytes of the second-level cache, if the CPU lists its caches.
    pub fn second_level_cache() -> Option<usize> {
        const INTEL: u32 = 4;
        const EXTENDED: u32 = 0x8000_0000;
        const AMD: u32 = 0x8000_001d;
        let has = |leaf: u32| __cpuid(leaf & EXTENDED).eax >= leaf;
        let list = match vendor() == *b"AuthenticAMD" {
            true => AMD,
            false => INTEL,
        };
        let caches = (0..8).map(|index| __cpuid_count(list, index));
        let mut caches = caches.take_while(|cache| cache.eax & 0x1f != 0);
        let found = |cache: &CpuidResult| cache.eax >> 5 & 7 == 2;
        has(list)
            .then(|| caches.find(found))
            .flatten()
            .map(|cache| size(&cache))
    }

    /// Ways, partitions, bytes of a line and sets, each less one.
    pub fn size(cache: &CpuidResult) -> usize {
        let field =
            |word: u32, from: u32, bits: u32| (word >> from & ((1 << bits) - 1)) as usize + 1;
        let lines = field(cache.ebx, 22, 10) * field(cache.ebx, 12, 10);
        lines * field(cache.ebx, 0, 12) * (cache.ecx as usize + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_have_sizes() {
        let size = Microarchitecture::this().second_level_cache;
        assert!((128 << 10..=64 << 20).contains(&size), "{size}");
        assert!(size.is_multiple_of(4096), "{size}");
    }

    /// Cores of Emerald Rapids: 16 ways of 2,048 sets of 64 bytes.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_cache_is_its_ways_sets_and_lines() {
        let cache = std::arch::x86_64::CpuidResult {
            eax: 2 << 5 | 3,
            ebx: 15 << 22 | 63,
            ecx: 2047,
            edx: 0,
        };
        assert_eq!(cpuid::size(&cache), 2 << 20);
    }
}
