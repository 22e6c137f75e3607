//! One number of threads for everybody.

use bsq_runtime::threads::available_threads;

/// What rayon and candle read; here it holds for everybody.
const EVERYBODY: &str = "RAYON_NUM_THREADS";
/// What others read instead.
const OTHERS: [&str; 2] = ["MATMUL_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// How many threads every implementation computes with: `RAYON_NUM_THREADS`, or as many as the CPU
/// has.
pub fn threads() -> usize {
    let asked = std::env::var(EVERYBODY).ok();
    let asked = asked.and_then(|text| text.parse().ok());
    asked
        .filter(|&threads| threads > 0)
        .unwrap_or_else(available_threads)
}

/// Tells libraries that would count cores otherwise.
pub fn tell_everybody() {
    let threads = threads().to_string();
    for variable in OTHERS.into_iter().chain([EVERYBODY]) {
        // SAFETY: called first of all in `main`, when this is the only thread.
        unsafe { std::env::set_var(variable, &threads) };
    }
}
