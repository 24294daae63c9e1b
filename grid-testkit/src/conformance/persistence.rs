//! The suite for [`Persistence`].

mod guard;
mod lifecycle;
mod loading;
mod overlap;
mod refusals;
mod rows;
mod state;
mod storing;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use grid_core::traits::Persistence;
use grid_core::{Error, ErrorKind, Result};

pub use guard::*;
pub use lifecycle::*;
pub use loading::*;
pub use overlap::*;
pub use refusals::*;
pub use state::*;
pub use storing::*;

/// One fresh place for a system of record, and how to open it.
///
/// `Default` makes a place that no other fixture shares: an empty directory, an unused database.
/// It is removed when the fixture is dropped.
pub trait PersistenceFixture: Default {
    /// Whether the owner of a place has a way to let it refuse records beside those that are too
    /// large: a constraint, a trigger, a validator, an index. It is said for each backend, because
    /// the cases about such refusals show nothing where there is none.
    const FORBIDS: bool;

    /// Opens the place: the first time empty, then as the last opening left it.
    fn open(&self) -> impl Future<Output = Result<Arc<dyn Persistence>>>;

    /// Lets the place, which was opened, refuse every record of `key`, by what its owner would do
    /// that with. Called only where the fixture [`FORBIDS`](PersistenceFixture::FORBIDS).
    ///
    /// # Errors
    /// `Unsupported` unless it is overridden.
    fn forbid(&self, key: &str) -> impl Future<Output = Result<()>> {
        let message = "this fixture says that it forbids keys, and does not say how";
        let error = Error::new(ErrorKind::Unsupported, "forbid key", message).with("key", key);
        async { Err(error) }
    }

    /// Runs a case. Override it for a backend that needs a runtime around it.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        crate::block_on(future)
    }
}

/// Runs one case on a fresh fixture.
///
/// # Panics
/// When the case fails.
pub fn run<F: PersistenceFixture, E: Debug>(case: impl AsyncFnOnce(&F) -> Result<(), E>) {
    let fixture = F::default();
    if let Err(error) = fixture.block_on(case(&fixture)) {
        panic!("the case met an error that it did not expect: {error:?}");
    }
}

/// Makes a module of tests, one for each case of the [`Persistence`] suite.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::Result;
/// use grid_core::traits::Persistence;
/// use grid_testkit::conformance::persistence::PersistenceFixture;
/// # mod my {
/// #     use grid_core::{Result, traits::Persistence};
/// #     pub fn open(_: &str) -> Result<std::sync::Arc<dyn Persistence>> {
/// #         unimplemented!()
/// #     }
/// # }
///
/// #[derive(Default)]
/// struct Fixture;
///
/// impl PersistenceFixture for Fixture {
///     // Its owner cannot put a constraint on it.
///     const FORBIDS: bool = false;
///
///     async fn open(&self) -> Result<Arc<dyn Persistence>> {
///         my::open("a fresh place")
///     }
/// }
///
/// grid_testkit::persistence_conformance!(conformance, Fixture);
/// # fn main() {}
/// ```
///
/// [`Persistence`]: grid_core::traits::Persistence
#[macro_export]
macro_rules! persistence_conformance {
    ($module:ident, $fixture:ty) => {
        $crate::persistence_conformance! { @cases $module, $fixture:
            new_partition_is_empty,
            records_come_back_whole,
            load_follows_byte_order,
            load_pages_join_up,
            load_starts_after_an_absent_record,
            partitions_stay_apart,
            any_name_is_a_map_of_its_own,
            large_values_come_back_whole,
            large_values_end_a_page_early,
            large_batch_lands_whole,
            lower_sequence_changes_nothing,
            equal_sequence_replaces,
            replay_changes_nothing,
            higher_sequence_wins,
            another_history_replaces,
            state_follows_the_guard,
            state_of_another_history_replaces,
            state_of_equal_sequence_replaces,
            large_state_comes_back_whole,
            state_over_the_bound_is_refused,
            failed_store_moves_no_state,
            state_never_leads,
            partitions_store_concurrently,
            guard_holds_when_calls_overlap,
            pages_join_up_under_change,
            abandoned_call_harms_nothing,
            refused_record_is_found_by_halving,
            constraint_is_found_by_halving,
            tombstones_are_kept_until_collected,
            collected_key_can_be_stored_again,
            capabilities_reach_the_protocol,
            reopening_keeps_everything,
            closed_backend_says_so,
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
                    $crate::conformance::persistence::run::<$fixture, _>(
                        $crate::conformance::persistence::$case,
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
            include_str!("persistence.rs"),
            &[
                include_str!("persistence/guard.rs"),
                include_str!("persistence/lifecycle.rs"),
                include_str!("persistence/loading.rs"),
                include_str!("persistence/overlap.rs"),
                include_str!("persistence/refusals.rs"),
                include_str!("persistence/state.rs"),
                include_str!("persistence/storing.rs"),
            ],
        );
    }
}
