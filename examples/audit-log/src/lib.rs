//! A layer of the server's pipeline: a log of who asks to write what, a line for each time. What
//! cannot be logged is not taken; what is logged may still be put off or rejected further in.
#![expect(
    clippy::disallowed_types,
    reason = "this log is a file, in the simulator too"
)]

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use grid_core::op::Op;
use grid_core::protocol::Message;
use grid_core::{Driver, Error, ErrorKind, Result};
use grid_server::{GatewayLayer, Request};
use tower::util::MapRequestLayer;

/// Opens `audit-log:FILE`.
pub static DRIVER: Driver = Driver::new("audit-log", &["audit-log"])
    .with_layer(|url, _runtime| Box::pin(async move { Ok(open(&url)?.into_plug_in()) }));

fn open(url: &str) -> Result<GatewayLayer> {
    let path = url.trim_start_matches("audit-log:");
    let opened = File::options().create(true).append(true).open(path);
    let log = Arc::new(opened.map_err(|error| {
        Error::new(ErrorKind::Io, "open audit log", "cannot append to it")
            .with("file", path)
            .with_source(error)
    })?);
    Ok(GatewayLayer::new(MapRequestLayer::new(move |request| {
        logged(&log, request)
    })))
}

fn logged(mut log: &File, mut request: Request) -> Request {
    if let Message::Push(push) = &request.message {
        let who = &request.session.principal().name;
        let line = |op: &Op| format!("{who:?} {:?} {:?}\n", op.map.as_str(), op.key.as_str());
        let lines: String = push.ops.iter().map(line).collect();
        if log.write_all(lines.as_bytes()).is_err() {
            request.put_off("the audit log takes no lines", Duration::from_secs(1));
        }
    }
    request
}
