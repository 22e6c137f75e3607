//! Kernels of a few lines: a head around their body, and one buffer of words.

use super::parse;
use bsq_ptx_interpreter::{Device, Error, FaultKind, Launch, Module, Options, Param, Stats};

/// Words in the buffer. At first word i holds i.
pub const WORDS: usize = 256;

/// A kernel `small` around a body. `%data` is the buffer, `%tid` counts threads of the block,
/// `%cta` blocks, `%mine` is the address of word `128 * cta + tid` and `%in_row` that of word
/// `tid`.
pub fn module(body: &str) -> Module {
    parse(&text(body))
}

pub fn text(body: &str) -> String {
    format!(
        ".version 7.8\n.target sm_86\n.address_size 64\n\
         .visible .entry small(.param .u64 data) {{\n\
         .reg .b32 %r<32>; .reg .f32 %f<16>; .reg .b64 %rd<16>; .reg .pred %p<8>;\n\
         .reg .b32 %t, %cta, %word; .reg .b64 %data, %mine, %in_row;\n\
         ld.param.u64 %data, [data]; mov.u32 %t, %tid.x; mov.u32 %cta, %ctaid.x;\n\
         mad.lo.u32 %word, %cta, 128, %t;\n\
         mad.wide.u32 %mine, %word, 4, %data; mad.wide.u32 %in_row, %t, 4, %data;\n\
         {body}\nret;\n}}\n"
    )
}

/// Runs blocks of 64 threads; the buffer, and what was counted.
pub fn run_on(
    device: &mut Device,
    module: &Module,
    blocks: u32,
) -> Result<(Vec<u32>, Stats), Error> {
    let words: Vec<u32> = (0..WORDS as u32).collect();
    let data = device.upload(&words);
    let launch = Launch::new([blocks, 1, 1], [64, 1, 1]);
    let stats = device.launch(module, "small", launch, &[Param::Pointer(data)])?;
    Ok((device.download(data)?, stats))
}

/// The buffer after one block, the same with every seed.
pub fn run(body: &str) -> Vec<u32> {
    run_blocks(body, 1)
}

pub fn run_blocks(body: &str, blocks: u32) -> Vec<u32> {
    let module = module(body);
    let one = |seed| {
        let options = Options {
            seed,
            ..Options::default()
        };
        let mut device = Device::with_options(options);
        run_on(&mut device, &module, blocks)
            .unwrap_or_else(|error| panic!("{error}"))
            .0
    };
    let first = one(0);
    assert!(
        (1..6).all(|seed| one(seed) == first),
        "the result depends on the schedule"
    );
    first
}

/// The counts of one block.
pub fn stats(body: &str) -> Stats {
    run_on(&mut Device::new(), &module(body), 1)
        .unwrap_or_else(|error| panic!("{error}"))
        .1
}

/// The faults that six seeds meet; there must be one with each.
pub fn faults(body: &str, blocks: u32) -> Vec<FaultKind> {
    let module = module(body);
    let one = |seed| {
        let options = Options {
            seed,
            budget: 10_000,
            ..Options::default()
        };
        let ran = run_on(&mut Device::with_options(options), &module, blocks);
        let error = ran.expect_err("a fault is there to be found");
        error.fault().unwrap_or_else(|| panic!("{error}")).clone()
    };
    (0..6).map(one).collect()
}

/// Asserts that every seed meets a fault like this.
#[track_caller]
pub fn assert_fault(body: &str, blocks: u32, is_it: impl Fn(&FaultKind) -> bool) {
    for fault in faults(body, blocks) {
        assert!(is_it(&fault), "{fault}");
    }
}
