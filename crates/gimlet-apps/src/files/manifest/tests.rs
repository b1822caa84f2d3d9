//! What a manifest takes and what it refuses.

use super::*;

const NOW: Stamp = Stamp {
    seconds: 1_700_000_000,
    nanos: 5,
};

fn folder(parent: Option<u32>, name: &str) -> Entry {
    let kind = Kind::Folder {
        mode: 0o755,
        modified: NOW,
    };
    entry(parent, name, kind)
}

fn file(parent: Option<u32>, name: &str, size: u64) -> Entry {
    let kind = Kind::File {
        mode: 0o644,
        modified: NOW,
        size,
    };
    entry(parent, name, kind)
}

fn link(parent: Option<u32>, name: &str, target: &str) -> Entry {
    let target = target.as_bytes().to_vec();
    entry(parent, name, Kind::Link { target })
}

fn entry(parent: Option<u32>, name: &str, kind: Kind) -> Entry {
    Entry {
        parent,
        name: name.as_bytes().to_vec(),
        kind,
    }
}

#[test]
fn a_tree_has_paths_roots_and_sums() {
    let mut manifest = Manifest::new();
    for entry in [
        folder(None, "a"),
        folder(Some(0), "b"),
        file(Some(1), "c", 7),
        file(None, "d", 5),
        link(Some(1), "up", "../x"),
    ] {
        manifest.push(entry).unwrap();
    }
    assert_eq!(manifest.path(2), PathBuf::from("a/b/c"));
    assert_eq!((manifest.root(2), manifest.root(3)), (0, 3));
    assert_eq!((manifest.files(), manifest.bytes()), (2, 12));
    assert_eq!((manifest.size(2), manifest.size(0)), (Some(7), None));
}

#[test]
fn names_that_are_no_plain_component_are_refused() {
    let long = "x".repeat(256);
    for name in ["", ".", "..", "a/b", "/etc", "a\0b", "../x", &long, STAGE] {
        let refused = Manifest::new().push(file(None, name, 1));
        assert_eq!(refused, Err(ManifestError::Name), "{name:?}");
    }
    for name in ["...", "-rf", "a\nb", "\u{202e}", "con", &long[1..]] {
        assert!(
            Manifest::new().push(file(None, name, 1)).is_ok(),
            "{name:?}"
        );
    }
}

#[test]
fn only_a_folder_named_before_holds_others() {
    let mut manifest = Manifest::new();
    manifest.push(folder(None, "a")).unwrap();
    manifest.push(file(Some(0), "file", 1)).unwrap();
    manifest.push(link(Some(0), "link", "file")).unwrap();
    for parent in [1, 2, 3, 4, u32::MAX] {
        let refused = manifest.push(file(Some(parent), "x", 1));
        assert_eq!(refused, Err(ManifestError::Parent), "{parent}");
    }
}

#[test]
fn a_name_comes_once_in_a_folder() {
    let mut manifest = Manifest::new();
    manifest.push(folder(None, "a")).unwrap();
    manifest.push(folder(Some(0), "a")).unwrap();
    manifest.push(link(Some(0), "b", "a")).unwrap();
    let again = manifest.push(file(Some(0), "b", 1));
    assert_eq!(again, Err(ManifestError::Duplicate));
    let again = manifest.push(file(None, "a", 1));
    assert_eq!(again, Err(ManifestError::Duplicate));
}

#[test]
fn links_stay_inside_of_what_was_sent() {
    // The link is at depth 2: root/folder/link.
    for (target, inside) in [
        ("x", true),
        ("x/y/z", true),
        ("./x", true),
        ("../x", true),
        ("..", true),
        ("../..", false),
        ("../../x", false),
        ("/etc/passwd", false),
        ("", false),
        ("x/..", false),
        ("x/../y", false),
        (".././../x", false),
        ("..//../x", false),
        ("x\0y", false),
    ] {
        assert_eq!(stays_inside(target.as_bytes(), 2), inside, "{target:?}");
    }
    // One that stands by itself has nothing to stay in.
    let refused = Manifest::new().push(link(None, "l", "x"));
    assert_eq!(refused, Err(ManifestError::Link));
}

#[test]
fn sizes_nesting_and_names_have_bounds() {
    let mut manifest = Manifest::new();
    let refused = manifest.push(file(None, "x", MAX_FILE + 1));
    assert_eq!(refused, Err(ManifestError::TooLarge));
    let mut parent = None;
    for _ in 0..=MAX_DEPTH {
        parent = Some(manifest.push(folder(parent, "x")).unwrap());
    }
    let refused = manifest.push(folder(parent, "x"));
    assert_eq!(refused, Err(ManifestError::TooDeep));
    let target = "t".repeat(MAX_TARGET);
    let many = (0..=MAX_NAMES / MAX_TARGET).map(|n| link(Some(0), &format!("l{n}"), &target));
    let refused = many.map(|link| manifest.push(link)).find(Result::is_err);
    assert_eq!(refused, Some(Err(ManifestError::TooLong)));
}
