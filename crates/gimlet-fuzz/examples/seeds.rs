//! Writes first inputs for every target into a folder: the golden vectors, and for the machines
//! bytes without meaning.
//!
//! ```sh
//! cargo run -p gimlet-fuzz --example seeds -- tests/fuzz/corpus
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use gimlet_fuzz::TARGETS;
use serde_json::Value;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("which folder?")?;
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/vectors.json");
    let vectors: Value = serde_json::from_str(&fs::read_to_string(vectors)?)?;
    for target in TARGETS {
        let folder = PathBuf::from(&folder).join(target.name);
        fs::create_dir_all(&folder)?;
        let inputs = match target.name {
            "address" | "names" => texts(),
            "control_to_server" => of_group(&vectors["to_server"]),
            "control_to_peer" => of_group(&vectors["to_peer"]),
            "frames" => of_group(&vectors["frames"]),
            "tunnel" => of_group(&vectors["tunnel"]),
            "stun_check" | "stun_plain" => of_group(&vectors["stun"]),
            _ => noise(),
        };
        for (n, input) in inputs.iter().enumerate() {
            fs::write(folder.join(format!("seed-{n:02}")), input)?;
        }
    }
    Ok(())
}

/// Each vector alone and all in a row; of a STUN message also the attributes alone, which the
/// targets put a header around.
fn of_group(vectors: &Value) -> Vec<Vec<u8>> {
    let vectors = vectors.as_array().into_iter().flatten();
    let mut inputs: Vec<_> = vectors.filter_map(|v| unhex(v["hex"].as_str()?)).collect();
    let attributes = inputs.iter().filter_map(|input| match input.first() {
        Some(0 | 1) => Some(input.get(20..)?.to_vec()),
        _ => None,
    });
    let attributes: Vec<_> = attributes.collect();
    let row = inputs.concat();
    inputs.push(row);
    inputs.extend(attributes);
    inputs
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|digit| Some(digit.to_digit(16)? as u8))
        .collect();
    Some(
        digits?
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect(),
    )
}

fn texts() -> Vec<Vec<u8>> {
    let id = "y".repeat(52);
    let texts = [
        "relay.example.org".to_owned(),
        "192.0.2.1:443".to_owned(),
        "gimlet://[2001:db8::1%eth0]:3478/".to_owned(),
        format!("gimlet://host:1?key={id}&token=abc-_9&later=1"),
        "alice".to_owned(),
        "0.a-b_c".to_owned(),
        id,
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

/// Sequences of calls; the fuzzer finds out which are worth anything.
fn noise() -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (1..=32)
        .map(|n| (0..n * 16).map(|_| random()).collect())
        .collect()
}
