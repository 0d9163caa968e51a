//! `/mcp`: the protocol over streamable HTTP, without sessions: each request carries its token and all it needs.

use std::sync::Arc;

use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use super::backend::Backend;
use super::handler::Handler;
use super::tools::Tools;
use crate::serve::grant::Grant;
use crate::serve::limits::BODY_BYTES_MAX;
use crate::serve::service::Service;

/// The service behind `/mcp`. Host, Origin and token are checked before it is asked, and Origin once more in it.
pub(crate) fn service(service: Service) -> StreamableHttpService<Handler, NeverSessionManager> {
    let tools = Arc::new(Tools::new());
    // Each request has a grant of its own; one without would see nothing.
    let nothing = Grant::nobody(service.user().clone());
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_allowed_origins(["http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*"])
        .enforce_origin_validation()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_BYTES_MAX);
    let make = move || Ok(Handler::new(Backend::Here(service.clone(), nothing.clone()), tools.clone()));
    StreamableHttpService::new(make, Arc::new(NeverSessionManager::default()), config)
}
