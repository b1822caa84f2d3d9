//! Replays what the fuzzers found worth keeping: `tests/fuzz/corpus`, a folder a target.

use std::path::{Path, PathBuf};
use std::{fs, panic};

use gimlet_fuzz::{TARGETS, Target};

/// Most bytes of all folders together: they are in every clone.
const MAX_TOTAL: usize = 1 << 20;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Runs one input, naming it if the target panics.
fn replay(target: Target, name: &str, input: &[u8]) {
    let done = panic::catch_unwind(|| (target.run)(input));
    assert!(done.is_ok(), "{} fails on {name}", target.name);
}

#[test]
fn every_target_passes_its_corpus() {
    let mut total = 0;
    for target in TARGETS {
        let files = files_in(&corpus().join(target.name));
        assert!(!files.is_empty(), "no inputs for {}", target.name);
        for file in files {
            let input = fs::read(&file).unwrap();
            total += input.len();
            replay(target, &file.display().to_string(), &input);
        }
    }
    assert!(total <= MAX_TOTAL, "{total} bytes of corpus");
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let names = TARGETS.map(|target| target.name);
    for folder in files_in(&corpus()) {
        let name = folder.file_name().and_then(|name| name.to_str());
        assert!(name.is_some_and(|name| names.contains(&name)), "{folder:?}");
    }
}

/// What a fuzzer does in a moment, on every change: each input of the corpus cut short, with a byte
/// changed, and with the end of another behind it.
#[test]
fn every_target_passes_its_corpus_cut_and_disturbed() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as usize % below.max(1)
    };
    for target in TARGETS {
        let files = files_in(&corpus().join(target.name));
        let inputs: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        for (file, input) in files.iter().zip(&inputs) {
            for round in 0..4 {
                let mut disturbed = input[..random(input.len() + 1)].to_vec();
                let other = &inputs[random(inputs.len())];
                disturbed.extend_from_slice(&other[random(other.len())..]);
                if !disturbed.is_empty() {
                    let at = random(disturbed.len());
                    disturbed[at] ^= 1 << random(8);
                }
                let name = format!("{} in round {round}: {disturbed:02x?}", file.display());
                replay(target, &name, &disturbed);
            }
        }
    }
}
