//! The results of a run.

use crate::names::known_names;
use crate::tensor_data::HostTensor;
use std::collections::{BTreeMap, btree_map};
use std::ops::Index;

/// Results of a run by name, in the order of their names.
///
/// ```
/// use bsq_runtime::{HostTensor, Outputs};
///
/// let outputs: Outputs = [("loss".to_string(), HostTensor::scalar(0.5)?)].into_iter().collect();
/// assert_eq!(outputs["loss"].item::<f32>()?, 0.5);
/// assert!(outputs.get("los").is_none());
/// # Ok::<(), bsq_runtime::tensor_data::TensorError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs(BTreeMap<String, HostTensor>);

impl Outputs {
    /// None.
    pub fn new() -> Outputs {
        Outputs::default()
    }

    /// Adds a result, or replaces that of the same name.
    pub fn insert(&mut self, name: String, value: HostTensor) {
        self.0.insert(name, value);
    }

    /// The result of a name, if there is one.
    pub fn get(&self, name: &str) -> Option<&HostTensor> {
        self.0.get(name)
    }

    /// Whether there is a result of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Takes a result out.
    ///
    /// # Panics
    /// As indexing does, if there is none of that name.
    #[track_caller]
    pub fn take(&mut self, name: &str) -> HostTensor {
        match self.0.remove(name) {
            Some(value) => value,
            None => self.unknown(name),
        }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }

    pub fn values(&self) -> impl Iterator<Item = &HostTensor> {
        self.0.values()
    }

    pub fn iter(&self) -> btree_map::Iter<'_, String, HostTensor> {
        self.0.iter()
    }

    #[track_caller]
    fn unknown(&self, name: &str) -> ! {
        let known = known_names(name, self.names());
        panic!("the program has no output `{name}`; it has: {known}")
    }
}

impl Index<&str> for Outputs {
    type Output = HostTensor;

    /// # Panics
    /// If there is no result of that name; the message has the names there are.
    #[track_caller]
    fn index(&self, name: &str) -> &HostTensor {
        match self.get(name) {
            Some(value) => value,
            None => self.unknown(name),
        }
    }
}

impl FromIterator<(String, HostTensor)> for Outputs {
    fn from_iter<I: IntoIterator<Item = (String, HostTensor)>>(results: I) -> Outputs {
        Outputs(results.into_iter().collect())
    }
}

impl IntoIterator for Outputs {
    type Item = (String, HostTensor);
    type IntoIter = btree_map::IntoIter<String, HostTensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Outputs {
    type Item = (&'a String, &'a HostTensor);
    type IntoIter = btree_map::Iter<'a, String, HostTensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Outputs> for BTreeMap<String, HostTensor> {
    fn from(outputs: Outputs) -> Self {
        outputs.0
    }
}
