//! How much the service takes on.

use std::time::Duration;

/// The largest body of a request: the longest text with every byte of it escaped would be more, and nobody sends that.
pub(crate) const BODY_BYTES_MAX: usize = 4 << 20;

/// The most requests at once; one more is told to come again. Each holds a thread while it waits for the disk.
pub(crate) const REQUESTS_MAX: usize = 128;

/// The most connections at once: idle ones cost little, and a browser or an agent keeps a few.
pub(crate) const CONNECTIONS_MAX: usize = 512;

/// The most streams of events at once: each is a connection that stays.
pub(crate) const STREAMS_MAX: usize = 64;

/// How long a client may take to send the head of a request.
pub(crate) const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to send the body.
pub(crate) const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// How long an answer may take before the client is told that it will not come.
pub(crate) const ANSWER_PATIENCE: Duration = Duration::from_secs(30);

/// How long requests that are under way may take when the server is asked to stop.
pub(crate) const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
