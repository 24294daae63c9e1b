//! The task that lets connections in.

use std::sync::Arc;

use futures::{FutureExt, select_biased};
use grid_core::traits::{Connection, Listener};
use grid_core::{Error, ErrorKind};
use tokio::sync::mpsc;

use super::connection::{leave, refuse, serve};
use super::context::GatewayContext;
use crate::lifecycle::Phase;

/// Accepts connections until the server ends. Each has a task of its own, which holds a clone of
/// `alive` until it is over.
pub(crate) async fn accept(
    context: GatewayContext,
    listener: Arc<dyn Listener>,
    alive: mpsc::Sender<()>,
) {
    let lifecycle = context.lifecycle.clone();
    let draining = lifecycle.reached(Phase::Draining).fuse();
    futures::pin_mut!(draining);
    loop {
        let accepted = select_biased! {
            () = draining => break,
            accepted = listener.accept().fuse() => accepted,
        };
        match accepted {
            Ok(connection) => admit(&context, connection, alive.clone()),
            Err(error) => {
                if error.kind() != ErrorKind::Closed {
                    tracing::error!(url = listener.url(), %error, "no longer listening");
                }
                break;
            }
        }
    }
    listener.close().await;
}

/// Starts a connection's task, if there is a seat.
fn admit(context: &GatewayContext, connection: Arc<dyn Connection>, alive: mpsc::Sender<()>) {
    let context = context.clone();
    let seat = context.seats.clone().try_acquire_owned();
    let runtime = context.runtime.clone();
    runtime.spawn(
        "connection",
        Box::pin(async move {
            match seat {
                Ok(seat) => {
                    let session = serve(&context, connection).await;
                    // A worker that is stuck must not keep the seat of a connection that is over.
                    drop(seat);
                    if let Some(session) = session {
                        leave(&context, &session).await;
                    }
                }
                Err(_) => {
                    let error = Error::new(
                        ErrorKind::Overloaded,
                        "accept",
                        "the server has as many connections as it may; try again later",
                    );
                    refuse(&context, &*connection, &error).await;
                }
            }
            drop(alive);
        }),
    );
}
