//! Whether the store and the audit file could be written.

use super::Row;
use crate::audit::signer;
use crate::config::{Config, StorePlace};
use crate::secrets::Environment;
use rollback_store::{PostgresOptions, PostgresStore, Rehearsed};
use secrecy::ExposeSecret;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// What every SQLite file begins with.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

pub(super) async fn rows(config: &Config, environment: &Environment) -> Vec<Row> {
    let mut rows = vec![match &config.store {
        StorePlace::File(path) => file(path),
        StorePlace::Server(url) => server(url.expose_secret()).await,
    }];
    if let Some(file) = &config.file.audit.file {
        rows.push(match writable(&file.path) {
            Ok(()) => Row::ok("audit file", format!("`{}` can be written", file.path.display())),
            Err(error) => cannot("audit file", &file.path, &error),
        });
    }
    if let Some(checkpoints) = &config.file.audit.checkpoints {
        let subject = "audit checkpoints";
        rows.push(match (signer(checkpoints, environment), writable(&checkpoints.file)) {
            (Ok(signer), Ok(())) => Row::ok(
                subject,
                format!(
                    "`{}` can be written; whoever verifies needs the public key {}",
                    checkpoints.file.display(),
                    signer.public()
                ),
            ),
            (Err(error), _) => Row::fail(
                subject,
                error.to_string(),
                "make a key with `platform-service audit key`",
            ),
            (_, Err(error)) => cannot(subject, &checkpoints.file, &error),
        });
    }
    rows
}

fn file(path: &Path) -> Row {
    match writable(path).and_then(|()| is_a_store(path)) {
        Ok(true) => Row::ok("store", format!("`{}` can be written", path.display())),
        Ok(false) => Row::fail(
            "store",
            format!("`{}` is not a SQLite file", path.display()),
            "name another file",
        ),
        Err(error) => cannot("store", path, &error),
    }
}

/// Does what the start does, and takes it back.
async fn server(url: &str) -> Row {
    match PostgresStore::rehearse(url, PostgresOptions::default()).await {
        Ok(Rehearsed::Current) => Row::ok("store", "the database can be used".to_owned()),
        Ok(Rehearsed::Empty) => {
            Row::ok("store", "the database is empty; the first start makes its tables".to_owned())
        }
        Ok(Rehearsed::Older) => {
            Row::ok("store", "the next start brings the database's tables up to date".to_owned())
        }
        Err(error) => Row::fail(
            "store",
            error.to_string(),
            "see that the server runs, that `DATABASE_URL` names it, and that its user may make tables there",
        ),
    }
}

fn cannot(subject: &str, path: &Path, error: &io::Error) -> Row {
    let finding = format!("`{}` cannot be written: {error}", path.display());
    Row::fail(subject, finding, "make its folder, and let the service's user write there")
}

/// Whether the file could be written: the file itself where there is one, and its folder, since
/// new files appear beside it.
fn writable(path: &Path) -> io::Result<()> {
    if path.exists() {
        drop(OpenOptions::new().append(true).open(path)?);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let trial = folder.join(format!(".rollback-check-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&trial)?;
    let written = file.write_all(b"can this be written?\n").and_then(|()| file.sync_all());
    let removed = std::fs::remove_file(&trial);
    written.and(removed)
}

/// Whether it is a SQLite file, or not there yet, or empty.
fn is_a_store(path: &Path) -> io::Result<bool> {
    if !path.exists() {
        return Ok(true);
    }
    let mut begin = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut begin)?;
    Ok(begin.is_empty() || begin == SQLITE)
}
