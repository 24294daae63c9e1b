//! The suite for [`Transport`].
//!
//! Bounds on what waits unread are not checked here: where a socket keeps it is the system's
//! matter.

mod closing;
mod frames;
mod listening;
mod pair;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

use grid_core::Result;
use grid_core::traits::Transport;

pub use closing::*;
pub use frames::*;
pub use listening::*;

/// A transport, and an address that nobody else uses.
pub trait TransportFixture: Default {
    /// The transport; every call may make a new one that reaches the same addresses.
    fn transport(&self) -> Arc<dyn Transport>;

    /// A URL to listen at: free, and not shared with another fixture. It may leave the choice of
    /// the port to the system.
    fn url(&self) -> String;

    /// Runs a case. Override it for a transport that needs a runtime around it.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        crate::block_on(future)
    }
}

/// Runs one case on a fresh fixture.
///
/// # Panics
/// When the case fails.
pub fn run<F: TransportFixture, E: Debug>(case: impl AsyncFnOnce(&F) -> Result<(), E>) {
    let fixture = F::default();
    if let Err(error) = fixture.block_on(case(&fixture)) {
        panic!("the case met an error that it did not expect: {error:?}");
    }
}

/// Makes a module of tests, one for each case of the [`Transport`] suite.
///
/// ```
/// use std::sync::Arc;
///
/// use grid_core::traits::Transport;
/// use grid_testkit::conformance::transport::TransportFixture;
/// # mod my {
/// #     pub fn transport() -> std::sync::Arc<dyn grid_core::traits::Transport> {
/// #         unimplemented!()
/// #     }
/// # }
///
/// #[derive(Default)]
/// struct Fixture;
///
/// impl TransportFixture for Fixture {
///     fn transport(&self) -> Arc<dyn Transport> {
///         my::transport()
///     }
///
///     fn url(&self) -> String {
///         "my://127.0.0.1:0".to_owned()
///     }
/// }
///
/// grid_testkit::transport_conformance!(conformance, Fixture);
/// # fn main() {}
/// ```
///
/// [`Transport`]: grid_core::traits::Transport
#[macro_export]
macro_rules! transport_conformance {
    ($module:ident, $fixture:ty) => {
        $crate::transport_conformance! { @cases $module, $fixture:
            frames_arrive_whole_and_in_order,
            both_directions_carry_at_once,
            largest_frame_arrives,
            oversize_frame_sends_nothing,
            sending_nothing_is_no_error,
            receive_keeps_its_limit,
            receive_appends,
            one_receive_takes_what_is_there,
            dropped_receive_loses_no_frame,
            frames_sent_before_close_arrive,
            close_ends_the_receiver_on_both_sides,
            sending_after_close_fails_on_both_sides,
            sender_that_waits_learns_of_a_close,
            errors_stay,
            second_close_is_harmless,
            dropping_a_connection_ends_the_other_side,
            connections_stay_apart,
            both_sides_are_named,
            connecting_to_nobody_is_unavailable,
            useless_url_is_invalid,
            address_in_use_is_locked,
            closed_listener_ends_accept_and_frees_its_address,
            closed_listener_leaves_its_connections,
            dropped_accept_loses_no_connection,
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
                    $crate::conformance::transport::run::<$fixture, _>(
                        $crate::conformance::transport::$case,
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
            include_str!("transport.rs"),
            &[
                include_str!("transport/closing.rs"),
                include_str!("transport/frames.rs"),
                include_str!("transport/listening.rs"),
            ],
        );
    }
}
