//! The marks of embedders' exams, kept beside their embeddings: an exam takes a tenth of a second, and its result is the
//! same for as long as the embedder is.

use std::fs;
use std::io;
use std::path::Path;

use harness_index::embed::exam::{EDITION, examine};
use harness_index::embed::{Embedder, Result};
use serde::{Deserialize, Serialize};

/// The marks within the folder of embeddings. Derived: without it each embedder is examined again.
const FILE: &str = "marks.json";

/// A file with more marks than a home ever had models is begun anew.
const MARKS_MAX: usize = 64;

#[derive(Serialize, Deserialize)]
struct Mark {
    embedder: String,
    edition: u32,
    mark: f32,
}

/// How far this embedder's space has a meaning, 0 to 1, from what is kept in this folder, or from its exam, which is then
/// kept.
pub(crate) fn of(embedder: &dyn Embedder, folder: &Path) -> Result<f32> {
    let path = folder.join(FILE);
    let mut marks: Vec<Mark> =
        fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let known = marks.iter().find(|mark| mark.embedder == embedder.id() && mark.edition == EDITION);
    if let Some(known) = known.filter(|known| (0.0..=1.0).contains(&known.mark)) {
        return Ok(known.mark);
    }
    let mark = examine(embedder)?;
    marks.retain(|kept| kept.embedder != embedder.id() && kept.edition == EDITION);
    if marks.len() >= MARKS_MAX {
        marks.clear();
    }
    marks.push(Mark { embedder: embedder.id().to_owned(), edition: EDITION, mark });
    if let Err(error) = keep(&path, folder, &marks) {
        tracing::debug!(%error, "the mark of an exam is not kept");
    }
    Ok(mark)
}

fn keep(path: &Path, folder: &Path, marks: &[Mark]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Under a name of its own, so that two processes do not write into one file.
    let part = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&part, serde_json::to_vec(marks)?)?;
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use harness_index::embed::RandomEmbedder;

    use super::*;

    #[test]
    fn a_mark_is_kept_and_a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let embedder = RandomEmbedder::new(64, 1);
        for before in [None, Some("{"), Some(r#"[{"embedder":"random 64 1","edition":1,"mark":7.0}]"#)] {
            if let Some(text) = before {
                fs::write(folder.path().join(FILE), text).unwrap();
            }
            assert_eq!(of(&embedder, folder.path()).unwrap(), 0.0, "{before:?}");
        }
        let kept = fs::read_to_string(folder.path().join(FILE)).unwrap().replace("0.0", "0.25");
        fs::write(folder.path().join(FILE), kept).unwrap();
        assert_eq!(of(&embedder, folder.path()).unwrap(), 0.25, "it is not examined again");
    }
}
