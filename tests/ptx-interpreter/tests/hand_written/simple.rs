//! A vector add, a reduction, a transpose.

use super::{every_seed, fixture, mutated, parse};
use bsq_ptx_interpreter::{Device, Error, FaultKind, Launch, Module, Param, Space, Stats};

fn vector_add(device: &mut Device, module: &Module, n: usize) -> Result<Vec<f32>, Error> {
    let a: Vec<f32> = (0..n).map(|i| i as f32 * 0.5).collect();
    let b: Vec<f32> = (0..n).map(|i| 100.0 - i as f32).collect();
    let (a, b) = (device.upload(&a), device.upload(&b));
    let c = device.allocate(4 * n);
    let params = [
        Param::Pointer(a),
        Param::Pointer(b),
        Param::Pointer(c),
        Param::U32(n as u32),
    ];
    let blocks = n.div_ceil(128) as u32;
    device.launch(
        module,
        "vector_add",
        Launch::new([blocks, 1, 1], [128, 1, 1]),
        &params,
    )?;
    device.download(c)
}

#[test]
fn a_vector_add_adds_whatever_the_length() {
    let module = parse(&fixture("vector_add"));
    for n in [1, 31, 128, 1000] {
        for result in every_seed(|device| vector_add(device, &module, n)) {
            let wanted: Vec<f32> = (0..n)
                .map(|i| i as f32 * 0.5 + (100.0 - i as f32))
                .collect();
            assert_eq!(result.unwrap(), wanted);
        }
    }
}

#[test]
fn a_bound_that_is_off_by_one_is_out_of_bounds() {
    let module = mutated(&fixture("vector_add"), "setp.ge.u32", "setp.gt.u32");
    for result in every_seed(|device| vector_add(device, &module, 1000)) {
        let error = result.unwrap_err();
        let found = matches!(
            error.fault(),
            Some(FaultKind::OutOfBounds {
                space: Space::Global,
                bytes: 4,
                ..
            })
        );
        assert!(found, "{error}");
        assert!(
            error
                .to_string()
                .contains("block [7, 0, 0], thread [104, 0, 0]"),
            "{error}"
        );
    }
}

#[test]
fn what_no_thread_writes_is_found_when_it_is_read_back() {
    let module = mutated(
        &fixture("vector_add"),
        "setp.ge.u32 %p1, %r5, %r1;",
        "add.u32 %r1, %r1, -1; setp.ge.u32 %p1, %r5, %r1;",
    );
    for result in every_seed(|device| vector_add(device, &module, 10)) {
        assert_eq!(
            result.unwrap_err(),
            Error::ReadsUninitialised { offset: 36 }
        );
    }
}

fn reduce(device: &mut Device, module: &Module) -> Result<Vec<f32>, Error> {
    let x: Vec<f32> = (0..1024).map(|i| (i % 37) as f32 - 10.0).collect();
    let x = device.upload(&x);
    let out = device.allocate(16);
    let launch = Launch::new([4, 1, 1], [256, 1, 1]);
    device.launch(
        module,
        "reduce",
        launch,
        &[Param::Pointer(x), Param::Pointer(out)],
    )?;
    device.download(out)
}

#[test]
fn a_reduction_sums_and_its_barrier_is_needed() {
    let text = fixture("reduce");
    let sums: Vec<f32> = (0..4)
        .map(|block| {
            (0..256)
                .map(|i| ((256 * block + i) % 37) as f32 - 10.0)
                .sum()
        })
        .collect();
    for result in every_seed(|device| reduce(device, &parse(&text))) {
        assert_eq!(result.unwrap(), sums);
    }
    let module = mutated(&text, "bar.sync 0;", "bar.warp.sync -1;");
    for result in every_seed(|device| reduce(device, &module)) {
        let error = result.unwrap_err();
        let found = matches!(
            error.fault(),
            Some(
                FaultKind::Race {
                    space: Space::Shared,
                    ..
                } | FaultKind::UninitialisedMemory {
                    space: Space::Shared,
                    ..
                }
            )
        );
        assert!(found, "{error}");
    }
}

#[test]
fn a_barrier_that_some_lanes_skip_is_divergent() {
    let module = mutated(
        &fixture("reduce"),
        "STORED:\n    bar.sync 0;",
        "bar.sync 0;\nSTORED:",
    );
    for result in every_seed(|device| reduce(device, &module)) {
        let error = result.unwrap_err();
        let found = matches!(
            error.fault(),
            Some(FaultKind::Divergent {
                what: "bar.sync",
                active: 1,
                ..
            })
        );
        assert!(found, "{error}");
    }
}

#[test]
fn a_barrier_that_a_warp_never_reaches_is_a_deadlock() {
    let module = mutated(
        &fixture("reduce"),
        "    bar.sync 0;",
        "    bar.sync 0, 288;",
    );
    for result in every_seed(|device| reduce(device, &module)) {
        let error = result.unwrap_err();
        let kind = FaultKind::Deadlock {
            barrier: 0,
            arrived: 256,
            wanted: 288,
        };
        assert_eq!(error.fault(), Some(&kind), "{error}");
    }
}

fn transpose(device: &mut Device, module: &Module) -> Result<(Vec<u32>, Stats), Error> {
    let (width, height) = (70, 45);
    let x: Vec<u32> = (0..width * height).collect();
    let x = device.upload(&x);
    let out = device.allocate(4 * (width * height) as usize);
    let launch = Launch::new([width.div_ceil(32), height.div_ceil(32), 1], [32, 8, 1]);
    let params = [
        Param::Pointer(x),
        Param::Pointer(out),
        Param::U32(width),
        Param::U32(height),
    ];
    let stats = device.launch(module, "transpose", launch, &params)?;
    Ok((device.download(out)?, stats))
}

#[test]
fn a_transpose_has_no_bank_conflicts_with_its_pad_and_many_without() {
    let text = fixture("transpose");
    let wanted: Vec<u32> = (0..70)
        .flat_map(|x| (0..45).map(move |y| y * 70 + x))
        .collect();
    for result in every_seed(|device| transpose(device, &parse(&text))) {
        let (values, stats) = result.unwrap();
        assert_eq!(values, wanted);
        assert_eq!(stats.bank_conflicts, 0);
        assert_eq!(stats.opcodes["bar.sync"], 6 * 8);
    }
    let module = parse(&text.replace(", 33, ", ", 32, "));
    for result in every_seed(|device| transpose(device, &module)) {
        let (values, stats) = result.unwrap();
        assert_eq!(values, wanted);
        assert!(stats.bank_conflicts > 1000, "{}", stats.bank_conflicts);
    }
}

#[test]
fn a_transpose_without_its_barrier_races() {
    let module = mutated(&fixture("transpose"), "    bar.sync 0;", "");
    for result in every_seed(|device| transpose(device, &module)) {
        let error = result.unwrap_err();
        let shared = |space: &Space| *space == Space::Shared;
        let found = match error.fault() {
            Some(FaultKind::Race { space, .. }) => shared(space),
            Some(FaultKind::UninitialisedMemory { space, .. }) => shared(space),
            _ => false,
        };
        assert!(found, "{error}");
    }
}
