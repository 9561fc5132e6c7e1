//! Our own JSON.

use super::{Report, url};
use crate::fields::{Place, label};
use crate::problem::Fault;
use rollback_core::{
    Deploy, DeployId, Deployer, EnvironmentName, Migration, Migrations, Reversible, RevisionName,
    ServiceKey, ServiceName, Timestamp, UserId,
};
use serde_json::Value;
use std::cell::RefCell;

pub(super) fn read(body: &Value, faults: &RefCell<Vec<Fault>>) -> Option<Report> {
    let place = Place::whole(body, faults);
    place.object()?;
    let id = place.field("id").required(DeployId::parse);
    let service = place.field("service").required(ServiceName::parse);
    let environment = place.field("environment").required(EnvironmentName::parse);
    let version = place.field("version").required(label);
    let deployed_at = place.field("deployed_at").required(Timestamp::parse);
    let details = details(&place);
    let key = ServiceKey::new(service?, environment?);
    let mut deploy = Deploy::new(id?, key, version?, deployed_at?);
    details.into(&mut deploy);
    Some(Report { id: deploy.id.to_string(), deploy })
}

/// What a report may say besides.
#[derive(Debug)]
pub(super) struct Details {
    commit: Option<rollback_core::Label>,
    revision: Option<RevisionName>,
    deployer: Option<Deployer>,
    changelog_url: Option<String>,
    migrations: Migrations,
}

impl Details {
    pub(super) fn into(self, deploy: &mut Deploy) {
        deploy.commit = self.commit;
        deploy.reported = self.revision;
        deploy.deployer = self.deployer;
        deploy.changelog_url = self.changelog_url;
        deploy.migrations = self.migrations;
    }
}

pub(super) fn details(place: &Place<'_>) -> Details {
    Details {
        commit: place.field("commit").optional(label),
        revision: place.field("revision").optional(RevisionName::parse),
        deployer: deployer(&place.field("deployer")),
        changelog_url: place.field("changelog_url").optional(url),
        migrations: migrations(&place.field("migrations")),
    }
}

fn deployer(place: &Place<'_>) -> Option<Deployer> {
    if !place.is_there() {
        return None;
    }
    place.object()?;
    let mut deployer = Deployer::default();
    deployer.name = place.field("name").optional(label);
    deployer.slack_user_id = place.field("slack_user_id").optional(UserId::parse);
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
