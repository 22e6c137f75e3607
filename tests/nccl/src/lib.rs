//! An NCCL for tests, and as much of a CUDA driver as it needs: ranks are threads of one process, and GPUs
//! are the host's memory.
//!
//! Streams are threads that take their time, so a copy that does not wait for what it needs copies something
//! else. What NCCL would hang at is an error here: sending outside of a group, parts of a group on several
//! streams, work of the network on a stream that copies. What is not given back is reported.
//!
//! | file | what is in it |
//! |---|---|
//! | `stream` | streams and events |
//! | `driver` | the driver's functions |
//! | `network` | ranks that send and receive |
//! | `nccl` | NCCL's functions |

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::path::Path;
use std::sync::atomic::{AtomicIsize, Ordering};

mod driver;
mod nccl;
mod network;
mod stream;

/// The environment variable that says what goes wrong: `old` is an NCCL before 2.7, `lost` a network in which
/// nothing arrives.
pub const TROUBLE: &str = "BSQ_TEST_NCCL_TROUBLE";

fn is_trouble(name: &str) -> bool {
    std::env::var(TROUBLE).is_ok_and(|trouble| trouble == name)
}

/// Things that were made and not given back.
static LEFT: AtomicIsize = AtomicIsize::new(0);

/// One more, or one less. With none left that is said.
fn count(change: isize) {
    if LEFT.fetch_add(change, Ordering::SeqCst) + change == 0 {
        eprintln!("test NCCL: all was given back");
    }
}

/// Puts this library into a folder under the names by which programs ask for NCCL and for the driver: with
/// the folder as `LD_LIBRARY_PATH` they load it, once for both.
///
/// # Panics
/// If it has not been built, or cannot be copied.
pub fn install(folder: &Path) {
    let own = std::env::current_exe().expect("a test is a file");
    let name = format!("{DLL_PREFIX}bsq_test_nccl{DLL_SUFFIX}");
    let mut folders = own.ancestors().skip(1).take(2);
    let found = folders.find_map(|folder| Some(folder.join(&name)).filter(|path| path.is_file()));
    let library = found.expect("cargo builds the library before its tests");
    for name in ["cuda", "nccl"] {
        let link = folder.join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
        // Of two copies each would have streams of its own.
        std::os::unix::fs::symlink(&library, link).expect("a folder that can be written");
    }
}
