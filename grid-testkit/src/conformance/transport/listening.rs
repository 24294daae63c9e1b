//! Cases about addresses, and how connections come about.

use futures::FutureExt;
use futures::future::{join, try_join, try_join_all};
use grid_core::{ErrorKind, Result};

use super::TransportFixture;
use super::pair::{Pair, pair, take};
use crate::conformance::refused::{assert_refused, error_of};

/// Many connections at one listener, each with frames of its own.
pub async fn connections_stay_apart<F: TransportFixture>(fixture: &F) -> Result<()> {
    const CONNECTIONS: usize = 50;
    let transport = fixture.transport();
    let listener = transport.listen(&fixture.url()).await?;
    let url = listener.url();
    let callers = try_join_all((0..CONNECTIONS).map(|number| {
        let (transport, url) = (&transport, &url);
        async move {
            let connection = transport.connect(url).await?;
            let greeting = format!("caller {number}");
            connection.send(&[greeting.clone().into()]).await?;
            assert_eq!(take(&*connection, 1).await?, [format!("to {greeting}")]);
            Ok(())
        }
    }));
    let serving = async {
        let mut accepted = Vec::new();
        for _ in 0..CONNECTIONS {
            accepted.push(listener.accept().await?);
        }
        try_join_all(accepted.iter().map(async |connection| {
            let greeting = take(&**connection, 1).await?.remove(0);
            let answer = [b"to ", &*greeting].concat();
            connection.send(&[answer.into()]).await
        }))
        .await
    };
    // The accepted ends live until every caller has read its answer.
    try_join(callers, serving.map(|done| done)).await?;
    Ok(())
}

/// Each end can say who the other is.
pub async fn both_sides_are_named<F: TransportFixture>(fixture: &F) -> Result<()> {
    let Pair { near, far, .. } = pair(fixture).await?;
    assert!(!near.peer().is_empty());
    assert!(!far.peer().is_empty());
    Ok(())
}

/// Where nobody listens, a connect fails as `Unavailable`, worth another try, and says where.
pub async fn connecting_to_nobody_is_unavailable<F: TransportFixture>(fixture: &F) -> Result<()> {
    let transport = fixture.transport();
    let listener = transport.listen(&fixture.url()).await?;
    let url = listener.url();
    listener.close().await;
    drop(listener);
    let error = error_of(transport.connect(&url).await, "nobody listens there");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_retryable());
    assert_names_the_address(&error.to_string(), &url);
    Ok(())
}

/// A URL that cannot be used is `Invalid`, on both sides.
pub async fn useless_url_is_invalid<F: TransportFixture>(fixture: &F) -> Result<()> {
    let transport = fixture.transport();
    for url in ["", "no-scheme", "unknown-scheme:1", "ws:"] {
        let why = format!("the URL {url:?} is useless");
        assert_refused(transport.connect(url).await, ErrorKind::Invalid, &why);
        assert_refused(transport.listen(url).await, ErrorKind::Invalid, &why);
    }
    Ok(())
}

/// An address that is in use is `Locked`, and the error says which.
pub async fn address_in_use_is_locked<F: TransportFixture>(fixture: &F) -> Result<()> {
    let transport = fixture.transport();
    let listener = transport.listen(&fixture.url()).await?;
    let second = fixture.transport().listen(&listener.url()).await;
    let error = error_of(second, "the address is in use");
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_names_the_address(&error.to_string(), &listener.url());
    Ok(())
}

/// A close ends an accept that waits and those that come, and the address is free again at once.
pub async fn closed_listener_ends_accept_and_frees_its_address<F: TransportFixture>(
    fixture: &F,
) -> Result<()> {
    let transport = fixture.transport();
    let listener = transport.listen(&fixture.url()).await?;
    let url = listener.url();
    let (accepted, ()) = join(listener.accept(), listener.close()).await;
    assert_refused(accepted, ErrorKind::Closed, "the listener was closed");
    listener.close().await;
    let accepted = listener.accept().await;
    assert_refused(accepted, ErrorKind::Closed, "the listener is closed");

    let again = transport.listen(&url).await?;
    try_join(transport.connect(&url), again.accept()).await?;
    Ok(())
}

/// Connections outlive their listener.
pub async fn closed_listener_leaves_its_connections<F: TransportFixture>(
    fixture: &F,
) -> Result<()> {
    let Pair {
        transport,
        listener,
        near,
        far,
    } = pair(fixture).await?;
    listener.close().await;
    drop((listener, transport));
    near.send(&["there".into()]).await?;
    assert_eq!(take(&*far, 1).await?, ["there"]);
    far.send(&["back".into()]).await?;
    assert_eq!(take(&*near, 1).await?, ["back"]);
    Ok(())
}

/// An accept that is given up after any number of steps takes no connection with it.
pub async fn dropped_accept_loses_no_connection<F: TransportFixture>(fixture: &F) -> Result<()> {
    let transport = fixture.transport();
    let listener = transport.listen(&fixture.url()).await?;
    let url = listener.url();
    let calling = async {
        for _ in 0..20 {
            let connection = transport.connect(&url).await?;
            connection.send(&["hello".into()]).await?;
            assert_eq!(take(&*connection, 1).await?, ["welcome"]);
        }
        Ok(())
    };
    let accepting = async {
        for _ in 0..20 {
            let early = listener.accept().now_or_never().transpose()?;
            let connection = match early {
                Some(connection) => connection,
                None => listener.accept().await?,
            };
            assert_eq!(take(&*connection, 1).await?, ["hello"]);
            connection.send(&["welcome".into()]).await?;
        }
        Ok(())
    };
    try_join(calling, accepting).await?;
    Ok(())
}

/// The part of `url` behind its scheme stands in `message`.
fn assert_names_the_address(message: &str, url: &str) {
    let address = url
        .split_once(':')
        .map_or(url, |(_, rest)| rest.trim_start_matches('/'));
    assert!(
        message.contains(address),
        "{message:?} does not name {address:?}"
    );
}
