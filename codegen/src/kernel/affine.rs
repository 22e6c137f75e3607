//! Affine index expressions over loop variables.

use std::fmt;

/// A loop variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Var(pub u32);

/// `constant + sum of coefficient * variable`; terms ascend by variable, no coefficient is 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Affine {
    pub constant: i64,
    pub terms: Vec<(Var, i64)>,
}

/// How the addresses of neighbouring iterations of a loop lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessPattern {
    /// They are one address.
    Same,
    /// Side by side.
    Contiguous,
    /// So many elements apart.
    Strided(i64),
}

impl AccessPattern {
    /// Elements from one iteration to the next.
    pub fn stride(self) -> i64 {
        match self {
            AccessPattern::Same => 0,
            AccessPattern::Contiguous => 1,
            AccessPattern::Strided(stride) => stride,
        }
    }
}

impl Affine {
    pub fn constant(constant: i64) -> Self {
        Affine {
            constant,
            terms: Vec::new(),
        }
    }

    pub fn var(var: Var) -> Self {
        Affine {
            constant: 0,
            terms: vec![(var, 1)],
        }
    }

    /// The coefficient of a variable; 0 if it does not occur.
    pub fn coefficient(&self, var: Var) -> i64 {
        let found = self.terms.iter().find(|term| term.0 == var);
        found.map_or(0, |term| term.1)
    }

    /// What this is as an address in a loop over `var`.
    pub fn pattern(&self, var: Var) -> AccessPattern {
        match self.coefficient(var) {
            0 => AccessPattern::Same,
            1 => AccessPattern::Contiguous,
            stride => AccessPattern::Strided(stride),
        }
    }

    pub fn add(&self, other: &Affine) -> Affine {
        let mut sum = self.clone();
        sum.constant += other.constant;
        for &(var, coefficient) in &other.terms {
            match sum.terms.binary_search_by_key(&var, |term| term.0) {
                Ok(at) => sum.terms[at].1 += coefficient,
                Err(at) => sum.terms.insert(at, (var, coefficient)),
            }
        }
        sum.terms.retain(|term| term.1 != 0);
        sum
    }

    pub fn scale(&self, factor: i64) -> Affine {
        if factor == 0 {
            return Affine::default();
        }
        let terms = self
            .terms
            .iter()
            .map(|&(var, c)| (var, c * factor))
            .collect();
        Affine {
            constant: self.constant * factor,
            terms,
        }
    }

    pub fn offset(&self, constant: i64) -> Affine {
        Affine {
            constant: self.constant + constant,
            terms: self.terms.clone(),
        }
    }

    /// The expression with `var` replaced by another.
    pub fn substitute(&self, var: Var, by: &Affine) -> Affine {
        let coefficient = self.coefficient(var);
        if coefficient == 0 {
            return self.clone();
        }
        let mut rest = self.clone();
        rest.terms.retain(|term| term.0 != var);
        rest.add(&by.scale(coefficient))
    }

    /// The value where each variable has the value that `at` gives.
    pub fn evaluate(&self, at: impl Fn(Var) -> i64) -> i64 {
        let terms = self
            .terms
            .iter()
            .map(|&(var, coefficient)| coefficient * at(var));
        self.constant + terms.sum::<i64>()
    }
}

impl From<Var> for Affine {
    fn from(var: Var) -> Self {
        Affine::var(var)
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (var, coefficient) in &self.terms {
            let plus = if first { "" } else { " + " };
            match coefficient {
                1 => write!(f, "{plus}i{}", var.0)?,
                c => write!(f, "{plus}{c}*i{}", var.0)?,
            }
            first = false;
        }
        match (first, self.constant) {
            (true, constant) => write!(f, "{constant}"),
            (false, 0) => Ok(()),
            (false, constant) if constant < 0 => write!(f, " - {}", constant.unsigned_abs()),
            (false, constant) => write!(f, " + {constant}"),
        }
    }
}
