//! CDEvents about a service that was deployed or upgraded, in a CloudEvent of either mode.

use super::native::details;
use super::{Report, joined, joined_formerly};
use crate::fields::{Place, label};
use crate::problem::{Fault, Problem};
use http::HeaderMap;
use rollback_core::{
    Deploy, EnvironmentName, ID_LENGTH_MAX, Label, ServiceKey, ServiceName, Timestamp,
};
use serde_json::Value;
use std::cell::RefCell;

/// The version of CloudEvents that is taken.
const CLOUDEVENTS: &str = "1.0";

/// The types of CDEvents that say that a deploy went live, each before its own version.
const TYPES: [&str; 2] = ["dev.cdevents.service.deployed.", "dev.cdevents.service.upgraded."];

/// Longest accepted source of an event, in bytes. A URI reference; more is no address of anything.
const SOURCE_LENGTH_MAX: usize = 2048;

/// What a CloudEvent says about itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Attributes {
    id: String,
    source: String,
    kind: String,
}

impl Attributes {
    /// From the headers of the binary mode, or names each that is missing or wrong.
    pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut faults = Vec::new();
        let mut read = |name: &str| {
            let value = one(headers, name).map_err(|why| faults.push(Fault::in_header(name, why)));
            value.unwrap_or_default()
        };
        let version = read("ce-specversion");
        let (id, source, kind) = (read("ce-id"), read("ce-source"), read("ce-type"));
        if faults.is_empty() && version != CLOUDEVENTS {
            faults.push(Fault::in_header("ce-specversion", not_this_version()));
        }
        if faults.is_empty() {
            Ok(Self { id, source, kind })
        } else {
            Err(Problem::unprocessable(faults))
        }
    }
}

/// The one value of a header, unescaped as the HTTP binding says.
fn one(headers: &HeaderMap, name: &str) -> Result<String, &'static str> {
    let mut all = headers.get_all(name).iter();
    let value = match (all.next(), all.next()) {
        (Some(value), None) => value,
        (None, _) => return Err("it is missing"),
        (Some(_), Some(_)) => return Err("it is there twice"),
    };
    let text = value.to_str().ok().and_then(unescaped);
    text.filter(|text| !text.is_empty()).ok_or("it is empty or not UTF-8 text, percent-encoded")
}

/// Percent-decodes a text; none when it does not decode to UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn not_this_version() -> String {
    format!("it is not `{CLOUDEVENTS}`, the version of CloudEvents that is taken here")
}

/// A CloudEvent of one JSON object.
pub(super) fn structured(body: &Value, faults: &RefCell<Vec<Fault>>) -> Option<Report> {
    let place = Place::whole(body, faults);
    place.object()?;
    let version = place.field("specversion");
    if let Some(text) = version.text()
        && text != CLOUDEVENTS
    {
        version.wrong(not_this_version());
    }
    let format = place.field("datacontenttype");
    if format.is_there()
        && let Some(text) = format.text()
        && !is_json(text)
    {
        format.wrong("it is not a JSON type; send the CDEvent as JSON");
    }
    let attributes = (|| {
        let (id, source) = (place.field("id").text(), place.field("source").text());
        let kind = place.field("type").text();
        Some(Attributes { id: id?.into(), source: source?.into(), kind: kind?.into() })
    })();
    if place.field("data_base64").is_there() {
        place.field("data_base64").wrong("it is not taken; send the CDEvent as JSON in `data`");
        return None;
    }
    event(attributes.as_ref(), &place.field("data"))
}

/// A CDEvent whose CloudEvent attributes came as headers.
pub(super) fn binary(
    attributes: &Attributes,
    body: &Value,
    faults: &RefCell<Vec<Fault>>,
) -> Option<Report> {
    event(Some(attributes), &Place::whole(body, faults))
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn event(attributes: Option<&Attributes>, place: &Place<'_>) -> Option<Report> {
    place.object()?;
    let context = place.field("context");
    context.object();
    agrees(&context.field("id"), attributes.map(|told| told.id.as_str()));
    agrees(&context.field("source"), attributes.map(|told| told.source.as_str()));
    agrees(&context.field("type"), attributes.map(|told| told.kind.as_str()));
    spec(&context);
    let id = context.field("id").required(|text| bounded(text, ID_LENGTH_MAX));
    let source = context.field("source").required(|text| bounded(text, SOURCE_LENGTH_MAX));
    context.field("type").required(deploy_type);
    let deployed_at = context.field("timestamp").required(Timestamp::parse);

    let subject = place.field("subject");
    subject.object();
    let service = subject.field("id").required(ServiceName::parse);
    let content = subject.field("content");
    content.object();
    let environment = content.field("environment").field("id").required(EnvironmentName::parse);
    let artifact = content.field("artifactId").required(artifact);

    let custom = custom(place.field("customData"));
    let version = custom.field("version").optional(label);
    let details = details(&custom);
    let (id, source) = (id?, source?);
    let version = version.or(artifact)?;
    let key = ServiceKey::new(service?, environment?);
    let mut deploy = Deploy::new(joined(&source, &id)?, key, version, deployed_at?);
    details.into(&mut deploy);
    Some(Report { deploy, former: joined_formerly(&source, &id), id })
}

/// What an event says besides. As a text it is somebody else's, in whatever form they agreed on.
fn custom(place: Place<'_>) -> Place<'_> {
    if place.is_object() {
        return place;
    }
    if place.is_there() && place.peek().is_none() {
        place.wrong("it is neither an object nor a string");
    }
    place.nowhere()
}

/// The envelope and the event must say the same: whoever routes by the one and acts on the other
/// would be deceived otherwise.
fn agrees(place: &Place<'_>, told: Option<&str>) {
    let (Some(told), Some(text)) = (told, place.peek()) else { return };
    if told != text {
        place.wrong("it is not what the CloudEvent's own attribute says");
    }
}

/// The version of the specification: one that has these fields.
fn spec(context: &Place<'_>) {
    // Releases before 0.5 call it `version`.
    let (new, old) = (context.field("specversion"), context.field("version"));
    let place = if new.is_there() || !old.is_there() { new } else { old };
    if let Some(text) = place.text()
        && !text.starts_with("0.")
    {
        place.wrong("it is not a 0.x version of CDEvents, the versions that are known here");
    }
}

fn bounded(text: &str, most: usize) -> Result<String, String> {
    match text.len() {
        0 => Err("it is empty".into()),
        length if length > most => {
            Err(format!("it has {length} bytes; at most {most} are accepted"))
        }
        _ => Ok(text.to_owned()),
    }
}

fn deploy_type(text: &str) -> Result<(), String> {
    let version = TYPES.iter().find_map(|kind| text.strip_prefix(kind));
    if version.is_some_and(|version| version.starts_with("0.")) {
        Ok(())
    } else {
        Err(format!("it is neither `{}0.x.y` nor `{}0.x.y`", TYPES[0], TYPES[1]))
    }
}

/// The version that a package URL names: its tag where it has one, for people; else what stands
/// behind the `@`. An artifact that is no package URL is its own version.
fn artifact(text: &str) -> Result<Label, String> {
    let (whole, _subpath) = text.split_once('#').unwrap_or((text, ""));
    let (path, qualifiers) = whole.split_once('?').unwrap_or((whole, ""));
    let tag = form_urlencoded::parse(qualifiers.as_bytes())
        .find(|(name, value)| name == "tag" && !value.is_empty())
        .map(|(_, value)| value.into_owned());
    let version = path.strip_prefix("pkg:").and_then(|path| path.rsplit_once('@'));
    let version = version.and_then(|(_, version)| unescaped(version)).filter(|v| !v.is_empty());
    label(&tag.or(version).unwrap_or_else(|| text.to_owned()))
}
