//! What a pipeline sends when a deploy went live, in any of the forms that are taken.

mod cdevent;
mod native;

use crate::body;
use crate::problem::{Fault, Problem};
use http::HeaderMap;
use rollback_core::audit::Hash;
use rollback_core::{DEPLOYS_OF_EVENTS, Deploy, DeployId, Timestamp};
use serde_json::Value;
use std::cell::RefCell;
use std::time::Duration;

/// How far the reporter's clock may be ahead of ours. A deploy from further ahead would count as the
/// newest until that time comes, and every deploy until then as reported late.
const AHEAD_MAX: Duration = Duration::from_secs(300);

/// Longest accepted address of a changelog, in bytes: what a Slack button takes.
const URL_LENGTH_MAX: usize = 3000;

/// A deploy that went live, and what its reporter calls it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Report {
    pub(crate) deploy: Deploy,
    /// The identity that the reporter gave. An event's identity is unique only together with its
    /// source, so that the deploy is kept under another.
    pub(crate) id: String,
    /// The id under which an earlier release kept the same event.
    pub(crate) former: Option<DeployId>,
}

/// The form of a body, as its headers announce it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Form {
    /// Our own JSON.
    Native,
    /// A CDEvent in a CloudEvent of one JSON object.
    Structured,
    /// A CDEvent whose CloudEvent attributes are headers.
    Binary(cdevent::Attributes),
}

impl Form {
    /// Reads it from the headers.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match body::media_type(headers)?.as_str() {
            "application/cloudevents+json" => Ok(Self::Structured),
            "application/json" if headers.contains_key("ce-specversion") => {
                cdevent::Attributes::of_headers(headers).map(Self::Binary)
            }
            "application/json" => Ok(Self::Native),
            other => {
                Err(body::other_type(other, "`application/json` or `application/cloudevents+json`"))
            }
        }
    }
}

impl Form {
    /// Where a body of this form names the service.
    pub(crate) const fn service_pointer(&self) -> &'static str {
        match self {
            Self::Native => "/service",
            Self::Structured => "/data/subject/id",
            Self::Binary(_) => "/subject/id",
        }
    }

    /// Where a body of this form says when the deploy was.
    const fn time_pointer(&self) -> &'static str {
        match self {
            Self::Native => "/deployed_at",
            Self::Structured => "/data/context/timestamp",
            Self::Binary(_) => "/context/timestamp",
        }
    }
}

/// Reads a report, or names everything that is wrong with it.
pub(crate) fn read(form: &Form, body: &Value, now: Timestamp) -> Result<Report, Problem> {
    let faults = RefCell::new(Vec::new());
    let report = match form {
        Form::Native => native::read(body, &faults),
        Form::Structured => cdevent::structured(body, &faults),
        Form::Binary(attributes) => cdevent::binary(attributes, body, &faults),
    };
    let mut faults: Vec<Fault> = faults.into_inner();
    if let Some(report) = &report
        && report.deploy.deployed_at > now.after(AHEAD_MAX)
    {
        let detail = format!("it is in the future: here it is {now}; set the reporter's clock");
        faults.push(Fault::at(form.time_pointer(), detail));
    }
    match report {
        Some(report) if faults.is_empty() => Ok(report),
        Some(_) | None => Err(Problem::unprocessable(faults)),
    }
}

/// An address that a person may be sent to.
fn url(text: &str) -> Result<String, String> {
    let plain = text.len() <= URL_LENGTH_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>|\"`\\^{}".contains(&byte));
    let parsed = text.parse::<http::Uri>().ok().filter(|_| plain);
    let is_web = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if is_web {
        Ok(text.to_owned())
    } else {
        Err(format!("it is not an http or https address of at most {URL_LENGTH_MAX} bytes"))
    }
}

/// The identity under which a deploy is kept that its reporter names in two parts: no two pairs make
/// one. A `#` of the source is written out, so that the first one ends it; what is too long, or has
/// other characters than an id may have, is told by its digest.
fn joined(source: &str, id: &str) -> Option<DeployId> {
    let written_out = source.replace('%', "%25").replace('#', "%23");
    let hashed = |_too_long_or_odd| {
        let hash = Hash::of(format!("{}:{source}:{id}", source.len()).as_bytes());
        DeployId::parse(format!("{DEPLOYS_OF_EVENTS}sha256:{hash}"))
    };
    DeployId::parse(format!("{DEPLOYS_OF_EVENTS}{written_out}#{id}")).or_else(hashed).ok()
}

/// The identity by which an earlier release kept it. Two pairs could make one, so that what is kept
/// under it is the same deploy only if it says the same.
fn joined_formerly(source: &str, id: &str) -> Option<DeployId> {
    let whole = format!("{source}#{id}");
    let hashed =
        |_too_long_or_odd| DeployId::parse(format!("event:{}", Hash::of(whole.as_bytes())));
    DeployId::parse(whole.clone()).or_else(hashed).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn no_two_pairs_of_source_and_id_make_one_identity() {
        let long = "x".repeat(300);
        let parts =
            ["a", "a#b", "b", "b#c", "c", "%23", "a%23b", "#", "sha256:a", "a b", "", "2:a#b"];
        let parts: Vec<&str> = parts.into_iter().chain([long.as_str()]).collect();
        let mut seen = BTreeMap::new();
        for source in &parts {
            for id in &parts {
                let joined = joined(source, id).unwrap();
                assert!(joined.as_str().starts_with(DEPLOYS_OF_EVENTS), "{joined}");
                let before = seen.insert(joined.clone(), (*source, *id));
                assert_eq!(before, None, "{source} and {id} make {joined}");
            }
        }
        assert_eq!(joined_formerly("a#b", "c"), joined_formerly("a", "b#c"), "as it was");
    }
}
