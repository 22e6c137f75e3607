//! A device: allocations, and launches of kernels on them.

use super::error::{Error, FaultKind, LaunchError};
use super::exec::{Setup, run};
use super::memory::{GlobalMemory, MAX_LAUNCHES};
use super::module::Module;
use super::stats::Stats;

/// How kernels are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides the order of blocks, warps and diverged paths.
    pub seed: u64,
    /// Instructions that one warp may execute in one launch.
    pub budget: u64,
    /// Whether approximations err as much as their documentation allows.
    pub perturb: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            budget: 20_000_000,
            perturb: false,
        }
    }
}

/// How many blocks of how many threads, and the bytes of dynamic shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub dynamic_shared: usize,
}

impl Launch {
    pub fn new(grid: [u32; 3], block: [u32; 3]) -> Launch {
        Launch {
            grid,
            block,
            dynamic_shared: 0,
        }
    }

    pub fn with_shared(self, dynamic_shared: usize) -> Launch {
        Launch {
            dynamic_shared,
            ..self
        }
    }
}

/// A value of a kernel's parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// An address that [`Device::allocate`] gave, or one inside an allocation.
    Pointer(u64),
    U32(u32),
    S32(i32),
    U64(u64),
    F32(f32),
    F64(f64),
    Bytes(Vec<u8>),
}

impl Param {
    pub(super) fn bytes(&self) -> Vec<u8> {
        match self {
            Param::Pointer(value) | Param::U64(value) => value.to_le_bytes().to_vec(),
            Param::U32(value) => value.to_le_bytes().to_vec(),
            Param::S32(value) => value.to_le_bytes().to_vec(),
            Param::F32(value) => value.to_le_bytes().to_vec(),
            Param::F64(value) => value.to_le_bytes().to_vec(),
            Param::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// A number with a form in memory.
pub trait Element: Copy {
    const BYTES: usize;
    fn to_memory(self, bytes: &mut Vec<u8>);
    fn from_memory(bytes: &[u8]) -> Self;
}

macro_rules! elements {
    ($($ty:ty),*) => {
        $(impl Element for $ty {
            const BYTES: usize = size_of::<$ty>();
            fn to_memory(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
            fn from_memory(bytes: &[u8]) -> Self {
                <$ty>::from_le_bytes(bytes.try_into().expect("as many bytes as the type has"))
            }
        })*
    };
}

elements!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64);

/// A GPU, as far as programs can tell.
#[derive(Debug, Default)]
pub struct Device {
    pub options: Options,
    memory: GlobalMemory,
    launches: u64,
}

impl Device {
    pub fn new() -> Device {
        Device::default()
    }

    pub fn with_options(options: Options) -> Device {
        Device {
            options,
            ..Device::default()
        }
    }

    /// Memory that nothing has written, aligned to 256 bytes. Between allocations lie addresses
    /// that belong to none.
    pub fn allocate(&mut self, bytes: usize) -> u64 {
        self.memory.allocate(bytes)
    }

    /// Gives an allocation back; its addresses are out of bounds from now on.
    ///
    /// # Panics
    /// If no allocation starts there.
    pub fn free(&mut self, address: u64) {
        assert!(self.memory.free(address), "{address:#x} is no allocation");
    }

    /// Writes bytes, from the host.
    ///
    /// # Panics
    /// If they do not lie in one allocation.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.memory
            .set(address, bytes)
            .expect("the bytes lie in one allocation");
    }

    /// Marks bytes as not written, as when a memory plan reuses them.
    ///
    /// # Panics
    /// If they do not lie in one allocation.
    pub fn forget(&mut self, address: u64, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.memory
            .forget(address, bytes)
            .expect("the bytes lie in one allocation");
    }

    /// All bytes from an address to the end of its allocation.
    ///
    /// # Panics
    /// If the address lies in none.
    pub fn read(&mut self, address: u64) -> Result<Vec<u8>, Error> {
        let len = self
            .memory
            .extent(address)
            .expect("the address lies in an allocation");
        self.read_range(address, len)
    }

    /// Some bytes.
    ///
    /// # Panics
    /// If they do not lie in one allocation.
    pub fn read_range(&mut self, address: u64, len: usize) -> Result<Vec<u8>, Error> {
        if len == 0 {
            return Ok(Vec::new());
        }
        match self.memory.get(address, len) {
            Ok(bytes) => Ok(bytes.to_vec()),
            Err(FaultKind::UninitialisedMemory {
                address: missing, ..
            }) => Err(Error::ReadsUninitialised {
                offset: (missing - address) as usize,
            }),
            Err(other) => panic!("{other}"),
        }
    }

    /// A new allocation for these numbers.
    pub fn upload<T: Element>(&mut self, values: &[T]) -> u64 {
        let mut bytes = Vec::with_capacity(values.len() * T::BYTES);
        values.iter().for_each(|value| value.to_memory(&mut bytes));
        let address = self.allocate(bytes.len());
        self.write(address, &bytes);
        address
    }

    /// The numbers from an address to the end of its allocation.
    pub fn download<T: Element>(&mut self, address: u64) -> Result<Vec<T>, Error> {
        let bytes = self.read(address)?;
        Ok(bytes.chunks_exact(T::BYTES).map(T::from_memory).collect())
    }

    /// Runs a kernel to its end.
    pub fn launch(
        &mut self,
        module: &Module,
        kernel: &str,
        launch: Launch,
        params: &[Param],
    ) -> Result<Stats, Error> {
        let kernel = module.kernel(kernel)?;
        let params = pack(kernel, params)?;
        self.launches += 1;
        if self.launches == MAX_LAUNCHES {
            self.memory.clear_shadows();
            self.launches = 1;
        }
        run(
            Setup {
                kernel,
                lines: &module.lines,
                options: &self.options,
                launch,
                params: &params,
                number: self.launches,
            },
            &mut self.memory,
        )
    }
}

/// Parameters as a kernel finds them.
fn pack(kernel: &super::module::Kernel, params: &[Param]) -> Result<Vec<u8>, LaunchError> {
    if params.len() != kernel.params.len() {
        return Err(LaunchError::ParameterCount {
            kernel: kernel.name.clone(),
            wanted: kernel.params.len(),
            given: params.len(),
        });
    }
    let mut packed = vec![0; kernel.param_bytes];
    for (declared, param) in kernel.params.iter().zip(params) {
        let bytes = param.bytes();
        if bytes.len() != declared.bytes {
            return Err(LaunchError::ParameterSize {
                kernel: kernel.name.clone(),
                name: declared.name.clone(),
                wanted: declared.bytes,
                given: bytes.len(),
            });
        }
        packed[declared.offset..][..bytes.len()].copy_from_slice(&bytes);
    }
    Ok(packed)
}
