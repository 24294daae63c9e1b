//! The suite for [`Journal`].
//!
//! What survives a power cut depends on what stands below; a journal over a `Disk` is tested for
//! that over a [`ModelDisk`].
//!
//! [`ModelDisk`]: crate::ModelDisk

mod batch;
mod fence;
mod keeping;
mod order;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::Journal;

pub use fence::*;
pub use keeping::*;
pub use order::*;

/// One fresh place for a journal, and how to open it.
///
/// `Default` makes a place that no other fixture shares. It is removed when the fixture is
/// dropped.
pub trait JournalFixture: Default {
    /// Opens the place: the first time empty, then as the last opening left it. The journal of
    /// the last opening was closed.
    fn open(&self) -> impl Future<Output = Result<Arc<dyn Journal>>>;

    /// Runs a case. Override it for a journal that needs a runtime around it.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        crate::block_on(future)
    }
}

/// Runs one case on a fresh fixture.
///
/// # Panics
/// When the case fails.
pub fn run<F: JournalFixture, E: Debug>(case: impl AsyncFnOnce(&F) -> Result<(), E>) {
    let fixture = F::default();
    if let Err(error) = fixture.block_on(case(&fixture)) {
        panic!("the case met an error that it did not expect: {error:?}");
    }
}

/// Makes a module of tests, one for each case of the [`Journal`] suite.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::Result;
/// use grid_core::traits::Journal;
/// use grid_testkit::conformance::journal::JournalFixture;
/// # mod my {
/// #     use grid_core::{Result, traits::Journal};
/// #     pub fn open(_: &str) -> Result<std::sync::Arc<dyn Journal>> {
/// #         unimplemented!()
/// #     }
/// # }
///
/// #[derive(Default)]
/// struct Fixture;
///
/// impl JournalFixture for Fixture {
///     async fn open(&self) -> Result<Arc<dyn Journal>> {
///         my::open("a fresh place")
///     }
/// }
///
/// grid_testkit::journal_conformance!(conformance, Fixture);
/// # fn main() {}
/// ```
///
/// [`Journal`]: grid_core::traits::Journal
#[macro_export]
macro_rules! journal_conformance {
    ($module:ident, $fixture:ty) => {
        $crate::journal_conformance! { @cases $module, $fixture:
            empty_journal_has_empty_extents,
            positions_count_from_one,
            partitions_count_on_their_own,
            batches_come_back_whole_and_in_order,
            large_batches_come_back_whole,
            reading_in_parts_joins_up,
            one_call_appends_to_many_partitions,
            one_call_may_append_to_a_partition_twice,
            appending_nothing_answers_nothing,
            concurrent_appends_all_land,
            wrong_tail_is_refused,
            older_epoch_is_refused,
            newer_epoch_takes_over,
            refusals_are_each_their_own,
            racing_writers_let_one_win,
            dropped_append_is_whole_or_absent,
            reopening_keeps_everything,
            truncation_keeps_what_lies_above,
            truncating_all_keeps_the_tail,
            truncating_beyond_the_tail_stops_there,
            much_truncation_while_appending,
            closed_journal_says_so,
        }
    };
    (@cases $module:ident, $fixture:ty: $($case:ident),+ $(,)?) => {
        #[cfg(test)]
        mod $module {
            #[allow(unused_imports, reason = "the fixture may be named by a full path")]
            use super::*;

            $(
                #[test]
                fn $case() {
                    $crate::conformance::journal::run::<$fixture, _>(
                        $crate::conformance::journal::$case,
                    );
                }
            )+
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::conformance::listed::assert_every_case_is_listed;

    #[test]
    fn every_case_is_in_the_macro() {
        assert_every_case_is_listed(
            include_str!("journal.rs"),
            &[
                include_str!("journal/fence.rs"),
                include_str!("journal/keeping.rs"),
                include_str!("journal/order.rs"),
            ],
        );
    }
}
