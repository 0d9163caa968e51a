//! The ONNX Runtime library: loaded once a process, from a path that the caller found.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;

use crate::embed::{Error, Result};

/// ONNX Runtime, ready to be used.
#[derive(Clone)]
pub struct OnnxRuntime {
    path: PathBuf,
    pub(crate) environment: Environment,
}

/// A process holds one library: it cannot be unloaded or exchanged.
static LOADED: Mutex<Option<OnnxRuntime>> = Mutex::new(None);

impl OnnxRuntime {
    /// Loads the library at `path`, or answers the one that this process has loaded already, wherever it came from.
    ///
    /// # Errors
    /// [`Error::Library`] when there is none at `path`, it is no ONNX Runtime, or it is too old; the process is as it
    /// was then, and another path may be tried.
    pub fn load(path: &Path) -> Result<OnnxRuntime> {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = &*loaded {
            return Ok(runtime.clone());
        }
        let failed = |reason: String| Error::Library { path: path.to_owned(), reason };
        // Relative paths would be looked for beside the program.
        let absolute = std::path::absolute(path).map_err(|error| failed(error.to_string()))?;
        if path.components().count() > 1 && !absolute.is_file() {
            return Err(failed("there is no such file".to_owned()));
        }
        // A name without folders is for the system's loader.
        let target = if path.components().count() > 1 { absolute.as_path() } else { path };
        let load = || ort::init_from(target).map_err(|error| error.to_string());
        // The binding asserts some of what a foreign library answers.
        let builder = catch_unwind(load).map_err(|_| failed("it does not behave as ONNX Runtime does".to_owned()))?;
        let builder = builder.map_err(failed)?.with_name("harness").with_telemetry(false);
        let environment = catch_unwind(AssertUnwindSafe(|| builder.build().map_err(|error| error.to_string())));
        let environment = environment.map_err(|_| failed("it cannot be started".to_owned()))?.map_err(failed)?;
        let runtime = OnnxRuntime { path: absolute, environment };
        *loaded = Some(runtime.clone());
        Ok(runtime)
    }

    /// Where it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
