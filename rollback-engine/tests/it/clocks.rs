//! A process that starts with an earlier clock than the one before it had, and clocks that are set
//! while something runs.

use crate::common::{Setup, Site, paused};
use rollback_core::ports::{CommandError, Commands};
use rollback_core::{Phase, StateName, Timestamp};
use rollback_testkit::fakes::{FakeDirectory, FakeHealth, Fault, Method};
use rollback_testkit::fixtures::{self, ana, at};
use rollback_testkit::{Fate, ManualClock};
use std::sync::Arc;
use std::time::Duration;

/// Its claim ends by the clock that it was given by: the next process waits for that, an hour by its
/// own, and then ends what was begun.
#[test]
fn a_clock_that_is_behind_at_the_start_is_told_and_takes_nothing_over_early() {
    paused(async {
        let mut site = Site::new(Setup::default());
        let first = site.boot(Fate::Spared);
        first.engine.deployed(site.deploy()).await.unwrap();
        let id = first.click_and_confirm(&site, &ana()).await;
        let _running = site.until(&id, StateName::Verifying).await;
        assert_eq!(first.engine.clock_steps_back(), 0);
        first.crash();

        let hour_ago = at(0).as_millis() - 3_600_000;
        site.clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(hour_ago)));
        site.health = Arc::new(FakeHealth::new(Arc::clone(&site.clock)));
        let second = site.boot(Fate::Spared);
        tokio::time::sleep(Duration::from_secs(50 * 60)).await;
        assert_eq!(second.engine.clock_steps_back(), 1);
        assert_eq!(site.view(&id).await.state, StateName::Verifying, "it is not ours yet");
        let ended = site.ended(&id).await;
        assert_eq!(ended.state, StateName::Succeeded, "{}", ended.explanation);
        assert!(site.now() > at(0), "the claim lasted as long as it was given for");
        assert_eq!((site.cd.sends(), site.cd.effects()), (1, 1));
        second.crash();
    });
}

/// What was received is still known when the clock, an hour ahead for a while, is right again: its
/// signature is good for minutes yet.
#[test]
fn a_request_is_known_again_after_a_clock_that_was_an_hour_ahead_for_a_while() {
    paused(async {
        let mut site = Site::new(Setup::default());
        let (digests, keep) = ([[7; 32]], Duration::from_secs(1_201));
        let first = site.boot(Fate::Spared);
        first.engine.receive(&digests, at(0), keep).await.unwrap();
        first.crash();

        // The house is kept while the clock is ahead.
        site.clock = Arc::new(ManualClock::starting_at(at(3_600)));
        let ahead = site.boot(Fate::Spared);
        tokio::time::sleep(Duration::from_secs(30)).await;
        ahead.engine.receive(&[[8; 32]], site.now(), keep).await.unwrap();
        ahead.crash();

        site.clock = Arc::new(ManualClock::starting_at(at(40)));
        let back = site.boot(Fate::Spared);
        tokio::time::sleep(Duration::from_secs(30)).await;
        let again = back.engine.receive(&digests, site.now(), keep).await;
        assert_eq!(again, Err(CommandError::ReceivedBefore));
        // And what is new is taken at once.
        assert_eq!(back.engine.receive(&[[9; 32]], site.now(), keep).await, Ok(()));
        back.crash();
    });
}

/// A site whose clock somebody can set.
fn site_with_a_clock(setup: Setup) -> (Site, ManualClock) {
    let mut site = Site::new(setup);
    let clock = ManualClock::starting_at(at(0));
    site.clock = Arc::new(clock.clone());
    site.health = Arc::new(FakeHealth::new(Arc::clone(&site.clock)));
    site.directory = Arc::new(FakeDirectory::new(Arc::clone(&site.clock), fixtures::everybody()));
    (site, clock)
}

/// Pauses and time-outs are no times of day: a look is due a second after the last one, whatever the
/// clock shows by then.
#[test]
fn a_clock_that_is_set_back_an_hour_holds_up_no_look_no_message_and_no_cancelling() {
    paused(async {
        let (site, clock) = site_with_a_clock(Setup::default());
        let host = site.boot(Fate::Spared);
        host.engine.deployed(site.deploy()).await.unwrap();
        site.cd.set_phases(std::iter::repeat_n(Phase::Started, 600));
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until(&id, StateName::Running).await;
        tokio::time::sleep(Duration::from_secs(30)).await;

        clock.set_back(Duration::from_secs(3_600));
        let looks = || site.cd.calls().into_iter().filter(|call| *call == Method::Observe).count();
        let before = looks();
        // One that gets no answer is asked again after its time-out.
        site.cd.fail(Method::Observe, Fault::Hang);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(looks() > before + 40, "{} looks within a minute", looks() - before);
        host.engine.withdraw(&id, ana().actor()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(site.cd.calls().contains(&Method::Cancel));
        let thread = site.thread();
        assert!(thread.iter().any(|line| line.contains("Cancelling")), "{thread:?}");
        host.crash();
    });
}

/// The machine was suspended, and the time of day jumped: the target was live and healthy all along.
#[test]
fn whoever_slept_past_a_deadline_looks_before_it_says_that_time_is_up() {
    paused(async {
        let settle = Duration::from_secs(20);
        let (site, clock) = site_with_a_clock(Setup { settle, ..Setup::default() });
        let host = site.boot(Fate::Spared);
        host.engine.deployed(site.deploy()).await.unwrap();
        let id = host.click_and_confirm(&site, &ana()).await;
        site.until(&id, StateName::Verifying).await;
        clock.set_forward(Duration::from_secs(8 * 3_600));
        let ended = site.ended(&id).await;
        assert_eq!(ended.state, StateName::Succeeded, "{}", ended.explanation);
        host.crash();
    });
}
