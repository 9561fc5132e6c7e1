//! Our own JSON.

use super::{Report, url};
use crate::fields::{Place, label};
use crate::problem::Fault;
use rollback_core::{
    CHANGES_MAX, Change, DEPLOYS_FOUND, DEPLOYS_OF_EVENTS, Deploy, DeployId, Deployer,
    EnvironmentName, FIXES_MAX, Fix, FixKind, Migration, Migrations, Reversible, RevisionName,
    ServiceKey, ServiceName, Timestamp, UserId,
};
use serde_json::Value;
use std::cell::RefCell;

pub(super) fn read(body: &Value, faults: &RefCell<Vec<Fault>>) -> Option<Report> {
    let place = Place::whole(body, faults);
    place.object()?;
    let id = place.field("id").required(own_id);
    let service = place.field("service").required(ServiceName::parse);
    let environment = place.field("environment").required(EnvironmentName::parse);
    let version = place.field("version").required(label);
    let deployed_at = place.field("deployed_at").required(Timestamp::parse);
    let details = details(&place);
    let key = ServiceKey::new(service?, environment?);
    let mut deploy = Deploy::new(id?, key, version?, deployed_at?);
    details.into(&mut deploy);
    Some(Report { id: deploy.id.to_string(), deploy, former: None })
}

/// An id that the reporter gave: not one of those that only we give, which are bound to what they
/// name.
fn own_id(text: &str) -> Result<DeployId, String> {
    let reserved = [DEPLOYS_FOUND, DEPLOYS_OF_EVENTS];
    match reserved.into_iter().find(|prefix| text.starts_with(prefix)) {
        Some(prefix) => {
            Err(format!("ids that begin with `{prefix}` are reserved; give another one"))
        }
        None => DeployId::parse(text).map_err(|error| error.to_string()),
    }
}

/// Longest accepted id of a person in Slack, in bytes: more than twice the longest that there is.
const USER_LENGTH_MAX: usize = 32;

/// One person's Slack user id. A report that named a list, a group or a channel here would mention
/// them all.
fn slack_user(text: &str) -> Result<UserId, &'static str> {
    let is_one = text.starts_with(['U', 'W'])
        && (2..=USER_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let id = UserId::parse(text).ok().filter(|_| is_one);
    id.ok_or("it is not one person's Slack user id, which looks like `U02ANA1B2C3`")
}

/// What a report may say besides.
#[derive(Debug)]
pub(super) struct Details {
    commit: Option<rollback_core::Label>,
    revision: Option<RevisionName>,
    deployer: Option<Deployer>,
    changelog_url: Option<String>,
    migrations: Migrations,
    changes: Option<Vec<Change>>,
}

impl Details {
    pub(super) fn into(self, deploy: &mut Deploy) {
        deploy.commit = self.commit;
        deploy.reported = self.revision;
        deploy.deployer = self.deployer;
        deploy.changelog_url = self.changelog_url;
        deploy.migrations = self.migrations;
        deploy.changes = self.changes;
    }
}

pub(super) fn details(place: &Place<'_>) -> Details {
    Details {
        commit: place.field("commit").optional(label),
        revision: place.field("revision").optional(RevisionName::parse),
        deployer: deployer(&place.field("deployer")),
        changelog_url: place.field("changelog_url").optional(url),
        migrations: migrations(&place.field("migrations")),
        changes: changes(&place.field("changes")),
    }
}

fn changes(place: &Place<'_>) -> Option<Vec<Change>> {
    let items = place.items()?;
    if items.len() > CHANGES_MAX {
        place.wrong(format!("there are {} changes; at most {CHANGES_MAX} are taken", items.len()));
        return None;
    }
    let list: Vec<Change> = items.iter().filter_map(change).collect();
    let fixes = list.iter().map(|change| change.fixes.len()).sum::<usize>();
    if fixes > FIXES_MAX {
        place.wrong(format!("there are {fixes} fixes; at most {FIXES_MAX} are taken"));
    }
    Some(list)
}

fn change(item: &Place<'_>) -> Option<Change> {
    item.object()?;
    let mut change = Change::new(item.field("title").required(label)?);
    change.commit = item.field("commit").optional(label);
    change.author = deployer(&item.field("author"));
    change.url = item.field("url").optional(url);
    let fixes = item.field("fixes").items().unwrap_or_default();
    change.fixes = fixes
        .iter()
        .filter_map(|fix| {
            fix.object()?;
            let id = fix.field("id").required(label);
            let kind = fix.field("kind").required(fix_kind);
            Some(Fix::new(id?, kind?))
        })
        .collect();
    Some(change)
}

fn fix_kind(text: &str) -> Result<FixKind, &'static str> {
    match text {
        "incident" => Ok(FixKind::Incident),
        "security" => Ok(FixKind::Security),
        "bug" => Ok(FixKind::Bug),
        _ => Err("it is none of `incident`, `security` and `bug`"),
    }
}

fn deployer(place: &Place<'_>) -> Option<Deployer> {
    if !place.is_there() {
        return None;
    }
    place.object()?;
    let mut deployer = Deployer::default();
    deployer.name = place.field("name").optional(label);
    deployer.slack_user_id = place.field("slack_user_id").optional(slack_user);
    deployer.email = place.field("email").optional(label);
    Some(deployer)
}

fn migrations(place: &Place<'_>) -> Migrations {
    let Some(items) = place.items() else { return Migrations::Unknown };
    let list = items.iter().filter_map(|item| {
        item.object()?;
        let id = item.field("id").required(label);
        let told = item.field("reversible").optional(reversible);
        Some(Migration::new(id?, told.unwrap_or_default()))
    });
    Migrations::Known(list.collect())
}

fn reversible(text: &str) -> Result<Reversible, &'static str> {
    match text {
        "yes" => Ok(Reversible::Yes),
        "no" => Ok(Reversible::No),
        "unknown" => Ok(Reversible::Unknown),
        _ => Err("it is none of `yes`, `no` and `unknown`"),
    }
}
