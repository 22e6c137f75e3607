//! Families of CPUs: which microkernels run here, and which of them a program uses.

use std::fmt;
use std::str::FromStr;

use super::{BF16, BF16_WEIGHTS, ContractFn, F16, F32, GatheredFn, INT8, U8_WEIGHTS, portable};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512, avx512_pairs, microarchitecture::Microarchitecture, widened};
use crate::kernel::Format;

/// Name of the environment variable that forces a family.
const VARIABLE: &str = "BSQ_CPU";

/// A set of CPUs that share one microkernel. A greater family is a faster one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Any CPU. Without a fused multiply-add in the instruction set that the binary is built for,
    /// each one is an exact, slow library call.
    Portable,
    /// x86-64 with AVX2 and FMA: tiles of 6 x 16.
    Avx2,
    /// x86-64 with AVX-512F and DQ: tiles of 8 x 48.
    Avx512,
}

/// Why a requested family cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// No family has this name.
    #[error(
        "unknown CPU family {name:?}: use one of avx512, avx2, portable, or leave BSQ_CPU unset"
    )]
    Unknown {
        /// The name that was given.
        name: String,
    },
    /// The family exists, but this CPU lacks its instructions.
    #[error(
        "this CPU cannot run the family {family}: its best is {best}; set BSQ_CPU={best} or leave it unset"
    )]
    Unsupported {
        /// The family that was asked for.
        family: Family,
        /// The fastest one that this CPU has.
        best: Family,
    },
}

impl Family {
    /// Every family, slowest first.
    pub const ALL: [Family; 3] = [Family::Portable, Family::Avx2, Family::Avx512];

    /// Whether this CPU has the instructions of the family.
    pub fn is_supported(self) -> bool {
        match self {
            Family::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Family::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Family::Avx512 => {
                Family::Avx2.is_supported()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Family::Avx2 | Family::Avx512 => false,
        }
    }

    /// The families that this CPU can run, slowest first; never empty.
    pub fn all_supported() -> Vec<Family> {
        Family::ALL
            .into_iter()
            .filter(|family| family.is_supported())
            .collect()
    }

    /// The family's contraction in a format.
    ///
    /// # Panics
    /// If this CPU lacks the family's instructions: ask [`Family::is_supported`] first, or take
    /// the family from [`detect`] or [`selected`].
    pub fn contract(self, format: Format) -> ContractFn {
        assert!(self.is_supported(), "this CPU cannot run the family {self}");
        match self {
            Family::Portable => match format {
                Format::F32 => portable::contract::<F32>,
                Format::Bf16Weights => portable::contract::<BF16_WEIGHTS>,
                Format::U8Weights => portable::contract::<U8_WEIGHTS>,
                Format::Bf16 => portable::contract::<BF16>,
                Format::F16 => portable::contract::<F16>,
                Format::Int8 => portable::contract::<INT8>,
            },
            #[cfg(target_arch = "x86_64")]
            Family::Avx2 => match format {
                Format::F32 => avx2::contract::<F32>,
                Format::Bf16Weights => avx2::contract::<BF16_WEIGHTS>,
                Format::U8Weights => widened::contract::<U8_WEIGHTS, false>,
                Format::Bf16 => widened::contract::<BF16, false>,
                Format::F16 if has_f16c() => widened::contract::<F16, false>,
                Format::F16 => portable::contract::<F16>,
                Format::Int8 => widened::contract::<INT8, false>,
            },
            #[cfg(target_arch = "x86_64")]
            Family::Avx512 => match format {
                Format::F32 => avx512::contract::<F32>,
                Format::Bf16Weights => widened::contract::<BF16_WEIGHTS, true>,
                Format::U8Weights => widened::contract::<U8_WEIGHTS, true>,
                Format::Bf16 if Microarchitecture::this().pairs_of_bf16_pay => {
                    avx512_pairs::contract_bf16
                }
                Format::Int8 if is_x86_feature_detected!("avx512vnni") => {
                    avx512_pairs::contract_int8
                }
                Format::Bf16 => widened::contract::<BF16, true>,
                Format::F16 if has_f16c() => widened::contract::<F16, true>,
                Format::F16 => portable::contract::<F16>,
                Format::Int8 => widened::contract::<INT8, true>,
            },
            #[cfg(not(target_arch = "x86_64"))]
            Family::Avx2 | Family::Avx512 => unreachable!("supported on x86-64 only"),
        }
    }

    /// The family's contraction of `F32` or `Bf16` whose A does not step evenly.
    ///
    /// # Panics
    /// As [`contract`](Family::contract), and if the format is another one.
    pub fn gathered(self, format: Format) -> GatheredFn {
        assert!(self.is_supported(), "this CPU cannot run the family {self}");
        match (self, format) {
            (Family::Portable, Format::F32) => portable::gathered::<F32>,
            (Family::Portable, Format::Bf16) => portable::gathered::<BF16>,
            #[cfg(target_arch = "x86_64")]
            (Family::Avx2, Format::F32) => avx2::gathered,
            #[cfg(target_arch = "x86_64")]
            (Family::Avx2, Format::Bf16) => widened::gathered::<false>,
            #[cfg(target_arch = "x86_64")]
            (Family::Avx512, Format::F32) => avx512::gathered,
            #[cfg(target_arch = "x86_64")]
            (Family::Avx512, Format::Bf16) if Microarchitecture::this().pairs_of_bf16_pay => {
                avx512_pairs::gathered
            }
            #[cfg(target_arch = "x86_64")]
            (Family::Avx512, Format::Bf16) => widened::gathered::<true>,
            _ => panic!("no {} is gathered", format.name()),
        }
    }

    /// The name by which `BSQ_CPU` knows the family.
    fn name(self) -> &'static str {
        match self {
            Family::Portable => "portable",
            Family::Avx2 => "avx2",
            Family::Avx512 => "avx512",
        }
    }
}

/// Whether this CPU converts f16, which AVX2 does not imply.
#[cfg(target_arch = "x86_64")]
fn has_f16c() -> bool {
    is_x86_feature_detected!("f16c")
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Family {
    type Err = FamilyError;

    fn from_str(name: &str) -> Result<Self, FamilyError> {
        Family::ALL
            .into_iter()
            .find(|family| family.name() == name)
            .ok_or_else(|| FamilyError::Unknown {
                name: name.to_owned(),
            })
    }
}

/// The fastest family that this CPU can run.
pub fn detect() -> Family {
    Family::ALL
        .into_iter()
        .rfind(|family| family.is_supported())
        .unwrap_or(Family::Portable)
}

/// The family that programs use: [`detect`]'s, unless the environment variable `BSQ_CPU` names
/// another. The choice changes speed only, never results.
///
/// # Errors
/// If `BSQ_CPU` names no family, or one that this CPU lacks.
pub fn selected() -> Result<Family, FamilyError> {
    match std::env::var_os(VARIABLE) {
        None => Ok(detect()),
        Some(name) => forced(&name.to_string_lossy()),
    }
}

/// The family called `name`, if this CPU can run it.
fn forced(name: &str) -> Result<Family, FamilyError> {
    let family: Family = name.parse()?;
    if family.is_supported() {
        Ok(family)
    } else {
        Err(FamilyError::Unsupported {
            family,
            best: detect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for family in Family::ALL {
            assert_eq!(family.to_string().parse(), Ok(family));
        }
    }

    #[test]
    fn detection_takes_the_fastest_supported_family() {
        let supported = Family::all_supported();
        assert!(supported.contains(&Family::Portable));
        assert_eq!(supported.iter().max(), Some(&detect()));
    }

    #[test]
    fn a_forced_family_is_taken_or_refused_but_never_replaced() {
        for family in Family::ALL {
            match forced(family.name()) {
                Ok(taken) => assert!(taken == family && family.is_supported()),
                Err(error) => {
                    assert!(!family.is_supported());
                    assert_eq!(
                        error,
                        FamilyError::Unsupported {
                            family,
                            best: detect()
                        }
                    );
                }
            }
        }
        let error = forced("sse9").unwrap_err();
        assert_eq!(
            error,
            FamilyError::Unknown {
                name: "sse9".into()
            }
        );
        assert!(error.to_string().contains("avx512, avx2, portable"));
    }
}
