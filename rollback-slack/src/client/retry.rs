//! Whether a call goes out once more, and when.

use std::time::Duration;

use super::error::Why;
use super::method::Effect;

/// The first pause after a broken call; doubled each time, and half of it left to chance.
const PAUSE_FIRST: Duration = Duration::from_millis(250);

/// The bounds of one call, retries included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) attempts_max: u32,
    pub(crate) wait_max: Duration,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    GiveUp,
    Wait(Duration),
}

/// Decides after the `attempt`th attempt (from 1), `spent` after the call began. `dice` is any
/// number, so that callers who failed together do not come back together.
pub(crate) fn next(
    why: &Why,
    effect: Effect,
    attempt: u32,
    spent: Duration,
    patience: Patience,
    dice: u64,
) -> Next {
    let wait = match (why, effect) {
        // Said before anything was done, so it holds for every method.
        (Why::RateLimited { retry_after }, _) => {
            retry_after.saturating_add(chance(*retry_after / 10, dice))
        }
        (
            Why::Unreachable
            | Why::TimedOut
            | Why::ConnectionLost
            | Why::SlackTrouble { .. }
            | Why::UnexpectedStatus { status: 500..=599 },
            Effect::Reads | Effect::Repeatable,
        ) => {
            let pause = PAUSE_FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(10));
            (pause / 2).saturating_add(chance(pause / 2, dice))
        }
        (
            Why::Unreachable
            | Why::TimedOut
            | Why::ConnectionLost
            | Why::SlackTrouble { .. }
            | Why::UnexpectedStatus { .. }
            | Why::UnreadableAnswer
            | Why::AnswerTooLarge
            | Why::TokenRejected { .. }
            | Why::Rejected { .. }
            | Why::NotItsTurn { .. }
            | Why::Unwritable,
            _,
        ) => return Next::GiveUp,
    };
    let in_time = spent.saturating_add(wait) <= patience.wait_max;
    if in_time && attempt < patience.attempts_max { Next::Wait(wait) } else { Next::GiveUp }
}

/// Somewhere from nothing to `most`.
fn chance(most: Duration, dice: u64) -> Duration {
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX - 1);
    Duration::from_micros(dice % (most.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PATIENCE: Patience = Patience { attempts_max: 4, wait_max: Duration::from_secs(30) };

    fn limited(seconds: u64) -> Why {
        Why::RateLimited { retry_after: Duration::from_secs(seconds) }
    }

    fn decide(why: &Why, effect: Effect) -> Next {
        next(why, effect, 1, Duration::ZERO, PATIENCE, 0)
    }

    #[test]
    fn what_may_have_happened_is_sent_again_only_where_twice_is_once() {
        let doubtful = [
            Why::TimedOut,
            Why::ConnectionLost,
            Why::UnexpectedStatus { status: 503 },
            Why::SlackTrouble { code: "internal_error".into() },
        ];
        for why in doubtful {
            assert_eq!(decide(&why, Effect::Once), Next::GiveUp, "{why}");
            for effect in [Effect::Reads, Effect::Repeatable] {
                assert!(matches!(decide(&why, effect), Next::Wait(_)), "{why}");
            }
        }
    }

    #[test]
    fn a_rate_limit_is_waited_for_whatever_the_method() {
        for effect in [Effect::Reads, Effect::Repeatable, Effect::Once] {
            assert_eq!(decide(&limited(3), effect), Next::Wait(Duration::from_secs(3)));
            assert_eq!(decide(&limited(31), effect), Next::GiveUp, "longer than the patience");
        }
    }

    #[test]
    fn a_clear_no_is_never_asked_again() {
        for why in [
            Why::Rejected { code: "channel_not_found".into(), details: vec![] },
            Why::TokenRejected { code: "token_revoked".into(), needed: None },
            Why::UnreadableAnswer,
            Why::AnswerTooLarge,
            Why::Unwritable,
            Why::UnexpectedStatus { status: 404 },
        ] {
            for effect in [Effect::Reads, Effect::Repeatable, Effect::Once] {
                assert_eq!(decide(&why, effect), Next::GiveUp, "{why}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_than_asked_or_longer_than_the_patience(
            seconds in 0_u64..60, attempt in 1_u32..6, spent in 0_u64..40, dice in any::<u64>(),
        ) {
            let spent = Duration::from_secs(spent);
            match next(&limited(seconds), Effect::Once, attempt, spent, PATIENCE, dice) {
                Next::Wait(wait) => {
                    prop_assert!(wait >= Duration::from_secs(seconds));
                    prop_assert!(spent + wait <= PATIENCE.wait_max);
                    prop_assert!(attempt < PATIENCE.attempts_max);
                }
                Next::GiveUp => {}
            }
        }
    }
}
