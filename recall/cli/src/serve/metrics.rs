//! Numbers in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};

use super::types::{IndexView, StoreView};

/// Upper bounds of the buckets of durations, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.25, 0.5, 1.0, 5.0];

/// What is counted. Routes are counted by their pattern, so that what callers name cannot grow it.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, String, u16), u64>>,
    durations: Mutex<BTreeMap<String, Histogram>>,
    shed: AtomicU64,
    refused: AtomicU64,
    events: AtomicU64,
    streams: AtomicU64,
}

#[derive(Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

impl Metrics {
    pub(crate) fn request(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        // A method of a client's own making is no label.
        let method = match method.as_str() {
            known @ ("GET" | "POST" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS" | "PUT") => known,
            _ => "other",
        };
        let key = (method.to_owned(), route.to_owned(), status.as_u16());
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(0) += 1;
        let seconds = took.as_secs_f64();
        let mut durations = self.durations.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = durations.entry(route.to_owned()).or_default();
        for (bucket, bound) in histogram.buckets.iter_mut().zip(BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
        histogram.count += 1;
        histogram.seconds += seconds;
    }

    pub(crate) fn shed(&self) {
        self.shed.fetch_add(1, Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn event(&self) {
        self.events.fetch_add(1, Relaxed);
    }

    pub(crate) fn stream_began(&self) {
        self.streams.fetch_add(1, Relaxed);
    }

    pub(crate) fn stream_ended(&self) {
        self.streams.fetch_sub(1, Relaxed);
    }

    /// All numbers as text; `errands` are what came over the home's own socket.
    pub(crate) fn text(&self, errands: u64, store: Option<&StoreView>, indexes: &[IndexView]) -> String {
        let mut text = String::new();
        let mut out = |line: std::fmt::Arguments| {
            let _ = text.write_fmt(line);
            text.push('\n');
        };
        out(format_args!("# HELP harness_requests_total Requests answered, by method, route and status."));
        out(format_args!("# TYPE harness_requests_total counter"));
        for ((method, route, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            out(format_args!(
                "harness_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
            ));
        }
        out(format_args!("# HELP harness_request_seconds How long answers took, by route."));
        out(format_args!("# TYPE harness_request_seconds histogram"));
        for (route, histogram) in &*self.durations.lock().unwrap_or_else(PoisonError::into_inner) {
            for (bucket, bound) in histogram.buckets.iter().zip(BUCKETS) {
                out(format_args!("harness_request_seconds_bucket{{route=\"{route}\",le=\"{bound}\"}} {bucket}"));
            }
            let Histogram { count, seconds, .. } = histogram;
            out(format_args!("harness_request_seconds_bucket{{route=\"{route}\",le=\"+Inf\"}} {count}"));
            out(format_args!("harness_request_seconds_sum{{route=\"{route}\"}} {seconds:.6}"));
            out(format_args!("harness_request_seconds_count{{route=\"{route}\"}} {count}"));
        }
        for (name, help, kind, value) in [
            ("requests_shed_total", "Requests turned away because too many came at once.", "counter", &self.shed),
            ("requests_refused_total", "Requests without a token that is known.", "counter", &self.refused),
            ("events_sent_total", "Events sent to streams.", "counter", &self.events),
            ("event_streams", "Streams of events that are open.", "gauge", &self.streams),
        ] {
            out(format_args!("# HELP harness_{name} {help}\n# TYPE harness_{name} {kind}"));
            out(format_args!("harness_{name} {}", value.load(Relaxed)));
        }
        out(format_args!("# HELP harness_errands_total Hooks answered over the socket in the home."));
        out(format_args!("# TYPE harness_errands_total counter\nharness_errands_total {errands}"));
        if let Some(store) = store {
            out(format_args!("# HELP harness_records Live records, by kind.\n# TYPE harness_records gauge"));
            for (kind, count) in &store.records {
                out(format_args!("harness_records{{kind=\"{kind}\"}} {count}"));
            }
            out(format_args!(
                "# HELP harness_store_bytes Bytes of the store on the disk.\n# TYPE harness_store_bytes gauge"
            ));
            out(format_args!("harness_store_bytes {}", store.bytes));
        }
        out(format_args!("# HELP harness_index_lag Changes that an index is behind.\n# TYPE harness_index_lag gauge"));
        for index in indexes {
            out(format_args!("harness_index_lag{{index=\"{}\"}} {}", index.name, index.lag.unwrap_or_default()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_status() {
        let metrics = Metrics::default();
        for _ in 0..3 {
            metrics.request(&Method::GET, "/v1/records/{id}", StatusCode::OK, Duration::from_micros(1_500));
        }
        let text = metrics.text(3, None, &[]);
        assert!(
            text.contains("harness_requests_total{method=\"GET\",route=\"/v1/records/{id}\",status=\"200\"} 3"),
            "{text}"
        );
        assert!(text.contains("harness_request_seconds_bucket{route=\"/v1/records/{id}\",le=\"0.001\"} 0"), "{text}");
        assert!(text.contains("harness_request_seconds_bucket{route=\"/v1/records/{id}\",le=\"0.002\"} 3"), "{text}");
    }
}
