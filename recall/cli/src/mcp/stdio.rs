//! `harness mcp`: one client on standard input and output.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rmcp::ServiceExt;
use rmcp::transport::io::stdio_pipes;

use super::backend::{Backend, Home};
use super::handler::Handler;
use super::tools::Tools;
use crate::{follower, interrupt};

/// How often it is looked whether somebody indexes.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);

/// Speaks with the client until it closes its end.
pub(crate) fn run(home: Home) -> anyhow::Result<()> {
    // One thread: a client asks one thing at a time, and ten of these processes run beside each other.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()
        .context("cannot start the threads of the client's side")?;
    let home = Arc::new(home);
    let result = runtime.block_on(async {
        let backend = Backend::Home(home.clone());
        let keeper = tokio::spawn(keep_followed(backend.clone(), home));
        let done = speak(backend).await;
        keeper.abort();
        done
    });
    // A read of standard input may still block; what was written is durable.
    runtime.shutdown_background();
    result
}

async fn speak(backend: Backend) -> anyhow::Result<()> {
    let (stop, mut stopped) = tokio::sync::watch::channel(false);
    interrupt::flag();
    interrupt::on_request(move || {
        let _ = stop.send(true);
    });
    let handler = Handler::new(backend, Arc::new(Tools::new()));
    let serving = tokio::select! {
        serving = handler.serve(stdio_pipes()) => serving,
        _ = stopped.wait_for(|stop| *stop) => return Ok(()),
    };
    let serving = match serving {
        Ok(serving) => serving,
        // The client left before it said anything.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(error).context("the client does not speak the Model Context Protocol"),
    };
    tokio::select! {
        ended = serving.waiting() => ended.map(drop).context("the connection to the client broke"),
        _ = stopped.wait_for(|stop| *stop) => Ok(()),
    }
}

/// Sees to it that somebody indexes: where a follower was and is gone, and where this process wrote much itself.
async fn keep_followed(backend: Backend, home: Arc<Home>) {
    let mut followed = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (backend, folder) = (backend.clone(), home.folder().to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let index = folder.join(harness_recall::engine::INDEX_FOLDER);
            let now = harness_index::follower(&index).is_some();
            // One that has left in peace has nothing to do, and one that is started finds that out and leaves too.
            if !now && (followed || backend.wants_follower()) {
                follower::start(&folder);
            }
            now
        });
        followed = looked.await.unwrap_or(false);
    }
}
