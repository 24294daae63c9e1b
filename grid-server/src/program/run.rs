//! The program from start to end.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::config::{Settings, markdown};
use crate::{GatewayLayer, Server};
use futures::future::{Either, select};
use grid_core::traits::Runtime;
use grid_core::{Driver, Error, ErrorKind, Registry, Result};
use grid_runtime_tokio::TokioRuntime;

use super::admin_listener::AdminListener;
use super::arguments::{Asked, read};
use super::data_dir::DataDir;
use super::signals::EndRequests;
use super::start::Start;

/// The backends that are built in.
const DRIVERS: &[&Driver] = &[
    &grid_storage_memory::DRIVER,
    &grid_storage_mongodb::DRIVER,
    &grid_storage_postgres::DRIVER,
    &grid_storage_sqlite::DRIVER,
    &grid_transport_websocket::DRIVER,
];

/// Where clients look for a server unless told otherwise.
const DEFAULT_PORT: u16 = 7171;

/// Wrong usage or settings.
const USAGE: u8 = 2;

/// Runs the program `grid-server` with drivers of one's own beside those that are built in, whose
/// schemes they may take. A program with a storage and a layer more is no longer than this:
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use grid_core::Driver;
///
/// static MINE: Driver = Driver::new("mine", &["mine"]); // .with_persistence(…).with_layer(…)
///
/// fn main() -> ExitCode {
///     grid_server::program::run(&[&MINE])
/// }
/// ```
#[must_use]
pub fn run(own: &[&'static Driver]) -> ExitCode {
    let (settings, new_history) = match read() {
        Ok(Asked::Serve {
            settings,
            new_history,
        }) => (*settings, new_history),
        Ok(Asked::PrintSettings) => {
            // A closed pipe is the reader's choice.
            let _ = std::io::stdout().write_all(markdown().as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(error) => return fail(&error, USAGE),
    };
    if let Err(error) = start_log(&settings) {
        return fail(&error, USAGE);
    }
    let served =
        tokio_runtime().and_then(|tokio| tokio.block_on(serve(own, settings, new_history)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

fn fail(error: &Error, code: u8) -> ExitCode {
    // Standard error may be closed: then nobody wants to know.
    let _ = writeln!(std::io::stderr(), "grid-server: {error}");
    ExitCode::from(code)
}

fn start_log(settings: &Settings) -> Result<()> {
    let filter = settings
        .log
        .parse::<tracing_subscriber::EnvFilter>()
        .map_err(|error| {
            Error::new(
                ErrorKind::Invalid,
                "configure",
                "`log` must be a filter such as `info` or `grid_server=debug`",
            )
            .with("value", &settings.log)
            .with_source(error)
        })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    Ok(())
}

fn tokio_runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Error::new(ErrorKind::Io, "start", "there are no threads to be had").with_source(error)
        })
}

/// Where to listen, as a URL; `host:port` means a WebSocket there, and `host` one at the port at
/// which clients look for it.
fn listen_url(listen: &str) -> String {
    if listen.contains("://") {
        listen.to_owned()
    } else if listen.contains(':') && !listen.ends_with(']') {
        format!("ws://{listen}")
    } else {
        format!("ws://{listen}:{DEFAULT_PORT}")
    }
}

async fn serve(own: &[&'static Driver], settings: Settings, new_history: bool) -> Result<()> {
    let end_requests = EndRequests::new()?;
    let runtime: Arc<dyn Runtime> = Arc::new(TokioRuntime::current()?);
    let data_dir = DataDir::take(Path::new(&settings.data_dir))?;
    let registry = Registry::new(&[own, DRIVERS].concat());
    let url = listen_url(&settings.listen);
    let listener = registry
        .transport(&url, runtime.clone())?
        .listen(&url)
        .await?;
    let admin = AdminListener::bind(&settings).await?;
    let database = match settings.persistence.0.as_str() {
        "" => data_dir.database()?,
        url => url.to_owned(),
    };
    let persistence = registry.open_persistence(&database, runtime.clone()).await;
    let persistence = persistence.map_err(|error| error.with("setting", "persistence"))?;
    let mut layers = Vec::new();
    for url in &settings.layers {
        layers.push(GatewayLayer::open(&registry, &url.0, runtime.clone()).await?);
    }
    let start = Start {
        runtime,
        listener,
        persistence,
        layers,
        settings,
    };
    let server = if new_history {
        start.with_new_history(&data_dir).await?
    } else {
        start.as_it_is(&data_dir).await?
    };
    let admin = admin.map(|listener| listener.serve(server.admin(), &*start.runtime, &data_dir));
    announce(&server, admin.as_deref())?;
    let failed = {
        let told = end_requests.first();
        let failed = server.failed();
        futures::pin_mut!(told, failed);
        matches!(select(told, failed).await, Either::Right(_))
    };
    if failed {
        return Err(Error::new(
            ErrorKind::Internal,
            "serve",
            "a part of the server has ended, as said above; start it again: nothing that was \
             acknowledged is lost",
        ));
    }
    tracing::info!("shutting down");
    server.shutdown().await?;
    tracing::info!("everything that was taken is stored");
    Ok(())
}

/// Tells on standard output where the server listens: other programs wait for the last line.
fn announce(server: &Server, admin: Option<&str>) -> Result<()> {
    let url = server.url().unwrap_or_default();
    tracing::info!(url, admin, "ready");
    let admin = admin.map(|url| format!("admin on {url}\n"));
    let mut out = std::io::stdout();
    writeln!(out, "{}listening on {url}", admin.unwrap_or_default())
        .and_then(|()| out.flush())
        .map_err(|error| {
            Error::new(ErrorKind::Io, "announce", "standard output takes no line")
                .with_source(error)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_a_websocket() {
        assert_eq!(listen_url("127.0.0.1:0"), "ws://127.0.0.1:0");
        assert_eq!(listen_url("ws://[::1]:7171"), "ws://[::1]:7171");
        assert_eq!(listen_url("[::1]:9"), "ws://[::1]:9");
        assert_eq!(listen_url("0.0.0.0"), "ws://0.0.0.0:7171");
        assert_eq!(listen_url("[::1]"), "ws://[::1]:7171");
    }

    #[test]
    fn the_built_in_backends_serve_what_the_settings_name() {
        let registry = Registry::new(DRIVERS);
        for (kind, scheme) in [
            (grid_core::DriverKind::Persistence, "sqlite"),
            (grid_core::DriverKind::Persistence, "memory"),
            (grid_core::DriverKind::Persistence, "mongodb"),
            (grid_core::DriverKind::Persistence, "postgres"),
            (grid_core::DriverKind::Persistence, "postgresql"),
            (grid_core::DriverKind::Transport, "ws"),
        ] {
            registry.find(kind, scheme).unwrap();
        }
    }
}
