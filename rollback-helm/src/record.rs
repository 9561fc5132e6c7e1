//! What helm keeps of a release: one Secret for each revision, its payload encoded twice.
//!
//! A payload holds every value of the chart, passwords among them. It is decoded here, and what
//! leaves this module is what a person may see: numbers, states, names. A [`Content`] holds the
//! manifests; it has no `Debug`, and is compared, never shown.

use crate::error::HelmError;
use crate::journal::Entry;
use crate::manifest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use rollback_cluster::{Meta, Texts, short};
use rollback_core::{Migrations, RevisionId, RollbackId, Timestamp};
use serde::Deserialize;
use std::io::Read as _;

/// The largest payload that is unpacked. A Secret holds at most 1 MiB, and text packs ten to one.
const PAYLOAD_MAX: usize = 32 << 20;
/// How much of somebody else's text is passed on.
const TEXT_MAX: usize = 240;
/// The rollback that a record was made for, on the record, until helm writes it again.
pub(crate) const ORDER: &str = "rollback-rs.github.io/order";
/// The migrations that a revision brought, in `Chart.yaml`, as JSON (see the crate's page).
const MIGRATIONS: &str = "rollback-rs.github.io/migrations";

/// A Secret as it is read. It has no `Debug`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawSecret {
    pub(crate) metadata: Meta,
    data: Texts,
}

/// What a revision's release is in.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    Deployed,
    Superseded,
    Failed,
    Uninstalled,
    Uninstalling,
    PendingInstall,
    PendingUpgrade,
    PendingRollback,
    #[default]
    #[serde(other)]
    Unknown,
}

impl Status {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Deployed => "deployed",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
            Self::Uninstalled => "uninstalled",
            Self::Uninstalling => "uninstalling",
            Self::PendingInstall => "pending-install",
            Self::PendingUpgrade => "pending-upgrade",
            Self::PendingRollback => "pending-rollback",
            Self::Unknown => "unknown",
        }
    }

    pub(crate) const fn is_pending(self) -> bool {
        match self {
            Self::PendingInstall | Self::PendingUpgrade | Self::PendingRollback => true,
            Self::Deployed
            | Self::Superseded
            | Self::Failed
            | Self::Uninstalled
            | Self::Uninstalling
            | Self::Unknown => false,
        }
    }
}

/// One revision of a release, without its values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    pub(crate) number: u32,
    pub(crate) uid: String,
    pub(crate) created: Option<Timestamp>,
    pub(crate) status: Status,
    pub(crate) description: String,
    /// The revision that a rollback went back to, as helm 4.3 and later note it.
    pub(crate) rollback_revision: Option<u32>,
    /// The application's version, else the chart's.
    pub(crate) version: Option<String>,
    pub(crate) migrations: Migrations,
    /// The rollback of ours that it was made for, as long as helm has not written it again.
    pub(crate) order: Option<RollbackId>,
    /// Whether that order is known to have taken effect.
    pub(crate) committed: bool,
    /// Which program wrote it.
    pub(crate) managers: Vec<String>,
    /// Whether helm 4 applied it on the server, and will again.
    pub(crate) applied_on_server: bool,
    /// The hooks that a rollback to it runs.
    pub(crate) hooks_to_run: Vec<String>,
    /// The hooks that ran when it was deployed.
    pub(crate) hooks_run: Vec<String>,
}

/// What a revision consists of. It may hold passwords: no `Debug`, and never shown.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Content {
    pub(crate) manifest: String,
    pub(crate) hooks: Vec<Hook>,
}

/// A hook of a release.
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub(crate) struct Hook {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) manifest: String,
    pub(crate) events: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Payload {
    info: Info,
    chart: Option<Chart>,
    manifest: String,
    hooks: Option<Vec<Hook>>,
    version: u32,
    apply_method: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Info {
    status: Status,
    description: String,
    rollback_revision: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Chart {
    metadata: Option<ChartMetadata>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ChartMetadata {
    version: String,
    app_version: String,
    annotations: Option<Texts>,
}

impl RawSecret {
    /// Unpacks it. An error names what is wrong and nothing of what is in it.
    pub(crate) fn read(self) -> Result<(Record, Content), HelmError> {
        let unreadable = |why| HelmError::Unreadable {
            what: format!("the revision in Secret `{}`", clip(&self.metadata.name)),
            why,
        };
        let outer = self.data.get("release").ok_or_else(|| unreadable("it holds no release"))?;
        let inner = STANDARD.decode(outer).map_err(|_not_base64| unreadable("it is not base64"))?;
        let payload = unpack(&inner).map_err(unreadable)?;
        let number = payload.version;
        if self.metadata.label("version").is_some_and(|label| label != number.to_string()) {
            return Err(unreadable("its label names another revision than its payload"));
        }
        let chart = payload.chart.and_then(|chart| chart.metadata).unwrap_or_default();
        let version = [chart.app_version, chart.version].into_iter().find(|it| !it.is_empty());
        let order = self.metadata.annotation(ORDER).and_then(|id| id.parse().ok());
        let content =
            Content { manifest: payload.manifest, hooks: payload.hooks.unwrap_or_default() };
        let record = Record {
            number,
            applied_on_server: payload.apply_method == "ssa",
            hooks_to_run: manifest::hooks_that_run(&content),
            hooks_run: manifest::hooks_that_ran(&content),
            created: self.metadata.creation_timestamp,
            status: payload.info.status,
            description: payload.info.description,
            rollback_revision: payload.info.rollback_revision.filter(|&number| number > 0),
            version: version.map(|version| clip(&version)),
            migrations: migrations(chart.annotations.as_ref()),
            committed: Entry::on_record(&self.metadata).is_some(),
            order,
            managers: managers(&self.metadata),
            uid: self.metadata.uid,
        };
        Ok((record, content))
    }
}

fn managers(meta: &Meta) -> Vec<String> {
    meta.managed_fields.iter().map(|fields| fields.manager.clone()).collect()
}

/// What helm wrote, as it goes over the wire or lies in a Secret: base64, gzip, JSON.
fn unpack(text: &[u8]) -> Result<Payload, &'static str> {
    let packed = STANDARD.decode(text).map_err(|_not_base64| "its release is not base64")?;
    let json = if packed.starts_with(&[0x1f, 0x8b, 0x08]) {
        let mut plain = Vec::new();
        let limit = u64::try_from(PAYLOAD_MAX).unwrap_or(u64::MAX).saturating_add(1);
        let read = GzDecoder::new(packed.as_slice()).take(limit).read_to_end(&mut plain);
        let _size = read.map_err(|_not_gzip| "its release cannot be unpacked")?;
        if plain.len() > PAYLOAD_MAX {
            return Err("its release is larger than any that helm can keep");
        }
        plain
    } else {
        packed
    };
    serde_json::from_slice(&json).map_err(|_not_a_release| "its release is not one of helm's")
}

/// The content of what helm is about to write.
pub(crate) fn content(text: &[u8]) -> Result<Content, &'static str> {
    let payload = unpack(text)?;
    Ok(Content { manifest: payload.manifest, hooks: payload.hooks.unwrap_or_default() })
}

impl Content {
    /// Whether both would do the same. When a hook ran last does not matter.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let hooks = |content: &Self| -> Vec<(String, String)> {
            content.hooks.iter().map(|it| (it.name.clone(), it.manifest.clone())).collect()
        };
        self.manifest == other.manifest && hooks(self) == hooks(other)
    }
}

fn migrations(annotations: Option<&Texts>) -> Migrations {
    let written = annotations.and_then(|annotations| annotations.get(MIGRATIONS));
    // What cannot be read is not known.
    written
        .and_then(|text| serde_json::from_str(text).ok())
        .map_or(Migrations::Unknown, Migrations::Known)
}

impl Record {
    /// Its own identity: the number that people know, and which Secret that is. Helm gives a number
    /// again when its Secret was deleted.
    pub(crate) fn own_id(&self) -> Option<RevisionId> {
        RevisionId::parse(id_of(self.number, &self.uid)).ok()
    }

    /// The number that it was rolled back to, if it is a rollback that has not failed.
    pub(crate) fn rolled_back_to(&self) -> Option<u32> {
        let told = || self.description.strip_prefix("Rollback to ")?.trim().parse().ok();
        if self.has_failed() { None } else { self.rollback_revision.or_else(told) }
    }

    /// Whether it says itself that it failed. Its status may have been overwritten since.
    pub(crate) fn has_failed(&self) -> bool {
        self.status == Status::Failed || is_failure(&self.description)
    }

    /// Whether it is a rollback that failed while it was applied, which marks whatever came before
    /// it as superseded.
    pub(crate) fn superseded_blindly(&self) -> bool {
        self.description.starts_with("Rollback \"")
    }

    pub(crate) fn is(&self, number: u32, uid: &str) -> bool {
        self.number == number && short(&self.uid) == short(uid)
    }
}

fn is_failure(description: &str) -> bool {
    let begins = ["Upgrade \"", "Rollback \"", "Release \"", "Install \"", "Installation \""];
    begins.iter().any(|begin| description.starts_with(begin)) && description.contains("\" failed")
}

pub(crate) fn id_of(number: u32, uid: &str) -> String {
    format!("{number}@{}", short(uid))
}

/// The number and the UID's begin that an identity names.
pub(crate) fn parse_id(id: &str) -> Option<(u32, &str)> {
    let (number, uid) = id.split_once('@')?;
    Some((number.parse().ok()?, uid)).filter(|(_, uid)| !uid.is_empty())
}

/// The name of the Secret of a revision.
pub(crate) fn secret_name(release: &str, number: u32) -> String {
    format!("sh.helm.release.v1.{release}.v{number}")
}

/// The revision that a Secret of this release is for, by its name.
pub(crate) fn number_of(release: &str, name: &str) -> Option<u32> {
    let rest = name.strip_prefix("sh.helm.release.v1.")?.strip_prefix(release)?;
    rest.strip_prefix(".v")?.parse().ok()
}

/// A text from outside, fit to be passed on.
pub(crate) fn clip(text: &str) -> String {
    rollback_cluster::clip(text, TEXT_MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::io::Write as _;

    const SECRET: &str = "hunter2-the-password";

    pub(crate) fn packed(payload: &Value) -> String {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(payload.to_string().as_bytes()).unwrap();
        STANDARD.encode(gzip.finish().unwrap())
    }

    fn secret(release: &str) -> RawSecret {
        let whole = json!({"metadata": {"name": "sh.helm.release.v1.web.v3", "uid": "aaaaaaaa-1111",
            "creationTimestamp": "2026-11-22T09:30:00Z", "labels": {"version": "3"}},
            "data": {"release": STANDARD.encode(release)}});
        serde_json::from_value(whole).unwrap()
    }

    fn payload() -> Value {
        json!({"name": "web", "version": 3, "info": {"status": "deployed", "description": "Rollback to 1"},
            "chart": {"metadata": {"version": "0.1.0", "appVersion": "2.0",
                "annotations": {MIGRATIONS: "[]"}}, "values": {"password": SECRET}},
            "config": {"password": SECRET}, "manifest": format!("password: {SECRET}"),
            "hooks": [{"name": "migrate", "kind": "Job", "events": ["pre-rollback"], "manifest": "x"}]})
    }

    #[test]
    fn a_record_is_encoded_twice_and_read() {
        let (record, content) = secret(&packed(&payload())).read().ok().unwrap();
        assert_eq!(record.number, 3);
        assert_eq!(record.own_id().unwrap().as_str(), "3@aaaaaaaa");
        assert_eq!(record.status, Status::Deployed);
        assert_eq!(record.version.as_deref(), Some("2.0"));
        assert_eq!(record.migrations, Migrations::Known(Vec::new()));
        assert_eq!(record.rolled_back_to(), Some(1));
        assert!(content.manifest.contains(SECRET));
        assert!(!format!("{record:?}").contains(SECRET), "no value of a Secret is ever shown");
    }

    #[test]
    fn a_payload_that_is_not_packed_is_read_as_old_releases_are() {
        let plain = STANDARD.encode(payload().to_string());
        assert_eq!(secret(&plain).read().ok().unwrap().0.number, 3);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_nothing_of_it_is_shown() {
        let bomb = {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
            let zeros = vec![b'0'; 1 << 20];
            for _ in 0..=(PAYLOAD_MAX >> 20) {
                gzip.write_all(&zeros).unwrap();
            }
            STANDARD.encode(gzip.finish().unwrap())
        };
        let mut another = payload();
        another["version"] = 4.into();
        let table = [
            ("%%%".to_owned(), "not base64"),
            (STANDARD.encode(SECRET), "not one of helm's"),
            (STANDARD.encode([0x1f, 0x8b, 0x08, 0, 1]), "cannot be unpacked"),
            (bomb, "larger than any"),
            (packed(&another), "names another revision"),
        ];
        for (release, why) in table {
            let error = secret(&release).read().err().unwrap();
            assert!(error.to_string().contains(why), "{error}");
            assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
        }
        let empty = RawSecret::default().read().err().unwrap();
        assert!(empty.to_string().contains("holds no release"), "{empty}");
    }

    #[test]
    fn a_failure_is_seen_in_the_description_when_the_status_lies() {
        let (mut record, _) = secret(&packed(&payload())).read().ok().unwrap();
        record.status = Status::Superseded;
        let table = [
            ("Upgrade complete", false),
            ("Rollback to 1", false),
            ("Upgrade \"web\" was fast", false),
            ("the chart \"web\" failed in the past", false),
            ("Upgrade \"web\" failed: timed out", true),
            ("Rollback \"web\" failed: no", true),
            ("Release \"web\" failed: context deadline exceeded", true),
            ("Install \"web\" failed: x", true),
        ];
        for (description, failed) in table {
            record.description = description.into();
            assert_eq!(record.has_failed(), failed, "{description}");
            assert_eq!(record.rolled_back_to().is_some(), description == "Rollback to 1");
        }
    }

    #[test]
    fn a_record_tells_who_wrote_it_how_it_was_applied_and_what_it_brought_back() {
        let read = |change: &dyn Fn(&mut Value)| {
            let mut payload = payload();
            change(&mut payload);
            let mut raw = secret(&packed(&payload));
            let managers = json!([{"manager": "Helm"}, {"manager": "kubectl"}]);
            raw.metadata.managed_fields = serde_json::from_value(managers).unwrap();
            raw.read().ok().unwrap().0
        };
        let plain = read(&|_| {});
        assert_eq!(plain.managers, ["Helm", "kubectl"]);
        assert!(plain.is(3, "aaaaaaaa-1111"));
        assert!(!plain.is(4, "aaaaaaaa-1111") && !plain.is(3, "bbbbbbbb-1111"));
        for (method, on_server) in [("", false), ("csa", false), ("ssa", true)] {
            let record = read(&|it| it["apply_method"] = method.into());
            assert_eq!(record.applied_on_server, on_server, "{method}");
        }
        for (told, expected) in [(0, None), (1, Some(1)), (7, Some(7))] {
            let record = read(&|it| it["info"]["rollback_revision"] = told.into());
            assert_eq!(record.rollback_revision, expected);
        }
    }

    #[test]
    fn what_helm_is_about_to_write_is_read_as_what_it_wrote() {
        let release = packed(&payload());
        let (_record, kept) = secret(&release).read().ok().unwrap();
        assert!(content(release.as_bytes()).ok().unwrap().is(&kept));
        let mut largest = payload().to_string().into_bytes();
        largest.resize(PAYLOAD_MAX, b' ');
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&largest).unwrap();
        let largest = STANDARD.encode(gzip.finish().unwrap());
        assert!(unpack(largest.as_bytes()).is_ok(), "as large as any may be");
    }

    #[test]
    fn two_revisions_do_the_same_where_manifests_and_hooks_are_the_same() {
        let hook = |name: &str, manifest: &str, event: &str| Hook {
            name: name.to_owned(),
            manifest: manifest.to_owned(),
            events: vec![event.to_owned()],
            ..Hook::default()
        };
        let content =
            |manifest: &str, hooks: Vec<Hook>| Content { manifest: manifest.to_owned(), hooks };
        let one = content("a", vec![hook("migrate", "x", "pre-rollback")]);
        assert!(one.is(&content("a", vec![hook("migrate", "x", "pre-upgrade")])));
        for other in [
            content("b", vec![hook("migrate", "x", "pre-rollback")]),
            content("a", vec![hook("migrate", "y", "pre-rollback")]),
            content("a", vec![hook("other", "x", "pre-rollback")]),
            content("a", Vec::new()),
        ] {
            assert!(!one.is(&other), "{} and {} hooks", other.manifest, other.hooks.len());
        }
    }

    #[test]
    fn a_text_from_outside_is_short_on_one_line_and_without_what_a_schema_quotes() {
        assert_eq!(clip("a\n\t* b\u{7}"), "a * b");
        assert_eq!(clip(&"x".repeat(1000)).chars().count(), TEXT_MAX + 1);
        let quoted =
            clip(&format!("Secret \"x\" is invalid: data.a: Invalid value: \"{SECRET}\": bad"));
        assert!(!quoted.contains(SECRET) && quoted.contains("data.a"), "{quoted}");
    }

    #[test]
    fn a_secret_of_another_release_is_none_of_ours() {
        assert_eq!(number_of("web", "sh.helm.release.v1.web.v12"), Some(12));
        assert_eq!(secret_name("web", 12), "sh.helm.release.v1.web.v12");
        for other in [
            "sh.helm.release.v1.web-2.v12",
            "sh.helm.release.v1.web.v",
            "web.v1",
            "sh.helm.release.v1.we.v1",
        ] {
            assert_eq!(number_of("web", other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn an_identity_is_read_back(number in any::<u32>(), uid in "[0-9a-f]{8}-[0-9a-f]{4}") {
            let id = id_of(number, &uid);
            prop_assert_eq!(parse_id(&id), Some((number, short(&uid))));
        }

        #[test]
        fn no_payload_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _readable_or_not = unpack(&bytes).is_ok();
            let _readable_or_not = unpack(STANDARD.encode(&bytes).as_bytes()).is_ok();
        }
    }
}
