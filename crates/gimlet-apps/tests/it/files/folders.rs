//! Folders: what is in them, what of it may leave them, and what may not.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::{Pair, bytes, tree};
use crate::support::in_time;
use gimlet_apps::files::{Event, Fault};

/// A folder with a bit of everything.
fn fill(pair: &Pair) {
    let root = pair.from("tree");
    for folder in ["deep/er/and/deeper", "empty", "many"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("deep/er/and/deeper/file"), bytes(77, 1)).unwrap();
    fs::write(root.join("run.sh"), b"#!/bin/sh\n").unwrap();
    fs::write(root.join("large"), bytes(3_500_000, 2)).unwrap();
    fs::write(root.join("deep/larger"), bytes(5_500_000, 3)).unwrap();
    fs::write(root.join("name with\nnewline \u{e9}"), b"x").unwrap();
    fs::write(root.join("read only"), b"x").unwrap();
    for n in 0..300 {
        fs::write(root.join(format!("many/{n}")), bytes(n * 7, n as u64)).unwrap();
    }
    symlink("../run.sh", root.join("deep/link")).unwrap();
    symlink("deep/er", root.join("folder link")).unwrap();
    let mode = |name: &str, mode| {
        let path = root.join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("run.sh", 0o755);
    mode("read only", 0o444);
    mode("large", 0o600);
    mode("empty", 0o700);
    let old = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
    for name in ["run.sh", "large", "empty", "deep/er/and", "deep"] {
        fs::File::open(root.join(name))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }
}

#[tokio::test]
async fn a_folder_arrives_with_modes_times_and_links() {
    in_time(async {
        let pair = Pair::new().await;
        fill(&pair);
        let (sent, received) = pair.send(&["tree"]).await;
        let sent = sent.unwrap();
        assert_eq!(sent, received.done.as_ref().copied().unwrap());
        assert_eq!(sent.files, 306);
        assert_eq!(tree(&pair.to("tree")), tree(&pair.from("tree")));
        assert_eq!(fs::read_dir(pair.to("")).unwrap().count(), 1);
        let installed = Event::Installed {
            name: "tree".to_owned(),
        };
        assert!(received.events.contains(&installed));
        // Again: it is all there.
        let (sent, _) = pair.send(&["tree"]).await;
        let again = sent.unwrap();
        assert_eq!((again.files, again.resumed), (306, again.bytes));
    })
    .await;
}

#[tokio::test]
async fn several_files_and_folders_arrive_together() {
    in_time(async {
        let pair = Pair::new().await;
        fill(&pair);
        fs::write(pair.from("one"), bytes(2_000_000, 8)).unwrap();
        fs::create_dir(pair.from("nothing")).unwrap();
        let (sent, received) = pair.send(&["one", "tree", "nothing"]).await;
        assert_eq!(sent.unwrap(), received.done.unwrap());
        assert_eq!(tree(&pair.to("")), tree(&pair.from("")));
    })
    .await;
}

#[tokio::test]
async fn small_files_do_not_wait_for_a_large_one() {
    in_time(async {
        let pair = Pair::new().await;
        fs::create_dir(pair.from("d")).unwrap();
        fs::write(pair.from("d/a"), bytes(30 << 20, 1)).unwrap();
        fs::write(pair.from("d/b"), bytes(2 << 20, 2)).unwrap();
        fs::write(pair.from("d/c"), b"c").unwrap();
        let (_, received) = pair.send(&["d"]).await;
        let order: Vec<_> = received.files().iter().map(|file| &file.name[..]).collect();
        assert_eq!(order, ["d/c", "d/b", "d/a"]);
    })
    .await;
}

#[tokio::test]
async fn a_file_that_vanishes_or_changes_is_told_and_the_rest_arrives() {
    in_time(async {
        let pair = Pair::new().await;
        for name in ["a", "b", "c"] {
            fs::write(pair.from(name), bytes(2_000_000, 9)).unwrap();
        }
        let offer = gimlet_apps::files::Offer::of(["a", "b", "c"].map(|n| pair.from(n)).into())
            .await
            .unwrap();
        let (to_bob, to_alice) = pair.connect().await;
        let (reporter, mut reports) = gimlet_apps::files::Reporter::new();
        let sending = async {
            let serve = offer.serve(&to_bob, &reporter);
            tokio::pin!(serve);
            tokio::select! {
                biased;
                // The manifest has been made, and nothing was read yet: nobody has asked.
                Some(Event::Offered { .. }) = reports.next() => {
                    fs::remove_file(pair.from("a")).unwrap();
                    fs::write(pair.from("b"), b"shorter").unwrap();
                }
                _ = &mut serve => panic!("over before it began"),
            }
            serve.await
        };
        let options = pair.options();
        let (sent, received) = tokio::join!(sending, super::received(&to_alice, &options));
        let (sent, done) = (sent.unwrap(), received.done.unwrap());
        assert_eq!((sent.files, sent.failed, done.failed), (1, 2, 2));
        for name in ["a", "b"] {
            let failed = Event::Failed {
                name: name.to_owned(),
                why: Fault::Changed,
            };
            assert!(received.events.contains(&failed), "{:?}", received.events);
        }
        assert!(pair.to("c").exists() && !pair.to("a").exists());
        // The next attempt brings what is there then.
        let (_, received) = pair.send(&["b", "c"]).await;
        assert_eq!(received.done.unwrap().files, 2);
        assert_eq!(fs::read(pair.to("b")).unwrap(), b"shorter");
    })
    .await;
}
