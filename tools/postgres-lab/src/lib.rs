//! A real PostgreSQL server for tests, on a free loopback port, with its data in a folder of its own.
//!
//! ```text
//! Server ─┬─ stop, start, kill, stall                (real)
//!         └─ Space: a schema per test, and a hand in it
//! ```
//!
//! The server ends with the process, however that ends: it hangs on a pipe that the system closes.
//! What lies between a client and the server is `rollback_testkit::wire`, which [`Server::port`] leads to.
//! It refuses to run as root; then it runs as `nobody`. `tools/peers postgres` finds or installs it.
//!
//! ```no_run
//! let Some(server) = postgres_lab::Server::shared("my test") else { return };
//! let space = server.space();
//! assert_eq!(space.sql("SELECT 1"), "1");
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a stage for tests: what goes wrong fails the test, and says so"
)]

mod stall;

pub use stall::Stalled;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use tempfile::TempDir;

/// The user of the server's own, inside it.
const USER: &str = "tester";

/// The password of whoever has to give one.
pub const PASSWORD: &str = "canary-of-the-lab";

/// Who comes with a password, and only over TLS.
const GUARDED: &str = "guarded";

/// What a server shows to prove who it is, as PEM.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "two texts that a test makes")]
pub struct Identity {
    /// Its certificate, and those between it and its authority.
    pub certificates: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// A server that tests may do anything to.
#[derive(Debug)]
pub struct Server {
    folder: TempDir,
    secured: bool,
    mutual: bool,
    programs: PathBuf,
    port: u16,
    running: Mutex<Option<Child>>,
    next: AtomicU32,
}

impl Server {
    /// The server of this process, started at the first call.
    ///
    /// None when there is no PostgreSQL, after saying on standard error that `test` was skipped;
    /// with `CI=true` that is a failure.
    pub fn shared(test: &str) -> Option<&'static Self> {
        static SERVER: OnceLock<Option<Server>> = OnceLock::new();
        SERVER.get_or_init(|| Self::own(test)).as_ref()
    }

    /// A server of a test's own, to be stopped and started.
    #[must_use]
    pub fn own(test: &str) -> Option<Self> {
        Self::with(test, None)
    }

    /// One that speaks TLS to whoever asks for it, and lets one user in with a password and over TLS
    /// alone: see [`Self::guarded_url`].
    #[must_use]
    pub fn secured(test: &str, identity: &Identity) -> Option<Self> {
        Self::with(test, Some(identity))
    }

    /// The same, of a server that lets that user in by a certificate of this authority, which must name
    /// the user: see [`Self::guarded_user`].
    #[must_use]
    pub fn mutual(test: &str, identity: &Identity, authority: &str) -> Option<Self> {
        Self::made(test, Some(identity), Some(authority))
    }

    /// Who comes to a [`Self::secured`] or [`Self::mutual`] server.
    #[must_use]
    pub const fn guarded_user() -> &'static str {
        GUARDED
    }

    fn with(test: &str, identity: Option<&Identity>) -> Option<Self> {
        Self::made(test, identity, None)
    }

    fn made(test: &str, identity: Option<&Identity>, authority: Option<&str>) -> Option<Self> {
        let peer = peer::wanted("postgres", test)?;
        let server = Self {
            folder: TempDir::with_prefix("postgres-lab-").unwrap(),
            secured: identity.is_some(),
            mutual: authority.is_some(),
            // Where they are, and not by a link that only this user may follow.
            programs: peer.join("bin").canonicalize().unwrap(),
            port: free_port(),
            running: Mutex::new(None),
            next: AtomicU32::new(0),
        };
        if let Some(identity) = identity {
            server.keep("server.crt", &identity.certificates);
            server.keep("server.key", &identity.key);
        }
        if let Some(authority) = authority {
            server.keep("clients.crt", authority);
        }
        server.prepare();
        server.start();
        if server.secured {
            let made = format!("CREATE ROLE {GUARDED} SUPERUSER LOGIN PASSWORD '{PASSWORD}'");
            server.try_sql("", &made).expect("a user with a password");
        }
        Some(server)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn prepare(&self) {
        std::fs::create_dir(self.data()).unwrap();
        if is_root() {
            let owned =
                Command::new("chown").args(["-R", "nobody"]).arg(self.folder.path()).status();
            assert!(owned.unwrap().success(), "the server's folder cannot be given to nobody");
        }
        let made = unprivileged(&self.programs.join("initdb"))
            .args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "-U", USER])
            .arg(self.data())
            .stdout(Stdio::null())
            .status();
        assert!(made.unwrap().success(), "no cluster could be made");
        if self.secured {
            let hba = self.data().join("pg_hba.conf");
            let rules = std::fs::read_to_string(&hba).unwrap();
            let proof = if self.mutual { "cert" } else { "scram-sha-256" };
            let first =
                format!("hostssl all {GUARDED} all {proof}\nhostnossl all {GUARDED} all reject\n");
            std::fs::write(&hba, format!("{first}{rules}")).unwrap();
        }
    }

    /// Keeps a secret as the server wants it kept.
    fn keep(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let kept = Command::new("chmod").arg("600").arg(path).status();
        assert!(kept.unwrap().success(), "a key cannot be kept from others");
    }

    /// Starts it, and waits until it answers.
    pub fn start(&self) {
        // Ends with whoever holds the other end of its input, and ends its sessions then.
        // What was stalled could not end.
        let script = "\"$@\" & pid=$!; read -r _; \
                      kill -CONT $pid $(ps -o pid= --ppid $pid 2>/dev/null); \
                      kill -INT $pid; wait $pid";
        let mut shell = unprivileged(Path::new("sh"));
        shell.args(["-c", script, "sh"]).arg(self.programs.join("postgres")).arg("-D");
        shell.arg(self.data()).args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""]);
        for setting in ["fsync=off", "max_connections=300", "log_min_messages=fatal"] {
            shell.args(["-c", setting]);
        }
        if self.secured {
            let place = |name| self.folder.path().join(name).display().to_string();
            shell.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", place("server.crt"))]);
            shell.args(["-c", &format!("ssl_key_file={}", place("server.key"))]);
            if self.mutual {
                shell.args(["-c", &format!("ssl_ca_file={}", place("clients.crt"))]);
            }
        }
        let log = self.folder.path().join("log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).spawn();
        *self.running.lock().unwrap() = Some(child.expect("the server does not start"));
        while self.try_sql("", "SELECT 1").is_none() {
            std::thread::sleep(std::time::Duration::from_millis(20));
            let mut running = self.running.lock().unwrap();
            let ended = running.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "the server did not come up: {}", self.log());
        }
    }

    /// Stops it: every session is ended, and what it had begun is undone.
    pub fn stop(&self) {
        let Some(mut child) = self.running.lock().unwrap().take() else { return };
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    /// Makes it stand still, every session with it: it takes connections and answers nothing. It
    /// goes on when what is answered here is dropped.
    #[must_use]
    pub fn stall(&self) -> Stalled {
        let pid = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        Stalled::from(pid.lines().next().expect("its process").trim())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Ends every session but the asking one, as an administrator does.
    pub fn end_sessions(&self) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
        self.try_sql("", sql).expect("the server is there");
    }

    /// A schema of one test's own.
    pub fn space(&self) -> Space<'_> {
        let schema = format!("s{}", self.next.fetch_add(1, Ordering::Relaxed));
        let space = Space { server: self, schema };
        space.sql(&format!("CREATE SCHEMA {}", space.schema));
        space
    }

    /// How a store reaches a [`Self::secured`] server, by this name of its machine and with this
    /// password.
    #[must_use]
    pub fn guarded_url(&self, host: &str, password: &str) -> String {
        format!("postgres://{GUARDED}:{password}@{host}:{}/postgres", self.port)
    }

    /// Whether every session of the user who comes over TLS is over TLS; none when there is none.
    #[must_use]
    pub fn guarded_sessions_are_secured(&self) -> Option<bool> {
        let sql = format!(
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE usename = '{GUARDED}'"
        );
        match self.try_sql("", &sql).expect("the server is there").as_str() {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        }
    }

    /// Where it listens on this machine.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    fn try_sql(&self, options: &str, sql: &str) -> Option<String> {
        let output = Command::new(self.programs.join("psql"))
            .args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER])
            .args(["-p", &self.port.to_string(), "-d", "postgres", "-c", sql])
            .env("PGOPTIONS", options)
            .output()
            .unwrap();
        if !output.status.success() {
            return None;
        }
        Some(String::from_utf8(output.stdout).unwrap().trim().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A schema, with an administrator's hand in it.
#[derive(Debug)]
pub struct Space<'a> {
    server: &'a Server,
    schema: String,
}

impl Space<'_> {
    /// How a store reaches it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.server.port)
    }

    /// How a store reaches it by another port.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        let schema = &self.schema;
        format!(
            "postgres://{USER}:unused@127.0.0.1:{port}/postgres?options=-csearch_path%3D{schema}"
        )
    }

    /// How a store reaches it by a clock that is the space's own: see [`Self::set_clock`].
    #[must_use]
    pub fn url_with_clock(&self) -> String {
        self.set_clock(0);
        self.url()
            .replace(&format!("%3D{}", self.schema), &format!("%3D{}%2Cpg_catalog", self.schema))
    }

    /// Puts the clock of the space so many seconds ahead of the server's, or behind it: a function of
    /// the name by which the store asks, in front of the server's in the search path. Only who came
    /// by [`Self::url_with_clock`] asks it.
    pub fn set_clock(&self, ahead: i64) {
        self.sql(&format!(
            "CREATE OR REPLACE FUNCTION {}.clock_timestamp() RETURNS timestamptz
             LANGUAGE plpgsql VOLATILE AS $$ BEGIN
                 RETURN pg_catalog.clock_timestamp() + make_interval(secs => {ahead});
             END $$",
            self.schema
        ));
    }

    /// Does something behind everybody's back, and answers what came of it.
    #[expect(clippy::must_use_candidate, reason = "most statements answer nothing")]
    pub fn sql(&self, sql: &str) -> String {
        // A store refuses what is written by a release that is older than its tables: this hand is not.
        let options = format!("-csearch_path={} -crollback.schema=1000000", self.schema);
        let done = self.server.try_sql(&options, sql);
        done.unwrap_or_else(|| panic_about(sql))
    }
}

#[expect(clippy::panic, reason = "fails the test")]
fn panic_about(sql: &str) -> String {
    panic!("the server did not take: {sql}")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

/// A command that the server does not refuse to be started by.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"]).arg(program);
    command.current_dir("/");
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
