//! Ranks of one process that send one another numbers.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// After so long a test has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// All ranks that have joined under one identifier.
#[derive(Default)]
pub struct Network {
    state: Mutex<State>,
    changed: Condvar,
    /// Nobody waits any more.
    pub is_aborted: AtomicBool,
}

#[derive(Default)]
struct State {
    joined: Vec<usize>,
    /// What is on its way, by sender and receiver.
    sent: HashMap<(usize, usize), VecDeque<Vec<f32>>>,
}

static NETWORKS: Mutex<Vec<(u8, Arc<Network>)>> = Mutex::new(Vec::new());

impl Network {
    /// Joins, and waits for all; none if there is such a rank already.
    pub fn join(id: u8, rank: usize, size: usize) -> Option<Arc<Network>> {
        let network = {
            let mut networks = NETWORKS.lock().unwrap();
            match networks.iter().find(|(own, _)| *own == id) {
                Some((_, network)) => network.clone(),
                None => {
                    networks.push((id, Arc::default()));
                    networks[networks.len() - 1].1.clone()
                }
            }
        };
        let mut state = network.state.lock().unwrap();
        if state.joined.contains(&rank) || rank >= size {
            return None;
        }
        state.joined.push(rank);
        network.changed.notify_all();
        while state.joined.len() < size {
            state = network.changed.wait(state).unwrap();
        }
        drop(state);
        Some(network)
    }

    pub fn send(&self, from: usize, to: usize, values: Vec<f32>) {
        let mut state = self.state.lock().unwrap();
        state.sent.entry((from, to)).or_default().push_back(values);
        self.changed.notify_all();
    }

    /// Waits for what another rank sends; nothing once all is aborted.
    pub fn receive(&self, from: usize, to: usize) -> Option<Vec<f32>> {
        let mut state = self.state.lock().unwrap();
        loop {
            if self.is_aborted.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(values) = state
                .sent
                .get_mut(&(from, to))
                .and_then(VecDeque::pop_front)
            {
                return Some(values);
            }
            let (woken, waited) = self.changed.wait_timeout(state, PATIENCE).unwrap();
            if waited.timed_out() {
                eprintln!("test NCCL: rank {to} waits for rank {from} in vain");
                std::process::exit(3);
            }
            state = woken;
        }
    }

    pub fn abort(&self) {
        self.is_aborted.store(true, Ordering::SeqCst);
        let _state = self.state.lock().unwrap();
        self.changed.notify_all();
    }
}
