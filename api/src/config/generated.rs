//! Secrets that nobody gave, drawn once and kept beside the embedded database.

use super::Faults;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// The secret kept as `<data>/secrets/<file>`, drawn now if it is not there yet.
pub(super) fn keep<T>(
    data: &Path,
    variable: &str,
    file: &str,
    faults: &mut Faults,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let path = data.join("secrets").join(file);
    match read_or_draw(&path) {
        Ok(text) => match parse(&text) {
            Ok(key) => Some(key),
            Err(wrong) => {
                faults.add(
                    variable,
                    format!("{}: {wrong}", path.display()),
                    "restore the file from a backup, or set the variable",
                );
                None
            }
        },
        Err(fault) => {
            faults.add(
                variable,
                format!(
                    "it is not set and {} cannot be made: {fault}",
                    path.display()
                ),
                "set it, or let TOLLGATE_DATA_DIR name a directory that this process may write",
            );
            None
        }
    }
}

fn read_or_draw(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => draw(path),
        other => other,
    }
}

/// Writes a new secret beside its place and links it there, so that of two processes that start at once the second
/// takes the first one's, and a crash leaves no half of one.
fn draw(path: &Path) -> io::Result<String> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|fault| io::Error::other(fault.to_string()))?;
    let text = hex::encode(bytes);
    let draft = path.with_extension(format!("draft-{}", &text[..8]));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(fault) if fault.kind() != io::ErrorKind::AlreadyExists => Err(fault),
        _ => fs::read_to_string(path),
    }
}
