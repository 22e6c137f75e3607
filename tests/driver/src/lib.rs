//! A CUDA driver for tests: the calls that `bsq-runtime` makes, with the PTX interpreter as GPU.
//!
//! Where it is loaded as `libcuda.so`, programs run as on a GPU: memory, modules, streams, recorded
//! graphs and events, and whatever goes wrong in reality and can be asked for here ([`Trouble`]).
//! It is strict where a driver would let a mistake pass: addresses, sizes, handles and the order of
//! calls are checked, and what is not given back is reported.
//!
//! | file | what is in it |
//! |---|---|
//! | `gpu` | the GPU behind the calls |
//! | `trouble` | what goes wrong, from the environment |
//! | `calls` | the driver's functions |

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::Path;

mod calls;
mod gpu;
mod trouble;

pub use trouble::{Trouble, VARIABLE};

/// Puts this library into a folder under the names by which programs ask for the driver: with the
/// folder as `LD_LIBRARY_PATH` they load it. It is looked for beside the folder of the test that
/// runs.
///
/// # Panics
/// If it has not been built, or cannot be copied.
pub fn install(folder: &Path) {
    let own = std::env::current_exe().expect("a test is a file");
    let name = format!("{DLL_PREFIX}bsq_test_driver{DLL_SUFFIX}");
    let mut folders = own.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| Some(folder.join(&name)).filter(|path| path.is_file()));
    let library = found.expect("cargo builds the library before its tests");
    for name in [
        format!("{DLL_PREFIX}cuda{DLL_SUFFIX}"),
        "libcuda.so.1".into(),
    ] {
        std::fs::copy(&library, folder.join(name)).expect("room for the library");
    }
}
