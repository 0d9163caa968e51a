//! Whether embedding in the background is paused: a file in the home, which every process sees.

use std::fs;
use std::io;
use std::path::Path;

/// Its name within a home.
const PAUSED: &str = "embedding-paused";

/// Whether embedding is paused.
pub(crate) fn is_paused(home: &Path) -> bool {
    home.join(PAUSED).exists()
}

/// Pauses embedding, or lets it go on.
pub(crate) fn set(home: &Path, paused: bool) -> io::Result<()> {
    let path = home.join(PAUSED);
    if paused {
        return fs::write(path, "");
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
