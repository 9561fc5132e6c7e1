//! The kinds of text that a configuration has: how each is checked, and how editors are told.

use super::StorePlace;
use super::problem::shown;
use rollback_core::access::Pattern;
use rollback_core::{BackendName, ServiceName};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::time::Duration;

/// What is wrong with a text, and how to fix it.
pub(super) type Wrong = (String, String);

/// A kind of text. Its name is the `format` in the schema.
struct Format {
    name: &'static str,
    /// For editors; the check says more.
    pattern: &'static str,
    example: &'static str,
    check: fn(&str) -> Result<(), Wrong>,
}

const FORMATS: [&Format; 15] = [
    &NAME,
    &PATTERN,
    &CHANNEL,
    &USER,
    &GROUP,
    &WORKSPACE,
    &APP,
    &DURATION,
    &SIZE,
    &URL,
    &STORE,
    &VARIABLE,
    &FILE,
    &LABEL,
    &KUBERNETES_NAME,
];

/// Checks a text against the format of its schema.
pub(super) fn check(format: &str, text: &str) -> Result<(), Wrong> {
    FORMATS.iter().find(|known| known.name == format).map_or(Ok(()), |known| (known.check)(text))
}

#[cfg(test)]
pub(super) fn is_known(format: &str) -> bool {
    FORMATS.iter().any(|known| known.name == format)
}

macro_rules! format {
    ($(#[$doc:meta])* $marker:ident, $constant:ident, $name:literal, $pattern:literal, $example:literal, $check:expr) => {
        const $constant: Format =
            Format { name: $name, pattern: $pattern, example: $example, check: $check };

        $(#[$doc])*
        pub(crate) struct $marker;

        impl JsonSchema for $marker {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($marker).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schema_of(&$constant)
            }
        }
    };
}

fn schema_of(format: &Format) -> Schema {
    json_schema!({
        "type": "string",
        "format": format.name,
        "pattern": format.pattern,
        "examples": [format.example],
    })
}

/// The same as a schema for keys.
pub(super) fn names() -> serde_json::Value {
    serde_json::json!({"format": NAME.name, "pattern": NAME.pattern})
}

format!(
    /// A name of the configuration's own.
    Name, NAME, "rollback-name", "^[A-Za-z0-9][A-Za-z0-9._-]*$", "checkout",
    |text| {
        let parsed = ServiceName::parse(text).and_then(|_service| BackendName::parse(text));
        let remedy = "use letters, digits, `.`, `_` and `-`, a letter or digit first";
        parsed.map(drop).map_err(|_told_here| (std::format!("{} is not a name", shown(text)), remedy.into()))
    }
);
format!(
    /// Names with at most one `*`.
    Names, PATTERN, "rollback-pattern", "^[A-Za-z0-9._-]*\\*?[A-Za-z0-9._-]*$", "pay-*",
    |text| {
        let remedy = "write a name, `*`, or a name with one `*` in it: `pay-*`";
        let wrong = std::format!("{} is not a pattern of names", shown(text));
        Pattern::parse(text).map(drop).map_err(|_told_here| (wrong, remedy.into()))
    }
);
format!(
    /// A Slack channel.
    Channel, CHANNEL, "slack-channel", "^[CG][A-Z0-9]{2,}$", "C0DEPLOYS",
    |text| slack_id(text, "CG", "channel id", "in Slack: the channel's name, About, at the bottom")
);
format!(
    /// A Slack member.
    User, USER, "slack-user", "^[UW][A-Z0-9]{2,}$", "U02ANA",
    |text| slack_id(text, "UW", "member id", "in Slack: the profile, More, Copy member ID")
);
format!(
    /// A Slack user group.
    Group, GROUP, "slack-group", "^S[A-Z0-9]{2,}$", "S0PAYMENTS",
    |text| slack_id(text, "S", "user-group id", "in Slack: People, User groups, More, Copy group ID")
);
format!(
    /// A Slack workspace.
    Workspace, WORKSPACE, "slack-workspace", "^T[A-Z0-9]{2,}$", "T0ACME",
    |text| slack_id(text, "T", "workspace id", "it is in the address of Slack in a browser")
);
format!(
    /// A Slack app.
    App, APP, "slack-app", "^A[A-Z0-9]{2,}$", "A0ROLLBACK",
    |text| slack_id(text, "A", "app id", "it is on the app's page at api.slack.com/apps")
);
format!(
    /// A name of an object in Kubernetes.
    KubernetesName, KUBERNETES_NAME, "rollback-kubernetes-name", "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "checkout",
    |text| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = text.bytes().next().zip(text.bytes().next_back());
        let good = ends.is_some_and(|(first, last)| inner(first) && inner(last))
            && text.len() <= 253
            && text.bytes().all(|byte| inner(byte) || byte == b'-' || byte == b'.');
        if good {
            return Ok(());
        }
        let remedy = "use lower-case letters, digits, `-` and `.`, as `kubectl get` shows it";
        Err((std::format!("{} is not a name in Kubernetes", shown(text)), remedy.into()))
    }
);
format!(
    /// A time.
    Time, DURATION, "rollback-duration", "^([0-9]+(ms|s|m|h|d))+$", "10m",
    |text| duration(text).map(drop).ok_or_else(|| {
        let remedy = "write a number with its unit, `500ms`, `30s`, `10m`, `1h30m` or `2d`";
        (std::format!("{} is not a time", shown(text)), remedy.into())
    })
);
format!(
    /// A size of a file.
    Size, SIZE, "rollback-size", "^[0-9]+(KB|MB|GB|KiB|MiB|GiB)$", "64MiB",
    |text| size(text).map(drop).ok_or_else(|| {
        let remedy = "write a number with its unit, `64MiB`, at least `4KiB`";
        (std::format!("{} is not a size", shown(text)), remedy.into())
    })
);
format!(
    /// An address of a server.
    Url, URL, "rollback-url", "^https?://[^@ ]+$", "https://cd.example.com",
    |text| web_address(text)
);
format!(
    /// Where the store is.
    StoreAddress, STORE, "rollback-store", "^(sqlite|postgres|postgresql)://.+$", "sqlite://rollback.db",
    |text| store_without_password(text)
);
format!(
    /// The name of an environment variable.
    Variable, VARIABLE, "environment-variable", "^[A-Za-z_][A-Za-z0-9_]*$", "CD_TOKEN",
    |text| {
        let is_name = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && text.len() <= 100;
        // What stands there may be the secret itself: it is not shown.
        let what = "this is not the name of an environment variable";
        let remedy = "put the secret into the environment and write the variable's name here";
        is_name.then_some(()).ok_or_else(|| (what.into(), remedy.into()))
    }
);
format!(
    /// A file.
    FilePath, FILE, "rollback-file", "^.+$", "/run/secrets/cd-token",
    |text| {
        let what = || ("this is not a file's path".into(), "write where the file is".into());
        (!text.trim().is_empty() && !text.contains('\0')).then_some(()).ok_or_else(what)
    }
);
format!(
    /// A short text.
    Label, LABEL, "rollback-label", "^.{1,100}$", "payments on call",
    |text| {
        let is_short = !text.trim().is_empty() && text.chars().count() <= 100;
        let what = || ("this is not a short text".into(), "write 1 to 100 characters".into());
        is_short.then_some(()).ok_or_else(what)?;
        let is_plain = !text.contains(['<', '>', '&', '*', '~', '`', '|']) && !text.chars().any(is_unseen);
        let what = || {
            let remedy = "write letters, digits, blanks and `-_.,:/()`; it is shown in chats and in the log";
            ("this name has markup or a character that nobody sees".into(), remedy.into())
        };
        is_plain.then_some(()).ok_or_else(what)
    }
);

/// Whether a character shows nothing, or turns text around.
fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}'
            | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

fn slack_id(text: &str, first: &str, what: &str, where_it_is: &str) -> Result<(), Wrong> {
    let is_id = text.starts_with(|c| first.contains(c))
        && text.len() >= 3
        && text.len() <= 40
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if is_id {
        return Ok(());
    }
    let remedy = std::format!("write the {what}, which never changes ({where_it_is})");
    Err((std::format!("{} is not a Slack {what}", shown(text)), remedy))
}

fn web_address(text: &str) -> Result<(), Wrong> {
    let wrong =
        |what: &str, remedy: &str| Err((std::format!("{} {what}", shown(text)), remedy.to_owned()));
    let Ok(url) = reqwest::Url::parse(text) else {
        return wrong("is not a web address", "write it like `https://cd.example.com`");
    };
    if !url.username().is_empty() || url.password().is_some() {
        return wrong("has credentials in it", "remove them; name `token_env` instead");
    }
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        "http" => wrong("is not encrypted", "use `https://`; `http://` is for this machine alone"),
        _ => wrong("is not a web address", "write it like `https://cd.example.com`"),
    }
}

/// Where the store is: a SQLite file, or a PostgreSQL database.
pub(super) fn store(text: &str) -> Result<StorePlace, Wrong> {
    let wrong = |what: String, remedy: &str| Err((what, remedy.to_owned()));
    match text.split_once("://") {
        Some(("sqlite", path)) if path.rsplit('/').next() == Some(":memory:") => wrong(
            "a store in memory forgets everything, and this would be a file called `:memory:`"
                .into(),
            "write `sqlite://rollback.db`",
        ),
        Some(("sqlite", path)) if !path.is_empty() && !path.contains(['?', '\0']) => {
            Ok(StorePlace::File(path.into()))
        }
        Some(("postgres" | "postgresql", rest)) if !rest.is_empty() => {
            Ok(StorePlace::Server(text.into()))
        }
        // The address may hold a password: it is not shown.
        Some(("postgres" | "postgresql", _)) => {
            wrong("this names no database".into(), "write `postgres://user@host:5432/database`")
        }
        _ => wrong(
            std::format!("{} is not a store", shown(text)),
            "write `sqlite://rollback.db`, `sqlite:///` and an absolute path, or `postgres://` and a database",
        ),
    }
}

/// The same in the configuration file, where no secret belongs.
fn store_without_password(text: &str) -> Result<(), Wrong> {
    let StorePlace::Server(_) = store(text)? else { return Ok(()) };
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    if user.contains(':') || text.contains("password=") {
        let remedy = "put the whole address into `DATABASE_URL`, or into the file that `DATABASE_URL_FILE` names";
        return Err(("a password does not belong into this file".into(), remedy.into()));
    }
    Ok(())
}

/// `1h30m` as a duration: numbers, each with its unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(letters)?;
        let number: u64 = number.parse().ok()?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        sum = sum.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = tail;
    }
    // A year is a mistake, and larger ones overflow what is added to them.
    (!text.is_empty() && sum <= Duration::from_secs(366 * 86_400)).then_some(sum)
}

/// `64MiB` in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let unit = match unit {
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit).filter(|bytes| *bytes >= 4_096)
}

/// A duration as the file writes it.
pub(crate) fn read_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    duration(&text).ok_or_else(|| serde::de::Error::custom("not a time"))
}

/// A size as the file writes it.
pub(super) fn read_size<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    size(&text).ok_or_else(|| serde::de::Error::custom("not a size"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_format_takes_its_example_and_says_what_it_wants_of_anything_else() {
        for format in FORMATS {
            assert_eq!((format.check)(format.example), Ok(()), "{}", format.name);
            let (what, remedy) = (format.check)("").unwrap_err();
            assert!(!what.is_empty() && !remedy.is_empty(), "{}", format.name);
        }
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [
            ("500ms", Some(0.5)),
            ("30s", Some(30.0)),
            ("10m", Some(600.0)),
            ("1h30m", Some(5400.0)),
            ("2d", Some(172_800.0)),
            ("0s", Some(0.0)),
            ("10", None),
            ("m", None),
            ("-5m", None),
            ("1.5h", None),
            ("10 m", None),
            ("", None),
            ("99999999999999999999s", None),
            ("400d", None),
            ("1µs", None),
        ] {
            assert_eq!(duration(text).map(|d| d.as_secs_f64()), seconds, "{text}");
        }
    }

    #[test]
    fn a_name_that_can_be_changed_is_not_an_identity() {
        for (format, text) in
            [("slack-channel", "#deploys"), ("slack-user", "@ana"), ("slack-group", "payments")]
        {
            let (what, remedy) = check(format, text).unwrap_err();
            assert!(what.contains(text) && remedy.contains("never changes"), "{what}; {remedy}");
        }
    }

    #[test]
    fn an_address_is_encrypted_and_holds_no_credentials() {
        for (text, is_good) in [
            ("https://cd.example.com/base", true),
            ("http://127.0.0.1:9/", true),
            ("http://localhost:9", true),
            ("http://[::1]:9", true),
            ("http://cd.example.com", false),
            ("https://u:p@cd.example.com", false),
            ("ftp://x", false),
            ("cd.example.com", false),
        ] {
            let checked = check("rollback-url", text);
            assert_eq!(checked.is_ok(), is_good, "{text}");
            if text.contains("u:p") {
                assert!(!checked.unwrap_err().0.contains("u:p"));
            }
        }
    }

    #[test]
    fn a_store_is_a_file_or_a_database() {
        let file = |text| match store(text) {
            Ok(StorePlace::File(path)) => Some(path),
            Ok(StorePlace::Server(_)) | Err(_) => None,
        };
        assert_eq!(file("sqlite://rollback.db"), Some("rollback.db".into()));
        assert_eq!(file("sqlite:///var/lib/rollback.db"), Some("/var/lib/rollback.db".into()));
        let place = store("postgres://u:canary@db/rollback").unwrap();
        assert!(
            matches!(place, StorePlace::Server(_)) && !std::format!("{place:?}").contains("canary")
        );
        assert!(store("postgres://").is_err() && store("mysql://x").is_err());
    }

    #[test]
    fn a_database_in_the_file_has_no_password() {
        for (text, is_good) in [
            ("postgres://u@db.example.com:5432/rollback", true),
            ("postgres://db.example.com/rollback", true),
            ("postgres://u:canary@db/rollback", false),
            ("postgres://u@db/rollback?password=canary", false),
        ] {
            let checked = check("rollback-store", text);
            assert_eq!(checked.is_ok(), is_good, "{text}");
            assert!(!std::format!("{checked:?}").contains("canary"));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_check_panic(text in "\\PC{0,60}") {
            for format in FORMATS {
                let _either = (format.check)(&text);
            }
        }
    }
}
