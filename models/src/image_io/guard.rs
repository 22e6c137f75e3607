//! Decoders are other people's code and files are anybody's: a panic becomes an answer.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives, or nothing if it panics. The panic's message is not printed; panics of other
/// threads are reported as before.
pub(super) fn without_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    // What the work has changed is dropped with it.
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::without_panic;

    #[test]
    fn a_panic_is_no_answer_and_everything_else_is() {
        assert_eq!(without_panic(|| 3), Some(3));
        assert_eq!(
            without_panic(|| -> i32 { panic!("inside a decoder") }),
            None
        );
        assert_eq!(without_panic(|| 4), Some(4));
    }
}
