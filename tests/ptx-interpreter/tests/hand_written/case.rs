//! One instruction as a kernel: its operands from memory, its result to memory.

use bsq_ptx_interpreter::{Device, Launch, Module, Param};
use half::{bf16, f16};

/// A Rust type that stands for a PTX type.
pub trait Operand: Copy {
    const TYPE: &'static str;
    const BYTES: usize;
    fn from_bits(bits: u64) -> Self;
    fn bits(self) -> u64;
    /// Whether two results are the same: NaNs are, whatever their bits.
    fn same(found: u64, wanted: u64) -> bool {
        found == wanted
    }
    /// Values at which something may go wrong.
    fn values() -> Vec<u64>;
}

macro_rules! integers {
    ($($ty:ty as $unsigned:ty, $name:literal);*) => {
        $(impl Operand for $ty {
            const TYPE: &'static str = $name;
            const BYTES: usize = size_of::<$ty>();
            fn from_bits(bits: u64) -> Self {
                bits as $ty
            }
            fn bits(self) -> u64 {
                u64::from(self as $unsigned)
            }
            fn values() -> Vec<u64> {
                let list = [0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 127, 128, 255, 256];
                let edges = [<$ty>::MIN, <$ty>::MAX, <$ty>::MAX / 2, <$ty>::MAX / 3];
                let noise = [0x1234_5678_9abc_def0u64, 0xfedc_ba98_7654_3210, 0x8000_0000_8000_0001];
                let negative = [!0u64, !1, !2, !30, !31];
                let list = list.into_iter().chain(noise).chain(negative);
                list.map(|x| (x as $ty).bits()).chain(edges.map(Operand::bits)).collect()
            }
        })*
    };
}

integers!(
    u16 as u16, "b16";
    u32 as u32, "b32"; i32 as u32, "b32"; u64 as u64, "b64"; i64 as u64, "b64"
);

/// Values of any floating-point type; halves of units show how ties are rounded.
const FLOATS: [f64; 38] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -1.5,
    2.5,
    -2.5,
    3.75,
    0.1,
    -0.3,
    1e-3,
    7.0,
    100.25,
    -127.5,
    254.5,
    255.5,
    65504.0,
    65519.9,
    65520.0,
    3e9,
    -3e9,
    1e19,
    -1e19,
    1e30,
    3.4e38,
    1e39,
    1e-38,
    1e-40,
    1.5e-45,
    6e-8,
    3e-8,
    1.00390625,
    1.001953125,
    f64::INFINITY,
    f64::NEG_INFINITY,
];

macro_rules! floats {
    ($($ty:ty, $raw:ty, $name:literal, $from:expr);*) => {
        $(impl Operand for $ty {
            const TYPE: &'static str = $name;
            const BYTES: usize = size_of::<$ty>();
            fn from_bits(bits: u64) -> Self {
                <$ty>::from_bits(bits as $raw)
            }
            fn bits(self) -> u64 {
                u64::from(self.to_bits())
            }
            fn same(found: u64, wanted: u64) -> bool {
                let nan = |bits| <Self as Operand>::from_bits(bits).is_nan();
                found == wanted || (nan(found) && nan(wanted))
            }
            fn values() -> Vec<u64> {
                let list = FLOATS.into_iter().chain([f64::NAN]);
                list.map(|x| u64::from($from(x).to_bits())).collect()
            }
        })*
    };
}

floats!(
    f32, u32, "f32", |x| x as f32;
    f16, u16, "b16", f16::from_f64; bf16, u16, "b16", bf16::from_f64
);

/// The result for the bits of the operands; `None` where it is not specified.
type Wanted = Box<dyn Fn(&[u64]) -> Option<u64>>;

/// An instruction, and what it must give.
pub struct Case {
    pub opcode: &'static str,
    types: Vec<&'static str>,
    /// Bytes of the result, then of each operand.
    bytes: Vec<usize>,
    values: Vec<Vec<u64>>,
    wanted: Wanted,
    same: fn(u64, u64) -> bool,
}

impl Case {
    pub fn one<A: Operand, R: Operand>(opcode: &'static str, f: impl Fn(A) -> R + 'static) -> Case {
        Case {
            opcode,
            types: vec![R::TYPE, A::TYPE],
            bytes: vec![R::BYTES, A::BYTES],
            values: vec![A::values()],
            wanted: Box::new(move |v| Some(f(A::from_bits(v[0])).bits())),
            same: R::same,
        }
    }

    pub fn two<A: Operand, B: Operand, R: Operand>(
        opcode: &'static str,
        f: impl Fn(A, B) -> R + 'static,
    ) -> Case {
        Case {
            opcode,
            types: vec![R::TYPE, A::TYPE, B::TYPE],
            bytes: vec![R::BYTES, A::BYTES, B::BYTES],
            values: vec![A::values(), B::values()],
            wanted: Box::new(move |v| Some(f(A::from_bits(v[0]), B::from_bits(v[1])).bits())),
            same: R::same,
        }
    }

    pub fn three<A: Operand, B: Operand, C: Operand, R: Operand>(
        opcode: &'static str,
        f: impl Fn(A, B, C) -> R + 'static,
    ) -> Case {
        let wanted = move |v: &[u64]| {
            Some(f(A::from_bits(v[0]), B::from_bits(v[1]), C::from_bits(v[2])).bits())
        };
        Case {
            opcode,
            types: vec![R::TYPE, A::TYPE, B::TYPE, C::TYPE],
            bytes: vec![R::BYTES, A::BYTES, B::BYTES, C::BYTES],
            values: vec![A::values(), B::values(), C::values()],
            wanted: Box::new(wanted),
            same: R::same,
        }
    }

    /// Leaves out operands whose result is not specified.
    pub fn except(mut self, excluded: impl Fn(&[u64]) -> bool + 'static) -> Case {
        let wanted = self.wanted;
        self.wanted = Box::new(move |v| if excluded(v) { None } else { wanted(v) });
        self
    }

    /// The kernel, without the head of a module.
    pub fn kernel(&self, name: &str) -> String {
        let opcode = self.opcode;
        let count = self.types.len();
        let mut text = format!(".visible .entry {name}(.param .u64 data, .param .u64 out) {{\n");
        text += ".reg .b32 %i; .reg .b64 %at, %to;\n";
        for (i, ty) in self.types.iter().enumerate() {
            text += &format!(".reg .{ty} %x{i};\n");
        }
        text += "mov.u32 %i, %ctaid.x; mad.lo.u32 %i, %i, 128, 0;\n";
        text += "{ .reg .b32 %t; mov.u32 %t, %tid.x; add.u32 %i, %i, %t; }\n";
        text += "ld.param.u64 %at, [data]; ld.param.u64 %to, [out];\n";
        text += &format!(
            "mad.wide.u32 %at, %i, {}, %at; mad.wide.u32 %to, %i, 8, %to;\n",
            8 * count
        );
        for (i, bytes) in self.bytes.iter().enumerate().skip(1) {
            // Of a register that is wider than its value the upper bits are noise.
            let bits = if self.types[i] == "b16" {
                16
            } else {
                8 * bytes
            };
            let offset = 8 * (i - 1);
            let kind = if self.types[i].starts_with('f') {
                'f'
            } else {
                'b'
            };
            text += &format!("ld.global.{kind}{bits} %x{i}, [%at+{offset}];\n");
        }
        let list: Vec<String> = (0..count).map(|i| format!("%x{i}")).collect();
        text += &format!("{opcode} {};\n", list.join(", "));
        let kind = if self.types[0].starts_with('f') {
            'f'
        } else {
            'b'
        };
        let bits = 8 * self.bytes[0];
        text += &format!("st.global.{kind}{bits} [%to], %x0;\nret;\n}}\n");
        text
    }

    /// Every combination of the operands' values; of three operands a third of them.
    fn rows(&self) -> Vec<Vec<u64>> {
        let mut rows = vec![Vec::new()];
        for values in &self.values {
            let with = |row: &Vec<u64>| {
                let row = row.clone();
                values
                    .iter()
                    .map(move |value| [row.as_slice(), &[*value]].concat())
            };
            rows = rows.iter().flat_map(with).collect();
        }
        let step = if self.values.len() == 3 { 3 } else { 1 };
        rows.into_iter().step_by(step).collect()
    }

    /// Runs the instruction on all rows; a message for the first that is wrong.
    pub fn check(&self, device: &mut Device, module: &Module, name: &str) -> Result<(), String> {
        let rows = self.rows();
        let padded = rows.len().next_multiple_of(128);
        let mut data = Vec::new();
        for i in 0..padded {
            data.extend_from_slice(&rows[i % rows.len()]);
            data.push(0);
        }
        let (at, to) = (device.upload(&data), device.upload(&vec![0u64; padded]));
        let launch = Launch::new([padded as u32 / 128, 1, 1], [128, 1, 1]);
        let ran = device.launch(
            module,
            name,
            launch,
            &[Param::Pointer(at), Param::Pointer(to)],
        );
        ran.map_err(|error| format!("{}: {error}", self.opcode))?;
        let found = device
            .download::<u64>(to)
            .map_err(|error| error.to_string())?;
        device.free(at);
        device.free(to);
        for (row, found) in rows.iter().zip(found) {
            let Some(wanted) = (self.wanted)(row) else {
                continue;
            };
            if !(self.same)(found, wanted) {
                return Err(format!(
                    "{}: {row:x?} gives {found:#x}, not {wanted:#x}",
                    self.opcode
                ));
            }
        }
        Ok(())
    }
}

/// A module of these kernels, `case_0` and on.
pub fn module_text(cases: &[Case]) -> String {
    let head = ".version 7.8\n.target sm_86\n.address_size 64\n".to_string();
    let name = |i: usize| format!("case_{i}");
    cases
        .iter()
        .enumerate()
        .fold(head, |text, (i, case)| text + &case.kernel(&name(i)))
}
