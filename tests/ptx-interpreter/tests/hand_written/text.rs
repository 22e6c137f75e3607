//! What the parser rejects, and what a launch rejects.

use super::small;
use bsq_ptx_interpreter::{Device, Error, Launch, LaunchError, Module, Param};

/// The message for a body of a small kernel, which stands on the tenth line.
fn message(body: &str) -> String {
    Module::parse(&small::text(body))
        .expect_err(body)
        .to_string()
}

#[test]
fn what_is_wrong_in_the_text_is_reported_with_its_place() {
    let table = [
        (
            "add.u32 %r1, %r2, %x;",
            "line 10, column 19: the register `%x` is not declared",
        ),
        (
            "add.u32 %r1, %r2, %r32;",
            "the register `%r32` is not declared",
        ),
        (
            "frobnicate.u32 %r1, %r2;",
            "column 1: `frobnicate.u32`: the instruction `frobnicate`",
        ),
        (
            "add.fast.u32 %r1, %r2, 1;",
            "the modifier `.fast` is not supported here",
        ),
        ("add.u32 %r1, %r2;", "there are too few operands"),
        ("add.u32 %r1, %r2, 1, 2;", "3 operands expected, 4 found"),
        (
            "add.u32 %r1, %f2, 1;",
            "`%f2` has type .f32; .u32 is needed",
        ),
        (
            "add.u32 %rd1, %r2, 1;",
            "`%rd1` has type .b64; .u32 is needed",
        ),
        ("add.rn.f32 %f1, %f2, 1;", "1 is no constant of type .f32"),
        ("add.f32 %f1, %f2, %f3;", "`.rn` is needed"),
        (
            "add.u32 %r1, %r2, 4294967296;",
            "4294967296 does not fit .u32",
        ),
        ("@%r1 bra END; END:", "`%r1` is not a predicate"),
        ("bra NOWHERE;", "no label `NOWHERE`"),
        ("END: END:", "the label `END` exists twice"),
        ("ld.global.u32 %r1, [%r2];", "a global address needs .b64"),
        ("ld.shared.u32 %r1, [%f2];", "`%f2` has type .f32"),
        (
            "ld.shared.u32 %r1, [data];",
            "`data` is parameter memory, not shared",
        ),
        (
            "ld.global.v4.u32 {%r1, %r2}, [%data];",
            "4 elements expected, 2 found",
        ),
        (
            "ld.global.v4.u64 {%rd1, %rd2, %rd3, %rd4}, [%data];",
            "at most 16 bytes",
        ),
        ("ld.global.f32 %rd1, [%r1];", "needs .b64"),
        ("st.param.u32 [data], %r1;", "cannot be written"),
        (
            "cp.async.cg.shared.global [%r1], [%data], 8;",
            "16 bytes can be copied, not 8",
        ),
        ("cvt.f32.s32 %f1, %r1;", "no such conversion"),
        ("cvt.s32.f32 %r1, %f1;", "no such conversion"),
        ("setp.neu.u32 %p1, %r1, %r2;", "no such comparison of .u32"),
        (
            "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1, %f2, %f3, %f4}, \
          {%f1, %r2, %r3, %r4}, {%r5, %r6}, {%f1, %f2, %f3, %f4};",
            "`%f1` has type .f32; .b32",
        ),
        (
            "mma.sync.aligned.m16n8k16.row.col.f32.tf32.tf32.f32 {%f1, %f2, %f3, %f4}, \
          {%r1, %r2}, {%r5}, {%f1, %f2, %f3, %f4};",
            "no product of this shape and these types",
        ),
        (
            "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2}, [%r3];",
            "4 registers expected",
        ),
        (
            "atom.global.add.u32 %r1, [%data], %r2;",
            "the instruction `atom` is not known",
        ),
        ("mov.u32 %r1, %tid.w;", "`%tid.w` is not declared"),
        (".reg .b32 %r1; .reg .b32 %r1;", "`%r1` is declared twice"),
        ("add.u32 %r1, %r2, 1", "`,` expected, `ret` found"),
        ("mov.f32 %f1, 0f3F80;", "needs 8 hexadecimal digits"),
        ("/* no end", "this comment does not end"),
        ("@%p1 @%p2 ret;", "a name expected, `@` found"),
        ("call f;", "the instruction `call` is not known"),
    ];
    for (body, wanted) in table {
        let found = message(body);
        assert!(found.contains(wanted), "`{body}`: {found}");
    }
    let target = small::text("").replace("sm_86", "sm_90");
    let error = Module::parse(&target).unwrap_err();
    assert_eq!((error.line, error.column), (2, 9), "{error}");
}

#[test]
fn nested_scopes_have_registers_of_their_own() {
    let words = small::run(
        "
        mov.u32 %r1, 5;
        { .reg .b32 %r<4>; mov.u32 %r1, 6; add.u32 %t, %t, %r1; }
        add.u32 %t, %t, %r1;
        st.global.u32 [%mine], %t;",
    );
    assert_eq!(words[10], 21);
}

#[test]
fn a_launch_that_does_not_fit_says_why() {
    let text = small::text("").replace("data) {", "data, .param .u32 n) .reqntid 64 {");
    let module = Module::parse(&text).unwrap();
    let launch = |kernel: &str, threads: u32, params: &[Param]| {
        let launch = Launch::new([1; 3], [threads, 1, 1]);
        Device::new()
            .launch(&module, kernel, launch, params)
            .unwrap_err()
    };
    let both = [Param::Pointer(0), Param::U32(1)];
    let message = launch("large", 64, &both).to_string();
    assert_eq!(message, "the module has no kernel `large`; it has small");
    let message = launch("small", 64, &both[..1]).to_string();
    assert_eq!(message, "kernel `small` takes 2 parameters, not 1");
    let message = launch("small", 64, &[Param::Pointer(0), Param::U64(1)]).to_string();
    assert_eq!(
        message,
        "parameter `n` of kernel `small` has 4 bytes, not 8"
    );
    let message = launch("small", 32, &both).to_string();
    assert!(message.contains(".reqntid is [64, 1, 1]"), "{message}");
    let message = launch("small", 2048, &both).to_string();
    assert!(message.contains("it has 2048 threads"), "{message}");
    let large = small::module(".shared .align 16 .b8 words[49168];");
    let error = small::run_on(&mut Device::new(), &large, 1).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Launch(LaunchError::SharedMemory { bytes: 49168, .. })
        ),
        "{error}"
    );
}

#[test]
fn dynamic_shared_memory_has_the_size_that_the_launch_says() {
    let module = small::module(
        ".extern .shared .align 16 .b8 words[]; .shared .align 4 .b8 one[4];
        mov.u32 %r1, words; mad.lo.u32 %r1, %t, 4, %r1; st.shared.u32 [%r1], %t; bar.sync 0;
        ld.shared.u32 %r2, [%r1]; st.global.u32 [%mine], %r2;",
    );
    let run = |bytes: usize| {
        let mut device = Device::new();
        let data = device.upload(&[0u32; 64]);
        let launch = Launch::new([1; 3], [64, 1, 1]).with_shared(bytes);
        device.launch(&module, "small", launch, &[Param::Pointer(data)])?;
        device.download::<u32>(data)
    };
    assert_eq!(run(256).unwrap(), (0..64).collect::<Vec<u32>>());
    assert!(run(252).unwrap_err().fault().is_some());
    assert!(matches!(
        run(101_400),
        Err(Error::Launch(LaunchError::SharedMemory { .. }))
    ));
}
