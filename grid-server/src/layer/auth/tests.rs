use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use grid_core::protocol::Message;
use grid_core::traits::{Authenticated, Authenticator, Principal, Runtime};
use grid_core::{ErrorKind, Namespace, Result};

use super::AuthLayer;
use crate::layer::Request;
use crate::layer::testing::{around, call, handed_on, read, simulated};
use crate::sessions::Session;

const PATIENCE: Duration = Duration::from_secs(2);

/// A token is `name:expiry`.
#[derive(Debug)]
struct ByName;

#[async_trait]
impl Authenticator for ByName {
    async fn authenticate(&self, token: Option<&str>, to: &Namespace) -> Result<Authenticated> {
        if token == Some("hang") {
            return std::future::pending().await;
        }
        let (name, expiry) = token.unwrap().split_once(':').unwrap();
        Ok(Authenticated {
            principal: Principal {
                name: name.to_owned(),
                namespace: to.clone(),
            },
            expires_at_ms: Some(expiry.parse().unwrap()),
        })
    }
}

fn renew(session: &Arc<Session>, token: String) -> Request {
    Request::new(session.clone(), Message::Renew { token })
}

#[test]
fn what_comes_with_an_expired_token_is_not_handed_on_until_it_is_renewed() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let layer = AuthLayer::new(Arc::new(ByName), runtime.clone(), PATIENCE);
        let (mut service, mut handle) = around(&layer);
        let session = Session::for_tests();
        let in_a_second = runtime.now_ms() + 1000;
        session.renewed_until(Some(in_a_second));
        let served = call(&mut service, read(&session));
        assert!(handed_on(&mut handle).is_some());
        served.await.unwrap();

        runtime.sleep(Duration::from_secs(1)).await;
        let error = call(&mut service, read(&session)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert!(handed_on(&mut handle).is_none());

        // A new token is for this layer alone.
        let later = format!("ada:{}", runtime.now_ms() + 1000);
        call(&mut service, renew(&session, later)).await.unwrap();
        assert!(handed_on(&mut handle).is_none());
        let served = call(&mut service, read(&session));
        assert!(handed_on(&mut handle).is_some());
        served.await.unwrap();
    });
}

#[test]
fn a_token_of_somebody_else_and_one_that_has_expired_renew_nothing() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let layer = AuthLayer::new(Arc::new(ByName), runtime.clone(), PATIENCE);
        let (mut service, _handle) = around(&layer);
        let session = Session::for_tests();
        session.renewed_until(Some(runtime.now_ms() + 10));
        for token in [
            format!("eve:{}", runtime.now_ms() + 1000),
            format!("ada:{}", runtime.now_ms()),
        ] {
            let renewed = call(&mut service, renew(&session, token)).await;
            assert_eq!(renewed.unwrap_err().kind(), ErrorKind::Unauthorized);
        }
        assert_eq!(session.expires_at_ms(), Some(runtime.now_ms() + 10));
    });
}

#[test]
fn an_authenticator_that_hangs_does_not_keep_a_connection_for_ever() {
    simulated(|runtime: Arc<dyn Runtime>| async move {
        let layer = AuthLayer::new(Arc::new(ByName), runtime.clone(), PATIENCE);
        let (mut service, _handle) = around(&layer);
        let session = Session::for_tests();
        let began = runtime.monotonic();
        let renewed = call(&mut service, renew(&session, "hang".to_owned())).await;
        let error = renewed.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert!(error.is_retryable());
        assert_eq!(runtime.monotonic() - began, PATIENCE);
    });
}
