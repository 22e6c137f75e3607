//! The programs of one model: compiled when they are first needed, bound to shared parameters, and
//! kept as long as there is room.

use super::{CompileOptions, ProgramError, Session, compile};
use crate::executor::Tensors;
use crate::tensor_data::HostTensor;
use bsq_ir::{Function, Type};
use std::time::Duration;

/// A model's programs by key: a batch size, a picture's size, whatever the function depends on.
///
/// ```
/// use bsq_ir::{DType, Graph};
/// use bsq_runtime::{BoundPrograms, CompileOptions, HostTensor};
///
/// let scale = HostTensor::scalar(3.0f32)?;
/// let parameters = [("scale".to_string(), scale)].into();
/// let mut programs = BoundPrograms::new(parameters, CompileOptions::default(), 2);
/// for batch in [4, 2, 4] {
///     let session = programs.get(batch, || {
///         let g = Graph::new();
///         let x = g.input("x", DType::F32, [batch]);
///         let y = x * g.parameter("scale", DType::F32, [0; 0]).broadcast_to([batch]);
///         g.function([("y", y.id())], [])
///     })?;
///     let x = HostTensor::from_slice([batch], &vec![2.0f32; batch])?;
///     assert_eq!(session.run(&[("x", &x)])?["y"].as_slice::<f32>()?[0], 6.0);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BoundPrograms<K> {
    parameters: Tensors,
    options: CompileOptions,
    room: usize,
    /// The most recently used last.
    programs: Vec<(K, Session)>,
    compile_time: Duration,
}

impl<K: Clone + PartialEq> BoundPrograms<K> {
    /// Programs over `parameters`, at most `room` at a time: the one that was not used for the
    /// longest goes first.
    ///
    /// # Panics
    /// If there is no room for one.
    pub fn new(parameters: Tensors, options: CompileOptions, room: usize) -> BoundPrograms<K> {
        assert!(room > 0, "there is room for no program");
        BoundPrograms {
            parameters,
            options,
            room,
            programs: Vec::new(),
            compile_time: Duration::ZERO,
        }
    }

    /// The model's parameters; of those that programs update, the values that programs begin with.
    pub fn parameters(&self) -> &Tensors {
        &self.parameters
    }

    pub fn options(&self) -> &CompileOptions {
        &self.options
    }

    /// Time spent on compiling so far.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// Keys of the programs at hand, the most recently used last.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.programs.iter().map(|(key, _)| key)
    }

    /// The program of a key, compiled now if it is not at hand. Parameters that its function does
    /// not have are left out.
    ///
    /// # Errors
    /// If it cannot be compiled, or a parameter is missing or of another type.
    pub fn get(
        &mut self,
        key: K,
        function: impl FnOnce() -> Function,
    ) -> Result<&mut Session, ProgramError> {
        self.get_with_state(key, function, |_, _| Ok(None))
    }

    /// The same for functions with parameters that are not the model's: `state` gives what those
    /// begin with, by name and type.
    ///
    /// # Errors
    /// As [`get`](BoundPrograms::get), and those of `state`.
    pub fn get_with_state(
        &mut self,
        key: K,
        function: impl FnOnce() -> Function,
        state: impl Fn(&str, &Type) -> Result<Option<HostTensor>, ProgramError>,
    ) -> Result<&mut Session, ProgramError> {
        let program = match self.programs.iter().position(|(known, _)| *known == key) {
            Some(index) => self.programs.remove(index),
            None => {
                // The old program's memory is free before the new one's is taken.
                let surplus = (self.programs.len() + 1).saturating_sub(self.room);
                self.programs.drain(..surplus);
                (key, self.bound(&function(), state)?)
            }
        };
        let last = self.programs.len();
        self.programs.push(program);
        Ok(&mut self.programs[last].1)
    }

    /// The program of a key if it is at hand, without making it the most recently used.
    pub fn peek(&self, key: &K) -> Option<&Session> {
        let found = self.programs.iter().find(|(known, _)| known == key);
        found.map(|(_, session)| session)
    }

    /// Drops the programs whose keys are not wanted.
    pub fn retain(&mut self, wanted: impl Fn(&K) -> bool) {
        self.programs.retain(|(key, _)| wanted(key));
    }

    fn bound(
        &mut self,
        function: &Function,
        state: impl Fn(&str, &Type) -> Result<Option<HostTensor>, ProgramError>,
    ) -> Result<Session, ProgramError> {
        let executable = compile(function, &self.options)?;
        self.compile_time += executable.report().total();
        let mut parameters = Tensors::new();
        for (_, name, ty) in function.parameters() {
            let tensor = match self.parameters.get(name) {
                Some(tensor) => Some(tensor.clone()),
                None => state(name, ty)?,
            };
            // What is missing is said by `bind`.
            parameters.extend(tensor.map(|tensor| (name.to_string(), tensor)));
        }
        executable.bind(parameters)
    }
}
