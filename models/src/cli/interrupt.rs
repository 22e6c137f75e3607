//! Ctrl-C: stop at once, but never in the middle of writing a file.

use std::process::exit;
use std::sync::{Mutex, PoisonError};

/// Held while a file is being written.
static WRITING: Mutex<()> = Mutex::new(());

/// What shells report for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Makes Ctrl-C end the program with exit code 130 once no file is being written.
pub fn install() {
    let handler = || {
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        eprintln!("bsq: interrupted");
        exit(INTERRUPTED);
    };
    // Without a handler Ctrl-C still ends the program, and files are renamed when complete.
    let _ = ctrlc::set_handler(handler);
}

/// Runs `write`, which Ctrl-C does not cut short.
pub fn uninterrupted<T>(write: impl FnOnce() -> T) -> T {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    write()
}
