//! Equality saturation: all rules, again and again, until nothing is new or the budget is spent.
//!
//! The budget counts nodes, matches and steps of the search, not time: every machine stops at
//! the same point and so builds the same program.

use super::egraph::Classes;
use super::pattern::{Match, Matcher, Name, Pattern};
use super::rule::{Rewrite, Right, Rule, Soundness};
use egg::Id;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// Limits of a saturation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Rounds of search and application.
    pub rounds: usize,
    /// E-nodes per node of the function, and in any case this many more than that.
    pub growth: usize,
    pub nodes: usize,
    /// Matches of one rule in one round; more are left for the next round.
    pub matches: usize,
    /// Steps of the pattern search.
    pub steps: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            rounds: 24,
            growth: 8,
            nodes: 1_000,
            matches: 4_000,
            steps: 20_000_000,
        }
    }
}

/// A rule with its patterns parsed.
pub struct Compiled {
    pub rule: Rule,
    left: Pattern,
    right: Option<Pattern>,
}

impl Compiled {
    pub fn new(rule: Rule) -> Self {
        let right = match rule.right {
            Right::Text(text) => Some(Pattern::parse(text)),
            Right::Code(_) => None,
        };
        Compiled {
            rule,
            left: Pattern::parse(rule.left),
            right,
        }
    }

    fn apply(&self, classes: &mut Classes, root: Id, found: &Match) -> Option<()> {
        let mut rewrite = Rewrite {
            classes,
            root,
            found,
        };
        match (&self.right, self.rule.right) {
            (Some(pattern), _) => {
                let right = rewrite.instantiate(pattern);
                rewrite.root_is(right);
                Some(())
            }
            (None, Right::Code(code)) => code(&mut rewrite),
            (None, Right::Text(_)) => unreachable!("text is parsed"),
        }
    }
}

/// Every rule of the compiler, by theme.
pub static RULES: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    let tables = super::rules::TABLES.iter();
    tables
        .flat_map(|table| table.iter())
        .map(|rule| Compiled::new(*rule))
        .collect()
});

/// What a saturation did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saturation {
    /// Rules that added an equality, and how often.
    pub fired: BTreeMap<Name, usize>,
    pub rounds: usize,
    pub nodes: usize,
    /// False if the budget ended it.
    pub complete: bool,
}

/// Applies `rules` to saturation; with `exact`, only those that keep every bit.
pub fn saturate(
    classes: &mut Classes,
    rules: &[Compiled],
    exact: bool,
    budget: &Budget,
) -> Saturation {
    let allowed = |rule: &&Compiled| !exact || rule.rule.soundness == Soundness::Exact;
    let rules: Vec<&Compiled> = rules.iter().filter(allowed).collect();
    let most_nodes = classes.total_size() * budget.growth + budget.nodes;
    let mut steps = budget.steps;
    let mut done = Saturation::default();
    classes.rebuild();
    while done.rounds < budget.rounds && steps > 0 && classes.total_size() <= most_nodes {
        done.rounds += 1;
        let (found, capped) = search(classes, &rules, budget.matches, &mut steps);
        let mut changed = false;
        for (rule, root, found) in found {
            let size = |classes: &Classes| (classes.total_size(), classes.number_of_classes());
            let before = size(classes);
            rules[rule].apply(classes, root, &found);
            if size(classes) != before {
                changed = true;
                *done.fired.entry(rules[rule].rule.name).or_default() += 1;
            }
            if classes.total_size() > most_nodes {
                break;
            }
        }
        classes.rebuild();
        if !changed && !capped && steps > 0 {
            done.complete = true;
            break;
        }
    }
    done.nodes = classes.total_size();
    done
}

type Found = Vec<(usize, Id, Match)>;

/// All matches in a fixed order, and whether a rule had more than its share.
fn search(classes: &Classes, rules: &[&Compiled], most: usize, steps: &mut usize) -> (Found, bool) {
    let mut by_op: HashMap<Name, Vec<Id>> = HashMap::new();
    for class in classes.classes() {
        for node in &class.nodes {
            by_op.entry(node.op.name()).or_default().push(class.id);
        }
    }
    let matcher = Matcher::new(classes, *steps);
    let (mut found, mut capped) = (Vec::new(), false);
    for (index, rule) in rules.iter().enumerate() {
        let of = |name: &Name| by_op.get(name).into_iter().flatten().copied();
        let mut roots: Vec<Id> = rule.left.roots().iter().flat_map(of).collect();
        roots.sort_unstable();
        roots.dedup();
        let first = found.len();
        for root in roots {
            if found.len() - first >= most {
                capped = true;
                break;
            }
            let matches = matcher.matches(&rule.left, root);
            found.extend(matches.into_iter().map(|found| (index, root, found)));
        }
    }
    *steps = matcher.steps_left();
    (found, capped)
}
