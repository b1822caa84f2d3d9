//! Files and folders from one endpoint to another, over a real server on loopback.

mod folders;
mod hostile;
mod resuming;

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use gimlet::{Connection, Endpoint};
use gimlet_apps::files::{
    self, ALPN, Event, FileReport, Offer, ReceiveError, ReceiveOptions, Reporter, SendError,
    Summary,
};
use tempfile::TempDir;

use crate::support::{in_time, peer, server};

/// Two endpoints, and a folder for each.
struct Pair {
    alice: Endpoint,
    bob: Endpoint,
    home: TempDir,
}

impl Pair {
    async fn new() -> Self {
        let server = server();
        let alice = peer(&server, Vec::new()).await;
        let bob = peer(&server, vec![ALPN.to_vec()]).await;
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("from")).unwrap();
        Self { alice, bob, home }
    }

    /// Where Alice has what she sends.
    fn from(&self, name: &str) -> PathBuf {
        self.home.path().join("from").join(name)
    }

    /// Where Bob gets it.
    fn to(&self, name: &str) -> PathBuf {
        self.home.path().join("to").join(name)
    }

    fn options(&self) -> ReceiveOptions {
        ReceiveOptions::into_folder(self.to(""))
    }

    /// A connection that Alice dials.
    async fn connect(&self) -> (Connection, Connection) {
        let dial = self.alice.connect(self.bob.peer_id(), ALPN);
        let (to_bob, to_alice) = tokio::join!(dial, self.bob.accept());
        (to_bob.unwrap(), to_alice.unwrap())
    }

    /// Alice sends these; what each side says of it, and what Bob heard.
    async fn send(&self, names: &[&str]) -> (Result<Summary, SendError>, Received) {
        self.send_with(names, self.options()).await
    }

    async fn send_with(
        &self,
        names: &[&str],
        options: ReceiveOptions,
    ) -> (Result<Summary, SendError>, Received) {
        let paths = names.iter().map(|name| self.from(name)).collect();
        let offer = Offer::of(paths).await.unwrap();
        let (to_bob, to_alice) = self.connect().await;
        let silent = Reporter::silent();
        let sending = offer.serve(&to_bob, &silent);
        let (sent, received) = tokio::join!(sending, received(&to_alice, &options));
        (sent, received)
    }
}

/// What came of receiving, and what was told of it.
struct Received {
    done: Result<Summary, ReceiveError>,
    events: Vec<Event>,
}

impl Received {
    fn files(&self) -> Vec<&FileReport> {
        let files = self.events.iter().filter_map(|event| match event {
            Event::Finished(file) => Some(file),
            _ => None,
        });
        files.collect()
    }
}

async fn received(connection: &Connection, options: &ReceiveOptions) -> Received {
    let (reporter, mut reports) = Reporter::new();
    let done = files::receive(connection, options, &reporter).await;
    drop(reporter);
    let mut events = Vec::new();
    while let Some(event) = reports.next().await {
        events.push(event);
    }
    Received { done, events }
}

/// Bytes without a pattern that a lost chunk could hide in.
fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_be_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Everything below a folder: path, kind and content, mode, time.
fn tree(root: &Path) -> Vec<(PathBuf, String, u32, i64)> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let what = if metadata.is_symlink() {
                format!("-> {}", path.read_link().unwrap().display())
            } else if metadata.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else {
                blake3::hash(&fs::read(&path).unwrap()).to_string()
            };
            let within = path.strip_prefix(root).unwrap().to_owned();
            // A link's own mode and time mean nothing.
            let (mode, modified) = match metadata.is_symlink() {
                true => (0, 0),
                false => (
                    metadata.mode() & 0o777,
                    metadata.mtime_nsec() + metadata.mtime(),
                ),
            };
            all.push((within, what, mode, modified));
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_file_arrives_with_the_hash_that_b3sum_prints() {
    in_time(async {
        let pair = Pair::new().await;
        for (name, size) in [
            ("empty", 0),
            ("small", 5),
            ("chunk", 1 << 20),
            ("large", 5_300_001),
        ] {
            let content = bytes(size, 1);
            fs::write(pair.from(name), &content).unwrap();
            let (sent, received) = pair.send(&[name]).await;
            let sent = sent.unwrap();
            assert_eq!(sent, received.done.as_ref().copied().unwrap());
            assert_eq!((sent.files, sent.bytes, sent.resumed), (1, size as u64, 0));
            let [file] = received.files()[..] else {
                panic!("not one file: {:?}", received.events);
            };
            assert_eq!((&file.name[..], file.bytes), (name, size as u64));
            assert_eq!(file.hash_text(), blake3::hash(&content).to_string());
            assert!(fs::read(pair.to(name)).unwrap() == content);
        }
        // Nothing else is left behind.
        assert_eq!(fs::read_dir(pair.to("")).unwrap().count(), 4);
    })
    .await;
}

#[tokio::test]
async fn the_receiver_may_be_the_one_who_dials() {
    in_time(async {
        let pair = Pair::new().await;
        fs::write(pair.from("file"), bytes(3_000_000, 2)).unwrap();
        let offer = Offer::of(vec![pair.from("file")]).await.unwrap();
        let (to_bob, to_alice) = pair.connect().await;
        let silent = Reporter::silent();
        let options = pair.options();
        let receiving = files::receive(&to_bob, &options, &silent);
        let (received, sent) = tokio::join!(receiving, offer.serve(&to_alice, &silent));
        assert_eq!(received.unwrap(), sent.unwrap());
        assert!(fs::read(pair.to("file")).unwrap() == bytes(3_000_000, 2));
    })
    .await;
}

#[tokio::test]
async fn several_receivers_are_served_at_once() {
    in_time(async {
        let pair = Pair::new().await;
        fs::write(pair.from("file"), bytes(4_000_000, 3)).unwrap();
        let offer = Offer::of(vec![pair.from("file")]).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..4 {
            let (to_bob, to_alice) = pair.connect().await;
            let offer = offer.clone();
            tasks.spawn(async move {
                offer.serve(&to_bob, &Reporter::silent()).await.unwrap();
            });
            let options = ReceiveOptions::into_folder(pair.to(&n.to_string()));
            tasks.spawn(async move {
                received(&to_alice, &options).await.done.unwrap();
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        for n in 0..4 {
            let copy = fs::read(pair.to(&n.to_string()).join("file")).unwrap();
            assert!(copy == bytes(4_000_000, 3), "{n}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_there_is_not_overwritten_unless_asked() {
    in_time(async {
        let pair = Pair::new().await;
        fs::create_dir(pair.to("")).unwrap();
        fs::write(pair.from("file"), b"new content").unwrap();
        fs::write(pair.from("other"), b"other").unwrap();
        fs::write(pair.to("file"), b"old").unwrap();
        let (sent, received) = pair.send(&["other", "file"]).await;
        assert!(
            matches!(&received.done, Err(ReceiveError::Exists { path }) if *path == pair.to("file")),
            "{:?}",
            received.done
        );
        assert!(
            matches!(&sent, Err(SendError::Refused { code, .. }) if *code == u64::from(files::EXISTS)),
            "{sent:?}"
        );
        assert_eq!(fs::read(pair.to("file")).unwrap(), b"old");
        // Nothing of it has begun.
        assert_eq!(fs::read_dir(pair.to("")).unwrap().count(), 1);
        let options = pair.options().overwrite(true);
        let (sent, received) = pair.send_with(&["other", "file"], options).await;
        assert_eq!(sent.unwrap(), received.done.unwrap());
        assert_eq!(fs::read(pair.to("file")).unwrap(), b"new content");
    })
    .await;
}

#[tokio::test]
async fn what_is_there_and_the_same_is_not_sent_again() {
    in_time(async {
        let pair = Pair::new().await;
        fs::write(pair.from("file"), bytes(3_000_000, 4)).unwrap();
        let (sent, _) = pair.send(&["file"]).await;
        assert_eq!(sent.unwrap().resumed, 0);
        let (sent, received) = pair.send(&["file"]).await;
        assert_eq!(sent.unwrap().resumed, 3_000_000);
        assert_eq!(received.files()[0].resumed, 3_000_000);
        // Of the same size and time, but another: its hash tells.
        let times = fs::metadata(pair.from("file")).unwrap().modified().unwrap();
        fs::write(pair.from("file"), bytes(3_000_000, 5)).unwrap();
        let file = fs::File::options()
            .write(true)
            .open(pair.from("file"))
            .unwrap();
        file.set_modified(times).unwrap();
        let (_, received) = pair.send(&["file"]).await;
        assert!(matches!(received.done, Err(ReceiveError::Exists { .. })));
        assert!(fs::read(pair.to("file")).unwrap() == bytes(3_000_000, 4));
        let options = pair.options().overwrite(true);
        let (_, received) = pair.send_with(&["file"], options).await;
        received.done.unwrap();
        assert!(fs::read(pair.to("file")).unwrap() == bytes(3_000_000, 5));
        assert_eq!(fs::read_dir(pair.to("")).unwrap().count(), 1);
    })
    .await;
}

#[tokio::test]
async fn two_senders_or_two_receivers_tell_each_other() {
    in_time(async {
        let pair = Pair::new().await;
        fs::write(pair.from("file"), b"1").unwrap();
        let offer = Offer::of(vec![pair.from("file")]).await.unwrap();
        let (silent, options) = (Reporter::silent(), pair.options());
        let (to_bob, to_alice) = pair.connect().await;
        let both = tokio::join!(
            offer.serve(&to_bob, &silent),
            offer.serve(&to_alice, &silent)
        );
        assert!(
            matches!(both.0, Err(SendError::Refused { .. })),
            "{:?}",
            both.0
        );
        assert!(matches!(both.1, Err(SendError::BothSend)), "{:?}", both.1);
        let (to_bob, to_alice) = pair.connect().await;
        let both = tokio::join!(
            files::receive(&to_bob, &options, &silent),
            files::receive(&to_alice, &options, &silent)
        );
        assert!(
            matches!(both.0, Err(ReceiveError::Refused { .. })),
            "{:?}",
            both.0
        );
        assert!(
            matches!(both.1, Err(ReceiveError::BothReceive)),
            "{:?}",
            both.1
        );
    })
    .await;
}
