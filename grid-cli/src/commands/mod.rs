//! One file for each group of commands.

mod import;
mod read;
mod status;
mod sync;
mod watch;
mod write;

use hybrid_grid::Result;

use crate::args::{Args, Command};
use crate::exit::Outcome;
use crate::output::Output;
use crate::session::Session;

/// Carries out what the command line asks for.
pub(crate) async fn run(args: &Args) -> Result<Outcome> {
    let default_timeout = match &args.command {
        Command::Sync { .. } => Some(sync::DEFAULT_TIMEOUT),
        _ => None,
    };
    let session = Session::open(args, default_timeout).await?;
    let outcome = carry_out(args, &session).await;
    // What failed first is what the user has to know.
    let closed = session.grid.close().await;
    outcome.and_then(|outcome| closed.map(|()| outcome))
}

async fn carry_out(args: &Args, session: &Session) -> Result<Outcome> {
    let output = Output { json: args.json };
    match &args.command {
        Command::Put { map, key, value } => write::put(session, output, map, key, value).await,
        Command::Rm { map, key } => write::remove(session, output, map, key).await,
        Command::Get { map, key } => read::get(session, output, map, key).await,
        Command::Ls { map } => read::list(session, output, map).await,
        Command::Export { map, out } => read::export(session, map, out.as_deref()).await,
        Command::Watch { map } => watch::watch(session, output, map, args.timeout).await,
        Command::Import { map, file, key } => {
            import::import(session, output, map, file, key.as_deref()).await
        }
        Command::Sync { maps } => sync::sync(session, output, maps).await,
        Command::Status => status::status(session, output),
    }
}
