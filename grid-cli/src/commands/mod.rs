//! One file for each group of commands.

mod admin;
mod import;
mod query;
mod read;
mod status;
mod sync;
mod table;
mod watch;
mod write;

use futures::future::{Either, select};

use crate::args::{Args, Command};
use crate::exit::{INTERRUPTED, Outcome, Result, usage};
use crate::import::open as open_records;
use crate::output::Output;
use crate::session::{Session, Wish};

/// Carries out what the command line asks for. What is wrong with that alone is found before the
/// store is opened.
pub(crate) async fn run(args: &Args) -> Result<Outcome> {
    args.command.check_names()?;
    let output = Output { json: args.json };
    let wish = Wish::of(args);
    match &args.command {
        Command::Put { map, key, value } => {
            let value = write::parse(value)?;
            with(wish, async |session| {
                write::put(session, output, map, key, &value).await
            })
            .await
        }
        Command::Rm { map, key } => {
            with(wish, async |session| {
                write::remove(session, output, map, key).await
            })
            .await
        }
        Command::Get { map, key } => {
            with(wish, async |session| {
                read::get(session, output, map, key).await
            })
            .await
        }
        Command::Ls { map, asked } => {
            let query = query::read(asked)?;
            with(wish, async |session| {
                read::list(session, output, map, query).await
            })
            .await
        }
        Command::Export { map, out } => {
            with(wish, async |session| {
                read::export(session, map, out.as_deref()).await
            })
            .await
        }
        Command::Watch { map } => with(wish, async |session| {
            watch::watch(session, output, map, args.timeout).await
        })
        .await
        .map(watch::ended),
        Command::Import { map, file, key } => {
            let records = open_records(file, key.as_deref())?;
            with(wish, async |session| {
                import::import(session, output, map, records).await
            })
            .await
        }
        Command::Sync { maps } => {
            if args.offline {
                return Err(usage("sync", "it needs the server: leave out --offline"));
            }
            let wish = wish.patient(sync::DEFAULT_TIMEOUT);
            with(wish, async |session| {
                sync::sync(session, output, maps).await
            })
            .await
        }
        Command::Admin(asked) => admin::admin(asked, args.timeout, output),
        Command::Status => {
            with(wish.offline(), async |session| {
                status::status(session, output)
            })
            .await
        }
    }
}

/// Opens the device, does `work` unless the user ends it, and closes the device.
async fn with(
    wish: Wish<'_>,
    work: impl AsyncFnOnce(&Session) -> Result<Outcome>,
) -> Result<Outcome> {
    obey_second_interrupt();
    // Polled first, so that it is waited for before anything is begun.
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let open = std::pin::pin!(Session::open(wish));
    let session = match select(interrupt.as_mut(), open).await {
        Either::Left(_) => return Ok(Outcome::Interrupted),
        Either::Right((opened, _)) => opened?,
    };
    let outcome = match select(interrupt, std::pin::pin!(work(&session))).await {
        Either::Left(_) => Ok(Outcome::Interrupted),
        Either::Right((outcome, _)) => outcome,
    };
    session.tell_rejections();
    let closed = session.grid.close().await;
    if matches!(outcome, Ok(Outcome::Interrupted)) && !wish.is_endless() {
        session.tell_pending("interrupted");
    }
    // What failed first is what the user has to know.
    let outcome = outcome?;
    closed?;
    Ok(outcome)
}

/// Ends the program when the user asks a second time: a file that gives nothing, or a store that
/// takes nothing, may hold up the end that was asked for first.
fn obey_second_interrupt() {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the program, which has a tokio runtime of its own"
    )]
    tokio::spawn(async {
        // Without signals there is nothing to obey.
        if tokio::signal::ctrl_c().await.is_ok() && tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED.into());
        }
    });
}
