//! Transfers that were cut off: what is there is not sent again, and nothing wrong is kept.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use gimlet_apps::files::{self, Event, Offer, Reporter, Restart};

use super::{Pair, Received, bytes, received, tree};
use crate::support::in_time;

const MIB: u64 = 1 << 20;

impl Pair {
    /// Begins to send, and cuts the connection once Bob has so many bytes.
    async fn begin(&self, names: &[&str], until: u64) -> u64 {
        let paths = names.iter().map(|name| self.from(name)).collect();
        let offer = Offer::of(paths).await.unwrap();
        let (to_bob, to_alice) = self.connect().await;
        let (reporter, reports) = Reporter::new();
        let options = self.options();
        let serve = async {
            let silent = Reporter::silent();
            // It is cut off.
            let _ = offer.serve(&to_bob, &silent).await;
        };
        let receive = async {
            let receiving = files::receive(&to_alice, &options, &reporter);
            tokio::pin!(receiving);
            let cut = async {
                while reports.progress().bytes < until {
                    tokio::task::yield_now().await;
                }
                to_bob.close(files::GONE, b"cut off");
            };
            tokio::select! {
                biased;
                () = cut => (),
                _ = &mut receiving => panic!("over before it was cut"),
            }
            let lost = receiving.await.unwrap_err();
            assert!(lost.is_interruption(), "{lost:?}");
        };
        tokio::join!(serve, receive);
        reports.progress().bytes
    }

    /// The staged file of that name.
    fn staged(&self, name: &str) -> PathBuf {
        let stages = fs::read_dir(self.to(".gimlet-partial")).unwrap();
        let [stage] = &stages
            .map(|stage| stage.unwrap().path())
            .collect::<Vec<_>>()[..]
        else {
            panic!("not one stage");
        };
        stage.join("tree").join(name)
    }
}

fn restarted(received: &Received) -> Option<Restart> {
    received.events.iter().find_map(|event| match event {
        Event::Restarted { why, .. } => Some(*why),
        _ => None,
    })
}

#[tokio::test]
async fn a_large_file_goes_on_where_it_was_cut_off() {
    in_time(async {
        let pair = Pair::new().await;
        let content = bytes(40 << 20, 1);
        fs::write(pair.from("file"), &content).unwrap();
        let mut there = 0;
        for until in [5, 17, 30] {
            let arrived = pair.begin(&["file"], until * MIB).await;
            assert!(arrived >= there);
            there = arrived;
        }
        let (sent, received) = pair.send(&["file"]).await;
        let sent = sent.unwrap();
        assert_eq!(sent, received.done.unwrap());
        // What had been verified by the time of the cut was kept.
        assert!(sent.resumed >= there, "{} of {there}", sent.resumed);
        assert!(fs::read(pair.to("file")).unwrap() == content);
        assert!(!pair.to(".gimlet-partial").exists());
    })
    .await;
}

#[tokio::test]
async fn a_folder_goes_on_where_it_was_cut_off() {
    in_time(async {
        let pair = Pair::new().await;
        fs::create_dir_all(pair.from("d/sub")).unwrap();
        for n in 0..200 {
            fs::write(pair.from(&format!("d/sub/{n}")), bytes(20_000, n)).unwrap();
        }
        for n in 0..4 {
            fs::write(pair.from(&format!("d/{n}")), bytes(7_000_000, 1000 + n)).unwrap();
        }
        let there = pair.begin(&["d"], 12 * MIB).await;
        // Nothing half stands in the target folder.
        assert!(!pair.to("d").exists());
        let (sent, received) = pair.send(&["d"]).await;
        let sent = sent.unwrap();
        assert_eq!((sent.files, sent.failed), (204, 0));
        assert!(sent.resumed >= there, "{} of {there}", sent.resumed);
        assert_eq!(restarted(&received), None);
        assert_eq!(tree(&pair.to("d")), tree(&pair.from("d")));
    })
    .await;
}

#[tokio::test]
async fn a_file_that_was_changed_in_between_comes_anew() {
    in_time(async {
        let pair = Pair::new().await;
        fs::write(pair.from("file"), bytes(20 << 20, 1)).unwrap();
        pair.begin(&["file"], 5 * MIB).await;
        let content = bytes(19 << 20, 2);
        fs::write(pair.from("file"), &content).unwrap();
        let (_, received) = pair.send(&["file"]).await;
        assert_eq!(restarted(&received), Some(Restart::Changed));
        assert_eq!(received.done.unwrap().resumed, 0);
        assert!(fs::read(pair.to("file")).unwrap() == content);
    })
    .await;
}

#[tokio::test]
async fn a_change_that_size_and_time_hide_is_told_by_the_hash() {
    in_time(async {
        let pair = Pair::new().await;
        fs::write(pair.from("file"), bytes(20 << 20, 1)).unwrap();
        pair.begin(&["file"], 5 * MIB).await;
        let file = fs::File::options()
            .write(true)
            .open(pair.from("file"))
            .unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        file.write_at(b"other", 12345).unwrap();
        file.set_modified(time).unwrap();
        let content = fs::read(pair.from("file")).unwrap();
        let (sent, received) = pair.send(&["file"]).await;
        assert_eq!(restarted(&received), Some(Restart::Differs));
        assert_eq!(sent.unwrap(), received.done.unwrap());
        assert!(fs::read(pair.to("file")).unwrap() == content);
    })
    .await;
}

#[tokio::test]
async fn what_the_disk_lost_or_somebody_changed_is_sent_again() {
    in_time(async {
        let pair = Pair::new().await;
        let content = bytes(20 << 20, 1);
        fs::write(pair.from("file"), &content).unwrap();
        let there = pair.begin(&["file"], 8 * MIB).await;
        // A byte in the third chunk, as a power failure may leave it.
        let mut staged = fs::File::options();
        let mut staged = staged
            .read(true)
            .write(true)
            .open(pair.staged("file"))
            .unwrap();
        let mut byte = [0];
        staged.seek(SeekFrom::Start(2 * MIB + 7)).unwrap();
        staged.read_exact(&mut byte).unwrap();
        staged.seek(SeekFrom::Start(2 * MIB + 7)).unwrap();
        staged.write_all(&[!byte[0]]).unwrap();
        let (sent, received) = pair.send(&["file"]).await;
        let resumed = sent.unwrap().resumed;
        assert!((there - MIB..).contains(&resumed), "{resumed} of {there}");
        assert!(resumed % MIB == 0 && resumed < 20 * MIB);
        received.done.unwrap();
        assert!(fs::read(pair.to("file")).unwrap() == content);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_hangs_gives_way_to_the_next() {
    in_time(async {
        let pair = Pair::new().await;
        let content = bytes(6 << 20, 1);
        fs::write(pair.from("file"), &content).unwrap();
        // The first sender says no word after its greeting, and is given up.
        let (to_bob, to_alice) = pair.connect().await;
        let options = pair.options();
        {
            let first = received(&to_alice, &options);
            tokio::pin!(first);
            let greet = async {
                let (mut send, _recv) = to_bob.open_bi().await.unwrap();
                send.write_all(&[1, 0]).await.unwrap();
            };
            tokio::select! {
                biased;
                () = greet => (),
                _ = &mut first => panic!("nothing was sent"),
            }
        }
        let (sent, received) = pair.send(&["file"]).await;
        assert_eq!(sent.unwrap(), received.done.unwrap());
        assert!(fs::read(pair.to("file")).unwrap() == content);
    })
    .await;
}
