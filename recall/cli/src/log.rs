//! What the libraries log, on stderr, and, with the feature `otlp`, their spans to a collector.
//!
//! A collector is named as OpenTelemetry names it: `OTEL_EXPORTER_OTLP_ENDPOINT`, or the same for traces alone. Without
//! one, and in a program built without the feature, nothing leaves the machine.

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Tells what is still to be told when it is dropped.
pub(crate) struct Telling {
    #[cfg(feature = "otlp")]
    spans: Option<otlp::Spans>,
}

/// Sends what the libraries log to stderr: warnings, more with `-v`, or what `HARNESS_LOG` says.
pub(crate) fn start(verbose: u8) -> Telling {
    let default = match verbose {
        // The protocol's library warns of each mistake of a client, in the words that the client sent.
        0 => "warn,rmcp=error",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env("HARNESS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(verbose > 1)
        .log_internal_errors(false)
        .with_filter(filter);
    let registry = tracing_subscriber::registry().with(lines);
    #[cfg(feature = "otlp")]
    {
        let spans = otlp::Spans::to_collector();
        registry.with(spans.as_ref().map(otlp::Spans::layer)).init();
        Telling { spans }
    }
    #[cfg(not(feature = "otlp"))]
    {
        registry.init();
        Telling {}
    }
}

#[cfg(feature = "otlp")]
impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(spans) = self.spans.take() {
            spans.end();
        }
    }
}

/// Spans on their way to a collector.
#[cfg(feature = "otlp")]
mod otlp {
    use std::time::Duration;

    use async_trait::async_trait;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
    use opentelemetry_otlp::{
        OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, SpanExporter, WithHttpConfig,
    };
    use opentelemetry_sdk::Resource;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::Subscriber;
    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::registry::LookupSpan;

    /// How long the last spans may take to reach the collector when the program ends.
    const END_PATIENCE: Duration = Duration::from_secs(2);

    /// How long one request to the collector may take.
    const SEND_PATIENCE: Duration = Duration::from_secs(5);

    /// Requests to the collector, on a thread of their own: spans end on threads that no runtime knows.
    #[derive(Debug)]
    struct Sender {
        client: reqwest::Client,
        runtime: tokio::runtime::Runtime,
    }

    impl Sender {
        fn new() -> anyhow::Result<Sender> {
            let client = reqwest::Client::builder().timeout(SEND_PATIENCE).build()?;
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            Ok(Sender { client, runtime })
        }
    }

    #[async_trait]
    impl HttpClient for Sender {
        async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
            let client = self.client.clone();
            let sending = self.runtime.spawn(async move {
                let answer = client.execute(request.try_into()?).await?;
                let status = answer.status();
                Ok::<_, HttpError>(Response::builder().status(status).body(answer.bytes().await?)?)
            });
            sending.await?
        }
    }

    pub(super) struct Spans(SdkTracerProvider);

    impl Spans {
        /// `None` where the environment names no collector, or one that cannot be used, which is said.
        pub(super) fn to_collector() -> Option<Spans> {
            let named = [OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT];
            named.iter().find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))?;
            let exporter = Sender::new()
                .and_then(|sender| Ok(SpanExporter::builder().with_http().with_http_client(sender).build()?));
            let exporter = match exporter {
                Ok(exporter) => exporter,
                Err(error) => {
                    crate::report::line(&format!("note: no spans are sent: {error}"));
                    return None;
                }
            };
            let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
            let mut resource = Resource::builder().with_attribute(version);
            if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
                resource = resource.with_service_name("harness");
            }
            Some(Spans(
                SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build(),
            ))
        }

        /// The layer that takes our own spans, whatever is logged to stderr.
        pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
        where
            S: Subscriber + for<'a> LookupSpan<'a>,
        {
            let own = Targets::new().with_target("harness", LevelFilter::INFO);
            tracing_opentelemetry::layer()
                .with_tracer(self.0.tracer("harness"))
                .with_location(false)
                .with_threads(false)
                .with_filter(own)
        }

        pub(super) fn end(self) {
            // A collector that does not answer is its keeper's trouble.
            let _ = self.0.shutdown_with_timeout(END_PATIENCE);
        }
    }
}
