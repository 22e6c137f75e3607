//! Ranks with NCCL, on a library that is a test's: each test runs itself again with it.

use bsq_collectives::{Communicator, Nccl, Ranks, conformance, threads};
use bsq_test_nccl::{TROUBLE, install};
use std::process::{Command, Output};

/// Set in the process that has the library.
const INSIDE: &str = "BSQ_TEST_NCCL_INSIDE";

/// Runs a test of this file again with the library, and something that goes wrong.
fn again(test: &str, trouble: &str) -> Option<Output> {
    if std::env::var_os(INSIDE).is_some() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    install(folder.path());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]);
    command.env(INSIDE, "1").env(TROUBLE, trouble);
    command.env("LD_LIBRARY_PATH", folder.path());
    Some(command.output().unwrap())
}

/// What each of several ranks finds, each with the test's GPU.
fn together<T: Send>(
    size: usize,
    run: impl Fn(Result<Nccl, bsq_collectives::CollectiveError>) -> T + Sync,
) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = &run;
        let start = |rank| scope.spawn(move || run(Nccl::join(Ranks::new(rank), 0)));
        let running: Vec<_> = threads(size).into_iter().map(start).collect();
        running
            .into_iter()
            .map(|rank| rank.join().unwrap())
            .collect()
    })
}

fn good(ran: &Output) {
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(
        ran.status.success(),
        "{}{said}",
        String::from_utf8_lossy(&ran.stdout)
    );
    assert!(said.ends_with("test NCCL: all was given back\n"), "{said}");
}

#[test]
fn ranks_get_what_they_are_given() {
    if let Some(ran) = again("ranks_get_what_they_are_given", "") {
        return good(&ran);
    }
    for size in [1, 2, 3] {
        together(size, |rank| conformance::check(&rank.unwrap()));
    }
}

/// Longer than a slot: pieces pass through both slots more than once.
#[test]
fn long_buffers_pass_in_pieces() {
    if let Some(ran) = again("long_buffers_pass_in_pieces", "") {
        return good(&ran);
    }
    const SHARE: usize = 5_000_001;
    let value = |from: usize, i: usize| (from * 17 + i % 8191) as f32;
    together(2, |rank| {
        let rank = rank.unwrap();
        let own = rank.rank();
        let send: Vec<f32> = (0..2 * SHARE).map(|i| value(own, i)).collect();
        let mut received = vec![0.0; 2 * SHARE];
        rank.all_to_all(&send, &mut received).unwrap();
        for (from, part) in received.chunks(SHARE).enumerate() {
            assert!(
                part.iter()
                    .enumerate()
                    .all(|(i, &x)| x == value(from, own * SHARE + i))
            );
        }
        rank.all_gather(&send[..SHARE], &mut received).unwrap();
        for (from, part) in received.chunks(SHARE).enumerate() {
            assert!(part.iter().enumerate().all(|(i, &x)| x == value(from, i)));
        }
        let mut sum = send.clone();
        rank.all_reduce(&mut sum).unwrap();
        assert!(
            sum.iter()
                .enumerate()
                .all(|(i, &x)| x == value(0, i) + value(1, i))
        );
    });
}

#[test]
fn a_rank_out_of_reach_ends_an_exchange_in_one_line() {
    if let Some(ran) = again("a_rank_out_of_reach_ends_an_exchange_in_one_line", "lost") {
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{said}");
        return;
    }
    for error in together(2, |rank| {
        rank.unwrap().all_gather(&[1.0], &mut [0.0; 2]).unwrap_err()
    }) {
        let expected = "NCCL: another rank: remote process exited or there was a network error";
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn what_is_missing_is_said_by_all() {
    if let Some(ran) = again("what_is_missing_is_said_by_all", "old") {
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        return;
    }
    for error in together(2, |rank| rank.err().unwrap().to_string()) {
        assert!(error.contains("NCCL 2604 cannot send"), "{error}");
    }
}
