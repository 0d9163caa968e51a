//! Models that other programs have fetched already: the hub's cache on this machine.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use harness_index::embed::source::{CONFIG, TOKENIZER, WEIGHTS};

/// The folders in which caches of the model hub lie, those that the environment names first.
pub(super) fn folders(said: &dyn Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let path = |name: &str| said(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"].into_iter().filter_map(path));
    folders.extend(path("HF_HOME").map(|home| home.join("hub")));
    folders.extend(path("FASTEMBED_CACHE_DIR"));
    folders.extend(path("SENTENCE_TRANSFORMERS_HOME"));
    let cache = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME").or_else(|| path("USERPROFILE"))?.join(".cache")));
    if let Some(cache) = cache {
        folders.push(cache.join("huggingface").join("hub"));
        folders.push(cache.join("fastembed"));
    }
    folders.push(std::env::temp_dir().join("fastembed_cache"));
    folders.dedup();
    folders
}

/// The folder of a repository's files within a cache, when the needed ones are all there: the commit that `main`
/// names, else any whole one.
pub(super) fn find(cache: &Path, repository: &str) -> Option<PathBuf> {
    let folder = cache.join(format!("models--{}", repository.replace('/', "--")));
    let snapshots = folder.join("snapshots");
    let main = std::fs::read_to_string(folder.join("refs").join("main")).ok();
    let main = main.map(|commit| snapshots.join(commit.trim()));
    let mut others: Vec<PathBuf> = std::fs::read_dir(&snapshots).ok()?.flatten().map(|entry| entry.path()).collect();
    others.sort();
    let whole = |folder: &PathBuf| [WEIGHTS, TOKENIZER, CONFIG].iter().all(|name| folder.join(name).is_file());
    main.into_iter().chain(others).find(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_goes_first_and_the_default_place_is_looked_at_too() {
        let said = |name: &str| match name {
            "HF_HOME" => Some("/models/hf".into()),
            "HOME" => Some("/home/ana".into()),
            _ => None,
        };
        let found = folders(&said);
        assert_eq!(found[0], Path::new("/models/hf/hub"));
        assert!(found.contains(&PathBuf::from("/home/ana/.cache/huggingface/hub")));
    }

    #[test]
    fn a_half_fetched_snapshot_is_no_model() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("models--owner--name");
        let commit = |name: &str| folder.join("snapshots").join(name);
        std::fs::create_dir_all(commit("aaa")).unwrap();
        std::fs::create_dir_all(commit("bbb")).unwrap();
        std::fs::create_dir_all(folder.join("refs")).unwrap();
        std::fs::write(folder.join("refs/main"), "aaa\n").unwrap();
        std::fs::write(commit("aaa").join(CONFIG), "{}").unwrap();
        assert_eq!(find(cache.path(), "owner/name"), None);
        for name in [CONFIG, TOKENIZER, WEIGHTS] {
            std::fs::write(commit("bbb").join(name), "{}").unwrap();
        }
        assert_eq!(find(cache.path(), "owner/name"), Some(commit("bbb")));
        for name in [TOKENIZER, WEIGHTS] {
            std::fs::write(commit("aaa").join(name), "{}").unwrap();
        }
        assert_eq!(find(cache.path(), "owner/name"), Some(commit("aaa")), "the one that main names");
        assert_eq!(find(cache.path(), "owner/other"), None);
    }
}
