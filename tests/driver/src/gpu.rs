//! The GPU behind the calls: memory and kernels of the interpreter, streams in order.

use crate::trouble::Trouble;
use bsq_ptx_interpreter::{Device, Launch, Module, Options, Param};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The driver's numbers of errors.
pub const SUCCESS: i32 = 0;
pub const INVALID_VALUE: i32 = 1;
pub const OUT_OF_MEMORY: i32 = 2;
pub const STUB_LIBRARY: i32 = 34;
pub const NO_DEVICE: i32 = 100;
pub const INVALID_PTX: i32 = 218;
pub const UNSUPPORTED_PTX_VERSION: i32 = 222;
pub const INVALID_HANDLE: i32 = 400;
pub const ILLEGAL_ADDRESS: i32 = 700;
pub const LAUNCH_FAILED: i32 = 719;
pub const NOT_SUPPORTED: i32 = 801;
pub const CAPTURE_INVALIDATED: i32 = 901;

/// The device's memory: as much as a few megabytes of model need.
pub const TOTAL_BYTES: usize = 1 << 30;
/// Shared memory that needs no permission, and the most with it.
const STATIC_SHARED: u32 = 48 * 1024;
pub const MOST_SHARED: i32 = 99 * 1024;

/// Something that a stream does.
#[derive(Clone, Debug)]
pub enum Work {
    Launch {
        function: usize,
        blocks: [u32; 3],
        threads: [u32; 3],
        shared: u32,
        arguments: Vec<u64>,
    },
    Copy {
        to: u64,
        from: u64,
        bytes: usize,
    },
}

/// A loaded module and its one function.
pub struct Function {
    module: Module,
    pub name: String,
    pub parameters: usize,
    pub allowed_shared: i32,
}

/// Everything that the driver knows.
pub struct Gpu {
    device: Device,
    pub trouble: Trouble,
    /// Bytes of each allocation by its address.
    memory: BTreeMap<u64, usize>,
    /// Pinned memory of the host, by its address.
    pub pinned: BTreeMap<usize, usize>,
    /// Handles are positions plus 1; what was given back is `None`.
    pub functions: Vec<Option<Function>>,
    pub graphs: Vec<Option<Vec<Work>>>,
    pub streams: Vec<bool>,
    pub events: Vec<bool>,
    pub recording: Option<Vec<Work>>,
    pub retained: usize,
    lost: bool,
    launches: usize,
}

impl Gpu {
    /// The one GPU of the process.
    pub fn get() -> MutexGuard<'static, Option<Gpu>> {
        static GPU: Mutex<Option<Gpu>> = Mutex::new(None);
        let mut gpu = GPU.lock().unwrap_or_else(PoisonError::into_inner);
        gpu.get_or_insert_with(|| Gpu {
            device: Device::with_options(Options {
                budget: u64::MAX,
                ..Options::default()
            }),
            trouble: Trouble::asked(),
            memory: BTreeMap::new(),
            pinned: BTreeMap::new(),
            functions: Vec::new(),
            graphs: Vec::new(),
            streams: Vec::new(),
            events: Vec::new(),
            recording: None,
            retained: 0,
            lost: false,
            launches: 0,
        });
        gpu
    }

    /// Fails if the device is lost.
    pub fn alive(&self) -> Result<(), i32> {
        match self.lost {
            true => Err(ILLEGAL_ADDRESS),
            false => Ok(()),
        }
    }

    pub fn free_bytes(&self) -> usize {
        match self.trouble {
            Trouble::LittleMemory => 1000,
            _ => TOTAL_BYTES - self.memory.values().sum::<usize>(),
        }
    }

    pub fn allocate(&mut self, bytes: usize) -> Result<u64, i32> {
        self.alive()?;
        if bytes == 0 {
            return Err(INVALID_VALUE);
        }
        if self.trouble == Trouble::NoMemory || bytes > self.free_bytes() {
            return Err(OUT_OF_MEMORY);
        }
        let address = self.device.allocate(bytes);
        self.memory.insert(address, bytes);
        Ok(address)
    }

    pub fn free(&mut self, address: u64) -> Result<(), i32> {
        self.memory.remove(&address).ok_or(INVALID_VALUE)?;
        self.device.free(address);
        Ok(())
    }

    /// Fails unless the bytes lie in one allocation.
    fn check(&self, address: u64, bytes: usize) -> Result<(), i32> {
        self.alive()?;
        let found = self.memory.range(..=address).next_back();
        let (start, size) = found.ok_or(INVALID_VALUE)?;
        match address + bytes as u64 <= start + *size as u64 {
            true => Ok(()),
            false => Err(INVALID_VALUE),
        }
    }

    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), i32> {
        self.check(address, bytes.len())?;
        self.device.write(address, bytes);
        Ok(())
    }

    /// Bytes that were never written are an error, as nothing here may read them.
    pub fn read(&mut self, address: u64, bytes: usize) -> Result<Vec<u8>, i32> {
        self.check(address, bytes)?;
        self.device
            .read_range(address, bytes)
            .map_err(|_| INVALID_VALUE)
    }

    pub fn load(&mut self, text: &str) -> Result<usize, i32> {
        self.alive()?;
        match self.trouble {
            Trouble::OldAssembler => return Err(UNSUPPORTED_PTX_VERSION),
            Trouble::InvalidPtx => return Err(INVALID_PTX),
            _ => {}
        }
        let module = Module::parse(text).map_err(|_| INVALID_PTX)?;
        let name = text
            .split(".entry ")
            .nth(1)
            .and_then(|t| t.split('(').next());
        self.functions.push(Some(Function {
            module,
            name: name.ok_or(INVALID_PTX)?.to_string(),
            parameters: text.matches(".param .u64").count(),
            allowed_shared: 0,
        }));
        Ok(self.functions.len())
    }

    pub fn function(&mut self, handle: usize) -> Result<&mut Function, i32> {
        let function = handle
            .checked_sub(1)
            .and_then(|at| self.functions.get_mut(at));
        function.and_then(Option::as_mut).ok_or(INVALID_HANDLE)
    }

    /// Does something on a stream, or records it.
    pub fn give(&mut self, work: Work) -> Result<(), i32> {
        self.alive()?;
        match &mut self.recording {
            Some(recorded) => {
                recorded.push(work);
                Ok(())
            }
            None => self.work(&work),
        }
    }

    pub fn work(&mut self, work: &Work) -> Result<(), i32> {
        self.alive()?;
        match work {
            &Work::Copy { to, from, bytes } => {
                let data = self.read(from, bytes)?;
                self.write(to, &data)
            }
            Work::Launch {
                function,
                blocks,
                threads,
                shared,
                arguments,
            } => {
                self.launches += 1;
                if self.trouble == Trouble::Lost && self.launches > 3 {
                    self.lost = true;
                    return Err(ILLEGAL_ADDRESS);
                }
                let allowed = self.function(*function)?.allowed_shared;
                if *shared > STATIC_SHARED && *shared as i32 > allowed {
                    return Err(INVALID_VALUE);
                }
                let launch = Launch::new(*blocks, *threads).with_shared(*shared as usize);
                let arguments = arguments.iter().map(|&address| Param::Pointer(address));
                self.run(*function, launch, &arguments.collect::<Vec<_>>())
            }
        }
    }

    fn run(&mut self, function: usize, launch: Launch, arguments: &[Param]) -> Result<(), i32> {
        let function = self.functions[function - 1].as_ref();
        let function = function.ok_or(INVALID_HANDLE)?;
        let (module, name) = (&function.module, &function.name);
        let done = self.device.launch(module, name, launch, arguments);
        match done {
            Ok(_) => Ok(()),
            Err(error) => {
                eprintln!("test driver: {}: {error}", function.name);
                self.lost = true;
                Err(LAUNCH_FAILED)
            }
        }
    }

    /// What was taken and not given back.
    pub fn left(&self) -> usize {
        let given = |list: &[bool]| list.iter().filter(|&&alive| alive).count();
        self.memory.len()
            + self.pinned.len()
            + self.functions.iter().flatten().count()
            + self.graphs.iter().flatten().count()
            + given(&self.streams)
            + given(&self.events)
    }
}
