//! Fused multiply-add in hardware, where the processor has it.

/// Runs `work` compiled for a processor with fused multiply-add, if this one has it.
///
/// `f32::mul_add` gives the same bits either way; without the instruction each one is a call of
/// the system's emulation. What `work` calls must be inlined into it to gain.
#[inline]
pub fn with_fma<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the features that the function is compiled for.
        return unsafe { compiled_for_fma(work) };
    }
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "fma,avx2")]
fn compiled_for_fma<R>(work: impl FnOnce() -> R) -> R {
    work()
}
