//! An allocator that counts what the thread of a test asks for.

#![expect(unsafe_code, reason = "an allocator that counts must be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What was asked of the allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) bytes: usize,
    pub(crate) calls: usize,
}

const NOTHING: Asked = Asked { bytes: 0, calls: 0 };

thread_local! {
    /// What this thread asked for since it was last set to nothing.
    static ASKED: Cell<Asked> = const { Cell::new(NOTHING) };
}

struct Counting;

fn count(bytes: usize) {
    // A thread that is ending has no count any more.
    let _ = ASKED.try_with(|asked| {
        let before = asked.get();
        asked.set(Asked {
            bytes: before.bytes.saturating_add(bytes),
            calls: before.calls + 1,
        });
    });
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as for this function.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What `work` asked for.
pub(crate) fn asked(work: impl FnOnce()) -> Asked {
    ASKED.set(NOTHING);
    work();
    ASKED.get()
}
