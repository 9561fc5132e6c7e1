//! Whether every invariant held.

use crate::world::World;
use rollback_core::audit::Record;
use rollback_core::ports::{AuditLog as _, Journals as _, Query};
use rollback_verify::{Evidence, Rest, violations};
use std::sync::atomic::Ordering;

/// What was read, and what is wrong with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Judged {
    /// How many rollbacks there are.
    pub rollbacks: usize,
    /// How many audit records.
    pub records: usize,
    /// How many messages.
    pub messages: usize,
    /// How often the chat said that it was too fast.
    pub too_fast: usize,
    /// How often somebody was told to try again.
    pub again: usize,
    /// Every violation of an invariant, in words.
    pub violations: Vec<String>,
}

impl World<'_> {
    /// Takes every rollback again, and insists on every invariant that can be seen: in the journals,
    /// in the audit log, and in what the chat ever showed.
    pub async fn judge(&self) -> Judged {
        self.settle().await;
        let chain = self.store.head().await.unwrap().chain;
        let mut evidence = Evidence {
            log: self.effects.lock().unwrap().clone(),
            messages: self.chat.messages(),
            chain,
            compares: true,
            rest: Rest::Reached,
            ..Evidence::default()
        };
        let ids = self.space.sql("SELECT id FROM rollback ORDER BY number");
        for id in ids.lines() {
            let mut query = Query::all(1);
            query.rollback = Some(id.parse().unwrap());
            let listed = self.store.list(&query).await.unwrap().pop().unwrap();
            let journal = self.store.load(&listed.view.id).await.unwrap().unwrap();
            evidence.journals.push(journal);
            evidence.views.push(listed.view);
        }
        loop {
            let mut query = Query::all(1_000);
            query.after = evidence.records.last().map_or(0, |last: &Record| last.sequence.get());
            let records = self.store.audit(&query).await.unwrap();
            if records.is_empty() {
                break;
            }
            evidence.records.extend(records);
        }
        Judged {
            rollbacks: evidence.views.len(),
            records: evidence.records.len(),
            messages: evidence.messages.len(),
            too_fast: self.chat.too_fast(),
            again: self.again.load(Ordering::Relaxed),
            violations: violations(&evidence).iter().map(ToString::to_string).collect(),
        }
    }
}
