//! What a rank does when, in its first steps: a Chrome trace of all ranks.

use super::TrainError;
use bsq_collectives::Ranks;
use bsq_runtime::atomic_file::write_atomically;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Steps that are recorded.
pub(super) const STEPS: u64 = 8;

/// Where something happens.
#[derive(Clone, Copy)]
pub(super) enum Lane {
    /// Programs.
    Compute = 0,
    /// What passes between ranks.
    Exchange = 1,
}

/// What happened so far.
pub(super) struct Timeline {
    /// Microseconds since 1970 at the start: clocks of ranks are those of their machines.
    origin: f64,
    start: Instant,
    events: Mutex<Vec<Value>>,
}

impl Timeline {
    pub fn begin() -> Timeline {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Timeline {
            origin: since.map_or(0.0, |since| since.as_secs_f64() * 1e6),
            start: Instant::now(),
            events: Mutex::default(),
        }
    }

    /// Does something, and notes when if there is a timeline.
    pub fn measure<T>(
        timeline: Option<&Timeline>,
        lane: Lane,
        name: impl FnOnce() -> String,
        run: impl FnOnce() -> T,
    ) -> T {
        let Some(timeline) = timeline else {
            return run();
        };
        let start = timeline.start.elapsed();
        let result = run();
        let seconds = (timeline.start.elapsed() - start).as_secs_f64();
        let event = json!({
            "name": name(),
            "ph": "X",
            "ts": timeline.origin + start.as_secs_f64() * 1e6,
            "dur": seconds * 1e6,
            "tid": lane as u32,
        });
        let mut events = timeline
            .events
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        events.push(event);
        result
    }

    /// Has rank 0 write what all ranks have noted, a process each; all call it together.
    pub fn write(self, ranks: &Ranks, path: &Path) -> Result<(), TrainError> {
        let events = self
            .events
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let own = Value::from(events).to_string().into_bytes();
        let all = ranks.gather_bytes(own)?;
        if !ranks.is_first() {
            return Ok(());
        }
        let mut trace = Vec::new();
        for (rank, events) in all.iter().enumerate() {
            let lanes = [("compute", Lane::Compute), ("exchange", Lane::Exchange)];
            let named = |kind: &str, lane: Lane, name: String| json!({ "name": kind, "ph": "M", "pid": rank, "tid": lane as u32, "args": { "name": name } });
            trace.push(named("process_name", Lane::Compute, format!("rank {rank}")));
            trace.extend(lanes.map(|(name, lane)| named("thread_name", lane, name.to_string())));
            let events: Vec<Value> = serde_json::from_slice(events).unwrap_or_default();
            trace.extend(events.into_iter().map(|mut event| {
                event["pid"] = rank.into();
                event
            }));
        }
        let text = json!({ "traceEvents": trace }).to_string();
        let written = write_atomically(path, |file| file.write_all(text.as_bytes()));
        written.map_err(|reason| TrainError::Unwritable {
            path: path.to_path_buf(),
            reason,
        })
    }
}
