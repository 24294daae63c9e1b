//! URLs, as people write them: the lookup of drivers, and what the drivers make of them.

use std::sync::Arc;

use grid_client::GridBuilder;
use grid_core::{Driver, DriverKind, Error, ErrorKind, Registry};
use grid_testkit::block_on;
use grid_testkit::sim::{Executor, PartyId, SimRuntime};
use grid_transport_websocket::Address;

use crate::target::{Seed, Target};

pub(super) const TARGET: Target = Target {
    name: "url",
    promise: "a URL is taken or refused in words, and no word holds its password",
    run,
    seeds,
};

/// What nobody may be shown.
const PASSWORD: &str = "hunter2-hunter2";

fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    look_up(text);
    parse_address(text);
    // The same with a password in it, where there is a place for one or not.
    if !text.contains(PASSWORD) {
        let (before, after) = text.split_once('\n').unwrap_or((text, ""));
        let url = format!("{before}:{PASSWORD}@{after}");
        look_up(&url);
        parse_address(&url);
    }
}

/// The drivers that touch neither network nor file before they are asked for more.
const OURS: &[&Driver] = &[
    &grid_storage_memory::DRIVER,
    &grid_transport_memory::DRIVER,
    &grid_transport_websocket::DRIVER,
];

/// Whether nobody serves the URL, or one of those. Whatever else is built along submits its drivers
/// as well.
fn touches_nothing(registry: &Registry, kind: DriverKind, url: &str) -> bool {
    let scheme = url.split(':').next().unwrap_or_default();
    let Ok(found) = registry.find(kind, scheme) else {
        return true;
    };
    OURS.iter().any(|driver| driver.name == found.name)
}

/// Everything that takes a URL and touches neither network nor file.
fn look_up(url: &str) {
    let registry = Registry::new(OURS);
    let runtime = Arc::new(SimRuntime::new(&Executor::new(1), PartyId(0)));
    if let Err(error) = registry.transport(url, runtime.clone()) {
        check(url, &error);
    }
    // A place in memory that has a name would stay for the life of this process.
    if !is_named_place(url) {
        let mut opened = Vec::new();
        if touches_nothing(&registry, DriverKind::Storage, url) {
            opened.extend(block_on(registry.open_storage(url, runtime.clone())).err());
        }
        if touches_nothing(&registry, DriverKind::Persistence, url) {
            opened.extend(block_on(registry.open_persistence(url, runtime)).err());
        }
        opened.iter().for_each(|error| check(url, error));
    }
    for kind in [
        DriverKind::Storage,
        DriverKind::Transport,
        DriverKind::Codec,
    ] {
        let found = registry.find(kind, url);
        found
            .iter()
            .for_each(|driver| assert!(driver.schemes.contains(&url)));
    }
    let builder = GridBuilder::new().server(url).storage(url).token(url);
    let shown = format!("{builder:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

fn is_named_place(url: &str) -> bool {
    url.strip_prefix("memory:")
        .is_some_and(|name| !name.is_empty())
}

fn parse_address(url: &str) {
    match Address::parse("fuzz", url) {
        Err(error) => check(url, &error),
        Ok(address) => {
            let shown = format!("{address} {address:?}");
            // Somebody may name a host so; then it is that.
            assert!(is_in_host(url) || !shown.contains(PASSWORD), "{shown}");
            let again = Address::parse("fuzz", &format!("ws://{address}"));
            assert_eq!(again.expect("what is shown can be typed in"), address);
        }
    }
}

fn check(url: &str, error: &Error) {
    let kinds = [ErrorKind::Invalid, ErrorKind::Unsupported];
    assert!(kinds.contains(&error.kind()), "{url}: {error}");
    for shown in [
        error.to_string(),
        format!("{error:?}"),
        format!("{error:#?}"),
    ] {
        assert!(is_named(url) || !shown.contains(PASSWORD), "{shown}");
    }
}

/// Whether the password stands where none belongs, in what an error names: in the scheme, or in a
/// text with neither colon nor at sign, which is no URL and has no place for one.
fn is_named(url: &str) -> bool {
    match url.split_once(':') {
        Some((scheme, _)) => scheme.contains(PASSWORD) && is_scheme(scheme),
        None => !url.contains('@'),
    }
}

/// RFC 3986: `ALPHA *( ALPHA / DIGIT / "+" / "-" / "." )`.
fn is_scheme(text: &str) -> bool {
    let mut letters = text.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
}

/// Whether the password stands where the host of a URL does.
fn is_in_host(url: &str) -> bool {
    let behind_scheme = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = behind_scheme.split(['/', '?', '#']).next();
    let host = authority.and_then(|authority| authority.rsplit('@').next());
    host.is_some_and(|host| host.contains(PASSWORD))
}

fn seeds() -> Vec<Seed> {
    let urls = [
        "ws://127.0.0.1:7171",
        "ws://me\nhost:1/path?query#fragment",
        "ws://[::1]:9",
        "wss://me\nhost",
        "memory:",
        "memory:office",
        "sqlite://notes.db",
        "sqlite::memory:",
        "postgres://me\nhost:5432/grid",
        "127.0.0.1:7171",
        "//me\nhost",
        "\nhost",
        // The password where none belongs, and is named or not.
        "hunter2-hunter2://host",
        "hunter2-hunter2",
        "me@hunter2-hunter2:7171",
        "/hunter2-hunter2:7171",
        "ws://hunter2-hunter2:7171",
        "ws://hunter2-hunter2@host/hunter2-hunter2?hunter2-hunter2",
    ];
    let seed = |(number, url): (usize, &&str)| Seed::new(format!("url-{number}"), *url);
    urls.iter().enumerate().map(seed).collect()
}
