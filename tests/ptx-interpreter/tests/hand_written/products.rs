//! Matrix products on tensor cores, right and with faults injected.

use super::{every_seed, fixture, mutated, parse};
use bsq_ptx_interpreter::{Device, Error, FaultKind, Launch, Module, Param, Space, Stats};

/// Numbers between -1 and 1, the same everywhere.
fn numbers(count: usize, mut seed: u32) -> Vec<f32> {
    let step = |_| {
        seed = seed.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(step).collect()
}

/// Keeps the upper bits of a number.
fn cut(x: f32, bits: u32) -> f32 {
    f32::from_bits(x.to_bits() >> bits << bits)
}

/// The product of `a[m, k]` and `b[k, n]` in f64, and the sum of the magnitudes of its terms.
fn reference(a: &[f32], b: &[f32], [m, n, k]: [usize; 3]) -> Vec<(f64, f64)> {
    let terms = |row: usize, column: usize| {
        let term = move |i| f64::from(a[row * k + i]) * f64::from(b[i * n + column]);
        (0..k)
            .map(term)
            .fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()))
    };
    (0..m)
        .flat_map(|row| (0..n).map(move |column| terms(row, column)))
        .collect()
}

/// Sums in f32 of k terms differ from the exact sum by less than k roundings of their magnitudes.
fn agrees(found: &[f32], wanted: &[(f64, f64)], k: usize) -> bool {
    let bound = k as f64 * 2f64.powi(-24);
    let close =
        |(found, (sum, size)): (&f32, &(f64, f64))| (f64::from(*found) - sum).abs() <= bound * size;
    found.len() == wanted.len() && found.iter().zip(wanted).all(close)
}

const SIZES: [[usize; 3]; 3] = [[32, 32, 16], [70, 40, 96], [33, 72, 64]];

struct Product {
    right: bool,
    stats: Stats,
}

fn matmul_bf16(device: &mut Device, module: &Module, size: [usize; 3]) -> Result<Product, Error> {
    let bf16 = |x: f32| (cut(x, 16), (x.to_bits() >> 16) as u16);
    matmul_half(device, (module, "matmul_bf16"), size, bf16)
}

/// `half` rounds a number to a format of 16 bits, and gives its bits there.
fn matmul_half(
    device: &mut Device,
    (module, entry): (&Module, &str),
    size: [usize; 3],
    half: impl Fn(f32) -> (f32, u16),
) -> Result<Product, Error> {
    let [m, n, k] = size;
    let side = |list: Vec<f32>| -> (Vec<f32>, Vec<u16>) { list.into_iter().map(&half).unzip() };
    let ((a, a_bits), (b, b_bits)) = (side(numbers(m * k, 1)), side(numbers(k * n, 2)));
    let at = (device.upload(&a_bits), device.upload(&b_bits));
    let c = device.allocate(4 * m * n);
    let sizes = [m, n, k].map(|extent| Param::U32(extent as u32));
    let mut params = vec![
        Param::Pointer(at.0),
        Param::Pointer(at.1),
        Param::Pointer(c),
    ];
    params.extend(sizes);
    let grid = [n.div_ceil(32) as u32, m.div_ceil(32) as u32, 1];
    let launch = Launch::new(grid, [128, 1, 1]);
    let stats = device.launch(module, entry, launch, &params)?;
    let found = device.download::<f32>(c)?;
    Ok(Product {
        right: agrees(&found, &reference(&a, &b, size), k),
        stats,
    })
}

#[test]
fn a_bf16_product_is_right_and_has_no_bank_conflicts() {
    let text = fixture("matmul_bf16");
    let module = parse(&text);
    for size in SIZES {
        for result in every_seed(|device| matmul_bf16(device, &module, size)) {
            let product = result.unwrap();
            assert!(product.right, "{size:?}");
            assert_eq!(ldmatrix_conflicts(&text, &product.stats), 0);
        }
    }
}

/// In f16 a third of the numbers is subnormal, of a fraction that ends before the rounding.
#[test]
fn an_f16_product_is_right_and_not_one_in_bf16() {
    let f16 = |x: f32| {
        let x = half::f16::from_f32(if x.abs() < 1.0 / 3.0 { x / 8192.0 } else { x });
        (x.to_f32(), x.to_bits())
    };
    let text = fixture("matmul_bf16").replace("bf16", "f16");
    let (module, taken_for_bf16) = (parse(&text), parse(&text.replace(".f16", ".bf16")));
    for size in SIZES {
        let of = |module| {
            move |device: &mut Device| matmul_half(device, (module, "matmul_f16"), size, f16)
        };
        for result in every_seed(of(&module)) {
            assert!(result.unwrap().right, "{size:?}");
        }
        for result in every_seed(of(&taken_for_bf16)) {
            assert!(!result.unwrap().right, "{size:?}");
        }
    }
}

#[test]
fn a_pad_that_is_missing_shows_as_bank_conflicts() {
    let padded = fixture("matmul_bf16");
    let text = padded.replace(", 80, ", ", 64, ");
    let product = matmul_bf16(&mut Device::new(), &parse(&text), SIZES[1]).unwrap();
    assert!(product.right);
    assert!(ldmatrix_conflicts(&text, &product.stats) > 0);
}

/// Bank conflicts of ldmatrix. The copies into rows of 48 bytes have some.
fn ldmatrix_conflicts(text: &str, stats: &Stats) -> u64 {
    let is_ldmatrix = |line: u32| {
        text.lines()
            .nth(line as usize - 1)
            .is_some_and(|line| line.contains("ldmatrix"))
    };
    let list = stats.conflicts_by_line.iter();
    list.filter(|(line, _)| is_ldmatrix(**line))
        .map(|(_, count)| count)
        .sum()
}

/// What the interpreter says about a mutated kernel.
#[derive(Debug, PartialEq)]
enum Finding {
    Wrong,
    Race(Space),
    Uninitialised(Space),
    Register(&'static str),
    Pending,
    OutOfBounds(Space),
    Misaligned(Space),
    Other(String),
    Nothing,
}

fn finding(result: Result<Product, Error>) -> Finding {
    let error = match result {
        Ok(product) if product.right => return Finding::Nothing,
        Ok(_) => return Finding::Wrong,
        Err(error) => error,
    };
    match error.fault() {
        Some(FaultKind::Race { space, .. }) => Finding::Race(*space),
        Some(FaultKind::UninitialisedMemory { space, .. }) => Finding::Uninitialised(*space),
        Some(FaultKind::UninitialisedRegister { register }) => match register.as_str() {
            "%c0" => Finding::Register("%c0"),
            other => Finding::Other(other.to_string()),
        },
        Some(FaultKind::PendingCopy { .. }) => Finding::Pending,
        Some(FaultKind::OutOfBounds { space, .. }) => Finding::OutOfBounds(*space),
        Some(FaultKind::Misaligned { space, .. }) => Finding::Misaligned(*space),
        _ => Finding::Other(error.to_string()),
    }
}

#[test]
fn every_fault_in_a_bf16_product_is_found() {
    use Finding::*;
    let shared = [Race(Space::Shared), Uninitialised(Space::Shared), Pending];
    let late = "    bar.sync 1;                              // the tile has been read\n";
    let early = "    bar.sync 0;                              // the tile is there\n";
    let first = "{%c0, %c1, %c2, %c3}, {%a0, %a1, %a2, %a3}, {%b0, %b1}";
    let table: &[(&str, &str, &str, &[Finding])] = &[
        ("no barrier before reading", early, "", &shared),
        ("no barrier after reading", late, "", &shared),
        (
            "one group too many under way",
            "wait_group 1;",
            "wait_group 2;",
            &[Pending],
        ),
        ("no wait", "    cp.async.wait_group 1;\n", "", &[Pending]),
        (
            "no commit in the loop",
            "LAST:\n    cp.async.commit_group;",
            "LAST:\n",
            &[Pending],
        ),
        (
            "b is not transposed",
            "x4.trans.shared",
            "x4.shared",
            &[Wrong],
        ),
        (
            "registers of a are swapped",
            first,
            "{%c0, %c1, %c2, %c3}, {%a0, %a2, %a1, %a3}, {%b0, %b1}",
            &[Wrong],
        ),
        (
            "registers of b are swapped",
            first,
            "{%c0, %c1, %c2, %c3}, {%a0, %a1, %a2, %a3}, {%b1, %b0}",
            &[Wrong],
        ),
        (
            "results are swapped",
            "[%rd6], {%c0, %c1}",
            "[%rd6], {%c1, %c0}",
            &[Wrong],
        ),
        (
            "an accumulator starts with anything",
            "    mov.f32 %c0, 0f00000000;\n",
            "",
            &[Register("%c0")],
        ),
        (
            "a row too many is read",
            "setp.lt.u32 %p2, %r15, %r1;",
            "setp.le.u32 %p2, %r15, %r1;",
            &[OutOfBounds(Space::Global)],
        ),
        (
            "a row too many is written",
            "setp.lt.u32 %p3, %r42, %r1;\n    and.pred %p3, %p3, %p1;",
            "setp.le.u32 %p3, %r42, %r1;\n    and.pred %p3, %p3, %p1;",
            &[OutOfBounds(Space::Global)],
        ),
        (
            "the second row is wrong",
            "add.u32 %r44, %r42, 8;",
            "add.u32 %r44, %r42, 7;",
            &[Race(Space::Global)],
        ),
        (
            "the pad breaks alignment",
            "mad.lo.u32 %r14, %r12, 80, %r10;",
            "mad.lo.u32 %r14, %r12, 72, %r10;",
            &[Misaligned(Space::Shared)],
        ),
        (
            "the wrong buffer is read",
            "mad.lo.u32 %r36, %r32,",
            "mad.lo.u32 %r36, %r33,",
            &shared,
        ),
        (
            "buffers overlap",
            "mov.u32 %r19, 1536;",
            "mov.u32 %r19, 1504;",
            &shared,
        ),
        (
            "shared memory is too small",
            "tile_b[2560]",
            "tile_b[2528]",
            &[OutOfBounds(Space::Shared)],
        ),
    ];
    let text = fixture("matmul_bf16");
    for (what, from, to, expected) in table {
        let module = mutated(&text, from, to);
        for result in every_seed(|device| matmul_bf16(device, &module, SIZES[1])) {
            let found = finding(result);
            assert!(expected.contains(&found), "{what}: {found:?}");
        }
    }
}

fn matmul_tf32(device: &mut Device, module: &Module) -> Result<bool, Error> {
    let k = 40;
    let (a, b) = (numbers(16 * k, 3), numbers(k * 8, 4));
    let at = (device.upload(&a), device.upload(&b));
    let c = device.allocate(4 * 16 * 8);
    let params = [
        Param::Pointer(at.0),
        Param::Pointer(at.1),
        Param::Pointer(c),
        Param::U32(k as u32),
    ];
    device.launch(
        module,
        "matmul_tf32",
        Launch::new([1; 3], [32, 1, 1]),
        &params,
    )?;
    // To nearest with 10 bits of fraction, written in another way than the interpreter's.
    let tf32 = |list: Vec<f32>| -> Vec<f32> {
        list.into_iter()
            .map(|x| {
                let unit = 2f64.powi(f64::from(x.abs()).log2().floor() as i32 - 10);
                ((f64::from(x) / unit).round() * unit) as f32
            })
            .collect()
    };
    let wanted = reference(&tf32(a), &tf32(b), [16, 8, k]);
    Ok(agrees(&device.download::<f32>(c)?, &wanted, k))
}

#[test]
fn a_tf32_product_is_right_and_swapped_fragments_are_wrong() {
    let text = fixture("matmul_tf32");
    assert_eq!(matmul_tf32(&mut Device::new(), &parse(&text)), Ok(true));
    let swapped = [
        ("{%r10, %r11, %r12, %r13}", "{%r10, %r12, %r11, %r13}"),
        ("{%r14, %r15}", "{%r15, %r14}"),
        ("[%rd11+256], {%c2, %c3}", "[%rd11+256], {%c3, %c2}"),
        ("cvt.rna.tf32.f32 %r10, %f0;", "mov.b32 %r10, %f1;"),
    ];
    for (from, to) in swapped {
        assert_eq!(
            matmul_tf32(&mut Device::new(), &mutated(&text, from, to)),
            Ok(false),
            "{to}"
        );
    }
}

fn matmul_s8(device: &mut Device, module: &Module, unsigned: bool) -> Result<bool, Error> {
    let k = 96;
    let a: Vec<u8> = (0..16 * k).map(|i| (i * 37 + i / 5) as u8).collect();
    let b: Vec<i8> = (0..8 * k).map(|i| (i * 91 + i / 3) as i8).collect();
    let at = (device.upload(&a), device.upload(&b));
    let c = device.allocate(4 * 16 * 8);
    let params = [
        Param::Pointer(at.0),
        Param::Pointer(at.1),
        Param::Pointer(c),
        Param::U32(k as u32),
    ];
    device.launch(
        module,
        "matmul_s8",
        Launch::new([1; 3], [32, 1, 1]),
        &params,
    )?;
    let left = |x: u8| {
        if unsigned {
            i32::from(x)
        } else {
            i32::from(x as i8)
        }
    };
    let dot = |row: usize, column: usize| -> i32 {
        (0..k)
            .map(|i| left(a[row * k + i]) * i32::from(b[column * k + i]))
            .sum()
    };
    let wanted: Vec<i32> = (0..128).map(|i| dot(i / 8, i % 8)).collect();
    Ok(device.download::<i32>(c)? == wanted)
}

#[test]
fn an_s8_product_is_exact_and_swapped_fragments_are_wrong() {
    let text = fixture("matmul_s8");
    assert_eq!(
        matmul_s8(&mut Device::new(), &parse(&text), false),
        Ok(true)
    );
    let mixed = mutated(&text, "s32.s8.s8.s32", "s32.u8.s8.s32");
    assert_eq!(matmul_s8(&mut Device::new(), &mixed, true), Ok(true));
    assert_eq!(matmul_s8(&mut Device::new(), &mixed, false), Ok(false));
    let swapped = [
        ("{%r10, %r11, %r12, %r13}", "{%r10, %r12, %r11, %r13}"),
        ("{%r14, %r15}", "{%r15, %r14}"),
        ("[%rd11+256], {%c2, %c3}", "[%rd11+256], {%c3, %c2}"),
    ];
    for (from, to) in swapped {
        let module = mutated(&text, from, to);
        assert_eq!(
            matmul_s8(&mut Device::new(), &module, false),
            Ok(false),
            "{to}"
        );
    }
}
