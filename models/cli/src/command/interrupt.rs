//! Ctrl-C: stop at once, but never in the middle of putting a file in its place, and leave no file
//! that is not complete.

use std::path::{Path, PathBuf};
use std::process::exit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Held while a file is being written.
static WRITING: Mutex<()> = Mutex::new(());

/// The file that is being written bit by bit.
static PARTIAL: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Set by the first Ctrl-C where a command has asked for it.
static FINISH_FIRST: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// What shells report for a program ended by Ctrl-C.
pub const INTERRUPTED: u8 = 130;

/// Makes Ctrl-C end the program with exit code 130 once no file is being written.
pub fn install() {
    let handler = || {
        // Only the first Ctrl-C is a request; the second is an order.
        if let Some(stop) = FINISH_FIRST.get()
            && !stop.swap(true, Ordering::Relaxed)
        {
            eprintln!("bsq: finishing the step, then saving; again to stop at once");
            return;
        }
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        remove_partial();
        eprintln!("bsq: interrupted");
        exit(i32::from(INTERRUPTED));
    };
    // Without a handler Ctrl-C still ends the program, and files are renamed when complete.
    let _ = ctrlc::set_handler(handler);
}

/// Ends the program as Ctrl-C does, without a word.
#[cfg(unix)]
pub fn leave(code: i32) -> ! {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    remove_partial();
    exit(code)
}

fn remove_partial() {
    if let Some(path) = partial_file().take() {
        // It is on its way out: there is nobody to tell.
        let _ = std::fs::remove_file(path);
    }
}

/// From now on the first Ctrl-C only sets what is returned.
pub fn finish_first() -> Arc<AtomicBool> {
    FINISH_FIRST.get_or_init(Arc::default).clone()
}

/// Until this is dropped, Ctrl-C removes a file.
pub struct Partial(());

/// Has a file removed by Ctrl-C that is not complete.
pub fn partial(path: &Path) -> Partial {
    *partial_file() = Some(path.into());
    Partial(())
}

impl Drop for Partial {
    fn drop(&mut self) {
        *partial_file() = None;
    }
}

fn partial_file() -> MutexGuard<'static, Option<PathBuf>> {
    PARTIAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `write`, which Ctrl-C does not cut short.
pub fn uninterrupted<T>(write: impl FnOnce() -> T) -> T {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write()
}
