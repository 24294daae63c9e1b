//! Keeps pages in browsers out: no page may act on an operator's machine in the operator's name.
//!
//! A page of another site can send requests to the loopback interface. With a name of its own that
//! it lets point there (DNS rebinding) it could even read the answers: then the request names a
//! host that is not ours. Without, it can act and not read, and the browser adds an `Origin`.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use grid_core::{Error, ErrorKind};

use super::answer::refusal;
use super::routes::AdminRoutes;

/// Lets a request through if no page of a browser can have sent it.
pub(super) async fn check(
    State(routes): State<AdminRoutes>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return refusal(&Error::new(
            ErrorKind::Forbidden,
            "admit operator",
            "a page in a browser may not use the admin listener; use `grid admin`, or curl",
        ));
    }
    let named = headers.get_all(header::HOST).iter();
    let mut hosts: Vec<&str> = named.map(|host| host.to_str().unwrap_or("?")).collect();
    hosts.extend(
        request
            .uri()
            .authority()
            .map(|authority| authority.as_str()),
    );
    let is_ours = |host: &&str| is_admitted(host, &routes.hosts);
    if hosts.is_empty() || !hosts.iter().all(is_ours) {
        return refusal(&Error::new(
            ErrorKind::Forbidden,
            "admit operator",
            "the request is for a host that is neither of the loopback interface nor named in \
             `admin_hosts`",
        ));
    }
    next.run(request).await
}

/// Whether a request may name this host (and port, of which any is right).
fn is_admitted(host: &str, admitted: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let is_named = |each: &String| each.eq_ignore_ascii_case(name);
    is_loopback || name.eq_ignore_ascii_case("localhost") || admitted.iter().any(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_the_loopback_interface_and_named_ones_are_admitted() {
        let named = ["grid-1.example".to_owned(), "fd00::1".to_owned()];
        for host in [
            "localhost",
            "LocalHost:7172",
            "127.0.0.1",
            "127.8.9.1:80",
            "[::1]",
            "[::1]:7172",
            "grid-1.EXAMPLE:7172",
            "[fd00::1]:7172",
        ] {
            assert!(is_admitted(host, &named), "{host}");
        }
        for host in [
            "",
            "?",
            "evil.example",
            "evil.example:7172",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[fd00::2]",
            "0.0.0.0",
        ] {
            assert!(!is_admitted(host, &named), "{host}");
        }
        assert!(!is_admitted("grid-1.example", &[]));
    }
}
