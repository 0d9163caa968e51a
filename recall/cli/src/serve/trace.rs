//! Spans with the names that OpenTelemetry's conventions for generative AI give to memories.

use std::sync::OnceLock;

use axum::http::{HeaderMap, Method};
use tracing::Span;
use tracing::field::Empty;

/// The setting that puts the text of queries into traces; without it no text of anybody's is in them.
const QUERY_TEXT: &str = "HARNESS_TRACE_QUERIES";

/// Whether the text of queries may be in traces.
pub(crate) fn query_text_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var(QUERY_TEXT).is_ok_and(|value| value == "1" || value == "true"))
}

/// The span of a request, as a part of the trace that its `traceparent` names.
pub(crate) fn request_span(method: &Method, route: &str, headers: &HeaderMap) -> Span {
    let span = tracing::info_span!(
        "request",
        otel.kind = "server",
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        trace_id = Empty,
        parent_span_id = Empty,
    );
    let parent = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(parent);
    adopt(&span, parent);
    span
}

/// Makes a span a part of the trace that is named, before it is entered.
pub(crate) fn adopt(span: &Span, parent: Option<(&str, &str)>) {
    if let Some((trace, parent)) = parent {
        span.record("trace_id", trace);
        span.record("parent_span_id", parent);
        #[cfg(feature = "otlp")]
        set_parent(span, trace, parent);
    }
}

/// The same for spans that go to a collector. Whoever began the trace decided to have it.
#[cfg(feature = "otlp")]
fn set_parent(span: &Span, trace: &str, parent: &str) {
    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
    use tracing_opentelemetry::OpenTelemetrySpanExt;
    let (Ok(trace), Ok(parent)) = (TraceId::from_hex(trace), SpanId::from_hex(parent)) else { return };
    let remote = SpanContext::new(trace, parent, TraceFlags::SAMPLED, true, TraceState::default());
    // Fails where no collector is named: then nothing is to be adopted.
    let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(remote));
}

/// The trace and the span that a `traceparent` names (W3C Trace Context).
pub(crate) fn parent(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex =
        |text: &str, digits| text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let valid = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let named = trace.bytes().any(|byte| byte != b'0') && span.bytes().any(|byte| byte != b'0');
    (valid && named && (version != "00" || parts.next().is_none())).then_some((trace, span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_when_it_is_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(parent(good), Some(("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")));
        for bad in [
            "",
            "00-0-0-0",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(parent(bad), None, "{bad}");
        }
    }
}
