//! Text put together from our words and from what others wrote, which has one way in: escaped.

use std::borrow::Cow;
use std::fmt::Write as _;

use rollback_core::{
    Actor, ChannelId, Deployer, Label, RevisionRef, ServiceKey, Timestamp, UserId,
};

use super::block::{Leaf, Mrkdwn, Rich, Style};
use crate::escape::{code_span, mention, mrkdwn_line, plain_line, plain_lines};

/// A name, a version or an id. Longer is cut: nobody compares eighty characters by eye.
pub(super) const NAME_UNITS_MAX: usize = 80;
/// A sentence about how things stand.
pub(super) const SENTENCE_UNITS_MAX: usize = 300;
/// An entry of a list, of which there can be many.
pub(super) const ENTRY_UNITS_MAX: usize = 200;
/// Several sentences: a refusal with every guard that stands in the way.
pub(super) const PARAGRAPH_UNITS_MAX: usize = 2_000;
/// A reason as the channel sees it; the audit record has the whole of it.
pub(super) const REASON_UNITS_MAX: usize = 1_000;

/// People and groups that are named one by one.
const NAMED_MAX: usize = 10;

/// Marked-up text in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct Words(String);

impl Words {
    pub(super) fn new() -> Self {
        Self(String::with_capacity(128))
    }

    /// Our own words, which may hold markup.
    pub(super) fn say(mut self, ours: &'static str) -> Self {
        self.0.push_str(ours);
        self
    }

    /// Somebody's words, on one line.
    pub(super) fn line(mut self, theirs: &str, units_max: usize) -> Self {
        if is_bare(theirs, units_max) && !theirs.contains(MARKS) {
            self.0.push_str(theirs);
        } else {
            self.0.push_str(&mrkdwn_line(theirs, units_max));
        }
        self
    }

    /// Somebody's name for something, as code.
    pub(super) fn code(mut self, theirs: &str) -> Self {
        if is_bare(theirs, NAME_UNITS_MAX.saturating_sub(2)) {
            self.0.push('`');
            self.0.push_str(theirs);
            self.0.push('`');
        } else {
            self.0.push_str(&code_span(theirs, NAME_UNITS_MAX));
        }
        self
    }

    pub(super) fn number(mut self, number: usize) -> Self {
        // Writing to a string cannot fail.
        let _infallible = write!(self.0, "{number}");
        self
    }

    /// A person by the id that an authenticated request or the configuration gave.
    pub(super) fn person(mut self, id: &UserId) -> Self {
        self.0.push_str(&person(id.as_str()));
        self
    }

    /// A channel by the id that the configuration gave.
    pub(super) fn channel(mut self, id: &ChannelId) -> Self {
        self.0.push_str(&mention(id.as_str()));
        self
    }

    pub(super) fn actor(self, actor: &Actor) -> Self {
        self.person(&actor.id)
    }

    /// Who deployed, by the best that is known of them.
    pub(super) fn deployer(self, deployer: Option<&Deployer>) -> Self {
        let Some(deployer) = deployer else { return self.say("not known") };
        match (&deployer.slack_user_id, &deployer.name, &deployer.email) {
            (Some(id), _, _) => self.person(id),
            (None, Some(name), _) => self.line(name.as_str(), NAME_UNITS_MAX),
            (None, None, Some(email)) => self.line(email.as_str(), NAME_UNITS_MAX),
            (None, None, None) => self.say("not known"),
        }
    }

    pub(super) fn service(self, key: &ServiceKey) -> Self {
        self.code(key.service.as_str()).say(" in ").code(key.environment.as_str())
    }

    /// A revision as people call it, with its version if it has one.
    pub(super) fn revision(self, revision: &RevisionRef) -> Self {
        self.revision_called(revision, revision.revision.short())
    }

    /// The same where another revision is named as well.
    pub(super) fn revision_beside(self, revision: &RevisionRef, other: &RevisionRef) -> Self {
        self.revision_called(revision, revision.revision.beside(&other.revision))
    }

    fn revision_called(self, revision: &RevisionRef, name: &str) -> Self {
        match &revision.version {
            Some(version) => self.code(version.as_str()).say(" (revision ").code(name).say(")"),
            None => self.say("revision ").code(name),
        }
    }

    /// A moment, shown in the reader's own time zone.
    pub(super) fn moment(mut self, at: Timestamp) -> Self {
        let seconds = at.as_millis() / 1_000;
        let _infallible = write!(self.0, "<!date^{seconds}^{{date_short_pretty}} {{time}}|{at}>");
        self
    }

    pub(super) fn actors(mut self, actors: &[Actor]) -> Self {
        for (place, actor) in actors.iter().take(NAMED_MAX).enumerate() {
            self = if place > 0 { self.say(", ") } else { self }.actor(actor);
        }
        self.and_more(actors.len())
    }

    fn and_more(self, count: usize) -> Self {
        match count.saturating_sub(NAMED_MAX) {
            0 => self,
            more => self.say(" and ").number(more).say(" more"),
        }
    }

    /// Everybody whom a list of principals names.
    pub(super) fn principals(mut self, who: &[Label]) -> Self {
        for (place, label) in who.iter().take(NAMED_MAX).enumerate() {
            if place > 0 {
                self.0.push_str(", ");
            }
            match Principal::parse(label.as_str()) {
                Some(Principal::User(id)) => self.0.push_str(&person(id)),
                Some(Principal::Group(id)) => self.0.push_str(&mention(id)),
                None => self.0.push_str(&code_span(label.as_str(), NAME_UNITS_MAX)),
            }
        }
        self.and_more(who.len())
    }

    pub(super) fn mrkdwn(self) -> Mrkdwn {
        Mrkdwn::new(self.0)
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

/// What can mark text where it is not code.
const MARKS: [char; 4] = ['*', '_', '~', ':'];

/// Whether escaping would leave the text as it is, as for nearly every version and id: then it
/// need not be copied twice.
fn is_bare(text: &str, units_max: usize) -> bool {
    let bare = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'&' | b'<' | b'>' | b'`');
    !text.is_empty() && text.len() <= units_max && text.bytes().all(bare)
}

/// Whether stripping would leave the text as it is: printable ASCII on one line, a single blank
/// between words.
fn is_seen(text: &str, units_max: usize) -> bool {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    text.len() <= units_max
        && ends.iter().all(|end| end.is_some_and(|byte| byte != b' '))
        && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && !text.contains("  ")
}

/// One line of literal text.
pub(super) fn line(theirs: &str, units_max: usize) -> Cow<'_, str> {
    if is_seen(theirs, units_max) {
        Cow::Borrowed(theirs)
    } else {
        Cow::Owned(plain_line(theirs, units_max))
    }
}

/// Lines of literal text.
fn lines(theirs: &str, units_max: usize) -> Cow<'_, str> {
    if is_seen(theirs, units_max) {
        Cow::Borrowed(theirs)
    } else {
        Cow::Owned(plain_lines(theirs, units_max))
    }
}

fn person(id: &str) -> String {
    if is_person(id) { mention(id) } else { code_span(id, NAME_UNITS_MAX) }
}

fn is_id(id: &str, kinds: &[u8]) -> bool {
    // The shape that `escape::mention` asks for, and of this kind: whoever reports a deploy must
    // not be able to call a whole group by naming it as the deployer.
    id.bytes().next().is_some_and(|kind| kinds.contains(&kind)) && mention(id).starts_with('<')
}

fn is_person(id: &str) -> bool {
    is_id(id, b"UW")
}

/// Whom a rule names, as the core spells it for views.
enum Principal<'a> {
    User(&'a str),
    Group(&'a str),
}

impl<'a> Principal<'a> {
    fn parse(label: &'a str) -> Option<Self> {
        match label.split_once(' ')? {
            ("user", id) if is_person(id) => Some(Self::User(id)),
            ("group", id) if is_id(id, b"S") => Some(Self::Group(id)),
            _ => None,
        }
    }
}

/// Literal text in the making: nothing in it is markup, so words that quote others belong here.
#[derive(Clone, Debug, Default)]
pub(super) struct Spans<'a>(Vec<Leaf<'a>>);

impl<'a> Spans<'a> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn say(mut self, ours: &'static str) -> Self {
        self.0.push(Leaf::Text { text: Cow::Borrowed(ours), style: None });
        self
    }

    pub(super) fn bold(mut self, ours: &'static str) -> Self {
        self.0.push(Leaf::Text { text: Cow::Borrowed(ours), style: Some(Style::BOLD) });
        self
    }

    pub(super) fn emoji(mut self, name: &'static str) -> Self {
        self.0.push(Leaf::Emoji { name });
        self
    }

    pub(super) fn code(mut self, theirs: &str) -> Self {
        self.push(&line(theirs, NAME_UNITS_MAX), Some(Style::CODE));
        self
    }

    /// Sentences that may quote others, with what stands in backticks set as code.
    pub(super) fn words(self, theirs: &str, units_max: usize) -> Self {
        self.words_naming(theirs, units_max, &[])
    }

    /// The same, with mentions of whom the sentences name. For what only one person sees: a
    /// mention calls everybody it names.
    pub(super) fn words_naming(mut self, theirs: &str, units_max: usize, who: &[Label]) -> Self {
        let text = lines(theirs, units_max);
        let ticks = text.matches('`').count();
        for (place, part) in text.split('`').enumerate() {
            let is_code = place % 2 == 1 && place < ticks;
            if is_code {
                self.push(part, Some(Style::CODE));
            } else {
                self.naming(part, who);
            }
        }
        self
    }

    /// Somebody's words as they are, line ends included.
    pub(super) fn literal(mut self, theirs: &str, units_max: usize) -> Self {
        self.push(&lines(theirs, units_max), None);
        self
    }

    fn naming(&mut self, mut rest: &str, who: &[Label]) {
        while let Some((at, label)) = first_of(rest, who) {
            let Some((before, after)) = split_around(rest, at, label.len()) else { break };
            self.push(before, None);
            match Principal::parse(label) {
                Some(Principal::User(id)) => {
                    self.0.push(Leaf::User { user_id: Cow::Owned(id.to_owned()) });
                }
                Some(Principal::Group(id)) => {
                    self.0.push(Leaf::Usergroup { usergroup_id: Cow::Owned(id.to_owned()) });
                }
                None => self.push(label, None),
            }
            rest = after;
        }
        self.push(rest, None);
    }

    fn push(&mut self, text: &str, style: Option<Style>) {
        if !text.is_empty() {
            self.0.push(Leaf::Text { text: Cow::Owned(text.to_owned()), style });
        }
    }

    pub(super) fn section(self) -> Rich<'a> {
        Rich::Section { elements: self.0 }
    }

    pub(super) fn quote(self) -> Rich<'a> {
        Rich::Quote { elements: self.0 }
    }
}

/// The first principal that the text names, and where. A longer id that only begins like it is
/// another one.
fn first_of<'w>(text: &str, who: &'w [Label]) -> Option<(usize, &'w str)> {
    who.iter()
        .map(Label::as_str)
        // What is no principal is no name for anybody; an empty one would be found for ever.
        .filter(|label| Principal::parse(label).is_some())
        .filter_map(|label| {
            let at = text.find(label)?;
            let next = text.get(at.checked_add(label.len())?..)?.chars().next();
            let ends = next.is_none_or(|char| !char.is_ascii_alphanumeric());
            ends.then_some((at, label))
        })
        .min()
}

fn split_around(text: &str, at: usize, length: usize) -> Option<(&str, &str)> {
    Some((text.get(..at)?, text.get(at.checked_add(length)?..)?))
}

/// A reason as people read it.
pub(super) fn reason<'a>(reason: &str) -> Rich<'a> {
    Spans::new().literal(reason, REASON_UNITS_MAX).quote()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(text: &str, who: &[&str]) -> String {
        let who: Vec<Label> = who.iter().map(|label| Label::new(*label)).collect();
        let Spans(leaves) = Spans::new().words_naming(text, 1_000, &who);
        leaves
            .iter()
            .map(|leaf| match leaf {
                Leaf::Text { text, style: None } => format!("[{text}]"),
                Leaf::Text { text, style: Some(_) } => format!("`{text}`"),
                Leaf::User { user_id } => format!("@{user_id}"),
                Leaf::Usergroup { usergroup_id } => format!("^{usergroup_id}"),
                Leaf::Emoji { name } => format!(":{name}:"),
            })
            .collect()
    }

    #[test]
    fn what_stands_in_backticks_is_code_and_a_lone_backtick_is_a_character() {
        for (text, shown) in [
            ("`42` is not `41`", "`42`[ is not ]`41`"),
            ("a `b", "[a ][b]"),
            ("`a` b `c", "`a`[ b ][c]"),
            ("``", ""),
            ("<!channel> `<@U1>`", "[<!channel> ]`<@U1>`"),
        ] {
            assert_eq!(leaves(text, &[]), shown, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_not_escaped_needs_no_escape(text in "[ -~]{0,12}|\\PC{0,6}", max in 0_usize..14) {
            proptest::prop_assert_eq!(line(&text, max), plain_line(&text, max));
            proptest::prop_assert_eq!(lines(&text, max), plain_lines(&text, max));
            if is_bare(&text, max) {
                proptest::prop_assert_eq!(code_span(&text, max + 2), format!("`{text}`"));
                if !text.contains(MARKS) {
                    proptest::prop_assert_eq!(mrkdwn_line(&text, max), text);
                }
            }
        }
    }

    #[test]
    fn only_a_principal_that_is_named_whole_becomes_a_mention() {
        let who = ["", "user U1", "group S9", "user <!here>"];
        for (text, shown) in [
            ("ask user U1, group S9", "[ask ]@U1[, ]^S9"),
            ("ask user U12", "[ask user U12]"),
            ("ask user U2", "[ask user U2]"),
            ("`user U1`", "`user U1`"),
            ("ask user <!here>", "[ask user <!here>]"),
        ] {
            assert_eq!(leaves(text, &who), shown, "{text}");
        }
    }

    #[test]
    fn a_deployer_who_is_said_to_be_a_group_is_not_called() {
        for id in ["S0ALL", "C0GENERAL", "channel", "U"] {
            let id: UserId = id.parse().unwrap();
            let text = Words::new().person(&id).text();
            assert!(text.starts_with('`'), "{text}");
        }
        let ana: UserId = "U02ANA".parse().unwrap();
        assert_eq!(Words::new().person(&ana).text(), "<@U02ANA>");
    }
}
