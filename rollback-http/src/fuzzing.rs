//! Ways in for the fuzz targets, compiled for them alone.

use crate::classify::{self, Answer, Seen};
use crate::client::{Media, understood};
use rollback_core::ports::StartError;

/// What an answer to an order proves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// It was taken.
    Taken,
    /// Nothing happened.
    NothingHappened,
    /// Neither.
    Nothing,
}

/// What an answer with this status and body means: as the answer to an order, and in every word
/// that would be told of it whatever the question was.
pub fn answer(status: u16, kind: u8, body: &[u8], token: &str) -> (Proof, String) {
    let media = match kind % 4 {
        0 => Media::Json,
        1 => Media::Unsaid,
        2 => Media::Html,
        _ => Media::Other,
    };
    let seen = || {
        let body = understood(media, body, token);
        Seen::Answered(Answer { status, retry_after: None, body })
    };
    let started = classify::started(seen());
    let proof = match &started {
        Ok(_receipt) => Proof::Taken,
        Err(StartError::Refused { .. } | StartError::Conflict { .. }) => Proof::NothingHappened,
        Err(StartError::InDoubt { .. }) => Proof::Nothing,
    };
    let words = format!(
        "{started:?} {:?} {:?} {:?} {:?}",
        classify::execution(seen(), "find"),
        classify::service(seen(), "live"),
        classify::cancelled(seen(), "cancel"),
        classify::fenced(seen(), "fence"),
    );
    (proof, words)
}
