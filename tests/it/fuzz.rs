//! Strangers' bytes on stable Rust: every sample through every door, and a bounded number of mutations of them, the same
//! in every run. `dev/fuzz` looks further.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Mutations tried on each target.
const TRIES: usize = 3_000;
/// Longer samples are left to libFuzzer.
const LONGEST: usize = 16 << 10;

/// What keys, addresses and usage look like, which no sample file has by itself.
const SEEDS: &[&str] = &[
    "sk-tg-FirstKeyOfTheTest000000000000000000000000000004J95a2",
    "Bearer sk-tg-FirstKey",
    "sk-ant-api03-abc",
    "\"sk-tg-x\"",
    "https://127.0.0.1/",
    "https://2130706433/",
    "https://[::ffff:127.0.0.1]/",
    "https://user:pass@example.com:8443/v1?x#y",
    "http://169.254.169.254/latest",
    r#"{"prompt_tokens":5,"completion_tokens":7,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":9}}"#,
    r#"{"input_tokens":-1,"output_tokens":1e308,"cache_creation":{"ephemeral_1h_input_tokens":"5"}}"#,
    r#"{"input_tokens":9223372036854775807,"iterations":[{"input_tokens":1000000000},{"output_tokens":null}]}"#,
    "data: {\"a\":1}\r\n\r\n: x\n\nevent: e\rdata: \u{feff}\r\r",
];

fn samples() -> Vec<Vec<u8>> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/fixtures")];
    let mut files: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    let read = files.iter().map(|file| fs::read(file).expect("a file"));
    let seeds = SEEDS.iter().map(|seed| seed.as_bytes().to_vec());
    seeds
        .chain(read)
        .filter(|bytes| bytes.len() <= LONGEST)
        .collect()
}

/// xorshift64*: the same numbers in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).expect("31 bits") % limit.max(1)
    }
}

/// What is worth putting where it does not belong.
const ODD: &[&[u8]] = &[
    b"null",
    b"-1",
    b"1e308",
    b"9223372036854775808",
    b"\"\"",
    b"[]",
    b"{}",
    b"\r",
    b"\n\n",
    b"data:",
    b"\xff",
    b"\0",
    b"\xef\xbb\xbf",
    b"\"gw1.\"",
    b"@",
    b"[DONE]",
];

fn mutated(sample: &[u8], other: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..=draw.below(4) {
        let at = draw.below(bytes.len() + 1);
        let end = (at + draw.below(24)).min(bytes.len());
        match draw.below(6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..end, ODD[draw.below(ODD.len())].iter().copied())),
            3 => {
                let from = draw.below(other.len() + 1);
                let to = (from + draw.below(200)).min(other.len());
                drop(bytes.splice(at..at, other[from..to].iter().copied()));
            }
            4 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << draw.below(8);
                }
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

#[test]
fn no_strangers_bytes_panic_or_break_a_promise() {
    let samples = samples();
    assert!(samples.len() > 100, "{} samples", samples.len());
    for (place, (name, target)) in gateway::fuzz::TARGETS.iter().enumerate() {
        for sample in &samples {
            target(sample);
        }
        let mut draw = Draw(0x9E37_79B9_7F4A_7C15 ^ place as u64);
        for _ in 0..TRIES {
            let sample = &samples[draw.below(samples.len())];
            let other = &samples[draw.below(samples.len())];
            let bytes = mutated(sample, other, &mut draw);
            let fine = std::panic::catch_unwind(|| target(&bytes));
            assert!(
                fine.is_ok(),
                "{name}: {:?}",
                String::from_utf8_lossy(&bytes)
            );
        }
    }
}

#[test]
fn every_target_has_its_long_form() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).expect("fuzz has a manifest");
    for (name, _) in gateway::fuzz::TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(
            folder.join(format!("fuzz_targets/{name}.rs")).exists(),
            "{name}"
        );
    }
}
