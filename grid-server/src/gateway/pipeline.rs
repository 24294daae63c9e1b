//! The layers of the gateway, from the outside in.

use std::sync::Arc;
use std::time::Duration;

use grid_core::traits::{Authenticator, Policy, Runtime};
use tower::ServiceBuilder;
use tower::layer::layer_fn;

use super::dispatch::Dispatch;
use crate::config::Settings;
use crate::layer::auth::AuthLayer;
use crate::layer::defer::DeferLayer;
use crate::layer::load_shed::LoadShedLayer;
use crate::layer::policy::ReadPolicyLayer;
use crate::layer::rate_limit::{RateLimitLayer, Rates};
use crate::layer::route::{RouteLayer, Router};
use crate::layer::timeout::TimeoutLayer;
use crate::layer::trace::TraceLayer;
use crate::layer::validate::{Limits, ValidateLayer};
use crate::layer::{GatewayLayer, GatewayService};

/// What the layers are made of.
pub(crate) struct Stack<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) runtime: &'a Arc<dyn Runtime>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) router: Router,
    /// The program's own, the first of them outermost.
    pub(crate) layers: Vec<GatewayLayer>,
}

/// What a request passes on its way from a connection to the workers' mailboxes.
pub(crate) fn gateway_pipeline(stack: Stack<'_>, dispatch: Dispatch) -> GatewayService {
    let Stack {
        settings, runtime, ..
    } = stack;
    let retry_after = Duration::from_millis(settings.retry_after_ms.into());
    let timeout = Duration::from_millis(settings.request_timeout_ms);
    let heartbeat = Duration::from_millis(settings.heartbeat_ms);
    let rates = Rates::new(settings);
    let within = ServiceBuilder::new()
        .option_layer(RateLimitLayer::new(rates, runtime, heartbeat))
        .layer(LoadShedLayer::new(settings.waiting_bytes, retry_after))
        .layer(TimeoutLayer::new(runtime.clone(), timeout))
        .layer(ValidateLayer::new(Limits::new(settings)))
        .layer(DeferLayer)
        .layer(ReadPolicyLayer::new(stack.policy))
        .layer(RouteLayer::new(stack.router, retry_after))
        .service(dispatch);
    let own = layer_fn(|within| wrapped(&stack.layers, within));
    GatewayService::new(
        ServiceBuilder::new()
            .layer(TraceLayer)
            .layer(AuthLayer::new(
                stack.authenticator,
                runtime.clone(),
                timeout,
            ))
            .layer(own)
            .service(GatewayService::new(within)),
    )
}

/// Puts the program's own layers around a pipeline, the first of them outermost.
fn wrapped(layers: &[GatewayLayer], within: GatewayService) -> GatewayService {
    layers
        .iter()
        .rfold(within, |inner, layer| layer.wrap(inner))
}
