//! Panics of what runs in a run: caught, told with their place, and not printed a hundred times.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

thread_local! {
    /// What the last panic of this thread said, and where.
    static TOLD: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether the panics of this thread are not printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `part`; a panic of it is an error in words. The panics of this thread are printed meanwhile
/// only if `prints` says so: a sweep and a shrinking may see the same one hundreds of times.
pub(super) fn caught<T>(prints: bool, part: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            TOLD.set(Some(words(info)));
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let outer = QUIET.replace(!prints);
    let result = catch_unwind(AssertUnwindSafe(part));
    QUIET.set(outer);
    let told = TOLD.take().unwrap_or_default();
    result.map_err(|_| format!("panicked {told}"))
}

/// `at src/lib.rs:3:5: out of range`.
fn words(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("without a message");
    let place = info.location();
    place.map_or_else(
        || message.to_owned(),
        |place| format!("at {place}: {message}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        assert_eq!(caught(false, || 7), Ok(7));
        let told = caught(false, || -> u8 { panic!("no {}", "way") }).unwrap_err();
        assert!(told.starts_with("panicked at "), "{told}");
        assert!(
            told.contains("panics.rs:") && told.ends_with(": no way"),
            "{told}"
        );
    }
}
