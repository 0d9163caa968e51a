//! Tokens: one for everything in a file of the home, and more that are bound to scopes.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use anyhow::Context;
use harness_memory::Scope;
use harness_memory::scope::Readable;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::grant::Grant;

/// The token for everything, in the home.
pub(crate) const TOKEN_FILE: &str = "token";

/// What is known of the other tokens: their hashes, never themselves.
const TOKENS_FILE: &str = "tokens.json";

/// The lock under which that file is changed.
const TOKENS_LOCK: &str = "tokens.lock";

/// What every token begins with, so that a person, and the redaction of secrets, knows one by sight.
const PREFIX: &str = "harness_";

/// The longest file of tokens that is read: thousands of them.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The most tokens beside the one for everything.
const TOKENS_MAX: usize = 1_000;

/// A token as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// What it is called in lists and when it is revoked.
    pub(crate) id: String,
    /// What it is for, in its maker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// What it may read, and write unless it only reads; none means everything.
    #[serde(default, with = "written", skip_serializing_if = "Vec::is_empty")]
    pub(crate) scopes: Vec<Readable>,
    #[serde(default)]
    pub(crate) read_only: bool,
    pub(crate) created_at: Timestamp,
    /// The SHA-256 of the token, in hex digits.
    pub(crate) sha256: String,
}

mod written {
    use harness_memory::scope::Readable;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(entries: &[Readable], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(entries.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Readable>, D::Error> {
        let entries = Vec::<String>::deserialize(from)?;
        entries.iter().map(|entry| entry.parse().map_err(D::Error::custom)).collect()
    }
}

/// A new random token: 256 bits.
pub(super) fn random() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    Ok(format!("{PREFIX}{}", hex(&bytes)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Writes a file that only its owner reads, in one step.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(&new)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // One that was left behind may have other rights.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    match fs::File::open(path) {
        Ok(file) => file.take(FILE_BYTES_MAX).read_to_string(&mut text).map(|_| Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file of the token for everything.
pub(crate) fn token_file(home: &Path) -> PathBuf {
    home.join(TOKEN_FILE)
}

/// The token for everything; made when it is not there.
pub(crate) fn own_token(home: &Path) -> anyhow::Result<String> {
    let path = token_file(home);
    let _lock = lock(home)?;
    let doing = || format!("cannot read the token in {}", path.display());
    if let Some(token) = read(&path).with_context(doing)?.map(|text| text.trim().to_owned())
        && token.len() >= PREFIX.len() + 32
    {
        return Ok(token);
    }
    let token = random()?;
    write_private(&path, format!("{token}\n").as_bytes())
        .with_context(|| format!("cannot write the token to {}", path.display()))?;
    Ok(token)
}

/// The token for everything, when it is there.
pub(crate) fn own_token_if_any(home: &Path) -> Option<String> {
    read(&token_file(home)).ok().flatten().map(|text| text.trim().to_owned()).filter(|token| !token.is_empty())
}

fn lock(home: &Path) -> anyhow::Result<fs::File> {
    let path = home.join(TOKENS_LOCK);
    let doing = || format!("cannot lock {}", path.display());
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).with_context(doing)?;
    file.lock().with_context(doing)?;
    Ok(file)
}

/// The tokens beside the one for everything, in the order they were made.
pub(crate) fn list(home: &Path) -> anyhow::Result<Vec<Kept>> {
    let path = home.join(TOKENS_FILE);
    let Some(text) = read(&path).with_context(|| format!("cannot read {}", path.display()))? else {
        return Ok(Vec::new());
    };
    serde_json::from_str(&text).with_context(|| format!("{} is not a list of tokens", path.display()))
}

fn save(home: &Path, tokens: &[Kept]) -> anyhow::Result<()> {
    let path = home.join(TOKENS_FILE);
    let text = serde_json::to_string_pretty(tokens)?;
    write_private(&path, text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a token; it is answered once and kept nowhere.
pub(crate) fn new(
    home: &Path,
    name: Option<String>,
    scopes: Vec<Readable>,
    read_only: bool,
) -> anyhow::Result<(String, Kept)> {
    let _lock = lock(home)?;
    let mut tokens = list(home)?;
    if tokens.len() >= TOKENS_MAX {
        anyhow::bail!("there are {TOKENS_MAX} tokens already: revoke those that nobody uses");
    }
    let token = random()?;
    let digest = hash(&token);
    let kept =
        Kept { id: hex(&digest[..4]), name, scopes, read_only, created_at: Timestamp::now(), sha256: hex(&digest) };
    tokens.push(kept.clone());
    save(home, &tokens)?;
    Ok((token, kept))
}

/// Revokes the token of this id or name; answers it, or nothing where there is none.
pub(crate) fn revoke(home: &Path, which: &str) -> anyhow::Result<Option<Kept>> {
    let _lock = lock(home)?;
    let mut tokens = list(home)?;
    let found = tokens.iter().position(|kept| kept.id == which || kept.name.as_deref() == Some(which));
    let Some(found) = found else { return Ok(None) };
    let revoked = tokens.remove(found);
    save(home, &tokens)?;
    Ok(Some(revoked))
}

/// Knows tokens when it sees them; one that was made or revoked meanwhile too.
pub(crate) struct Doorkeeper {
    home: PathBuf,
    user: Scope,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    stamps: [Option<(SystemTime, u64)>; 2],
    own: Option<[u8; 32]>,
    others: Vec<([u8; 32], Kept)>,
}

impl Doorkeeper {
    pub(crate) fn new(home: &Path, user: Scope) -> Doorkeeper {
        Doorkeeper { home: home.to_owned(), user, known: Mutex::new(Known::default()) }
    }

    /// What a token allows; `None` for one that is not known.
    ///
    /// Hashes are compared, all of them and in constant time, so that the time it takes says nothing of a token.
    pub(crate) fn grant(&self, token: &str) -> Option<Grant> {
        self.grant_of(&hash(token))
    }

    /// What the token of this grant allows by now; `None` once it was revoked. A grant without a token stays as it is.
    pub(crate) fn renewed(&self, grant: &Grant) -> Option<Grant> {
        match &grant.token {
            Some(digest) => self.grant_of(digest),
            None => Some(grant.clone()),
        }
    }

    fn grant_of(&self, given: &[u8; 32]) -> Option<Grant> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut known);
        let mut found = None;
        if let Some(own) = &known.own
            && bool::from(own.ct_eq(given))
        {
            found = Some(Grant::everything("own", self.user.clone()));
        }
        for (digest, kept) in &known.others {
            if bool::from(digest.ct_eq(given)) {
                found = Some(Grant::within(&kept.id, &kept.scopes, kept.read_only, self.user.clone()));
            }
        }
        found.map(|grant| Grant { token: Some(*given), ..grant })
    }

    /// Reads the files again when they changed.
    fn refresh(&self, known: &mut Known) {
        let stamp = |name: &str| {
            let facts = fs::metadata(self.home.join(name)).ok()?;
            Some((facts.modified().ok()?, facts.len()))
        };
        let stamps = [stamp(TOKEN_FILE), stamp(TOKENS_FILE)];
        if stamps == known.stamps && known.own.is_some() {
            return;
        }
        known.own = own_token_if_any(&self.home).map(|token| hash(&token));
        match list(&self.home) {
            Ok(tokens) => {
                let digest = |kept: Kept| Some((unhex(&kept.sha256)?, kept));
                known.others = tokens.into_iter().filter_map(digest).collect();
                known.stamps = stamps;
            }
            Err(error) => {
                // Nobody is let in by a list that cannot be read.
                tracing::error!("{error:#}");
                known.others.clear();
            }
        }
    }
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_until_it_is_revoked_and_is_kept_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let user = Scope::parse("ana").unwrap();
        let own = own_token(home.path()).unwrap();
        assert_eq!(own_token(home.path()).unwrap(), own);
        let door = Doorkeeper::new(home.path(), user);
        assert!(door.grant(&own).unwrap().is_everything());
        let (token, kept) = new(home.path(), Some("ci".into()), vec!["ana/shop".parse().unwrap()], true).unwrap();
        let grant = door.grant(&token).unwrap();
        assert!(!grant.may_write() && !grant.is_everything());
        let text = fs::read_to_string(home.path().join(TOKENS_FILE)).unwrap();
        assert!(!text.contains(&token), "only its hash is kept");
        assert!(door.grant("harness_0000").is_none() && door.grant("").is_none());
        assert_eq!(revoke(home.path(), "ci").unwrap().unwrap().id, kept.id);
        assert!(revoke(home.path(), "ci").unwrap().is_none());
        assert!(door.grant(&token).is_none());
        assert!(door.renewed(&grant).is_none(), "what it opened ends with it");
        assert!(door.renewed(&door.grant(&own).unwrap()).unwrap().is_everything());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_reads_the_files() {
        use std::os::unix::fs::PermissionsExt;
        let home = tempfile::tempdir().unwrap();
        own_token(home.path()).unwrap();
        new(home.path(), None, Vec::new(), false).unwrap();
        for name in [TOKEN_FILE, TOKENS_FILE] {
            let mode = fs::metadata(home.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
