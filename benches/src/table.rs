//! The table of a group: medians, fractions of what the machine can do, and ratios.

use bsq_cli::machine::Probe;

/// In seconds.
const MILLISECOND: f64 = 1e-3;

/// What a piece of work is, whoever does it.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Multiplications and additions of its contractions.
    pub flops: f64,
    /// Inputs, parameters and results, each counted once.
    pub bytes: f64,
}

/// What the work consists of.
#[derive(Clone, Copy)]
pub struct Items {
    pub count: f64,
    pub unit: &'static str,
}

/// An implementation's samples, in seconds.
pub struct Row {
    pub median: f64,
    pub best: f64,
}

/// Prints medians beside what the machine could do while they were taken.
pub fn print(
    name: &str,
    (work, items): (Work, Option<Items>),
    probe: &Probe,
    names: &[&str],
    rows: &[Row],
) {
    let machine = probe.rates();
    println!(
        "\n{name}: {:.3} GFLOP, {:.2} MB; peak {:.1} GFLOP/s, memory {:.1} GB/s",
        work.flops / 1e9,
        work.bytes / 1e6,
        machine.gflops,
        machine.gbytes
    );
    let (unit, scale) = match rows.iter().all(|row| row.median < MILLISECOND / 10.0) {
        true => ("us", 1e6),
        false => ("ms", 1e3),
    };
    let per_second = items.map_or(String::new(), |items| format!("{:>14}/s", items.unit));
    println!("   median {unit}    best {unit}  of peak  of memory  ratio{per_second}");
    for (implementation, row) in names.iter().zip(rows) {
        let rate = items.map_or(String::new(), |items| {
            format!("{:16.0}", items.count / row.median)
        });
        println!(
            "  {:10.4} {:10.4} {:7.0}% {:9.0}%  {:5.2}{rate}  {implementation}",
            row.median * scale,
            row.best * scale,
            100.0 * work.flops / row.median / 1e9 / machine.gflops,
            100.0 * work.bytes / row.median / 1e9 / machine.gbytes,
            row.median / rows[0].median,
        );
    }
    println!();
}
