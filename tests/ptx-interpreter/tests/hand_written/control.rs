//! Diverging lanes, barriers, and exchanges among lanes.

use super::small::{assert_fault, run, run_blocks};
use bsq_ptx_interpreter::{Device, FaultKind};

#[test]
fn lanes_that_loop_for_different_times_meet_again() {
    // Word t becomes the sum of 0..t, skipping multiples of 3; then all shuffle together.
    let words = run("
        mov.u32 %r1, 0; mov.u32 %r2, 0;
        setp.eq.u32 %p1, %t, 0;
        @%p1 bra DONE;
    LOOP:
        rem.u32 %r3, %r1, 3;
        setp.eq.u32 %p2, %r3, 0;
        @%p2 bra SKIP;
        add.u32 %r2, %r2, %r1;
    SKIP:
        add.u32 %r1, %r1, 1;
        setp.lt.u32 %p1, %r1, %t;
        @%p1 bra LOOP;
    DONE:
        shfl.sync.bfly.b32 %r4, %r2, 1, 31, -1;
        st.global.u32 [%mine], %r4;");
    let sum = |t: u32| (0..t).filter(|i| i % 3 != 0).sum::<u32>();
    assert!(
        (0..64).all(|t| words[t as usize] == sum(t ^ 1)),
        "{words:?}"
    );
}

#[test]
fn lanes_that_leave_do_not_keep_the_others_apart() {
    // One side of the outer branch has a side that only leaves: the others meet at the barrier.
    let words = run("
        and.b32 %r1, %t, 3;
        setp.lt.u32 %p1, %r1, 2;
        @%p1 bra MEET;
        setp.eq.u32 %p2, %r1, 3;
        @%p2 bra STAY;
        ret;
    STAY:
        add.u32 %r1, %r1, 100;
    MEET:
        bar.sync 0;
        st.global.u32 [%mine], %r1;");
    let wanted = |t: u32| [0, 1, t, 103][t as usize % 4];
    assert!((0..64).all(|t| words[t as usize] == wanted(t)), "{words:?}");
    let words = run("
        setp.ge.u32 %p1, %t, 40;
        @%p1 exit;
        bar.sync 0;
        st.global.u32 [%mine], 7;");
    assert!((0..64).all(|t| words[t as usize] == if t < 40 { 7 } else { t as u32 }));
}

#[test]
fn what_needs_all_lanes_faults_without_them() {
    let odd = "and.b32 %r1, %t, 1; setp.eq.u32 %p1, %r1, 1; @!%p1 bra END;";
    let shuffle = format!("{odd} shfl.sync.bfly.b32 %r2, %t, 1, 31, -1; END:");
    assert_fault(&shuffle, 1, |fault| {
        matches!(fault, FaultKind::BadMask { .. })
    });
    let shuffle = format!("{odd} shfl.sync.bfly.b32 %r2, %t, 1, 31, 0xAAAAAAAA; END:");
    assert_fault(&shuffle, 1, |fault| {
        *fault == FaultKind::InactiveLane { lane: 0 }
    });
    let barrier = format!("{odd} bar.sync 0; END:");
    assert_fault(&barrier, 1, |fault| {
        matches!(
            fault,
            FaultKind::Divergent {
                what: "bar.sync",
                active: 0xAAAA_AAAA,
                ..
            }
        )
    });
    let mma = format!(
        "mov.u32 %r2, 0; mov.f32 %f1, 0f00000000; {odd}
        mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32
            {{%f1, %f2, %f3, %f4}}, {{%r2, %r2, %r2, %r2}}, {{%r2, %r2}}, {{%f1, %f1, %f1, %f1}}; END:"
    );
    assert_fault(&mma, 1, |fault| {
        matches!(
            fault,
            FaultKind::Divergent {
                what: "mma.sync",
                ..
            }
        )
    });
    let warp = format!("{odd} bar.warp.sync -1; END:");
    assert_fault(&warp, 1, |fault| matches!(fault, FaultKind::BadMask { .. }));
    let uniform = "setp.lt.u32 %p1, %t, 5; @%p1 bra.uni END; END:";
    assert_fault(uniform, 1, |fault| *fault == FaultKind::NotUniform);
}

#[test]
fn a_mask_of_some_lanes_is_enough_for_them() {
    let words = run("
        and.b32 %r1, %t, 1; setp.eq.u32 %p1, %r1, 1; @!%p1 bra END;
        shfl.sync.bfly.b32 %r2, %t, 2, 31, 0xAAAAAAAA;
        st.global.u32 [%mine], %r2;
    END:");
    let wanted = |t: u32| if t % 2 == 1 { t ^ 2 } else { t };
    assert!((0..64).all(|t| words[t as usize] == wanted(t)), "{words:?}");
}

#[test]
fn shuffles_read_the_lane_that_the_manual_names() {
    let shuffle = |by: u32, clamp: u32| -> Vec<u32> {
        let body =
            format!("shfl.sync.bfly.b32 %r1, %t, {by}, {clamp}, -1; st.global.u32 [%mine], %r1;");
        run(&body)[..32].to_vec()
    };
    let expect = |f: &dyn Fn(u32) -> u32| (0..32).map(f).collect::<Vec<u32>>();
    assert_eq!(shuffle(16, 31), expect(&|lane| lane ^ 16));
    // Segments of 8 lanes: what lies above the own one is not read.
    let in_segment = |lane: u32| match (lane ^ 12) / 8 <= lane / 8 {
        true => lane ^ 12,
        false => lane,
    };
    assert_eq!(shuffle(12, 0x1800 | 7), expect(&in_segment));
    assert_eq!(shuffle(5, 0x1800 | 7), expect(&|lane| lane ^ 5));
}

#[test]
fn barriers_order_all_warps_or_those_that_are_counted() {
    let exchange = |sync: &str| {
        format!(
            ".shared .align 4 .b8 words[256]; mov.u32 %r1, words; mad.lo.u32 %r2, %t, 4, %r1;
            xor.b32 %r3, %t, 33; mad.lo.u32 %r4, %r3, 4, %r1;
            st.shared.u32 [%r2], %t; {sync} ld.shared.u32 %r5, [%r4]; st.global.u32 [%mine], %r5;"
        )
    };
    for sync in ["bar.sync 0;", "bar.sync 3, 64;", "bar.sync 15;"] {
        let words = run(&exchange(sync));
        assert!((0..64).all(|t| words[t] == t as u32 ^ 33));
    }
    // Warp 0 produces, warp 1 consumes.
    let one_way = |first: &str, second: &str| {
        format!(
            ".shared .align 4 .b8 words[128]; mov.u32 %r1, words;
            and.b32 %r2, %t, 31; mad.lo.u32 %r2, %r2, 4, %r1;
            setp.ge.u32 %p1, %t, 32; @%p1 bra.uni CONSUME;
            st.shared.u32 [%r2], %t; {first} bra.uni END;
            CONSUME: {second} ld.shared.u32 %r3, [%r2]; st.global.u32 [%mine], %r3; END:"
        )
    };
    let words = run(&one_way("bar.arrive 1, 64;", "bar.sync 1, 64;"));
    assert!((0..64).all(|t| words[t] == t as u32 % 32));
    assert_fault(&one_way("", "bar.sync 1, 32;"), 1, |fault| {
        matches!(
            fault,
            FaultKind::Race { .. } | FaultKind::UninitialisedMemory { .. }
        )
    });
    assert_fault(&one_way("bar.sync 0;", "bar.sync 1;"), 1, |fault| {
        matches!(fault, FaultKind::Deadlock { .. })
    });
    assert_fault(&one_way("bar.sync 1, 64;", "bar.sync 1, 96;"), 1, |fault| {
        matches!(fault, FaultKind::BarrierCount { barrier: 1, .. })
    });
}

#[test]
fn an_endless_loop_and_a_missing_return_are_faults() {
    assert_fault("LOOP: add.u32 %t, %t, 1; bra LOOP;", 1, |fault| {
        *fault == FaultKind::Budget { budget: 10_000 }
    });
    assert_fault(
        "bra END; ret; END: setp.lt.u32 %p1, %t, 1; @%p1",
        1,
        |fault| *fault == FaultKind::NoReturn,
    );
}

#[test]
fn blocks_know_their_place() {
    let words = run_blocks(
        "mov.u32 %r1, %nctaid.x; mad.lo.u32 %r1, %r1, 10, %cta;
        st.global.u32 [%mine], %r1;",
        2,
    );
    assert_eq!(
        (words[0], words[63], words[64], words[128]),
        (20, 20, 64, 21)
    );
}

#[test]
fn more_barriers_than_can_be_told_apart_are_a_fault() {
    let module = super::small::module(
        "mov.u32 %r1, 0;
    LOOP:
        bar.warp.sync -1;
        add.u32 %r1, %r1, 1; setp.lt.u32 %p1, %r1, 140000;
        @%p1 bra LOOP;",
    );
    let error = super::small::run_on(&mut Device::new(), &module, 1).unwrap_err();
    let found = matches!(error.fault(), Some(FaultKind::Barriers { .. }));
    assert!(found, "{error}");
}
