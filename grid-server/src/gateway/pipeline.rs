//! The layers of the gateway, from the outside in.

use std::sync::Arc;

use grid_core::traits::Policy;
use tower::Layer;
use tower::util::BoxCloneSyncService;

use super::dispatch::Dispatch;
use crate::layer::GatewayService;
use crate::layer::policy::ReadPolicyLayer;
use crate::layer::route::{RouteLayer, Router};
use crate::layer::trace::TraceLayer;
use crate::layer::validate::{Limits, ValidateLayer};

/// Trace → validate → read policy → route → the workers' mailboxes.
pub(crate) fn gateway_pipeline(
    dispatch: Dispatch,
    router: Router,
    policy: Arc<dyn Policy>,
    limits: Limits,
) -> GatewayService {
    let service = RouteLayer::new(router).layer(dispatch);
    let service = ReadPolicyLayer::new(policy).layer(service);
    let service = ValidateLayer::new(limits).layer(service);
    BoxCloneSyncService::new(TraceLayer.layer(service))
}
