//! An allocator that counts what each thread holds.
#![expect(
    unsafe_code,
    reason = "an allocator cannot be written without; it hands every call on as it came"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static SEEN: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, counting the bytes that each thread holds: what it asked for and did not
/// give back.
///
/// A program that installs it sees in every simulated run that memory is bounded, and that nothing
/// of a run stays behind.
///
/// ```
/// use grid_testkit::CountingAllocator;
///
/// #[global_allocator]
/// static ALLOCATOR: CountingAllocator = CountingAllocator;
///
/// let before = CountingAllocator::live_bytes();
/// let held = vec![0_u8; 1000];
/// assert_eq!(CountingAllocator::live_bytes() - before, 1000);
/// drop(held);
/// assert_eq!(CountingAllocator::live_bytes(), before);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct CountingAllocator;

impl CountingAllocator {
    /// Whether it counts what this thread holds.
    #[must_use]
    pub fn is_installed() -> bool {
        SEEN.get()
    }

    /// The bytes that this thread holds; below zero where it gave back what others had asked for.
    #[must_use]
    pub fn live_bytes() -> isize {
        LIVE.get()
    }

    /// The most bytes that this thread held since [`CountingAllocator::begin`].
    #[must_use]
    pub fn most_bytes() -> isize {
        MOST.get()
    }

    /// Forgets the most that this thread held before, and returns what it holds now.
    pub fn begin() -> isize {
        let live = LIVE.get();
        MOST.set(live);
        live
    }

    fn add(bytes: isize) {
        // Counters without destructors are there as long as their thread.
        let live = LIVE.get().wrapping_add(bytes);
        LIVE.set(live);
        MOST.set(MOST.get().max(live));
        SEEN.set(true);
    }
}

fn bytes(size: usize) -> isize {
    isize::try_from(size).unwrap_or(isize::MAX)
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing, for the
// counters need neither room nor a destructor.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(bytes(layout.size()));
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        Self::add(-bytes(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::add(bytes(size).wrapping_sub(bytes(layout.size())));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
