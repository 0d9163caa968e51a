//! The folder of a session whose tool names it by a slug or a hash, and whether a person excluded it.
//!
//! A slug is looked for on the disk, a hash among the folders that are known: those of sessions met before, those that
//! are excluded with all inside, and what a hook said.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use harness_memory::import::Folder;
use harness_memory::{ReadSet, Scope, Store};
use harness_recall::Engine;
use sha2::{Digest, Sha256};

use crate::exclusions::Exclusions;
use crate::project::Project;

/// How many folders are looked into for one slug: it leads the way, so that few have a name that begins it.
const LOOKS_MAX: usize = 2_000;

/// How many folders inside of the excluded ones are known: a client's work has some thousand.
const INSIDE_MAX: usize = 20_000;

/// How many sessions are asked for the folders they were held in.
const SESSIONS_MAX: usize = 20_000;

/// Folders in which nobody holds a session, and which hold most folders.
const PASSED_OVER: &[&str] = &["node_modules", "target", "__pycache__", "venv"];

/// What is known of folders, gathered when it is first asked for.
#[derive(Default)]
pub(super) struct Folders {
    known: Option<Known>,
    /// The folder that a hook was called in.
    said: Option<PathBuf>,
    /// What was found out already.
    found: HashMap<String, Found>,
}

#[derive(Default)]
struct Known {
    folders: HashSet<PathBuf>,
    /// By the SHA-256 and the MD5 of its path.
    by_hash: HashMap<String, PathBuf>,
}

impl Known {
    fn add(&mut self, folder: &Path) {
        if self.folders.insert(folder.to_owned()) {
            let bytes = folder.as_os_str().as_encoded_bytes();
            self.by_hash.insert(hex(&Sha256::digest(bytes)), folder.to_owned());
            self.by_hash.insert(hex(&md5(bytes)), folder.to_owned());
        }
    }

    /// A folder and those above it: a project's top is often above where a session was held.
    fn add_with_above(&mut self, folder: &Path) {
        folder.ancestors().for_each(|folder| self.add(folder));
    }
}

/// What came of looking for a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The folder, where there is just one.
    pub(super) folder: Option<PathBuf>,
    /// Whether it is excluded, or may be.
    pub(super) excluded: bool,
}

impl Folders {
    /// A hook was called in this folder.
    pub(super) fn said(&mut self, folder: PathBuf) {
        self.said = Some(folder);
    }

    /// What a hook said of the folder, for sessions that say nothing.
    pub(super) fn what_was_said(&self) -> Option<&Path> {
        self.said.as_deref()
    }

    /// Looks for a folder by the name that a tool gave it.
    pub(super) fn find(&mut self, folder: &Folder, engine: Option<&Engine>, exclusions: &Exclusions) -> Found {
        let name = match folder {
            Folder::Path(path) => {
                let excluded = exclusions.excludes_folder(Path::new(path));
                return Found { folder: Some(PathBuf::from(path)), excluded };
            }
            Folder::Slug(name) | Folder::Hash(name) => name.clone(),
        };
        if let Some(found) = self.found.get(&name) {
            return found.clone();
        }
        let mut candidates: BTreeSet<PathBuf> = BTreeSet::new();
        let slug = if let Folder::Slug(name) = folder { slug(name) } else { String::new() };
        candidates.extend(on_disk(&slug));
        if candidates.is_empty() {
            let known = self.known(engine, exclusions);
            let of_slug = |folder: &&PathBuf| !slug.is_empty() && slug_of(folder) == slug;
            candidates.extend(known.folders.iter().filter(of_slug).cloned());
            candidates.extend(known.by_hash.get(&name.to_ascii_lowercase()).cloned());
        }
        // The same folder by another way is no second one.
        let real: BTreeSet<PathBuf> =
            candidates.iter().map(|folder| folder.canonicalize().unwrap_or_else(|_| folder.clone())).collect();
        let mut excluded =
            exclusions.excludes_project(&name) || candidates.iter().any(|folder| exclusions.excludes_folder(folder));
        if candidates.is_empty() && !slug.is_empty() {
            excluded |= may_be_inside(&slug, &exclusions.paths);
        }
        // What a hook said is one of several, or the only word of it there is.
        let said = self.said.clone().filter(|said| real.is_empty() || real.contains(said) || candidates.contains(said));
        excluded |= said.as_deref().is_some_and(|said| exclusions.excludes_folder(said));
        let only = candidates.into_iter().next().filter(|_| real.len() == 1);
        let found = Found { folder: said.or(only), excluded };
        self.found.insert(name, found.clone());
        found
    }

    fn known(&mut self, engine: Option<&Engine>, exclusions: &Exclusions) -> &Known {
        let said = self.said.clone();
        self.known.get_or_insert_with(|| {
            let mut known = Known::default();
            let sessions = engine.and_then(|engine| engine.store().sessions(&ReadSet::everything(), SESSIONS_MAX).ok());
            for folder in sessions.into_iter().flatten().filter_map(|entry| entry.session.directory) {
                known.add_with_above(Path::new(&folder));
            }
            said.iter().for_each(|folder| known.add_with_above(folder));
            let mut left = INSIDE_MAX;
            exclusions.paths.iter().for_each(|folder| inside(folder, &mut left, &mut known));
            known
        })
    }
}

/// The scope of work in a folder of which no more than its name is known: one of its own, so that no project is given
/// what was said in another.
pub(super) fn scope_of_unknown(folder: &Folder, tool: &str, user: &Scope) -> Scope {
    let (id, name) = match folder {
        Folder::Path(name) | Folder::Slug(name) => (name, name.as_str()),
        Folder::Hash(hash) => (hash, tool),
    };
    Project { root: PathBuf::from(id), name: name.to_owned() }.scope(user)
}

/// Adds a folder and those inside.
fn inside(folder: &Path, left: &mut usize, known: &mut Known) {
    known.add(folder);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let passed = name.to_str().is_some_and(|name| name.starts_with('.') || PASSED_OVER.contains(&name));
        if *left == 0 {
            return;
        }
        if !passed && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            *left -= 1;
            inside(&entry.path(), left, known);
        }
    }
}

/// The folders of the disk that have this slug.
fn on_disk(slug: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut looks = LOOKS_MAX;
    if !slug.is_empty() {
        // A drive's letter is a part of the slug.
        let drive = slug.split('-').next().filter(|drive| cfg!(windows) && drive.len() == 1);
        let root = drive.map_or_else(|| PathBuf::from("/"), |drive| PathBuf::from(format!("{drive}:\\")));
        let rest = drive.map_or(slug, |drive| slug[drive.len()..].trim_start_matches('-'));
        look(&root, rest, &mut looks, &mut found);
    }
    found
}

fn look(folder: &Path, rest: &str, looks: &mut usize, found: &mut Vec<PathBuf>) {
    if *looks == 0 {
        return;
    }
    *looks -= 1;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = slug(&entry.file_name().to_string_lossy());
        let Some(behind) = rest.strip_prefix(name.as_str()).filter(|_| !name.is_empty()) else { continue };
        let next = behind.strip_prefix('-');
        if (behind.is_empty() || next.is_some()) && entry.path().is_dir() {
            match next {
                Some(next) => look(&entry.path(), next, looks, found),
                None => found.push(entry.path()),
            }
        }
    }
}

/// Whether a folder of this slug may be one of these, or inside of one.
fn may_be_inside(slug: &str, folders: &[PathBuf]) -> bool {
    folders.iter().any(|folder| {
        let outer = slug_of(folder);
        !outer.is_empty()
            && slug.strip_prefix(outer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

/// A path as a slug.
fn slug_of(folder: &Path) -> String {
    let names = folder.components().filter(|part| !matches!(part, Component::RootDir));
    let names: Vec<String> = names.map(|part| slug(&part.as_os_str().to_string_lossy())).collect();
    slug(&names.join("-"))
}

/// Letters and digits, in lower case, and one dash for all between two of them: tools write slugs in several ways.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The MD5 of some bytes (RFC 1321), by which Cursor names its folders. It protects nothing.
fn md5(bytes: &[u8]) -> [u8; 16] {
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut message = bytes.to_vec();
    message.push(0x80);
    message.resize((message.len() + 8).next_multiple_of(64) - 8, 0);
    message.extend((8 * bytes.len() as u64).to_le_bytes());
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in message.chunks_exact(64) {
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64 {
            let (mixed, word) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), 7 * step % 16),
            };
            let word = u32::from_le_bytes([0, 1, 2, 3].map(|byte| block[4 * word + byte]));
            let constant = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a.wrapping_add(mixed).wrapping_add(constant).wrapping_add(word);
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
        }
        for (whole, part) in state.iter_mut().zip([a, b, c, d]) {
            *whole = whole.wrapping_add(part);
        }
    }
    let mut digest = [0; 16];
    digest.chunks_exact_mut(4).zip(state).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_what_others_make_of_it() {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            (
                "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
                "57edf4a22be3c955ac49da2e2107b67a",
            ),
            ("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123", "cffd031ee047cfb01e1e691c468edf75"),
            (&"a".repeat(64), "014842d480b571495a4a0363793f7367"),
        ] {
            assert_eq!(hex(&md5(text.as_bytes())), digest, "{text}");
        }
    }

    #[test]
    fn a_slug_leads_to_the_folder_that_has_it() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let folder = top.join("web_shop.git/the app");
        fs::create_dir_all(&folder).unwrap();
        let mut folders = Folders::default();
        let name = Folder::Slug(slug_of(&folder));
        let mut exclusions = Exclusions::default();
        let found = folders.find(&name, None, &exclusions);
        assert_eq!(found, Found { folder: Some(folder.clone()), excluded: false });
        exclusions.paths.push(top.join("web_shop.git"));
        assert!(Folders::default().find(&name, None, &exclusions).excluded);
        // Two of one slug: neither is meant for sure, and an excluded one may be.
        fs::create_dir_all(top.join("web-shop/git/the-app")).unwrap();
        let found = Folders::default().find(&name, None, &exclusions);
        assert_eq!(found, Found { folder: None, excluded: true });
        // What is gone from the disk is told by its slug.
        let gone = Folder::Slug(slug_of(&top.join("web_shop.git/gone")));
        assert!(Folders::default().find(&gone, None, &exclusions).excluded);
        let other = Folder::Slug(slug_of(&top.join("web_shops/gone")));
        assert_eq!(Folders::default().find(&other, None, &exclusions), Found { folder: None, excluded: false });
    }

    #[test]
    fn a_hash_is_told_among_excluded_folders_and_what_a_hook_said() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let folder = top.join("clients/acme/app");
        fs::create_dir_all(&folder).unwrap();
        let bytes = folder.as_os_str().as_encoded_bytes();
        for hash in [hex(&Sha256::digest(bytes)), hex(&md5(bytes))] {
            let name = Folder::Hash(hash);
            let mut exclusions = Exclusions::default();
            let unknown = Found { folder: None, excluded: false };
            assert_eq!(Folders::default().find(&name, None, &exclusions), unknown);
            let mut folders = Folders::default();
            folders.said(folder.join("src"));
            let found = folders.find(&name, None, &exclusions);
            assert_eq!(found, Found { folder: Some(folder.clone()), excluded: false });
            exclusions.paths.push(top.join("clients"));
            let found = Folders::default().find(&name, None, &exclusions);
            assert_eq!(found, Found { folder: Some(folder.clone()), excluded: true });
        }
    }
}
