//! What the process that holds the model does for others, over a local socket in the home: a question's vector, or all of
//! an errand, where its program [takes errands](crate::Engine::take_errands). It also makes way for who needs the indexes
//! to itself.
//!
//! ```text
//! request    length (u32, little endian), JSON {"v": 1, "question": "…"}, {"v": 1, "errand": …} or {"v": 1, "leave": {}}
//! answer     length (u32, little endian), JSON {"embedder", "understood", "proven", "languages", "vector"},
//!            {"code", "reason"} or {"done": …}
//! ```
//!
//! One request a connection. The socket is its owner's alone (0600, in a folder that is); what is not of the expected
//! form is closed without an answer. A home whose path is too long for a socket's address has it in a folder of its
//! own under `/tmp`, which must belong to the same user and to nobody else.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::meaning::{Absent, Question};

/// The version of the frames. Another one is refused: who asks then answers from text.
const VERSION: u32 = 1;

/// The longest request: the longest question, each byte escaped.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// The longest answer: a vector of eight thousand numbers in decimal digits.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Questions that are answered at once. A model computes them one after the other on as many cores as there are; more
/// of them would all be late.
const CONNECTIONS_MAX: usize = 16;

/// How long one who connected may take to say what it wants, and to take the answer.
const EXCHANGE_MAX: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct Request {
    v: u32,
    #[serde(flatten)]
    wish: Wish,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Wish {
    Question(String),
    Errand(Value),
    Leave {},
}

/// What became of an errand.
#[derive(Clone, Debug, PartialEq)]
pub enum Sent {
    /// It was done, and this came of it.
    Done(Value),
    /// Somebody follows the home and does not take it, or was not done in time.
    NotDone,
    /// Nobody follows the home whom this process can ask.
    Nobody,
}

/// What a holder does for others.
#[cfg_attr(not(unix), expect(dead_code, reason = "nobody asks where there are no such sockets"))]
pub(crate) struct Skills<'a> {
    pub(crate) embed: &'a (dyn Fn(&str) -> Result<Question, Absent> + Sync),
    /// What came of an errand; `None` where it is not taken.
    pub(crate) errand: &'a (dyn Fn(Value) -> Option<Value> + Sync),
    /// Gives the follower's lock back soon, whatever there is to stay for.
    pub(crate) leave: &'a (dyn Fn() + Sync),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Reply {
    Embedded {
        embedder: String,
        understood: f32,
        // Not said by versions before this one.
        #[serde(default)]
        proven: f32,
        languages: String,
        vector: Vec<f32>,
    },
    Absent {
        code: String,
        reason: String,
    },
    Done {
        done: Value,
    },
}

impl From<Result<Question, Absent>> for Reply {
    fn from(embedded: Result<Question, Absent>) -> Reply {
        match embedded {
            Ok(Question { embedder, understood, proven, languages, vector }) => {
                Reply::Embedded { embedder, understood, proven, languages, vector }
            }
            Err(absent) => {
                let reason = match &absent {
                    Absent::Broken(reason) => reason.clone(),
                    _ => String::new(),
                };
                Reply::Absent { code: absent.said().0.to_owned(), reason }
            }
        }
    }
}

impl From<Reply> for Result<Question, Absent> {
    fn from(reply: Reply) -> Result<Question, Absent> {
        match reply {
            Reply::Embedded { embedder, understood, proven, languages, vector } => {
                if vector.is_empty() || vector.iter().any(|x| !x.is_finite()) {
                    return Err(Absent::Broken("the process that holds the model gave no vector".to_owned()));
                }
                let (understood, proven) = (understood.clamp(0.0, 1.0), proven.clamp(0.0, 1.0));
                Ok(Question { embedder, understood, proven, languages, vector })
            }
            Reply::Absent { code, reason } if code == "model-failed" => Err(Absent::Broken(reason)),
            Reply::Absent { code, .. } if code == "no-model" => Err(Absent::NoModel),
            Reply::Absent { .. } | Reply::Done { .. } => Err(Absent::NoHolder),
        }
    }
}

#[cfg(unix)]
pub(crate) use unix::{Holder, ask, ask_to_leave, send};

#[cfg(not(unix))]
pub(crate) use elsewhere::{Holder, ask, ask_to_leave, send};

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io::{self, Read, Write};
    use std::net::Shutdown::Both;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    /// The socket's name within a home.
    const SOCKET: &str = "embed.sock";

    /// The longest path that every system takes for a socket's address (macOS: 104 with the byte that ends it).
    const PATH_BYTES_MAX: usize = 100;

    /// Where the socket of this home is.
    fn place(home: &Path) -> io::Result<PathBuf> {
        let path = home.join(SOCKET);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(path);
        }
        // The home may be reached by several paths; its folder is one.
        let home = fs::metadata(home)?;
        let folder = format!("/tmp/harness-{}-{:x}-{:x}", home.uid(), home.dev(), home.ino());
        Ok(PathBuf::from(folder).join(SOCKET))
    }

    /// Makes the folder of a socket that is not in its home, and checks that it is ours alone.
    fn prepare(home: &Path, socket: &Path) -> io::Result<()> {
        let Some(folder) = socket.parent().filter(|folder| *folder != home) else { return Ok(()) };
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => check(home, folder),
        }
    }

    /// Whether a folder belongs to the owner of the home, and to nobody else.
    fn check(home: &Path, folder: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(folder)?;
        if found.is_dir() && found.uid() == fs::metadata(home)?.uid() && found.mode() & 0o077 == 0 {
            return Ok(());
        }
        Err(io::Error::other(format!("{} is not this user's own folder", folder.display())))
    }

    /// Answers questions of other processes until it is [closed](Holder::close).
    pub(crate) struct Holder {
        path: PathBuf,
        /// The device and the number of the socket's file.
        own: (u64, u64),
        listener: UnixListener,
        closed: AtomicBool,
        connections: AtomicUsize,
    }

    impl Holder {
        /// Opens the socket of a home, in place of one that somebody left. For the holder of the follower's lock.
        pub(crate) fn open(home: &Path) -> io::Result<Holder> {
            let path = place(home)?;
            prepare(home, &path)?;
            // Bound under another name, so that nobody connects before it is the owner's alone.
            let private = path.with_extension("new");
            let _ = fs::remove_file(&private);
            let listener = UnixListener::bind(&private)?;
            fs::set_permissions(&private, fs::Permissions::from_mode(0o600))?;
            fs::rename(&private, &path)?;
            let facts = fs::metadata(&path)?;
            let own = (facts.dev(), facts.ino());
            Ok(Holder { path, own, listener, closed: AtomicBool::new(false), connections: AtomicUsize::new(0) })
        }

        /// Answers others. Returns when it was closed.
        pub(crate) fn serve(&self, skills: &Skills) {
            std::thread::scope(|scope| {
                for stream in self.listener.incoming() {
                    if self.closed.load(Ordering::Acquire) {
                        break;
                    }
                    let Ok(stream) = stream else {
                        // Out of file descriptors, perhaps: that passes.
                        std::thread::sleep(Duration::from_millis(50));
                        continue;
                    };
                    if self.connections.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
                        self.connections.fetch_sub(1, Ordering::AcqRel);
                        tracing::debug!(CONNECTIONS_MAX, "a question is turned away: too many at once");
                        continue;
                    }
                    scope.spawn(move || {
                        if let Err(error) = exchange(stream, skills) {
                            tracing::debug!(%error, "a question over the socket was not answered");
                        }
                        self.connections.fetch_sub(1, Ordering::AcqRel);
                    });
                }
            });
        }

        /// Takes the socket away and ends [`serve`](Holder::serve).
        pub(crate) fn close(&self) {
            self.closed.store(true, Ordering::Release);
            // Ends the wait for a connection even where the socket's file is gone, with the home perhaps.
            let ended = self.listener.try_clone().and_then(|own| UnixStream::from(OwnedFd::from(own)).shutdown(Both));
            if ended.is_err() {
                // Not every system does that: whoever waits for a connection gets one.
                let _ = UnixStream::connect(&self.path);
            }
            // Another's may be in its place.
            if fs::metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.own) {
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    fn exchange(mut stream: UnixStream, skills: &Skills) -> io::Result<()> {
        let begin = Instant::now();
        let request: Request = read(&mut stream, REQUEST_BYTES_MAX, begin + EXCHANGE_MAX)?;
        if request.v != VERSION {
            return Err(io::Error::other(format!("a question of version {}", request.v)));
        }
        let reply = match request.wish {
            Wish::Question(question) => (skills.embed)(&question).into(),
            Wish::Errand(errand) => match (skills.errand)(errand) {
                Some(done) => Reply::Done { done },
                None => return Err(io::Error::other("the errand is not taken")),
            },
            Wish::Leave {} => {
                (skills.leave)();
                Reply::Done { done: Value::Null }
            }
        };
        write(&mut stream, &reply, Instant::now() + EXCHANGE_MAX)
    }

    /// Asks the process that holds the model for a question's vector, for at most this time.
    pub(crate) fn ask(home: &Path, question: &str, patience: Duration) -> Result<Question, Absent> {
        let Some(asked) = request(home, Wish::Question(question.to_owned()), patience) else {
            return Err(Absent::NoHolder);
        };
        match asked {
            Ok(reply) => reply.into(),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Err(Absent::Late)
            }
            Err(error) => {
                tracing::debug!(%error, "the process that holds the model did not answer");
                Err(Absent::NoHolder)
            }
        }
    }

    /// Sends the process that holds the model on an errand, for at most this time.
    pub(crate) fn send(home: &Path, errand: Value, patience: Duration) -> Sent {
        match request(home, Wish::Errand(errand), patience) {
            None => Sent::Nobody,
            Some(Ok(Reply::Done { done })) => Sent::Done(done),
            Some(Ok(_)) => Sent::NotDone,
            Some(Err(error)) => {
                tracing::debug!(%error, "an errand was not done");
                Sent::NotDone
            }
        }
    }

    /// Asks whoever follows to give the follower's lock back. It is not waited for, nor told whether anybody heard it:
    /// the lock says.
    pub(crate) fn ask_to_leave(home: &Path, patience: Duration) {
        if let Some(Err(error)) = request(home, Wish::Leave {}, patience) {
            tracing::debug!(%error, "the process that follows was not asked to leave");
        }
    }

    /// One request and its reply; `None` where nobody listens who can be trusted.
    fn request(home: &Path, wish: Wish, patience: Duration) -> Option<io::Result<Reply>> {
        let until = Instant::now() + patience;
        let path = place(home).ok()?;
        let trusted = |folder: &Path| folder == home || check(home, folder).is_ok();
        if !path.parent().is_some_and(trusted)
            || !fs::symlink_metadata(&path).is_ok_and(|it| it.file_type().is_socket())
        {
            return None;
        }
        let mut stream = UnixStream::connect(&path).ok()?;
        let request = Request { v: VERSION, wish };
        Some(write(&mut stream, &request, until).and_then(|()| read(&mut stream, ANSWER_BYTES_MAX, until)))
    }

    fn write(stream: &mut UnixStream, message: &impl Serialize, until: Instant) -> io::Result<()> {
        let json = serde_json::to_vec(message).map_err(io::Error::other)?;
        stream.set_write_timeout(Some(left(until)?))?;
        let mut frame = (json.len() as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&json);
        stream.write_all(&frame)
    }

    fn read<T: serde::de::DeserializeOwned>(stream: &mut UnixStream, most: usize, until: Instant) -> io::Result<T> {
        let mut length = [0; 4];
        fill(stream, &mut length, until)?;
        let length = u32::from_le_bytes(length) as usize;
        if length > most {
            return Err(io::Error::other(format!("a frame of {length} bytes, at most {most} are taken")));
        }
        let mut json = vec![0; length];
        fill(stream, &mut json, until)?;
        serde_json::from_slice(&json).map_err(io::Error::other)
    }

    /// Reads until the buffer is full. A timeout of the stream counts each read anew, so that who sends a byte at a
    /// time would keep one waiting for ever.
    fn fill(stream: &mut UnixStream, mut buffer: &mut [u8], until: Instant) -> io::Result<()> {
        while !buffer.is_empty() {
            stream.set_read_timeout(Some(left(until)?))?;
            match stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => buffer = &mut buffer[read..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn left(until: Instant) -> io::Result<Duration> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn question(text: &str) -> Result<Question, Absent> {
            match text {
                "broken" => Err(Absent::Broken("a damaged file".to_owned())),
                "slow" => {
                    std::thread::sleep(Duration::from_millis(400));
                    Err(Absent::NoModel)
                }
                text => Ok(Question {
                    embedder: "test 3".to_owned(),
                    understood: 0.5,
                    proven: 1.0,
                    languages: "en".to_owned(),
                    vector: vec![text.len() as f32, 0.1, -1.0 / 3.0],
                }),
            }
        }

        fn served(home: &Path, test: impl FnOnce()) {
            let opened = Holder::open(home).unwrap();
            let holder = &opened;
            std::thread::scope(|scope| {
                let errand = |errand: Value| errand.as_str().map(|text| Value::from(format!("{text}, done")));
                scope.spawn(move || holder.serve(&Skills { embed: &question, errand: &errand, leave: &|| {} }));
                test();
                holder.close();
            });
        }

        #[test]
        fn a_vector_comes_over_as_it_is_and_so_does_what_went_wrong() {
            let home = tempfile::tempdir().unwrap();
            let ask = |text: &str| ask(home.path(), text, Duration::from_secs(20));
            assert_eq!(ask("nobody is there"), Err(Absent::NoHolder));
            served(home.path(), || {
                let long = "磁".repeat(2_700);
                for text in ["why", "\"\n\u{0}", &long] {
                    assert_eq!(ask(text), question(text));
                }
                assert_eq!(ask("broken"), question("broken"));
            });
            assert_eq!(ask("it has left"), Err(Absent::NoHolder));
            assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
        }

        #[test]
        fn it_ends_when_the_socket_was_removed() {
            let home = tempfile::tempdir().unwrap();
            served(home.path(), || fs::remove_dir_all(home.path()).unwrap());
        }

        #[test]
        fn errands_are_done_where_they_are_taken() {
            let home = tempfile::tempdir().unwrap();
            let send = |errand: Value| send(home.path(), errand, Duration::from_secs(20));
            assert_eq!(send("sweep".into()), Sent::Nobody);
            served(home.path(), || {
                assert_eq!(send("sweep".into()), Sent::Done("sweep, done".into()));
                assert_eq!(send(7.into()), Sent::NotDone);
            });
        }

        #[test]
        fn who_is_late_is_not_waited_for_and_what_somebody_left_is_replaced() {
            let home = tempfile::tempdir().unwrap();
            let left = UnixListener::bind(home.path().join(SOCKET)).unwrap();
            drop(left);
            assert_eq!(ask(home.path(), "why", Duration::from_secs(20)), Err(Absent::NoHolder));
            served(home.path(), || {
                let begin = Instant::now();
                assert_eq!(ask(home.path(), "slow", Duration::from_millis(60)), Err(Absent::Late));
                assert!(begin.elapsed() < Duration::from_millis(350));
            });
        }

        #[test]
        fn what_is_no_question_is_closed_and_harms_nobody() {
            let home = tempfile::tempdir().unwrap();
            served(home.path(), || {
                for bytes in [&b"\xff\xff\xff\xff"[..], b"\x02\0\0\0{]", b"\x13\0\0\0{\"v\":9,\"question\":\"\"}", b""]
                {
                    let mut stream = UnixStream::connect(home.path().join(SOCKET)).unwrap();
                    stream.write_all(bytes).unwrap();
                    stream.shutdown(std::net::Shutdown::Write).unwrap();
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer);
                    assert!(answer.is_empty(), "{bytes:?}");
                }
                assert!(ask(home.path(), "why", Duration::from_secs(20)).is_ok());
            });
        }

        #[test]
        fn the_socket_is_its_owners_alone_and_a_long_path_has_it_elsewhere() {
            let folder = tempfile::tempdir().unwrap();
            let deep = folder.path().join("d".repeat(120));
            fs::create_dir(&deep).unwrap();
            for home in [folder.path(), &deep] {
                served(home, || {
                    let path = place(home).unwrap();
                    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
                    assert!(ask(home, "why", Duration::from_secs(20)).is_ok());
                });
            }
            let elsewhere = place(&deep).unwrap();
            let elsewhere = elsewhere.parent().unwrap();
            assert!(elsewhere.starts_with("/tmp") && elsewhere != deep);
            // A folder that others may write to is not trusted.
            fs::set_permissions(elsewhere, fs::Permissions::from_mode(0o777)).unwrap();
            assert!(Holder::open(&deep).is_err());
            fs::remove_dir_all(elsewhere).unwrap();
        }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use super::*;

    /// There is no socket here: each process answers from text, or loads the model itself.
    pub(crate) struct Holder;

    impl Holder {
        pub(crate) fn open(_home: &Path) -> std::io::Result<Holder> {
            Err(std::io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn serve(&self, _skills: &Skills) {}

        pub(crate) fn close(&self) {}
    }

    pub(crate) fn ask(_home: &Path, _question: &str, _patience: Duration) -> Result<Question, Absent> {
        Err(Absent::NoHolder)
    }

    pub(crate) fn send(_home: &Path, _errand: Value, _patience: Duration) -> Sent {
        Sent::Nobody
    }

    pub(crate) fn ask_to_leave(_home: &Path, _patience: Duration) {}
}
