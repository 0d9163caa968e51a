//! The embedding models of a home: which one is in use, and loading it; and rerankers, from wherever they are.
//!
//! `HOME/models/<name>/` holds a model's files with their manifest, `HOME/models/current` the name of the one in use.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness_index::embed::source::{MANIFEST, ModelFiles, QUANTIZED};
use harness_index::embed::{BertEmbedder, Embedder, Error, OnnxEmbedder, OnnxRuntime, Options};
use harness_index::rerank::{OnnxReranker, Reranker};

/// The folder of the models within a home. Deleting one costs a download.
pub const MODELS_FOLDER: &str = "models";

/// The folder of the embeddings within a home: derived, but dear.
pub const EMBEDDINGS_FOLDER: &str = "embeddings";

/// The folder of libraries within a home. Deleting it costs a download.
pub const RUNTIME_FOLDER: &str = "runtime";

/// Names the ONNX Runtime library in use.
const LIBRARY: &str = "library";

/// Names the model in use.
const CURRENT: &str = "current";

/// The longest name of a model, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The folder of a model within a home.
pub fn model_folder(home: &Path, name: &str) -> PathBuf {
    home.join(MODELS_FOLDER).join(name)
}

/// The name of the model in use: the one that was chosen last, or the only one that is there. Looks at names only.
pub fn current_model(home: &Path) -> Option<String> {
    if let Some(name) = chosen_model(home) {
        return Some(name);
    }
    let mut installed = installed_models(home);
    (installed.len() == 1).then(|| installed.remove(0))
}

/// The name of the model that was chosen, when it is there.
pub fn chosen_model(home: &Path) -> Option<String> {
    let named = fs::read_to_string(home.join(MODELS_FOLDER).join(CURRENT)).ok()?;
    Some(named.trim().to_owned()).filter(|name| is_installed(home, name))
}

/// The names of the models that are there, in order.
pub fn installed_models(home: &Path) -> Vec<String> {
    let entries = fs::read_dir(home.join(MODELS_FOLDER)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_installed(home, name)).collect();
    names.sort();
    names
}

/// Puts a model in use: for whoever opens the home from now on, and for a follower at its next round.
pub fn choose_model(home: &Path, name: &str) -> std::io::Result<()> {
    if !is_installed(home, name) {
        let what = format!("there is no model {name:?} in {}", home.join(MODELS_FOLDER).display());
        return Err(std::io::Error::new(std::io::ErrorKind::NotFound, what));
    }
    let folder = home.join(MODELS_FOLDER);
    let temporary = folder.join(format!(".current.{}", std::process::id()));
    fs::write(&temporary, format!("{name}\n"))?;
    fs::rename(temporary, folder.join(CURRENT))
}

/// The ONNX Runtime library that was put in use for this home.
pub fn chosen_library(home: &Path) -> Option<PathBuf> {
    let named = fs::read_to_string(home.join(RUNTIME_FOLDER).join(LIBRARY)).ok()?;
    Some(PathBuf::from(named.trim_end_matches('\n'))).filter(|path| path.is_absolute())
}

/// Puts an ONNX Runtime library in use: models that come with int8 weights are computed by it from then on.
pub fn choose_library(home: &Path, path: &Path) -> std::io::Result<()> {
    let text = path.to_str().filter(|text| !text.contains('\n'));
    let text = text.ok_or_else(|| std::io::Error::other("the library's path is not plain text"))?;
    let folder = home.join(RUNTIME_FOLDER);
    fs::create_dir_all(&folder)?;
    let temporary = folder.join(format!(".library.{}", std::process::id()));
    fs::write(&temporary, format!("{text}\n"))?;
    fs::rename(temporary, folder.join(LIBRARY))
}

/// Loads a model of this home, its int8 weights where it has them and an ONNX Runtime library is in use. Takes a few
/// tenths of a second and tens of megabytes. It embeds many texts with half of the processors, so that the other half is
/// there for whoever works meanwhile.
pub fn load_model(home: &Path, name: &str) -> Result<Arc<dyn Embedder>, Error> {
    let files = ModelFiles::open(&[&model_folder(home, name)])?;
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = NonZeroUsize::new(processors.div_ceil(2)).unwrap_or(NonZeroUsize::MIN);
    let options = Options { threads, name: Some(name.to_owned()), ..Options::default() };
    match chosen_library(home).filter(|_| files.has(QUANTIZED)) {
        Some(library) => Ok(Arc::new(OnnxEmbedder::open(&OnnxRuntime::load(&library)?, &files, &options)?)),
        None => Ok(Arc::new(BertEmbedder::open(&files, &options)?)),
    }
}

/// Loads a cross-encoder from a folder with an ONNX graph and its tokenizer. The ONNX Runtime library in use in this home
/// computes it. Takes some tenths of a second.
pub fn load_reranker(home: &Path, folder: &Path) -> crate::Result<Arc<dyn Reranker>> {
    let failed = |reason: String| crate::Error::Reranker { folder: folder.to_owned(), reason };
    let none = || failed("no ONNX Runtime library is in use: `harness setup --fast` gets one".to_owned());
    let library = chosen_library(home).ok_or_else(none)?;
    let runtime = OnnxRuntime::load(&library).map_err(|error| failed(error.to_string()))?;
    Ok(Arc::new(OnnxReranker::open(&runtime, folder).map_err(|error| failed(error.to_string()))?))
}

/// Whether a name can be a folder of ours.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('.') && name.chars().all(plain)
}

fn is_installed(home: &Path, name: &str) -> bool {
    is_name(name) && model_folder(home, name).join(MANIFEST).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_model_counts_and_else_the_only_one() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(current_model(home.path()), None);
        for name in ["one", "two"] {
            fs::create_dir_all(model_folder(home.path(), name)).unwrap();
            fs::write(model_folder(home.path(), name).join(MANIFEST), "{}").unwrap();
            if name == "one" {
                assert_eq!(current_model(home.path()).as_deref(), Some("one"));
            }
        }
        assert_eq!(current_model(home.path()), None, "nobody said which");
        assert!(choose_model(home.path(), "three").is_err(), "it is not there");
        assert_eq!(chosen_model(home.path()), None);
        choose_model(home.path(), "two").unwrap();
        assert_eq!(chosen_model(home.path()).as_deref(), Some("two"));
        assert_eq!(current_model(home.path()).as_deref(), Some("two"));
        fs::remove_dir_all(model_folder(home.path(), "two")).unwrap();
        assert_eq!(current_model(home.path()).as_deref(), Some("one"));
    }

    #[test]
    fn a_name_cannot_leave_the_folder() {
        for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("all-MiniLM-L6-v2") && is_name("bge-small-en-v1.5"));
    }
}
