//! Panics as values: what was said, and where.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Mutex, Once, PoisonError};
use std::thread;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The last panic of a thread without a name, such as those that generate code: it comes to the
/// thread that waits for it without its place.
static ELSEWHERE: Mutex<Option<String>> = Mutex::new(None);

/// Runs `body`; a panic becomes its message, with the place in the first line, and is not printed.
pub fn catch<R>(body: impl FnOnce() -> R) -> Result<R, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = take_hook();
        set_hook(Box::new(move |info| {
            let nameless = thread::current().name().is_none();
            if !CATCHING.get() && !nameless {
                return outer(info);
            }
            let place = info.location().map_or(String::new(), |location| {
                format!("{}:{}", location.file(), location.line())
            });
            let payload = info.payload();
            let text = payload.downcast_ref::<&str>().map(|text| text.to_string());
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            let said = format!("panic at {place}\n{}", text.unwrap_or_default());
            match nameless {
                true => *elsewhere() = Some(said),
                false => LAST.set(Some(said)),
            }
        }));
    });
    let outer = CATCHING.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    CATCHING.set(outer);
    result.map_err(|_| {
        let said = LAST.take().or_else(|| elsewhere().take());
        said.unwrap_or_else(|| "panic at an unknown place".to_string())
    })
}

fn elsewhere() -> std::sync::MutexGuard<'static, Option<String>> {
    ELSEWHERE.lock().unwrap_or_else(PoisonError::into_inner)
}
