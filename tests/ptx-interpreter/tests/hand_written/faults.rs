//! Races, reads of what nobody wrote, bounds and alignment: found, and not found where there are
//! none.

use super::small::{assert_fault, module, run, run_blocks, stats};
use bsq_ptx_interpreter::{Device, FaultKind, Launch, Param, Space, Stats};

const SHARED: &str = ".shared .align 16 .b8 words[256]; mov.u32 %r1, words;
    mad.lo.u32 %r2, %t, 4, %r1; xor.b32 %r3, %t, 1; mad.lo.u32 %r3, %r3, 4, %r1;";

fn is_race(space: Space) -> impl Fn(&FaultKind) -> bool {
    move |fault| matches!(fault, FaultKind::Race { space: found, .. } if *found == space)
}

#[test]
fn lanes_of_a_warp_race_without_a_barrier_of_the_warp() {
    let exchange = |sync: &str| {
        format!(
            "{SHARED} st.shared.u32 [%r2], %t; {sync} ld.shared.u32 %r4, [%r3];
            st.global.u32 [%mine], %r4;"
        )
    };
    assert_fault(&exchange(""), 1, is_race(Space::Shared));
    assert_fault(
        &exchange("bar.sync 0; st.shared.u32 [%r2], %t;"),
        1,
        is_race(Space::Shared),
    );
    for sync in [
        "bar.warp.sync -1;",
        "bar.warp.sync 0xffffffff; bar.warp.sync -1;",
        "bar.sync 0;",
    ] {
        let words = run(&exchange(sync));
        assert!((0..64).all(|t| words[t] == t as u32 ^ 1));
    }
    // Barriers of pairs order pairs; barriers of the wrong halves order nothing.
    let pairs = "and.b32 %r5, %t, 30; shl.b32 %r6, 3, %r5; bar.warp.sync %r6;";
    let words = run(&exchange(pairs));
    assert!((0..64).all(|t| words[t] == t as u32 ^ 1));
    let fours = "xor.b32 %r5, %t, 2; mad.lo.u32 %r3, %r5, 4, %r1;";
    assert_fault(
        &exchange(&format!("{pairs} {fours}")),
        1,
        is_race(Space::Shared),
    );
    let halves = |sync: &str| {
        format!(
            "and.b32 %r7, %t, {sync}; setp.eq.u32 %p1, %r7, 0; @%p1 bra LOW;
            not.b32 %r8, %r9; bar.warp.sync %r8; bra MEET;
            LOW: bar.warp.sync %r9; MEET:"
        )
    };
    let low = format!("mov.u32 %r9, 0x0000ffff; {}", halves("16"));
    let words = run(&exchange(&low));
    assert!((0..64).all(|t| words[t] == t as u32 ^ 1));
    let even = format!("mov.u32 %r9, 0x55555555; {}", halves("1"));
    assert_fault(&exchange(&even), 1, is_race(Space::Shared));
}

#[test]
fn two_lanes_that_write_one_word_race() {
    let body = format!(
        "{SHARED} and.b32 %r5, %t, 62; mad.lo.u32 %r5, %r5, 4, %r1;
        st.shared.u32 [%r5], 1;"
    );
    assert_fault(&body, 1, is_race(Space::Shared));
    // Neighbouring bytes are different places.
    let bytes = "add.s64 %rd1, %data, 0; cvt.u64.u32 %rd2, %t; add.s64 %rd1, %rd1, %rd2;
        st.global.u8 [%rd1], %t;";
    let words = run(bytes);
    assert_eq!(words[1], u32::from_le_bytes([4, 5, 6, 7]));
}

#[test]
fn blocks_race_in_global_memory_whatever_their_order() {
    assert_fault("st.global.u32 [%in_row], %cta;", 2, is_race(Space::Global));
    // What one block writes another must not read.
    let read = "ld.global.u32 %r1, [%in_row]; setp.eq.u32 %p1, %cta, 0;
        @%p1 st.global.u32 [%mine], %r1;";
    assert_fault(read, 2, is_race(Space::Global));
    let words = run_blocks(
        "ld.global.u32 %r1, [%in_row+256]; st.global.u32 [%mine], %r1;",
        1,
    );
    assert_eq!(words[3], 67);
}

#[test]
fn threads_of_a_block_may_exchange_through_global_memory_at_barriers() {
    let exchange = |sync: &str| {
        format!(
            "xor.b32 %r1, %t, 32; mad.wide.u32 %rd1, %r1, 4, %data;
            st.global.u32 [%mine], %t; {sync} ld.global.u32 %r2, [%rd1]; {sync}
            st.global.u32 [%mine], %r2;"
        )
    };
    assert_fault(&exchange(""), 1, is_race(Space::Global));
    let words = run(&exchange("bar.sync 0;"));
    assert!((0..64).all(|t| words[t] == t as u32 ^ 32));
}

#[test]
fn the_read_only_cache_does_not_see_writes() {
    let body = "st.global.u32 [%mine], %t; ld.global.nc.u32 %r1, [%mine];";
    assert_fault(body, 1, |fault| {
        matches!(fault, FaultKind::ReadOnlyLoad { .. })
    });
}

#[test]
fn what_nobody_wrote_is_not_read() {
    assert_fault("add.u32 %r1, %r2, 1;", 1, |fault| {
        *fault
            == FaultKind::UninitialisedRegister {
                register: "%r2".into(),
            }
    });
    assert_fault("@%p3 add.u32 %r1, %t, 1;", 1, |fault| {
        *fault
            == FaultKind::UninitialisedRegister {
                register: "%p3".into(),
            }
    });
    // Only odd lanes have written it.
    let some =
        "and.b32 %r1, %t, 1; setp.eq.u32 %p1, %r1, 1; @%p1 mov.u32 %r2, 0; add.u32 %r3, %r2, 1;";
    assert_fault(some, 1, |fault| {
        matches!(fault, FaultKind::UninitialisedRegister { .. })
    });
    let shared = format!("{SHARED} st.shared.u16 [%r2], %t; ld.shared.u32 %r4, [%r2];");
    assert_fault(
        &shared,
        1,
        |fault| matches!(fault, FaultKind::UninitialisedMemory { space: Space::Shared, address } if address % 4 == 2),
    );
    let mut device = Device::new();
    let data = device.upload(&[0u32; 64]);
    device.forget(data + 40, 4);
    let launch = Launch::new([1; 3], [64, 1, 1]);
    let module = module("ld.global.u32 %r1, [%mine];");
    let error = device
        .launch(&module, "small", launch, &[Param::Pointer(data)])
        .unwrap_err();
    let kind = FaultKind::UninitialisedMemory {
        space: Space::Global,
        address: data + 40,
    };
    assert_eq!(error.fault(), Some(&kind));
}

#[test]
fn shared_memory_of_an_earlier_block_is_not_initialised() {
    let body = format!(
        "{SHARED} setp.eq.u32 %p1, %cta, 0; @%p1 st.shared.u32 [%r2], %t;
        @!%p1 ld.shared.u32 %r4, [%r2];"
    );
    assert_fault(&body, 2, |fault| {
        matches!(
            fault,
            FaultKind::UninitialisedMemory {
                space: Space::Shared,
                ..
            }
        )
    });
}

#[test]
fn addresses_out_of_bounds_and_misaligned_ones_are_faults() {
    let out = |space| move |fault: &FaultKind| matches!(fault, FaultKind::OutOfBounds { space: found, .. } if *found == space);
    assert_fault("ld.global.u32 %r1, [%mine+1024];", 1, out(Space::Global));
    assert_fault("ld.global.u32 %r1, [%mine+-256];", 1, out(Space::Global));
    assert_fault(
        "st.global.v4.u32 [%data+1020], {%t, %t, %t, %t};",
        1,
        |fault| matches!(fault, FaultKind::Misaligned { wanted: 16, .. }),
    );
    assert_fault("ld.global.u64 %rd1, [%data+4];", 1, |fault| {
        matches!(fault, FaultKind::Misaligned { wanted: 8, .. })
    });
    // One array does not run into the next.
    let two = ".shared .align 4 .b8 first[128]; .shared .align 4 .b8 second[256];
        mov.u32 %r1, first; mad.lo.u32 %r1, %t, 4, %r1; st.shared.u32 [%r1], %t;";
    assert_fault(two, 1, out(Space::Shared));
    assert_fault("ld.param.u64 %rd1, [data+8];", 1, out(Space::Param));
    assert_fault(
        "mov.u64 %rd1, 0; ld.global.u32 %r1, [%rd1];",
        1,
        out(Space::Global),
    );
    let mut device = Device::new();
    let gone = device.upload(&[0u32; 256]);
    device.free(gone);
    let module = module("ld.global.u32 %r1, [%mine];");
    let launch = Launch::new([1; 3], [64, 1, 1]);
    let error = device
        .launch(&module, "small", launch, &[Param::Pointer(gone)])
        .unwrap_err();
    assert!(error.fault().is_some_and(out(Space::Global)), "{error}");
}

#[test]
fn copies_are_not_seen_before_they_are_waited_for() {
    let copy = |rest: &str| {
        format!(
            "{SHARED} cp.async.ca.shared.global [%r2], [%mine], 4; cp.async.commit_group; {rest}"
        )
    };
    let pending = |fault: &FaultKind| matches!(fault, FaultKind::PendingCopy { .. });
    assert_fault(&copy("ld.shared.u32 %r4, [%r2];"), 1, pending);
    assert_fault(&copy("st.shared.u32 [%r2], %t;"), 1, pending);
    assert_fault(&copy("bar.sync 0; ld.shared.u32 %r4, [%r3];"), 1, pending);
    assert_fault(
        &copy("cp.async.wait_group 1; ld.shared.u32 %r4, [%r2];"),
        1,
        pending,
    );
    assert_fault(
        &copy("st.global.u32 [%mine], 0; cp.async.wait_group 0;"),
        1,
        pending,
    );
    assert_fault(
        &copy("cp.async.wait_group 0; ld.shared.u32 %r4, [%r3];"),
        1,
        is_race(Space::Shared),
    );
    // The barrier must come after the wait, not before it.
    let early = copy("bar.sync 0; cp.async.wait_group 0; ld.shared.u32 %r4, [%r3];");
    assert_fault(&early, 1, |fault| {
        pending(fault) || is_race(Space::Shared)(fault)
    });
    let words = run(&copy(
        "cp.async.wait_group 0; bar.sync 0; ld.shared.u32 %r4, [%r3];
        st.global.u32 [%mine], %r4;",
    ));
    assert!((0..64).all(|t| words[t] == t as u32 ^ 1));
    // Without a commit a group is not there to be waited for.
    let open = format!(
        "{SHARED} cp.async.ca.shared.global [%r2], [%mine], 4;
        cp.async.wait_group 0; ld.shared.u32 %r4, [%r2];"
    );
    assert_fault(&open, 1, pending);
}

#[test]
fn a_short_copy_fills_up_with_zeros() {
    let words = run(".shared .align 16 .b8 words[1024]; mov.u32 %r1, words;
        mad.lo.u32 %r2, %t, 16, %r1; mad.wide.u32 %rd1, %t, 16, %data;
        and.b32 %r3, %t, 3; shl.b32 %r3, %r3, 2;
        cp.async.cg.shared.global [%r2], [%rd1], 16, %r3; cp.async.commit_group;
        cp.async.wait_group 0; bar.sync 0;
        ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [%r2];
        st.global.v4.u32 [%rd1], {%r4, %r5, %r6, %r7};");
    let wanted = |i: u32| if i % 4 < i / 4 % 4 { i } else { 0 };
    assert!(
        (0..256).all(|i| words[i as usize] == wanted(i)),
        "{words:?}"
    );
}

#[test]
fn bank_conflicts_and_sectors_are_counted() {
    let with_stride = |words: u32| {
        let body = format!(
            ".shared .align 16 .b8 words[32768]; mov.u32 %r1, words;
            mad.lo.u32 %r1, %t, {}, %r1; st.shared.u32 [%r1], %t;",
            4 * words
        );
        let stats = stats(&body);
        (stats.shared_wavefronts, stats.bank_conflicts)
    };
    assert_eq!(with_stride(1), (2, 0));
    assert_eq!(with_stride(2), (4, 2));
    assert_eq!(with_stride(32), (64, 62));
    assert_eq!(with_stride(33), (2, 0));
    let broadcast =
        format!("{SHARED} st.shared.u32 [%r2], %t; bar.sync 0; ld.shared.u32 %r4, [%r1];");
    assert_eq!(stats(&broadcast).bank_conflicts, 0);
    let wide = ".shared .align 16 .b8 words[1024]; mov.u32 %r1, words; mad.lo.u32 %r1, %t, 16, %r1;
        st.shared.v4.u32 [%r1], {%t, %t, %t, %t};";
    let wide = stats(wide);
    assert_eq!((wide.shared_wavefronts, wide.bank_conflicts), (8, 0));
    let row = stats("ld.global.u32 %r1, [%mine];");
    let sectors = |stats: &Stats| (stats.global.sectors, stats.global.ideal_sectors);
    assert_eq!(sectors(&row), (8, 8));
    let column =
        stats("and.b32 %r1, %t, 31; mad.wide.u32 %rd1, %r1, 32, %data; ld.global.u32 %r1, [%rd1];");
    assert_eq!(sectors(&column), (64, 8));
    // Half as many different bytes, each wanted twice.
    let pairs = stats(
        "shr.u32 %r1, %t, 1; and.b32 %r1, %r1, 15; mad.wide.u32 %rd1, %r1, 32, %data;
        ld.global.u32 %r1, [%rd1];",
    );
    assert_eq!(sectors(&pairs), (32, 4));
    assert_eq!((pairs.global.count, pairs.global.bytes), (2, 256));
    let wide =
        stats("mad.wide.u32 %rd1, %t, 16, %data; ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd1];");
    assert_eq!(sectors(&wide), (32, 32));
    let lines: Vec<_> = wide.global_by_line.values().collect();
    assert_eq!(lines, [&wide.global]);
    assert_eq!(column.opcodes["mad.wide.u32"], 6);
}
