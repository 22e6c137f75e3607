//! The course of a learning rate: pure functions of the step, in f64, so that a resumed training
//! needs no state.

/// What a learning rate is multiplied by: a line from `start` to `peak` over the warm-up, then half
/// a cosine to `end` at `last_step`, where it stays. Steps count from 0.
///
/// ```
/// use bsq_nn::schedule::WarmupCosine;
/// let schedule = WarmupCosine {
///     warmup_steps: 5_000,
///     last_step: 1_000_000,
///     start: 0.1,
///     peak: 1.0,
///     end: 0.5,
/// };
/// assert_eq!(schedule.multiplier(2_500), 0.55);
/// assert_eq!(schedule.multiplier(5_000), 1.0);
/// assert_eq!(schedule.multiplier(502_500), 0.75);
/// assert_eq!(schedule.multiplier(2_000_000), 0.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupCosine {
    pub warmup_steps: u64,
    pub last_step: u64,
    pub start: f64,
    pub peak: f64,
    pub end: f64,
}

impl WarmupCosine {
    /// The multiplier before the step.
    pub fn multiplier(&self, step: u64) -> f64 {
        let rise = self.peak - self.start;
        if step < self.warmup_steps {
            return rise / self.warmup_steps as f64 * step as f64 + self.start;
        }
        let decay = (self.last_step - self.warmup_steps) as f64;
        let progress = ((step - self.warmup_steps) as f64 / decay).min(1.0);
        let height = 1.0 + libm::cos(progress * std::f64::consts::PI);
        self.end + 0.5 * (self.peak - self.end) * height
    }
}
