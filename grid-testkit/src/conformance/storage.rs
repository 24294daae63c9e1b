//! The suite for [`Storage`].

mod batches;
mod concurrency;
mod lifecycle;
mod reading;
mod rows;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::Storage;

pub use batches::*;
pub use concurrency::*;
pub use lifecycle::*;
pub use reading::*;

/// One fresh place for a store, and how to open it.
///
/// `Default` makes a place that no other fixture shares: an empty directory, an unused name. It
/// is removed when the fixture is dropped.
pub trait StorageFixture: Default {
    /// Opens the place: the first time empty, then as the last opening left it.
    fn open(&self) -> impl Future<Output = Result<Arc<dyn Storage>>>;

    /// Runs a case. Override it for a backend that needs a runtime around it.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        crate::block_on(future)
    }
}

/// Runs one case on a fresh fixture.
///
/// # Panics
/// When the case fails.
pub fn run<F: StorageFixture, E: Debug>(case: impl AsyncFnOnce(&F) -> Result<(), E>) {
    let fixture = F::default();
    if let Err(error) = fixture.block_on(case(&fixture)) {
        panic!("the case met an error that it did not expect: {error:?}");
    }
}

/// Makes a module of tests, one for each case of the [`Storage`] suite.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::Result;
/// use grid_core::traits::Storage;
/// use grid_testkit::conformance::storage::StorageFixture;
/// # mod my {
/// #     use grid_core::{Result, traits::Storage};
/// #     pub fn open(_: &str) -> Result<std::sync::Arc<dyn Storage>> {
/// #         unimplemented!()
/// #     }
/// # }
///
/// #[derive(Default)]
/// struct Fixture;
///
/// impl StorageFixture for Fixture {
///     async fn open(&self) -> Result<Arc<dyn Storage>> {
///         my::open("a fresh place")
///     }
/// }
///
/// grid_testkit::storage_conformance!(conformance, Fixture);
/// # fn main() {}
/// ```
///
/// [`Storage`]: grid_core::traits::Storage
#[macro_export]
macro_rules! storage_conformance {
    ($module:ident, $fixture:ty) => {
        $crate::storage_conformance! { @cases $module, $fixture:
            absent_keys_are_none,
            values_come_back_whole,
            scan_follows_byte_order,
            scan_pages_join_up,
            scan_starts_after_an_absent_key,
            long_keys_differ_at_their_last_byte,
            any_map_name_is_a_table_of_its_own,
            many_tables_stay_apart,
            large_values_come_back_whole,
            later_write_of_a_batch_wins,
            delete_range_includes_its_start_only,
            deleting_nothing_is_no_error,
            precondition_holds_or_nothing_happens,
            precondition_is_read_before_the_batch_changes_it,
            oversize_value_leaves_nothing,
            large_batch_lands_whole,
            empty_batch_still_checks_its_precondition,
            what_returned_is_seen_by_the_next_read,
            racing_preconditions_let_one_win,
            compare_and_set_loses_no_step,
            concurrent_batches_all_land,
            failing_batches_take_no_other_down,
            page_never_shows_half_a_batch,
            scan_meets_concurrent_writes,
            dropped_apply_leaves_all_or_nothing,
            capabilities_reach_the_protocol,
            reopening_keeps_everything,
            second_opening_is_refused,
            closed_store_says_so,
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
                    $crate::conformance::storage::run::<$fixture, _>(
                        $crate::conformance::storage::$case,
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
            include_str!("storage.rs"),
            &[
                include_str!("storage/batches.rs"),
                include_str!("storage/concurrency.rs"),
                include_str!("storage/lifecycle.rs"),
                include_str!("storage/reading.rs"),
            ],
        );
    }
}
