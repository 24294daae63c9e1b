//! The planted server's program: flags, signals, and the server that is a library.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use grid_core::traits::{Journal, Runtime};
use grid_core::{Error, ErrorKind, Result};
use grid_testkit::hooks::{HookedJournal, HookedPersistence};
use hybrid_grid::server::Server;
use hybrid_grid::server::config::{Layers, SETTINGS, Settings};
use hybrid_grid::server::journal::{JournalOptions, LocalJournal};
use hybrid_grid::tokio_runtime::{FileDisk, TokioRuntime};
use tokio::signal::unix::{SignalKind, signal};

use super::journal::AckEarly;

/// Runs the server until it is asked to end. It takes the flags of `grid-server` that the crash
/// test gives.
///
/// # Errors
/// `Invalid` for flags that are no settings; as those of [`Server`] and its parts.
pub fn serve() -> Result<()> {
    let settings = settings(std::env::args().skip(1))?;
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| io(&error))?;
    tokio.block_on(run(settings))
}

/// Reads `--setting value` pairs.
fn settings(mut words: impl Iterator<Item = String>) -> Result<Settings> {
    let flags: BTreeMap<String, &str> = SETTINGS
        .iter()
        .map(|setting| (format!("--{}", setting.flag()), setting.name))
        .collect();
    let mut layers = Layers::defaults();
    while let Some(flag) = words.next() {
        let refuse =
            |what: &str| Error::new(ErrorKind::Invalid, "configure", format!("`{flag}` {what}"));
        let name = flags.get(&flag).ok_or_else(|| refuse("is no flag"))?;
        let value = words.next().ok_or_else(|| refuse("has no value"))?;
        layers = layers.value(name, &value)?;
    }
    Ok(layers.finish())
}

async fn run(settings: Settings) -> Result<()> {
    let mut end = signal(SignalKind::terminate()).map_err(|error| io(&error))?;
    let tokio = TokioRuntime::current()?;
    let runtime: Arc<dyn Runtime> = Arc::new(tokio.clone());
    let registry = hybrid_grid::registry();
    let data_dir = Path::new(&settings.data_dir);
    std::fs::create_dir_all(data_dir).map_err(|error| io(&error))?;
    let url = format!("ws://{}", settings.listen);
    let listener = registry
        .transport(&url, runtime.clone())?
        .listen(&url)
        .await?;
    let persistence = registry
        .open_persistence(&settings.persistence.0, runtime.clone())
        .await?;
    let disk = Arc::new(FileDisk::open_on(data_dir.join("journal"), &tokio)?);
    let options = JournalOptions {
        segment_bytes: settings.journal_segment_bytes,
        ..JournalOptions::default()
    };
    let journal = LocalJournal::open(disk, runtime.clone(), options).await?;
    let journal: Arc<dyn Journal> = Arc::new(journal);
    let (early, after_journal) = AckEarly::before(journal.clone(), runtime.clone());
    let server = Server::builder()
        .runtime(runtime)
        .journal(Arc::new(HookedJournal::new(journal, early)))
        .persistence(Arc::new(HookedPersistence::new(persistence, after_journal)))
        .listen(listener)
        .settings(settings)
        .start()
        .await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", server.url().unwrap_or_default())
        .and_then(|()| out.flush())
        .map_err(|error| io(&error))?;
    end.recv().await;
    server.shutdown().await
}

fn io(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Io, "run planted server", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_settings_and_nothing_else() {
        let read = |line: &str| settings(line.split_whitespace().map(str::to_owned));
        let taken = read("--workers 3 --map-spread 2").unwrap();
        assert_eq!((taken.workers, taken.map_spread), (3, 2));
        for wrong in ["--no-such 1", "--workers", "workers 1"] {
            let refused = read(wrong).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Invalid, "{wrong}: {refused}");
        }
    }
}
