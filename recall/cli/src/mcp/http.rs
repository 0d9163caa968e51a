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

/// The service behind `/mcp`; `names` are those by which it may be called beside the machine's own. Host, Origin and token are checked before it is asked, and Origin once more in it.
pub(crate) fn service(service: Service, names: &[String]) -> StreamableHttpService<Handler, NeverSessionManager> {
    let tools = Arc::new(Tools::new());
    // Each request has a grant of its own; one without would see nothing.
    let nothing = Grant::nobody(service.user().clone());
    let own = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("http://{name}:*"));
    let given = names.iter().flat_map(|name| ["http", "https"].map(|scheme| format!("{scheme}://{name}:*")));
    let config = StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .with_allowed_origins(own.into_iter().chain(given))
        .enforce_origin_validation()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(BODY_BYTES_MAX);
    let make = move || Ok(Handler::new(Backend::Here(service.clone(), nothing.clone()), tools.clone()));
    StreamableHttpService::new(make, Arc::new(NeverSessionManager::default()), config)
}
