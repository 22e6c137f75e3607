//! Streams, each a thread that does what it is given in order; and events.

use crate::count;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Before each piece of work: whoever does not wait is early.
const LAG: Duration = Duration::from_millis(1);

type Work = Box<dyn FnOnce() + Send>;

/// How many pieces of work there were, and how many are done.
#[derive(Default)]
pub struct Progress {
    state: Mutex<(u64, u64)>,
    changed: Condvar,
}

impl Progress {
    pub fn given(&self) -> u64 {
        self.state.lock().unwrap().0
    }

    pub fn is_idle(&self) -> bool {
        let (given, done) = *self.state.lock().unwrap();
        given == done
    }

    /// Waits until so many are done.
    pub fn wait(&self, count: u64) {
        let mut state = self.state.lock().unwrap();
        while state.1 < count {
            state = self.changed.wait(state).unwrap();
        }
    }
}

/// What a stream is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Copies,
    Network,
}

pub struct Stream {
    work: Option<Sender<Work>>,
    pub progress: Arc<Progress>,
    thread: Option<JoinHandle<()>>,
    /// By what was done on it first.
    used: Mutex<Option<Use>>,
}

impl Stream {
    pub fn new() -> Stream {
        count(1);
        let (work, queue) = channel::<Work>();
        let progress = Arc::new(Progress::default());
        let own = progress.clone();
        let thread = thread::spawn(move || {
            for work in queue {
                thread::sleep(LAG);
                work();
                own.state.lock().unwrap().1 += 1;
                own.changed.notify_all();
            }
        });
        Stream {
            work: Some(work),
            progress,
            thread: Some(thread),
            used: Mutex::default(),
        }
    }

    pub fn push(&self, work: impl FnOnce() + Send + 'static) {
        self.progress.state.lock().unwrap().0 += 1;
        let work: Work = Box::new(work);
        self.work.as_ref().unwrap().send(work).unwrap();
    }

    /// Whether the stream is used for this and nothing else.
    pub fn is_for(&self, what: Use) -> bool {
        *self.used.lock().unwrap().get_or_insert(what) == what
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.work = None;
        self.thread.take().unwrap().join().unwrap();
        count(-1);
    }
}

/// A place in a stream: none before it is recorded.
#[derive(Default)]
pub struct Event(pub Mutex<Option<(Arc<Progress>, u64)>>);
