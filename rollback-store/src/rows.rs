//! What the rows of a database mean, whatever the database: read whole, or refused by name.

use crate::notices::New;
use crate::value::{Answer, corrupt, from_json, millis, to_json, uint};
use rollback_core::audit::{Hash, Head};
use rollback_core::journal::Opening;
use rollback_core::notice::DeployCard;
use rollback_core::ports::{Journal, Listed};
use rollback_core::{Deploy, DeployId, RollbackId, RollbackView, ServiceKey};

/// A rollback as others may see it.
pub(crate) fn view(id: &str, view: &str) -> Answer<RollbackView> {
    let what = || format!("the view of rollback `{id}`");
    let view: RollbackView = from_json(view, what)?;
    if view.id.as_str() != id {
        return Err(corrupt(what(), &format!("it is that of rollback `{}`", view.id)));
    }
    Ok(view)
}

/// A rollback in a list.
pub(crate) fn listed(
    id: &str,
    json: &str,
    entries: i64,
    (holds_service, was_ordered): (bool, bool),
) -> Answer<Listed> {
    let what = || format!("the view of rollback `{id}`");
    Ok(Listed::new(view(id, json)?, uint(entries, what)?, holds_service, was_ordered))
}

/// A whole journal out of its opening, the number of entries that it should have, and those that it
/// has. Every entry is there, or it is an error.
pub(crate) fn journal(
    id: &RollbackId,
    opening: Option<String>,
    count: i64,
    rows: &[(i64, String)],
) -> Answer<Journal> {
    let what = || format!("the opening of rollback `{id}`");
    let opening = opening.ok_or_else(|| corrupt(what(), "it is missing"))?;
    let opening: Opening = from_json(&opening, what)?;
    if opening.id != *id {
        return Err(corrupt(what(), &format!("it is that of rollback `{}`", opening.id)));
    }
    let what = || format!("the journal of rollback `{id}`");
    let mut entries = Vec::with_capacity(rows.len());
    for (expected, (number, entry)) in (1_i64..).zip(rows) {
        if *number != expected {
            return Err(corrupt(what(), &format!("entry {expected} is missing")));
        }
        entries.push(from_json(entry, || format!("entry {number} of rollback `{id}`"))?);
    }
    if i64::try_from(entries.len()) != Ok(count) {
        return Err(corrupt(what(), &format!("it has {} entries, not {count}", entries.len())));
    }
    Ok(Journal::new(opening, entries))
}

/// The end of the audit chain, out of its name, its last number and its last hash.
pub(crate) fn head(row: Option<(String, i64, String)>) -> Answer<Head> {
    let what = || "the end of the audit chain".to_string();
    let (chain, sequence, hash) = row.ok_or_else(|| corrupt(what(), "it is missing"))?;
    let mut head = Head::genesis(chain);
    head.sequence = uint(sequence, what)?;
    head.hash = Hash::parse(&hash).map_err(|error| corrupt(what(), &error))?;
    Ok(head)
}

/// A deploy of this service.
pub(crate) fn deploy_of(key: &ServiceKey, id: &str, card: &str) -> Answer<Deploy> {
    let what = || format!("deploy `{id}`");
    let card: DeployCard = from_json(card, what)?;
    if card.deploy.id.as_str() == id && card.deploy.key() == *key {
        Ok(card.deploy)
    } else {
        Err(corrupt(what(), "it is filed under another name"))
    }
}

/// A card as it is written: without the rollback, which is asked for when the card is shown.
#[derive(Debug)]
pub(crate) struct Card {
    pub(crate) id: DeployId,
    pub(crate) key: ServiceKey,
    pub(crate) deployed_at: i64,
    pub(crate) json: String,
    pub(crate) notices: Vec<New>,
}

impl Card {
    pub(crate) fn prepare(card: &DeployCard, notices: Vec<New>) -> Answer<Self> {
        let mut card = card.clone();
        card.rollback = None;
        Ok(Self {
            json: to_json("the deploy", &card)?,
            key: card.deploy.key(),
            deployed_at: millis(card.deploy.deployed_at),
            id: card.deploy.id,
            notices,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::known_good::Choice;
    use rollback_core::ports::Commit;
    use rollback_testkit::fixtures;
    use rollback_testkit::script::{Ending, Script};

    fn commits() -> Vec<Commit> {
        Script::new("rb-1").commits(Ending::Succeeded)
    }

    #[test]
    fn a_view_in_the_row_of_another_rollback_is_corrupt() {
        let json = to_json("the view", &commits()[0].view).unwrap();
        assert_eq!(view("rb-1", &json).unwrap(), *commits()[0].view);
        assert!(view("rb-2", &json).is_err());
    }

    #[test]
    fn a_journal_is_read_whole_or_not_at_all() {
        let commits = commits();
        let opening = to_json("the opening", commits[0].opening.as_ref().unwrap()).ok();
        let entries = commits.iter().filter_map(|commit| commit.entry.as_ref());
        let rows: Vec<(i64, String)> =
            (1..).zip(entries.map(|entry| to_json("the entry", entry).unwrap())).collect();
        let (ours, other) = ("rb-1".parse().unwrap(), "rb-2".parse().unwrap());
        let count = i64::try_from(rows.len()).unwrap();
        let read = journal(&ours, opening.clone(), count, &rows).unwrap();
        assert_eq!(read.entries.len(), rows.len());
        let without_the_first = &rows[1..];
        for (id, opening, count, rows, why) in [
            (&other, opening.clone(), count, &rows[..], "that of rollback `rb-1`"),
            (&ours, None, count, &rows[..], "it is missing"),
            (&ours, opening.clone(), count - 1, without_the_first, "entry 1 is missing"),
            (&ours, opening, count + 1, &rows[..], "entries, not"),
        ] {
            let error = journal(id, opening, count, rows).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_deploy_that_is_filed_under_another_name_is_corrupt() {
        let (key, id) = (fixtures::key(), "d-1".parse().unwrap());
        let deploy = Deploy::new(id, key.clone(), "2.15.0", fixtures::at(0));
        let card = DeployCard::new(deploy.clone(), None, Choice::none("it is the first"));
        let json = to_json("the deploy", &card).unwrap();
        assert_eq!(deploy_of(&key, "d-1", &json).unwrap(), deploy);
        assert!(deploy_of(&key, "d-2", &json).is_err());
        let another = ServiceKey::new("search".parse().unwrap(), key.environment);
        assert!(deploy_of(&another, "d-1", &json).is_err());
    }
}
