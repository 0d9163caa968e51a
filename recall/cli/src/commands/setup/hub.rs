//! Fetching a model's files from the model hub: one listing, then each file with its length and SHA-256.
//!
//! A file that was fetched in part is gone on with, in this run or a later one: parts lie beside the whole files
//! and carry in their name what they are parts of.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness_index::embed::source;
use reqwest::header::{AUTHORIZATION, CONTENT_RANGE, RANGE};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Where models are when the environment names no other place.
const ENDPOINT: &str = "https://huggingface.co";

/// How long a connection may take: a hub that is there answers within a second, and one that is not must not hold
/// up a command that has another place to look at.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// How long a connection may be silent.
const READ_PATIENCE: Duration = Duration::from_secs(30);

/// How often in a row a file is gone on with without a byte having come.
const ATTEMPTS_MAX: u32 = 4;

/// The largest listing that is read: a model's has a few dozen files.
const LISTING_BYTES_MAX: usize = 4 << 20;

/// The largest file that is fetched: far above the models that an encoder on a processor runs.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// The files of a model that are of use here.
const FILES: [&str; 8] = [
    source::CONFIG,
    source::TOKENIZER,
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "1_Pooling/config.json",
    source::WEIGHTS,
];

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody answers there: another place may have it.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// It answers too slowly for a command that is to be quick.
    #[error("{0} did not send the model within {1} s; `harness setup` goes on where this ended")]
    Slow(String, u64),
    /// It answers, and has no such model, or not for us.
    #[error("{0}")]
    NotThere(String),
    /// What came is not what was promised.
    #[error("{0}")]
    Wrong(String),
    /// This machine's fault.
    #[error("cannot write {0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// The person stopped it. What is there is gone on with next time.
    #[error("stopped; the next `harness setup` goes on where this one ended")]
    Interrupted,
}

/// A model hub.
pub(super) struct Hub {
    endpoint: String,
    token: Option<String>,
    client: Client,
}

/// What a model consists of, at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) repository: String,
    /// The commit that the files are fetched at, so that they belong together.
    pub(super) commit: String,
    pub(super) licence: Option<String>,
    pub(super) files: Vec<Remote>,
}

/// A file on the hub.
#[derive(Debug)]
pub(super) struct Remote {
    name: String,
    /// Its name here.
    local: &'static str,
    bytes: u64,
    /// In hex; the hub states it for large files.
    sha256: Option<String>,
}

impl Listing {
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// The hub's answer about a model.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
    #[serde(rename = "cardData", default)]
    card: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Sibling {
    #[serde(rename = "rfilename")]
    name: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Hub {
    /// The hub that the environment names: `HF_ENDPOINT`, `HF_TOKEN`; `None` when `HF_HUB_OFFLINE` forbids it.
    pub(super) fn of_environment() -> Result<Option<Hub>, Failure> {
        let said = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        if said("HF_HUB_OFFLINE").is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "no")) {
            return Ok(None);
        }
        let endpoint = said("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
        Hub::new(endpoint.trim_end_matches('/'), said("HF_TOKEN")).map(Some)
    }

    fn new(endpoint: &str, token: Option<String>) -> Result<Hub, Failure> {
        let builder = Client::builder().connect_timeout(CONNECT_PATIENCE).read_timeout(READ_PATIENCE);
        let client = builder.user_agent(concat!("harness/", env!("CARGO_PKG_VERSION"))).build();
        let client = client.map_err(|error| Failure::Unreachable(endpoint.to_owned(), reason(&error)))?;
        Ok(Hub { endpoint: endpoint.to_owned(), token, client })
    }

    /// Where it is.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    async fn get(&self, url: &str, from: u64) -> Result<Response, Failure> {
        let mut request = self.client.get(url);
        if let Some(token) = &self.token {
            // Dropped by the client where a redirect leads to another host.
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| Failure::Unreachable(self.endpoint.clone(), reason(&error)))?;
        match answer.status() {
            status if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE => Ok(answer),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let what = format!("{url} is not for everybody: set HF_TOKEN to a token that may read it");
                Err(Failure::NotThere(what))
            }
            StatusCode::NOT_FOUND => Err(Failure::NotThere(format!("there is no {url}"))),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::Unreachable(self.endpoint.clone(), format!("it answers {status}")))
            }
            status => Err(Failure::NotThere(format!("{url} answers {status}"))),
        }
    }

    /// Asks what a model consists of.
    ///
    /// With `int8`, the graph with int8 weights that suits this processor is a part of it, where there is one.
    pub(super) async fn listing(&self, repository: &str, int8: bool) -> Result<Listing, Failure> {
        let url = format!("{}/api/models/{repository}/revision/main?blobs=true", self.endpoint);
        let mut answer = self.get(&url, 0).await?;
        let mut body = Vec::new();
        let lost = |error: &reqwest::Error| Failure::Unreachable(self.endpoint.clone(), reason(error));
        while let Some(part) = answer.chunk().await.map_err(|error| lost(&error))? {
            body.extend_from_slice(&part);
            if body.len() > LISTING_BYTES_MAX {
                return Err(Failure::Wrong(format!("{url} answers more than {LISTING_BYTES_MAX} bytes")));
            }
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|error| Failure::Wrong(format!("{url} does not answer as a model hub does: {error}")))?;
        if answer.sha.is_empty() || !answer.sha.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(Failure::Wrong(format!("{url} names no commit")));
        }
        let mut files = Vec::new();
        let int8 =
            int8_names().iter().copied().filter(|_| int8).find(|name| answer.siblings.iter().any(|s| s.name == *name));
        let wanted = FILES.into_iter().map(|name| (name, name)).chain(int8.map(|name| (name, source::QUANTIZED)));
        for (name, local) in wanted {
            let Some(file) = answer.siblings.iter().find(|sibling| sibling.name == name) else { continue };
            let sha256 = file.lfs.as_ref().and_then(|lfs| lfs.sha256.clone());
            let bytes = file.lfs.as_ref().and_then(|lfs| lfs.size).or(file.size).unwrap_or(0);
            if bytes > FILE_BYTES_MAX {
                return Err(Failure::Wrong(format!(
                    "{name} of {repository} has {bytes} bytes, which is no small model"
                )));
            }
            files.push(Remote { name: name.to_owned(), local, bytes, sha256 });
        }
        for needed in [source::CONFIG, source::TOKENIZER, source::WEIGHTS] {
            if !files.iter().any(|file| file.name == needed) {
                let what = format!("{repository} has no {needed}: it is not a model that runs here");
                return Err(Failure::NotThere(what));
            }
        }
        let licence = answer.card.as_ref().and_then(|card| card["license"].as_str()).map(str::to_owned);
        Ok(Listing { repository: repository.to_owned(), commit: answer.sha, licence, files })
    }

    /// Fetches all files of a listing into `folder`, those that are pinned with these sums (name → SHA-256).
    ///
    /// Whole files of an earlier run are kept when they are right. `progress` is called with bytes that are there
    /// and bytes in all, and says whether to go on.
    pub(super) async fn fetch(
        &self,
        listing: &Listing,
        folder: &Path,
        pinned: &[(&str, &str)],
        progress: &mut dyn FnMut(u64, u64) -> bool,
    ) -> Result<(), Failure> {
        let (mut before, all) = (0, listing.bytes());
        for file in &listing.files {
            let pin = pinned.iter().find(|(name, _)| *name == file.name).map(|(_, sum)| *sum);
            let expected = pin.or(file.sha256.as_deref());
            let whole = folder.join(file.local);
            if !is_right(&whole, file.bytes, expected) {
                let mut step = |bytes: u64| progress(before + bytes, all);
                self.fetch_file(listing, file, expected, &whole, &mut step).await?;
            }
            before += file.bytes;
            if !progress(before, all) {
                return Err(Failure::Interrupted);
            }
        }
        Ok(())
    }

    async fn fetch_file(
        &self,
        listing: &Listing,
        file: &Remote,
        expected: Option<&str>,
        whole: &Path,
        step: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), Failure> {
        let url = format!("{}/{}/resolve/{}/{}", self.endpoint, listing.repository, listing.commit, file.name);
        let tag: String = expected.unwrap_or(&listing.commit).chars().take(16).collect();
        let part = PathBuf::from(format!("{}.{tag}.part", whole.display()));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |error| Failure::Io(path, error)
        };
        if let Some(parent) = whole.parent() {
            fs::create_dir_all(parent).map_err(io(parent))?;
        }
        let mut failed = 0;
        loop {
            let before = fs::metadata(&part).map_or(0, |found| found.len());
            match self.fetch_part(&url, &part, file.bytes, step).await {
                Ok(()) => break,
                Err(Failure::Unreachable(place, reason)) => {
                    let after = fs::metadata(&part).map_or(0, |found| found.len());
                    failed = if after > before { 1 } else { failed + 1 };
                    if failed >= ATTEMPTS_MAX {
                        return Err(Failure::Unreachable(place, reason));
                    }
                    tracing::info!("{url}: {reason}; going on at byte {after}");
                    tokio::time::sleep(Duration::from_millis(250 << failed)).await;
                    if !step(after) {
                        return Err(Failure::Interrupted);
                    }
                }
                Err(other) => return Err(other),
            }
        }
        if let Some(expected) = expected {
            let found = sha256(&part).map_err(io(&part))?;
            if found != expected {
                // Nothing can be gone on with.
                fs::remove_file(&part).map_err(io(&part))?;
                return Err(Failure::Wrong(format!("{url} has SHA-256 {found}, expected {expected}: it was not used")));
            }
        }
        fs::rename(&part, whole).map_err(io(whole))
    }

    /// Appends to a part until the file is whole.
    async fn fetch_part(
        &self,
        url: &str,
        part: &Path,
        bytes: u64,
        step: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), Failure> {
        let io = |error| Failure::Io(part.to_owned(), error);
        let mut have = fs::metadata(part).map_or(0, |found| found.len());
        if bytes > 0 && have == bytes {
            return Ok(());
        }
        if have > bytes {
            have = 0;
        }
        let mut answer = self.get(url, have).await?;
        // Without a range in the answer it begins at the beginning.
        let starts = |range: &str| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok();
        let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).and_then(starts);
        let goes_on = answer.status() == StatusCode::PARTIAL_CONTENT && range == Some(have);
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE || (range.is_some() && !goes_on) {
            fs::remove_file(part).map_err(io)?;
            return Err(Failure::Unreachable(url.to_owned(), "it does not go on where it was stopped".to_owned()));
        }
        let mut out = OpenOptions::new();
        let mut out = match goes_on {
            true => out.append(true).open(part),
            false => out.write(true).create(true).truncate(true).open(part),
        }
        .map_err(io)?;
        let mut at = if goes_on { have } else { 0 };
        loop {
            let lost = |error: reqwest::Error| Failure::Unreachable(url.to_owned(), reason(&error));
            let Some(block) = answer.chunk().await.map_err(lost)? else { break };
            out.write_all(&block).map_err(io)?;
            at += block.len() as u64;
            if at > bytes {
                return Err(Failure::Wrong(format!("{url} is longer than the {bytes} bytes that were announced")));
            }
            if !step(at) {
                out.sync_all().map_err(io)?;
                return Err(Failure::Interrupted);
            }
        }
        out.sync_all().map_err(io)?;
        match at == bytes {
            true => Ok(()),
            false => Err(Failure::Unreachable(url.to_owned(), format!("it ended after {at} of {bytes} bytes"))),
        }
    }
}

/// What int8 graphs are called in the repositories, those that suit this processor best first.
fn int8_names() -> &'static [&'static str] {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512vnni") {
            &["onnx/model_qint8_avx512_vnni.onnx", "onnx/model_quint8_avx2.onnx", "onnx/model_quantized.onnx"]
        } else {
            &["onnx/model_quint8_avx2.onnx", "onnx/model_quantized.onnx", "onnx/model_qint8_avx512_vnni.onnx"]
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        &["onnx/model_qint8_arm64.onnx", "onnx/model_quantized.onnx"]
    }
}

/// Whether a file of an earlier run can be kept.
fn is_right(path: &Path, bytes: u64, expected: Option<&str>) -> bool {
    let long = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() == bytes);
    long && expected.is_none_or(|expected| sha256(path).is_ok_and(|found| found == expected))
}

/// SHA-256 of a file, in hex.
pub(super) fn sha256(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hash, mut block) = (File::open(path)?, Sha256::new(), vec![0; 1 << 20]);
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
        }
        hash.update(&block[..count]);
    }
}

/// What is at the bottom of an error: the client's own text names the address once more and not the reason.
fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.last().map_or_else(String::new, ToString::to_string)
}
