//! One run of each program as a Chrome trace, which Perfetto opens.
//!
//! A program is a process. Its first thread, `launches`, has one slice for each launch; each of
//! the others one for what a worker thread did of it.

use super::kernels::argument_bytes;
use super::measured::Measured;
use bsq_runtime::program::{LaunchTime, Span};
use serde_json::{Map, Value, json};

pub fn chrome_trace(programs: &[Measured]) -> Value {
    let mut events = Vec::new();
    for (process, program) in programs.iter().enumerate() {
        let launches = program.typical_run();
        events.push(name("process_name", process, 0, &program.name));
        events.push(name("thread_name", process, 0, "launches"));
        let threads = launches.first().map_or(0, |launch| launch.threads.len());
        for thread in 0..threads {
            let thread_name = format!("thread {thread}");
            events.push(name("thread_name", process, thread + 1, &thread_name));
        }
        for launch in launches {
            let arguments = json!({
                "kernel": launch.kernel,
                "flops": launch.flops,
                "bytes": argument_bytes(program.program(), &program.program().launches[launch.launch]),
            });
            events.push(slice(process, 0, launch, launch.span, arguments));
            for (thread, span) in launch.threads.iter().enumerate() {
                if let Some(span) = span {
                    let arguments = Value::Object(Map::new());
                    events.push(slice(process, thread + 1, launch, *span, arguments));
                }
            }
        }
    }
    json!({ "displayTimeUnit": "ms", "traceEvents": events })
}

/// Gives a process or a thread its name.
fn name(what: &str, process: usize, thread: usize, name: &str) -> Value {
    json!({ "ph": "M", "name": what, "pid": process, "tid": thread, "args": { "name": name } })
}

fn slice(
    process: usize,
    thread: usize,
    launch: &LaunchTime,
    span: Span,
    arguments: Value,
) -> Value {
    let microseconds = |time: std::time::Duration| time.as_secs_f64() * 1e6;
    json!({
        "ph": "X",
        "name": launch.label,
        "pid": process,
        "tid": thread,
        "ts": microseconds(span.start),
        "dur": microseconds(span.time()),
        "args": arguments,
    })
}
