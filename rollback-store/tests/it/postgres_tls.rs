//! TLS to a real PostgreSQL server: who is taken for it, what is said when nobody is, and that a
//! password is in none of that.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use postgres_lab::{Identity, PASSWORD, Server};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rollback_core::ports::Store as _;
use rollback_store::{PostgresOptions, PostgresStore};
use std::path::Path;

/// An authority that was made up for one test.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// What a server of this name shows.
    fn identity(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificates = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { certificates, key: key.serialize_pem() }
    }

    /// What a client of this name shows, in two files.
    fn client(&self, user: &str, folder: &Path) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let (shown, kept) =
            (folder.join(format!("{user}.pem")), folder.join(format!("{user}.key")));
        std::fs::write(&shown, certificate).unwrap();
        std::fs::write(&kept, key.serialize_pem()).unwrap();
        (shown.display().to_string(), kept.display().to_string())
    }

    fn keep(&self, path: &Path) -> String {
        std::fs::write(path, &self.pem).unwrap();
        path.display().to_string()
    }
}

/// A server, and the files with its authority and with one that knows nothing of it.
struct Stage {
    server: Server,
    known: String,
    foreign: String,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn set(test: &str) -> Option<Self> {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        let server = Server::secured(test, &authority.identity("localhost"))?;
        let known = authority.keep(&folder.path().join("known.pem"));
        let foreign = Authority::new().keep(&folder.path().join("foreign.pem"));
        Some(Self { server, known, foreign, _folder: folder })
    }

    fn url(&self, host: &str, password: &str, query: &str) -> String {
        format!("{}?{query}", self.server.guarded_url(host, password))
    }
}

/// Whatever is said, the password is not.
fn unsaid(said: &str) {
    assert!(!said.contains("canary"), "a password was shown: {said}");
}

/// Why there is no store, for people.
async fn refusal(url: &str) -> String {
    let options = PostgresOptions::default();
    let Err(error) = PostgresStore::connect(url, options.clone()).await else {
        panic!("a store was opened");
    };
    let Err(rehearsed) = PostgresStore::rehearse(url, options).await else {
        panic!("a store was rehearsed");
    };
    assert_eq!(rehearsed.to_string(), error.to_string());
    unsaid(&format!("{error} {error:?} {rehearsed:?}"));
    error.to_string()
}

#[tokio::test]
async fn a_server_with_a_certificate_of_the_named_authority_is_talked_to_in_secret() {
    let Some(stage) = Stage::set("TLS to PostgreSQL") else { return };
    for mode in ["verify-full", "verify-ca", "require"] {
        let query = format!("sslmode={mode}&sslrootcert={}", stage.known);
        let url = stage.url("localhost", PASSWORD, &query);
        let store = PostgresStore::connect(&url, PostgresOptions::default()).await.unwrap();
        store.ping().await.unwrap();
        assert_eq!(stage.server.guarded_sessions_are_secured(), Some(true), "{mode}");
        unsaid(&format!("{store:?}"));
    }
}

#[tokio::test]
async fn a_server_whose_authority_nobody_named_is_refused() {
    let Some(stage) = Stage::set("a foreign authority") else { return };
    // Neither another one, nor those of the system.
    for query in
        [format!("sslmode=verify-full&sslrootcert={}", stage.foreign), "sslmode=require".into()]
    {
        let said = refusal(&stage.url("localhost", PASSWORD, &query)).await;
        assert!(said.contains("its certificate is not of an authority trusted here"), "{said}");
        assert!(said.contains("sslrootcert"), "{said}");
    }
}

#[tokio::test]
async fn a_server_with_a_certificate_for_another_name_is_refused() {
    let Some(stage) = Stage::set("another name") else { return };
    // Also where only the authority is asked to be verified: that would take any of its servers.
    for mode in ["verify-full", "verify-ca", "require"] {
        let query = format!("sslmode={mode}&sslrootcert={}", stage.known);
        let said = refusal(&stage.url("127.0.0.1", PASSWORD, &query)).await;
        assert!(said.contains("and not for `127.0.0.1`, by which it was reached"), "{said}");
    }
}

#[tokio::test]
async fn a_server_that_wants_tls_says_so_to_whoever_comes_without() {
    let Some(stage) = Stage::set("without TLS") else { return };
    let said = refusal(&stage.url("localhost", PASSWORD, "sslmode=disable")).await;
    assert!(said.contains("pg_hba.conf rejects connection"), "{said}");
}

#[tokio::test]
async fn a_server_without_tls_gets_no_password() {
    let Some(server) = Server::shared("a server without TLS") else { return };
    let url = server.guarded_url("localhost", PASSWORD);
    let said = refusal(&format!("{url}?sslmode=verify-full")).await;
    assert!(said.contains("server does not support TLS"), "{said}");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_repeated() {
    let Some(stage) = Stage::set("a wrong password") else { return };
    let query = format!("sslmode=verify-full&sslrootcert={}", stage.known);
    let said = refusal(&stage.url("localhost", "canary-that-is-wrong", &query)).await;
    assert!(said.contains("password authentication failed"), "{said}");
}

#[tokio::test]
async fn a_server_that_asks_who_its_clients_are_is_shown_the_certificate_that_the_address_names() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let identity = authority.identity("localhost");
    let Some(server) = Server::mutual("client certificates", &identity, &authority.pem) else {
        return;
    };
    let roots = authority.keep(&folder.path().join("known.pem"));
    let url = |shown: &str| {
        let address = server.guarded_url("localhost", "canary-that-nobody-asks-for");
        format!("{address}?sslmode=verify-full&sslrootcert={roots}{shown}")
    };
    let shown =
        |(certificate, key): (String, String)| format!("&sslcert={certificate}&sslkey={key}");
    let ours = authority.client(Server::guarded_user(), folder.path());
    let good = url(&shown(ours.clone()));
    let store = PostgresStore::connect(&good, PostgresOptions::default()).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(server.guarded_sessions_are_secured(), Some(true));

    let said = refusal(&url("")).await;
    assert!(said.contains("client certificate"), "{said}");
    let other = authority.client("somebody-else", folder.path());
    let said = refusal(&url(&shown(other.clone()))).await;
    assert!(said.contains("authentication failed"), "{said}");
    let foreign_folder = tempfile::tempdir().unwrap();
    let foreign = Authority::new().client(Server::guarded_user(), foreign_folder.path());
    refusal(&url(&shown(foreign))).await;
    // Files that do not belong together, or are not there, are told before anybody is asked.
    let said = refusal(&url(&shown((ours.0.clone(), other.1)))).await;
    assert!(said.contains("cannot be shown") && said.contains(&ours.0), "{said}");
    let said = refusal(&url(&shown((ours.0, "/nowhere.key".into())))).await;
    assert!(said.contains("the key in `/nowhere.key` cannot be read"), "{said}");
}
