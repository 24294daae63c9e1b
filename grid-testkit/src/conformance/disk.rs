//! The suite for [`Disk`].
//!
//! What survives a power cut cannot be checked from within a process: [`ModelDisk`] is how code
//! over a disk is tested against that.
//!
//! [`ModelDisk`]: crate::ModelDisk

mod files;
mod growth;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::Disk;

pub use files::*;
pub use growth::*;

/// One fresh directory, and how to open it.
///
/// `Default` makes a place that no other fixture shares. It is removed when the fixture is
/// dropped.
pub trait DiskFixture: Default {
    /// Opens the place: the first time empty, then as the last opening left it.
    fn open(&self) -> impl Future<Output = Result<Arc<dyn Disk>>>;

    /// Runs a case. Override it for a backend that needs a runtime around it.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        crate::block_on(future)
    }
}

/// Runs one case on a fresh fixture.
///
/// # Panics
/// When the case fails.
pub fn run<F: DiskFixture, E: Debug>(case: impl AsyncFnOnce(&F) -> Result<(), E>) {
    let fixture = F::default();
    if let Err(error) = fixture.block_on(case(&fixture)) {
        panic!("the case met an error that it did not expect: {error:?}");
    }
}

/// Makes a module of tests, one for each case of the [`Disk`] suite.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::Result;
/// use grid_core::traits::Disk;
/// use grid_testkit::ModelDisk;
/// use grid_testkit::conformance::disk::DiskFixture;
///
/// #[derive(Default)]
/// struct Fixture(ModelDisk);
///
/// impl DiskFixture for Fixture {
///     async fn open(&self) -> Result<Arc<dyn Disk>> {
///         Ok(Arc::new(self.0.clone()))
///     }
/// }
///
/// grid_testkit::disk_conformance!(conformance, Fixture);
/// # fn main() {}
/// ```
///
/// [`Disk`]: grid_core::traits::Disk
#[macro_export]
macro_rules! disk_conformance {
    ($module:ident, $fixture:ty) => {
        $crate::disk_conformance! { @cases $module, $fixture:
            appended_bytes_come_back_in_order,
            append_answers_the_new_length,
            reads_stop_at_the_end,
            large_appends_come_back_whole,
            empty_append_makes_a_file,
            files_stay_apart,
            append_and_sync_appends,
            truncate_cuts_and_growth_goes_on_there,
            truncate_beyond_the_end_is_invalid,
            absent_files_are_not_found,
            rename_replaces,
            renamed_file_grows_on,
            removed_file_begins_anew,
            removing_nothing_is_no_error,
            bad_names_are_invalid,
            longest_name_works,
            many_files_are_open_at_once,
            calls_on_several_files_at_once,
            dropped_calls_are_over_before_the_next,
            what_was_synced_is_there_after_reopening,
            truncation_is_there_after_reopening,
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
                    $crate::conformance::disk::run::<$fixture, _>(
                        $crate::conformance::disk::$case,
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
            include_str!("disk.rs"),
            &[
                include_str!("disk/files.rs"),
                include_str!("disk/growth.rs"),
            ],
        );
    }
}
