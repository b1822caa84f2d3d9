//! The log on disk: over restarts, cut off, and bounded.

use std::time::Duration;

use super::*;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn message(seq: u64, size: usize) -> Kept {
    let payload = Bytes::from(vec![seq as u8; size]);
    Kept::new("news".parse().unwrap(), 7, seq, at(seq), payload)
}

fn limits() -> Limits {
    Limits {
        keep: Duration::from_secs(600),
        keep_bytes: 4 << 20,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "segment"));
    paths.sort();
    paths
}

#[test]
fn what_was_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, none) = Store::open(folder.path(), limits()).unwrap();
    assert!(none.is_empty());
    let batch = [message(1, 0), message(2, 1000), message(3, MAX_MESSAGE)];
    store.append(&batch[..2], at(3)).unwrap();
    store.append(&batch[2..], at(3)).unwrap();
    drop(store);
    let (mut store, messages) = Store::open(folder.path(), limits()).unwrap();
    assert!(messages == batch);
    store.append(&[message(4, 4)], at(4)).unwrap();
    drop(store);
    let (_, messages) = Store::open(folder.path(), limits()).unwrap();
    assert_eq!(messages.len(), 4);
}

#[test]
fn two_publishers_cannot_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _store = Store::open(folder.path(), limits()).unwrap();
    let second = Store::open(folder.path(), limits());
    assert!(matches!(second, Err(StoreError::InUse(_))));
}

#[test]
fn a_record_that_is_cut_off_or_changed_ends_its_segment_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), limits()).unwrap();
    store
        .append(&[message(1, 10), message(2, 10)], at(2))
        .unwrap();
    drop(store);
    let path = files(folder.path()).remove(0);
    let whole = fs::read(&path).unwrap();
    for end in 0..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        let (_, messages) = Store::open(folder.path(), limits()).unwrap();
        assert_eq!(messages.len(), usize::from(end >= whole.len() / 2), "{end}");
    }
    for index in 0..whole.len() {
        let mut changed = whole.clone();
        changed[index] ^= 0x40;
        fs::write(&path, &changed).unwrap();
        let (_, messages) = Store::open(folder.path(), limits()).unwrap();
        assert_eq!(
            messages.len(),
            usize::from(index >= whole.len() / 2),
            "{index}"
        );
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let (mut store, _) = Store::open(folder.path(), limits()).unwrap();
    store.append(&[message(3, 10)], at(3)).unwrap();
    drop(store);
    let (_, messages) = Store::open(folder.path(), limits()).unwrap();
    let numbers: Vec<u64> = messages.iter().map(|kept| kept.seq).collect();
    assert_eq!(numbers, [1, 3]);
}

#[test]
fn the_disk_holds_little_more_than_what_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), limits()).unwrap();
    for seq in 1..=40 {
        store.append(&[message(seq, 1 << 20)], at(seq)).unwrap();
    }
    let total: u64 = files(folder.path())
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(total >= 4 << 20, "{total}");
    assert!(total <= (4 << 20) + 2 * MIN_SEGMENT + (1 << 20), "{total}");
    // All too old: the last stays, since it knows the numbers.
    store.append(&[message(41, 1)], at(10_000)).unwrap();
    assert!(files(folder.path()).len() <= 2);
}

#[cfg(unix)]
#[test]
fn nobody_else_on_this_machine_can_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let (mut store, _) = Store::open(&folder, limits()).unwrap();
    store.append(&[message(1, 1)], at(1)).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&files(&folder)[0]), 0o600);
}
