//! What a rewriting did, for people.

use super::pattern::Name;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What [`optimize`](super::optimize) did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Only rules that keep every bit were used.
    pub exact: bool,
    pub nodes_before: usize,
    /// After the canonical form, before any rule.
    pub nodes_canonical: usize,
    pub nodes_after: usize,
    /// Seconds on the target, by its cost model.
    pub cost_before: f64,
    pub cost_after: f64,
    /// Fused ops in the result.
    pub found: BTreeMap<Name, usize>,
    /// Rules that added an equality, and how often; regions that were reused count once.
    pub fired: BTreeMap<Name, usize>,
    pub regions: usize,
    /// Regions that equalled an earlier one.
    pub regions_reused: usize,
    pub e_nodes: usize,
    /// Rounds of the longest saturation.
    pub rounds: usize,
    /// What did not go as it should, in sentences.
    pub warnings: Vec<String>,
    pub times: Times,
}

/// Time per part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub canonicalise: Duration,
    pub partition: Duration,
    pub saturate: Duration,
    pub extract: Duration,
    pub stitch: Duration,
    pub total: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.exact { "exact" } else { "reassociating" };
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let times = &self.times;
        writeln!(f, "rewriting ({kind}): {:.1} ms", ms(times.total))?;
        writeln!(
            f,
            "  nodes    {} -> {} canonical -> {}",
            self.nodes_before, self.nodes_canonical, self.nodes_after
        )?;
        writeln!(
            f,
            "  cost     {:.3} ms -> {:.3} ms by the cost model",
            self.cost_before * 1e3,
            self.cost_after * 1e3
        )?;
        writeln!(
            f,
            "  regions  {}, {} of them reused; {} e-nodes, {} rounds",
            self.regions, self.regions_reused, self.e_nodes, self.rounds
        )?;
        writeln!(
            f,
            "  time     canonical form {:.1}, partition {:.1}, saturation {:.1}, extraction {:.1}, stitching {:.1} ms",
            ms(times.canonicalise),
            ms(times.partition),
            ms(times.saturate),
            ms(times.extract),
            ms(times.stitch)
        )?;
        table(f, "found", &self.found)?;
        table(f, "rules", &self.fired)?;
        for warning in &self.warnings {
            writeln!(f, "  warning: {warning}")?;
        }
        Ok(())
    }
}

fn table(f: &mut fmt::Formatter<'_>, title: &str, rows: &BTreeMap<Name, usize>) -> fmt::Result {
    for (index, (name, count)) in rows.iter().enumerate() {
        let title = if index == 0 { title } else { "" };
        writeln!(f, "  {title:8} {count:5} {name}")?;
    }
    Ok(())
}
