//! Decoding of request bodies in bounded steps, so that a small body cannot unfold past the cap.

use std::io::Read;

use bytes::Bytes;
use flate2::{bufread::GzDecoder, read::ZlibDecoder};

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
/// Parts, each compressed by itself, that a body may be put together from. Beginning one costs the same however little is
/// in it, so that a body of empty ones would keep a worker busy for long.
const MOST_PARTS: usize = 1_024;

/// Undoes one content encoding; `cap` bounds what comes out, in bytes.
pub(crate) fn decode(encoding: &str, body: Bytes, cap: usize) -> Result<Bytes, DecodeError> {
    let mut plain = Gathered::expecting(0);
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok(body),
        "gzip" | "x-gzip" => in_parts("gzip", &body, |part| {
            let mut decoder = GzDecoder::new(part);
            unfold(&mut decoder, "gzip", &mut plain, cap)?;
            Ok(decoder.into_inner())
        })?,
        "deflate" => unfold(&mut ZlibDecoder::new(&*body), "deflate", &mut plain, cap)?,
        "zstd" => in_parts("zstd", &body, |part| {
            let corrupt = |_| DecodeError::Corrupt("zstd");
            let decoder = zstd::stream::read::Decoder::with_buffer(part).map_err(corrupt)?;
            let mut decoder = decoder.single_frame();
            decoder.window_log_max(WINDOW_LOG_MAX).map_err(corrupt)?;
            unfold(&mut decoder, "zstd", &mut plain, cap)?;
            Ok(decoder.finish())
        })?,
        other => return Err(DecodeError::Unsupported(other.chars().take(40).collect())),
    }
    Ok(plain.whole())
}

/// Decodes one part after the other; each says what it leaves.
fn in_parts<'a>(
    name: &'static str,
    body: &'a [u8],
    mut decode: impl FnMut(&'a [u8]) -> Result<&'a [u8], DecodeError>,
) -> Result<(), DecodeError> {
    let mut rest = body;
    for _ in 0..MOST_PARTS {
        rest = decode(rest)?;
        if rest.is_empty() {
            return Ok(());
        }
    }
    Err(DecodeError::Corrupt(name))
}

fn unfold(
    source: &mut impl Read,
    name: &'static str,
    plain: &mut Gathered,
    cap: usize,
) -> Result<(), DecodeError> {
    let mut step = vec![0; STEP_BYTES];
    loop {
        let read = source
            .read(&mut step)
            .map_err(|_| DecodeError::Corrupt(name))?;
        if read == 0 {
            return Ok(());
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
    fn parts_are_put_together_and_a_body_of_empty_ones_is_refused() {
        let whole = |pack: fn(&[u8]) -> Bytes, empty: usize| {
            let nothing = pack(b"").repeat(empty);
            Bytes::from([pack(b"on"), nothing.into(), pack(b"e")].concat())
        };

        for (encoding, pack) in [("gzip", gzip as fn(&[u8]) -> Bytes), ("zstd", zstd)] {
            let read = |empty| decode(encoding, whole(pack, empty), 100);
            assert_eq!(read(100).as_deref(), Ok(&b"one"[..]), "{encoding}");
            assert!(
                matches!(read(2_000), Err(DecodeError::Corrupt(_))),
                "{encoding}"
            );
            assert!(
                matches!(
                    decode(encoding, Bytes::new(), 100),
                    Err(DecodeError::Corrupt(_))
                ),
                "{encoding}"
            );
            let with_junk = Bytes::from([pack(b"one"), Bytes::from_static(b"junk")].concat());
            assert!(
                matches!(
                    decode(encoding, with_junk, 100),
                    Err(DecodeError::Corrupt(_))
                ),
                "{encoding}"
            );
        }
        let skipped = [&b"\x50\x2a\x4d\x18\x02\0\0\0no"[..], &zstd(b"one")].concat();
        assert_eq!(
            decode("zstd", skipped.into(), 100).as_deref(),
            Ok(&b"one"[..])
        );
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
