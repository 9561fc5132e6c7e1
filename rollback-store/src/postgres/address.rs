//! Where a database is, out of a URL. The password is in the driver's hands alone.

use super::ConnectError;
use super::tls::Tls;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How long one attempt to connect may take, for each host of the URL.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long bytes may stay unacknowledged before a connection counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// How many connections a process has at most where the URL does not say, and one besides to listen
/// with: enough for a process at full load, and ten processes stay within the hundred that a server
/// takes unless it is told otherwise.
const CONNECTIONS: usize = 8;

/// The most that may be asked for: more of them wait for each other in the server.
const CONNECTIONS_MAX: usize = 64;

/// A database, and how to reach it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Option<Tls>,
    /// How many connections a process has at most, and one besides to listen with.
    pub(super) connections_max: usize,
    /// Where it is, without user and password.
    pub(super) name: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Address {
    /// Reads a URL. TLS is asked for by `sslmode`; without one it is verified, but for this machine.
    pub(super) fn parse(url: &str) -> Result<Self, ConnectError> {
        let (plain, asked) = split(url)?;
        let unreadable = |problem: &dyn fmt::Display| ConnectError::Address(problem.to_string());
        let mut config: Config = plain
            .parse()
            .map_err(|error: tokio_postgres::Error| unreadable(&super::fault::words(&error)))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(unreadable(&"it names no host"));
        }
        let dbname = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
        let name = format!("{}/{dbname}", hosts(&config));
        let secured = asked.mode.unwrap_or_else(|| !is_here(&config));
        let identity = asked.identity()?;
        if identity.is_some() && !secured {
            return Err(unreadable(
                &"`sslcert` is shown over TLS alone, which is off here; write \
                                    `sslmode=verify-full` besides",
            ));
        }
        let tls = secured.then(|| Tls::new(asked.roots.as_deref(), identity)).transpose();
        let tls = tls.map_err(|error| unreadable(&error))?;
        config
            .ssl_mode(if secured { SslMode::Require } else { SslMode::Disable })
            .connect_timeout(CONNECT_MAX)
            .tcp_user_timeout(SILENCE_MAX)
            .keepalives_idle(SILENCE_MAX)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        if config.get_application_name().is_none() {
            config.application_name("rollback");
        }
        Ok(Self { config, tls, connections_max: asked.connections.unwrap_or(CONNECTIONS), name })
    }
}

/// What a URL asks for that the driver cannot read.
#[derive(Default)]
struct Asked {
    mode: Option<bool>,
    roots: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    connections: Option<usize>,
}

impl Asked {
    /// The files with what this client shows of itself.
    fn identity(&self) -> Result<Option<(&Path, &Path)>, ConnectError> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(ConnectError::Address(
                "`sslcert` names a certificate, and `sslkey` must name the file with its key"
                    .into(),
            )),
            (None, Some(_)) => Err(ConnectError::Address(
                "`sslkey` names a key, and `sslcert` must name the file with its certificate"
                    .into(),
            )),
        }
    }
}

fn split(url: &str) -> Result<(String, Asked), ConnectError> {
    let mut asked = Asked::default();
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), asked)) };
    let mut kept = Vec::new();
    for part in query.split('&') {
        match part.split_once('=') {
            Some(("sslmode", "disable")) => asked.mode = Some(false),
            Some(("sslmode", "require" | "verify-ca" | "verify-full")) => asked.mode = Some(true),
            Some(("sslmode", _other)) => {
                let problem = "`sslmode` is `verify-full`, which also `require` means here, or \
                               `disable`";
                return Err(ConnectError::Address(problem.into()));
            }
            Some(("sslrootcert", path)) => asked.roots = Some(path.into()),
            Some(("sslcert", path)) => asked.certificate = Some(path.into()),
            Some(("sslkey", path)) => asked.key = Some(path.into()),
            Some(("connections_max", count)) => match count.parse() {
                Ok(count @ 1..=CONNECTIONS_MAX) => asked.connections = Some(count),
                Ok(_) | Err(_) => {
                    let problem =
                        format!("`connections_max` is a number from 1 to {CONNECTIONS_MAX}");
                    return Err(ConnectError::Address(problem));
                }
            },
            Some(_) | None => kept.push(part),
        }
    }
    Ok((format!("{base}?{}", kept.join("&")), asked))
}

/// Whether every host is this machine.
fn is_here(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1" | "[::1]"),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }) && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback)
}

fn hosts(config: &Config) -> String {
    let names: Vec<String> = config
        .get_hosts()
        .iter()
        .map(|host| match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) => path.display().to_string(),
        })
        .collect();
    let ports: Vec<String> = config.get_ports().iter().map(u16::to_string).collect();
    if ports.is_empty() {
        names.join(",")
    } else {
        format!("{}:{}", names.join(","), ports.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, String> {
        Address::parse(url).map_err(|error| error.to_string())
    }

    #[test]
    fn a_database_elsewhere_is_talked_to_in_secret_unless_it_is_said_otherwise() {
        for (url, secured) in [
            ("postgres://me:pw@db.example.com/rollback", true),
            ("postgres://me:pw@db.example.com/rollback?sslmode=require", true),
            ("postgres://me:pw@db.example.com/rollback?sslmode=disable", false),
            ("postgres://me:pw@127.0.0.1:5432/rollback", false),
            ("postgres://me:pw@localhost/rollback?sslmode=verify-full", true),
            ("postgres://me@%2Frun%2Fpostgresql/rollback", false),
            ("postgres://me:pw@localhost,db.example.com/rollback", true),
        ] {
            assert_eq!(address(url).unwrap().tls.is_some(), secured, "{url}");
        }
    }

    #[test]
    fn an_address_says_how_many_connections_there_are_and_one_without_takes_eight() {
        let most = |query: &str| {
            address(&format!("postgres://me@localhost/rollback{query}"))
                .map(|it| it.connections_max)
        };
        assert_eq!(most(""), Ok(8));
        assert_eq!(most("?connections_max=1"), Ok(1));
        assert_eq!(most("?sslmode=disable&connections_max=64"), Ok(64));
        for wrong in ["0", "65", "-1", "", "many"] {
            let said = most(&format!("?connections_max={wrong}")).unwrap_err();
            assert!(said.contains("a number from 1 to 64"), "{said}");
        }
    }

    #[test]
    fn half_an_identity_is_refused_in_words() {
        for (query, missing) in
            [("sslcert=/a.pem", "`sslkey` must name"), ("sslkey=/a.key", "`sslcert` must name")]
        {
            let said = address(&format!("postgres://me@db.example.com/x?{query}")).unwrap_err();
            assert!(said.contains(missing), "{said}");
        }
        let said = address("postgres://me@localhost/x?sslcert=/a.pem&sslkey=/a.key").unwrap_err();
        assert!(said.contains("which is off here"), "{said}");
    }

    #[test]
    fn a_password_is_in_no_debug_output_and_in_no_error() {
        let address = address("postgres://me:s3cret@db.example.com:5433/rollback").unwrap();
        assert_eq!(format!("{address:?}"), "db.example.com:5433/rollback");
        for url in [
            "postgres://me:s3cret@db.example.com/rollback?sslmode=prefer",
            "postgres://me:s3cret@db.example.com:port/rollback",
            "postgres://me:s3cret@/rollback?colour=red",
            "postgres://me:s3cret@db.example.com/x?sslrootcert=/nowhere.pem",
            "mysql://me:s3cret@db.example.com/rollback",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
