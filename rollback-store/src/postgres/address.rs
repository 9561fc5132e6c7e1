//! Where a database is, out of a URL. The password is in the driver's hands alone.

use super::ConnectError;
use super::tls::Tls;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How long one attempt to connect may take, for each host of the URL.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long bytes may stay unacknowledged before a connection counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// A database, and how to reach it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) tls: Option<Tls>,
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
        let tls = secured.then(|| Tls::trusting(asked.roots.as_deref())).transpose();
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
        Ok(Self { config, tls, name })
    }
}

/// What a URL asks for that the driver cannot read.
#[derive(Default)]
struct Asked {
    mode: Option<bool>,
    roots: Option<PathBuf>,
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
