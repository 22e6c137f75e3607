//! Ranks on threads, joined by TCP on this machine.

use super::*;
use std::io::Write;
use std::net::TcpListener;
use std::thread;

/// What each of several ranks finds.
fn run_all<T: Send + 'static>(
    size: usize,
    run: impl Fn(Tcp) -> T + Send + Sync + Clone + 'static,
) -> Vec<T> {
    let port = free_port();
    let start = |rank| {
        let run = run.clone();
        thread::spawn(move || run(Tcp::join(&meeting(rank, size, port)).unwrap()))
    };
    // Rank 0 comes last: the others wait for it.
    let running: Vec<_> = (0..size).rev().map(start).collect();
    let found = running.into_iter().rev();
    found.map(|rank| rank.join().unwrap()).collect()
}

fn meeting(rank: usize, size: usize, port: u16) -> Meeting {
    Meeting {
        rank,
        size,
        host: "localhost".to_string(),
        port,
        patience: Duration::from_secs(20),
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn ranks_get_what_they_are_given() {
    for size in [2, 3, 5] {
        let of_all = run_all(size, move |rank| {
            assert_eq!(rank.local_size(), size);
            crate::conformance::check(&rank);
            rank.rank()
        });
        assert_eq!(of_all, (0..size).collect::<Vec<_>>());
    }
}

#[test]
fn buffers_larger_than_what_links_hold_pass() {
    let sums = run_all(3, |rank| {
        let mut values = vec![rank.rank() as f32 + 1.0; 3 << 20];
        rank.all_reduce(&mut values).unwrap();
        let own = vec![rank.rank() as u8; 5 << 20];
        let mut all = vec![0; 15 << 20];
        rank.all_gather_bytes(&own, &mut all).unwrap();
        (values, all)
    });
    for (values, all) in sums {
        assert!(values.iter().all(|&value| value == 6.0));
        let parts = all.chunks(5 << 20).zip(0..);
        assert!(
            parts
                .flat_map(|(part, rank)| part.iter().map(move |&b| (b, rank)))
                .all(|(b, r)| b == r)
        );
    }
}

#[test]
fn a_rank_that_has_ended_is_named_to_all() {
    let found = run_all(4, |rank| {
        if rank.rank() == 2 {
            return None;
        }
        let mut all = Ok(Vec::new());
        while all.is_ok() {
            all = rank.gather_words(1);
        }
        // Nobody is gone before all have heard.
        thread::sleep(Duration::from_millis(300));
        assert_eq!(rank.ended(), Some(2));
        Some(all)
    });
    for rank in [0, 1, 3] {
        let error = found[rank].clone().unwrap().unwrap_err();
        assert_eq!(error, CollectiveError::Ended { rank: 2 }, "of rank {rank}");
    }
}

#[test]
fn a_rank_that_gives_up_ends_those_who_wait() {
    let found = run_all(2, |rank| match rank.rank() {
        0 => {
            rank.abort(1);
            None
        }
        _ => Some(rank.gather_words(1).unwrap_err()),
    });
    assert_eq!(found[1], Some(CollectiveError::Ended { rank: 0 }));
}

#[test]
fn ranks_at_different_operations_learn_of_it() {
    let found = run_all(2, |rank| match rank.rank() {
        0 => rank.gather_words(1).map(drop),
        _ => rank.all_gather(&[1.0; 3], &mut [0.0; 6]),
    });
    let expected = CollectiveError::OutOfStep {
        rank: 1,
        wanted: 8,
        came: 12,
    };
    assert_eq!(found[0], Err(expected));
}

#[test]
fn who_does_not_come_is_named_and_strangers_are_not_let_in() {
    let port = free_port();
    let short = move |rank, size| Meeting {
        patience: Duration::from_millis(1500),
        ..meeting(rank, size, port)
    };
    let waiting = thread::spawn(move || Tcp::join(&short(0, 3)).unwrap_err().to_string());
    let other = thread::spawn(move || Tcp::join(&short(1, 3)).unwrap_err().to_string());
    // Of another training, and of none.
    let stranger = thread::spawn(move || Tcp::join(&short(1, 2)).unwrap_err().to_string());
    let mut knocking = TcpStream::connect(("127.0.0.1", port));
    while knocking.is_err() && !waiting.is_finished() {
        knocking = TcpStream::connect(("127.0.0.1", port));
    }
    write!(knocking.unwrap(), "GET / HTTP/1.0\r\n\r\n").unwrap();
    let [waiting, other, stranger] = [waiting, other, stranger].map(|rank| rank.join().unwrap());
    assert!(waiting.contains("rank 2 has not come"), "{waiting}");
    assert!(other.contains(&port.to_string()), "{other}");
    assert!(stranger.contains("no rank 0 of as many"), "{stranger}");
}
