//! Decoding of request bodies in bounded steps, so that a small body cannot unfold past the cap.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use super::gather::Gathered;

/// Why a body could not be decoded.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum DecodeError {
    #[error("content encoding `{0}` is not supported; send gzip, deflate, zstd or none")]
    Unsupported(String),
    #[error("the decoded body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body is not valid {0}")]
    Corrupt(&'static str),
}

/// The largest zstd window accepted: 2^23 bytes, 8 MiB (RFC 8878's recommended limit).
const WINDOW_LOG_MAX: u32 = 23;
const STEP_BYTES: usize = 64 * 1024;

/// Undoes one content encoding; `cap` bounds what comes out, in bytes.
pub(crate) fn decode(encoding: &str, body: Bytes, cap: usize) -> Result<Bytes, DecodeError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => Ok(body),
        "gzip" | "x-gzip" => unfold(MultiGzDecoder::new(&*body), "gzip", cap),
        "deflate" => unfold(ZlibDecoder::new(&*body), "deflate", cap),
        "zstd" => {
            let corrupt = |_| DecodeError::Corrupt("zstd");
            let mut decoder = zstd::stream::read::Decoder::new(&*body).map_err(corrupt)?;
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(corrupt)?;
            unfold(decoder, "zstd", cap)
        }
        other => Err(DecodeError::Unsupported(other.chars().take(40).collect())),
    }
}

fn unfold(mut source: impl Read, name: &'static str, cap: usize) -> Result<Bytes, DecodeError> {
    let mut plain = Gathered::expecting(0);
    let mut step = vec![0; STEP_BYTES];
    loop {
        let read = source
            .read(&mut step)
            .map_err(|_| DecodeError::Corrupt(name))?;
        if read == 0 {
            return Ok(plain.whole());
        }
        plain.add(step.get(..read).unwrap_or_default());
        if plain.len() > cap {
            return Err(DecodeError::TooLarge(cap));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(plain: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(plain).expect("memory takes it");
        encoder.finish().expect("memory takes it").into()
    }

    fn zstd(plain: &[u8]) -> Bytes {
        zstd::encode_all(plain, 3).expect("memory takes it").into()
    }

    #[test]
    fn every_supported_encoding_reads_back() {
        let plain = br#"{"model":"sandbox/echo"}"#;

        for (encoding, body) in [
            ("", Bytes::from_static(plain)),
            ("identity", Bytes::from_static(plain)),
            ("GZIP", gzip(plain)),
            (" zstd ", zstd(plain)),
        ] {
            assert_eq!(decode(encoding, body, 100).as_deref(), Ok(&plain[..]));
        }
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let zeros = vec![0; 4 << 20];

        for (encoding, body) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
            assert_eq!(
                decode(encoding, body, 1 << 20),
                Err(DecodeError::TooLarge(1 << 20))
            );
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        let junk = Bytes::from_static(b"junk");

        assert_eq!(
            decode("gzip", junk.clone(), 10),
            Err(DecodeError::Corrupt("gzip"))
        );
        assert_eq!(
            decode("zstd", junk.clone(), 10),
            Err(DecodeError::Corrupt("zstd"))
        );
        assert_eq!(
            decode("br", junk, 10),
            Err(DecodeError::Unsupported("br".to_owned()))
        );
    }
}
