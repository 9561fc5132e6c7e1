//! Whether Slack would do its part: token, scopes, clock, channels, people.

use super::Row;
use crate::config::{Config, People};
use rollback_core::{ChannelId, GroupId, UserId, WorkspaceId};
use rollback_slack::{CallError, Identity, Standing, UnixSeconds, WebApi};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that the bot's token must allow; the app manifest asks for exactly these.
pub const SCOPES: [&str; 7] = [
    "chat:write",
    "im:write",
    "channels:history",
    "groups:history",
    "im:history",
    "usergroups:read",
    "users:read",
];

/// How far the clocks may differ: far below the five minutes at which a signed callback is refused.
const SKEW_MAX: u64 = 60;

/// How many people are looked up; the rest is found out when they click.
const PEOPLE_MAX: usize = 50;

pub(super) async fn rows(
    config: &Config,
    api: &WebApi,
    app: Option<&WebApi>,
) -> (Vec<Row>, Option<WorkspaceId>) {
    let identity = match api.identity().await {
        Ok(identity) => identity,
        Err(error) => return (vec![token(&error)], None),
    };
    let workspace = WorkspaceId::parse(identity.team_id.as_str()).ok();
    let mut rows = vec![
        Row::ok(
            "Slack token",
            format!("`{}` in workspace `{}`", identity.user_id, identity.team_id),
        ),
        scopes(&identity),
        clock(identity.answered_at, UnixSeconds::now()),
    ];
    rows.extend(other_workspace(config, workspace.as_ref()));
    if let Some(app) = app {
        rows.push(match app.connections_open().await {
            Ok(_ticket) => Row::ok("Slack Socket Mode", "a connection can be opened"),
            Err(error) => Row::fail(
                "Slack Socket Mode",
                error.to_string(),
                "switch it on, and give `SLACK_APP_TOKEN` the scope `connections:write`",
            ),
        });
    }
    for channel in channels(config) {
        rows.push(in_channel(api, &channel).await);
    }
    let (users, groups) = people(config);
    rows.extend(group_rows(api, &groups).await);
    for user in users.iter().take(PEOPLE_MAX) {
        rows.push(user_row(api, user, &identity.team_id).await);
    }
    (rows, workspace)
}

fn token(error: &CallError) -> Row {
    if error.is_fatal_for_the_token() {
        let remedy = "copy the Bot User OAuth Token again: OAuth & Permissions";
        return Row::fail("Slack token", error.to_string(), remedy);
    }
    Row::unknown("Slack token", error.to_string(), "check again when Slack answers")
}

fn scopes(identity: &Identity) -> Row {
    let missing = identity.missing_scopes(&SCOPES);
    if identity.scopes.is_none() {
        return Row::unknown(
            "Slack scopes",
            "Slack did not say which the token has",
            "look at the app's page",
        );
    }
    if missing.is_empty() {
        return Row::ok("Slack scopes", format!("all {}", SCOPES.len()));
    }
    let missing: Vec<String> = missing.iter().map(|scope| format!("`{scope}`")).collect();
    Row::fail(
        "Slack scopes",
        format!("missing: {}", missing.join(", ")),
        "add them under OAuth & Permissions, and install the app again",
    )
}

fn clock(slacks: Option<UnixSeconds>, ours: UnixSeconds) -> Row {
    let Some(slacks) = slacks else {
        return Row::unknown(
            "clock",
            "Slack did not say what time it is",
            "compare it with another clock",
        );
    };
    let apart = ours.distance(slacks);
    if apart <= SKEW_MAX {
        return Row::ok("clock", format!("within {SKEW_MAX} s of Slack's"));
    }
    let side = if ours > slacks { "ahead of" } else { "behind" };
    Row::fail(
        "clock",
        format!("{apart} s {side} Slack's"),
        "set the machine's clock by NTP; from 300 s on every click is refused",
    )
}

fn other_workspace(config: &Config, token: Option<&WorkspaceId>) -> Option<Row> {
    let written = config.file.slack.workspace.as_ref()?;
    (token != Some(written)).then(|| {
        Row::fail(
            "Slack workspace",
            format!("`{written}` is written, and the token belongs to another"),
            "correct `slack: {workspace: …}`, or take the other token",
        )
    })
}

fn channels(config: &Config) -> BTreeSet<ChannelId> {
    let environments =
        config.file.services.values().flat_map(|service| service.environments.values());
    let mut channels: BTreeSet<ChannelId> =
        environments.filter_map(|environment| environment.channel.clone()).collect();
    channels.insert(config.file.slack.channel.clone());
    channels.extend(config.file.slack.on_call.clone());
    channels
}

async fn in_channel(api: &WebApi, channel: &ChannelId) -> Row {
    let subject = format!("channel {channel}");
    match api.can_read(channel.as_str()).await {
        Ok(()) => Row::ok(subject, "the bot is in it"),
        Err(error) if matches!(error.code(), Some("not_in_channel")) => {
            Row::fail(subject, "the bot is not in it", "write `/invite @Rollback` there")
        }
        Err(error) if matches!(error.code(), Some("channel_not_found")) => Row::fail(
            subject,
            "there is no such channel, or it is private and the bot is not in it",
            "correct the id, or write `/invite @Rollback` there",
        ),
        Err(error) => Row::unknown(subject, error.to_string(), "check again"),
    }
}

/// Everybody whom the configuration names.
fn people(config: &Config) -> (BTreeSet<UserId>, BTreeSet<GroupId>) {
    let file = &config.file;
    let mut lists: Vec<&People> = file.break_glass.iter().collect();
    for service in file.services.values() {
        lists.extend([&service.owners, &service.approvers, &service.denied].into_iter().flatten());
        for environment in service.environments.values() {
            let own = [&environment.owners, &environment.approvers, &environment.denied];
            lists.extend(own.into_iter().flatten());
        }
    }
    let rules = [&file.access.owners, &file.access.approvers, &file.access.denied];
    let rules = rules.into_iter().flatten();
    let users = lists.iter().flat_map(|people| &people.users);
    let groups = lists.iter().flat_map(|people| &people.groups);
    (
        users.chain(rules.clone().flat_map(|rule| &rule.users)).cloned().collect(),
        groups.chain(rules.flat_map(|rule| &rule.groups)).cloned().collect(),
    )
}

async fn group_rows(api: &WebApi, groups: &BTreeSet<GroupId>) -> Vec<Row> {
    if groups.is_empty() {
        return Vec::new();
    }
    let known: BTreeMap<String, (String, bool)> = match api.user_groups().await {
        Ok(known) => known
            .into_iter()
            .map(|group| (group.id, (group.handle.unwrap_or_default(), group.is_disabled)))
            .collect(),
        Err(error) => {
            let remedy = "the plan must have user groups, and the token `usergroups:read`";
            return vec![Row::fail("user groups", error.to_string(), remedy)];
        }
    };
    let row = |group: &GroupId| {
        let subject = format!("group {group}");
        match known.get(group.as_str()) {
            Some((handle, false)) => Row::ok(subject, format!("`@{handle}`")),
            Some((handle, true)) => Row::fail(
                subject,
                format!("`@{handle}` is switched off, so that nobody is in it"),
                "switch it on again, or remove it",
            ),
            None => Row::fail(subject, "there is no such user group", "correct the id"),
        }
    };
    groups.iter().map(row).collect()
}

async fn user_row(api: &WebApi, user: &UserId, team: &str) -> Row {
    let subject = format!("member {user}");
    match api.user(user.as_str()).await {
        Ok(profile) => match profile.standing_in(team) {
            Standing::Member => {
                Row::ok(subject, profile.real_name.or(profile.name).unwrap_or_default())
            }
            Standing::Deactivated => Row::fail(subject, "the account is deactivated", "remove it"),
            Standing::Bot => Row::fail(subject, "it is a bot, which may do nothing", "remove it"),
            Standing::Guest => Row::fail(subject, "a guest may do nothing", "remove it"),
            Standing::Foreign => {
                Row::fail(subject, "somebody of another workspace may do nothing", "remove it")
            }
            Standing::Unknown => {
                Row::unknown(subject, "Slack did not say what kind of account it is", "check again")
            }
        },
        Err(error) if error.code() == Some("user_not_found") => {
            Row::fail(subject, "there is no such member", "correct the id")
        }
        Err(error) => Row::unknown(subject, error.to_string(), "check again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn a_clock_that_is_off_is_found_before_slack_notices() {
        let now = UnixSeconds(1_700_000_000);
        for (slacks, verdict, said) in [
            (Some(now), Verdict::Ok, "within"),
            (Some(now.plus(60)), Verdict::Ok, "within"),
            (Some(now.plus(61)), Verdict::Fail, "61 s behind"),
            (Some(now.plus(-3600)), Verdict::Fail, "3600 s ahead"),
            (None, Verdict::Unknown, "did not say"),
        ] {
            let row = clock(slacks, now);
            assert_eq!(row.verdict, verdict, "{row:?}");
            assert!(row.finding.contains(said), "{row:?}");
        }
    }

    #[test]
    fn every_scope_that_the_notifier_needs_is_asked_for() {
        for scope in rollback_slack::SCOPES_NEEDED {
            assert!(SCOPES.contains(&scope), "{scope}");
        }
    }
}
