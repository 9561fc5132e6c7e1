//! The JSON, as borrowed and as optional as it can be, and the way from it to an interaction.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use super::{
    Action, Click, Closing, Input, Inputs, Interaction, PayloadError, Person, Place, Submission,
    UnknownKind, Via, View,
};

/// Reads a payload: the JSON in a form's `payload` field, or in a Socket Mode envelope.
///
/// # Errors
/// [`PayloadError`], without a word of the payload in it.
///
/// ```
/// use rollback_slack::payload::{parse, Interaction};
///
/// let click = parse(r#"{"type":"block_actions","user":{"id":"U1"},"trigger_id":"1.2.a",
///     "container":{"type":"message","channel_id":"C1","message_ts":"17.01"},
///     "actions":[{"type":"button","action_id":"rollback_open"}]}"#)?;
/// assert!(matches!(click, Interaction::Click(click) if click.action.action_id == "rollback_open"));
/// # Ok::<(), rollback_slack::payload::PayloadError>(())
/// ```
pub fn parse(payload: &str) -> Result<Interaction, PayloadError> {
    let raw: RawPayload<'_> = serde_json::from_str(payload)
        .map_err(|error| PayloadError::Unreadable { line: error.line(), column: error.column() })?;
    raw.into_interaction()
}

/// Text that is borrowed where the JSON holds it without escapes. (`Option<Cow<str>>` never is.)
struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    fn owned(self) -> String {
        self.0.into_owned()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

fn owned(text: Option<Text<'_>>) -> Option<String> {
    text.map(Text::owned)
}

/// Slack leaves a field empty where it means that there is none.
fn filled(text: Option<Text<'_>>) -> Option<String> {
    owned(text).filter(|text| !text.is_empty())
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawPayload<'a> {
    #[serde(rename = "type")]
    kind: Option<Text<'a>>,
    user: Option<RawUser<'a>>,
    api_app_id: Option<Text<'a>>,
    team: Option<RawTeam<'a>>,
    enterprise: Option<RawId<'a>>,
    is_enterprise_install: Option<bool>,
    trigger_id: Option<Text<'a>>,
    container: Option<RawContainer<'a>>,
    channel: Option<RawId<'a>>,
    message: Option<RawMessage<'a>>,
    view: Option<RawView<'a>>,
    actions: Option<Vec<RawAction<'a>>>,
    is_cleared: Option<bool>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawUser<'a> {
    id: Option<Text<'a>>,
    name: Option<Text<'a>>,
    username: Option<Text<'a>>,
    team_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawTeam<'a> {
    id: Option<Text<'a>>,
    enterprise_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawId<'a> {
    id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawContainer<'a> {
    #[serde(rename = "type")]
    kind: Option<Text<'a>>,
    channel_id: Option<Text<'a>>,
    message_ts: Option<Text<'a>>,
    thread_ts: Option<Text<'a>>,
    is_ephemeral: Option<bool>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawMessage<'a> {
    ts: Option<Text<'a>>,
    thread_ts: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawAction<'a> {
    #[serde(rename = "type")]
    kind: Option<Text<'a>>,
    action_id: Option<Text<'a>>,
    block_id: Option<Text<'a>>,
    value: Option<Text<'a>>,
    selected_option: Option<RawOption<'a>>,
    selected_user: Option<Text<'a>>,
    selected_channel: Option<Text<'a>>,
    selected_conversation: Option<Text<'a>>,
    action_ts: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawOption<'a> {
    value: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawView<'a> {
    id: Option<Text<'a>>,
    callback_id: Option<Text<'a>>,
    private_metadata: Option<Text<'a>>,
    hash: Option<Text<'a>>,
    external_id: Option<Text<'a>>,
    root_view_id: Option<Text<'a>>,
    state: Option<RawState<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawState<'a> {
    values: Option<BTreeMap<String, BTreeMap<String, RawInput<'a>>>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct RawInput<'a> {
    #[serde(rename = "type")]
    kind: Option<Text<'a>>,
    // Elements to come may have a value that is not text.
    value: Option<&'a RawValue>,
    selected_option: Option<RawOption<'a>>,
    selected_options: Option<Vec<RawOption<'a>>>,
    selected_user: Option<Text<'a>>,
    selected_users: Option<Vec<Text<'a>>>,
    selected_channel: Option<Text<'a>>,
    selected_conversation: Option<Text<'a>>,
}

impl RawPayload<'_> {
    fn into_interaction(self) -> Result<Interaction, PayloadError> {
        let kind = self.kind.ok_or(PayloadError::Missing("type"))?;
        let via = Via::of(
            self.api_app_id,
            self.team,
            self.enterprise,
            self.is_enterprise_install.unwrap_or(false),
        );
        let person = || self.user.ok_or(PayloadError::Missing("user.id")).and_then(Person::of);
        let view = |view: Option<RawView<'_>>| {
            view.ok_or(PayloadError::Missing("view.id")).and_then(View::of)
        };
        match &*kind.0 {
            "block_actions" => {
                let person = person()?;
                let trigger_id =
                    filled(self.trigger_id).ok_or(PayloadError::Missing("trigger_id"))?;
                let place = Place::of(self.container, self.channel, self.message, self.view)?;
                let mut actions = self.actions.unwrap_or_default().into_iter().map(Action::of);
                let action = actions.next().ok_or(PayloadError::Missing("actions"))??;
                let more_actions = actions.collect::<Result<_, _>>()?;
                let delivery = None;
                let click =
                    Click { person, via, trigger_id, place, action, more_actions, delivery };
                Ok(Interaction::Click(click))
            }
            "view_submission" => Ok(Interaction::Submission(Submission {
                person: person()?,
                via,
                trigger_id: filled(self.trigger_id),
                view: view(self.view)?,
                delivery: None,
            })),
            "view_closed" => Ok(Interaction::Closing(Closing {
                person: person()?,
                via,
                view: view(self.view)?,
                whole_stack: self.is_cleared.unwrap_or(false),
                delivery: None,
            })),
            _ => Ok(Interaction::Unknown(UnknownKind { kind: kind.owned(), via })),
        }
    }
}

impl Via {
    fn of(
        app_id: Option<Text<'_>>,
        team: Option<RawTeam<'_>>,
        enterprise: Option<RawId<'_>>,
        org_install: bool,
    ) -> Self {
        let (team_id, teams_enterprise) =
            team.map_or((None, None), |team| (filled(team.id), filled(team.enterprise_id)));
        let enterprise_id = enterprise.and_then(|it| filled(it.id)).or(teams_enterprise);
        Self { app_id: filled(app_id), team_id, enterprise_id, org_install }
    }
}

impl Person {
    fn of(raw: RawUser<'_>) -> Result<Self, PayloadError> {
        Ok(Self {
            id: filled(raw.id).ok_or(PayloadError::Missing("user.id"))?,
            team_id: filled(raw.team_id),
            name: filled(raw.name).or_else(|| filled(raw.username)),
        })
    }
}

impl Place {
    fn of(
        container: Option<RawContainer<'_>>,
        channel: Option<RawId<'_>>,
        message: Option<RawMessage<'_>>,
        view: Option<RawView<'_>>,
    ) -> Result<Self, PayloadError> {
        let container = container.ok_or(PayloadError::Missing("container"))?;
        let kind = container.kind.map_or(Cow::Borrowed(""), |kind| kind.0);
        let (ts, thread) = message.map_or((None, None), |message| (message.ts, message.thread_ts));
        match &*kind {
            "message" | "message_attachment" => Ok(Self::Message {
                channel_id: filled(container.channel_id)
                    .or_else(|| channel.and_then(|channel| filled(channel.id)))
                    .ok_or(PayloadError::Missing("container.channel_id"))?,
                message_ts: filled(container.message_ts)
                    .or_else(|| filled(ts))
                    .ok_or(PayloadError::Missing("container.message_ts"))?,
                thread_ts: filled(container.thread_ts).or_else(|| filled(thread)),
                is_ephemeral: container.is_ephemeral.unwrap_or(false),
            }),
            "view" => {
                view.ok_or(PayloadError::Missing("view.id")).and_then(View::of).map(Self::View)
            }
            _ => Ok(Self::Unknown { kind: kind.into_owned() }),
        }
    }
}

impl Action {
    fn of(raw: RawAction<'_>) -> Result<Self, PayloadError> {
        let selected = raw.selected_option.and_then(|option| option.value);
        Ok(Self {
            action_id: owned(raw.action_id).ok_or(PayloadError::Missing("actions.action_id"))?,
            block_id: filled(raw.block_id),
            kind: owned(raw.kind),
            value: owned(raw.value),
            selected: owned(
                selected
                    .or(raw.selected_user)
                    .or(raw.selected_channel)
                    .or(raw.selected_conversation),
            ),
            action_ts: owned(raw.action_ts),
        })
    }
}

impl View {
    fn of(raw: RawView<'_>) -> Result<Self, PayloadError> {
        let values = raw.state.and_then(|state| state.values).unwrap_or_default();
        let inputs = values
            .into_iter()
            .map(|(block, inputs)| {
                let inputs = inputs.into_iter().map(|(id, input)| (id, Input::of(input)));
                (block, inputs.collect())
            })
            .collect();
        Ok(Self {
            id: filled(raw.id).ok_or(PayloadError::Missing("view.id"))?,
            callback_id: filled(raw.callback_id),
            private_metadata: filled(raw.private_metadata),
            hash: filled(raw.hash),
            external_id: filled(raw.external_id),
            root_view_id: filled(raw.root_view_id),
            inputs: Inputs(inputs),
        })
    }
}

impl Input {
    fn of(raw: RawInput<'_>) -> Self {
        match raw.kind.as_ref().map_or("", |kind| &*kind.0) {
            "plain_text_input" | "email_text_input" | "url_text_input" | "number_input" => {
                Self::Text(raw.value.and_then(|value| serde_json::from_str(value.get()).ok()))
            }
            "static_select"
            | "external_select"
            | "radio_buttons"
            | "checkboxes"
            | "multi_static_select"
            | "users_select"
            | "multi_users_select"
            | "channels_select"
            | "conversations_select" => {
                let options = raw.selected_option.into_iter();
                let options = options.chain(raw.selected_options.into_iter().flatten());
                let ids = [raw.selected_user, raw.selected_channel, raw.selected_conversation];
                let ids = ids.into_iter().flatten();
                let ids = ids.chain(raw.selected_users.into_iter().flatten());
                let chosen = options.filter_map(|option| option.value).chain(ids);
                Self::Chosen(chosen.map(Text::owned).collect())
            }
            _ => Self::Unknown,
        }
    }
}
