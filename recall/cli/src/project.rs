//! Which project a folder belongs to, found without running git.

use std::io::Read;
use std::path::{Path, PathBuf};

use harness_memory::{Scope, scope};
use sha2::{Digest, Sha256};

/// The longest git file that is read: a configuration of thousands of lines.
const GIT_FILE_BYTES_MAX: u64 = 1 << 20;

/// The longest name: with a dash and eight hex digits it fills one segment of a scope.
const NAME_BYTES_MAX: usize = scope::SEGMENT_BYTES_MAX - 9;

/// The name of a project's own settings file.
pub(crate) const SETTINGS_FILE: &str = ".harness.toml";

/// A folder of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Project {
    /// Its top folder.
    pub(crate) root: PathBuf,
    /// What the git remote calls it, else the folder's name.
    pub(crate) name: String,
}

impl Project {
    /// The project that a folder belongs to: the nearest folder above it, or itself, that holds `.git`
    /// or [`SETTINGS_FILE`]; without one, the folder alone. The folder need not exist any more.
    pub(crate) fn of(folder: &Path) -> Project {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let is_top = |path: &&Path| path.join(".git").exists() || path.join(SETTINGS_FILE).is_file();
        let root = folder.ancestors().find(is_top).unwrap_or(&folder).to_owned();
        let folder_name = || root.file_name().map_or_else(|| "root".into(), |name| name.to_string_lossy().into_owned());
        let name = remote_name(&root).unwrap_or_else(folder_name);
        Project { root, name }
    }

    /// The project's settings file, where it has one.
    pub(crate) fn settings_file(&self) -> Option<PathBuf> {
        Some(self.root.join(SETTINGS_FILE)).filter(|path| path.is_file())
    }

    /// The scope `<user>/<name>-<8 hex digits of the folder's full path>`.
    ///
    /// The digits keep two projects of one name apart, and a project that lends itself another's name too.
    pub(crate) fn scope(&self, user: &Scope) -> Scope {
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        let name: String = self.name.chars().take(NAME_BYTES_MAX).collect();
        let digits: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let whole = format!("{name}-{digits}");
        // The digits, or the cut, can hide a secret's form: then they alone name the project.
        let is_secret = scope::holds_secret(&self.name) && !scope::holds_secret(&whole);
        user.child_named(&if is_secret { format!("redacted-{digits}") } else { whole })
    }
}

/// The name at the end of the address of `origin`, else of the first remote.
fn remote_name(root: &Path) -> Option<String> {
    let config = read(&git_folder(root)?.join("config"))?;
    let mut remotes: Vec<(String, String)> = Vec::new();
    let mut remote = None;
    for line in config.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let name = section.strip_prefix("remote \"").and_then(|rest| rest.split_once('"'));
            remote = name.map(|(name, _)| name.to_owned());
        } else if let (Some(remote), Some((key, value))) = (&remote, line.split_once('='))
            && key.trim().eq_ignore_ascii_case("url")
        {
            remotes.push((remote.clone(), value.trim().trim_matches('"').to_owned()));
        }
    }
    let origin = remotes.iter().find(|(name, _)| name == "origin").or(remotes.first());
    origin.and_then(|(_, url)| name_in_url(url))
}

fn name_in_url(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    let name = url.rsplit(['/', ':', '\\']).next()?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    (!name.is_empty()).then(|| name.to_owned())
}

/// The folder that holds the configuration: `.git` itself, or what a worktree's or submodule's `.git` file points to.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let pointer = read(&git)?;
    let own = root.join(pointer.strip_prefix("gitdir:")?.trim());
    match read(&own.join("commondir")) {
        Some(common) => Some(own.join(common.trim())),
        None => Some(own),
    }
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(GIT_FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_project_is_named_by_its_remote_from_any_folder_inside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("checkout");
        fs::create_dir_all(root.join("src/deep")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        let config = "[core]\n\tbare = false\n[remote \"fork\"]\n\turl = https://git.example/me/other\n\
                      [remote \"origin\"]\n\turl = git@git.example:acme/WebShop.git\n";
        fs::write(root.join(".git/config"), config).unwrap();
        let project = Project::of(&root.join("src/deep"));
        assert_eq!(project.name, "WebShop");
        assert_eq!(project, Project::of(&root));
        let scope = project.scope(&Scope::parse("ana").unwrap()).to_string();
        let (name, digits) = scope.rsplit_once('-').unwrap();
        assert_eq!((name, digits.len()), ("ana/webshop", 8));
    }

    #[test]
    fn a_worktree_finds_the_configuration_of_its_repository() {
        let folder = tempfile::tempdir().unwrap();
        let (main, tree) = (folder.path().join("main"), folder.path().join("tree"));
        let own = main.join(".git/worktrees/tree");
        fs::create_dir_all(&own).unwrap();
        fs::create_dir_all(&tree).unwrap();
        fs::write(main.join(".git/config"), "[remote \"origin\"]\nurl = /srv/git/shop.git/\n").unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        assert_eq!(Project::of(&tree).name, "shop");
        assert_ne!(Project::of(&tree).scope(&Scope::root()), Project::of(&main).scope(&Scope::root()));
    }

    #[test]
    fn a_folder_without_git_or_that_is_gone_is_its_own_project() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("笔记");
        assert_eq!(Project::of(&root), Project { root: root.clone(), name: "笔记".into() });
        let long = Project { root, name: "n".repeat(300) };
        assert_eq!(long.scope(&Scope::root()).path().len(), 64);
    }

    #[test]
    fn a_folder_named_by_a_secret_does_not_name_the_scope() {
        let secrets = [
            format!("gh{}_{}", 'p', "a".repeat(30) + "7q2Xz9"),
            // The digits run into one, and the cut ends the other.
            format!("AI{}Sy{}", "za", "Q7".repeat(16) + "z"),
            format!("{} gh{}_{}", "x".repeat(30), 'p', "a".repeat(30) + "7q2Xz9"),
        ];
        for secret in secrets {
            let project = Project { root: PathBuf::from("/srv").join(&secret), name: secret.clone() };
            let scope = project.scope(&Scope::root());
            assert!(scope.path().starts_with("redacted-"), "{scope}");
            assert_eq!(scope, project.scope(&Scope::root()));
        }
    }

    #[test]
    fn the_name_is_the_end_of_any_form_of_address() {
        for (url, name) in [
            ("https://git.example/acme/shop.git", Some("shop")),
            ("ssh://git@git.example:2222/acme/shop/", Some("shop")),
            ("git.example:shop", Some("shop")),
            ("", None),
        ] {
            assert_eq!(name_in_url(url).as_deref(), name, "{url}");
        }
    }
}
