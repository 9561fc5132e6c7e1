//! How fast calls may go out, so that Slack need not say 429.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::method::Method;

/// Posts to one channel: Slack allows one a second on average, as they arrive. The tenth more is
/// for what the way there adds to one and not to the next.
const CHANNEL_INTERVAL: Duration = Duration::from_millis(1_100);
/// How long posts go out one by one after Slack said 429 to one. Slack allows short bursts, does not
/// say how short, and holds a whole workspace back for one that was too long.
const NO_BURST_FOR: Duration = Duration::from_secs(600);
/// Channels whose last post is older than this memory cost nothing; past so many they are swept.
const CHANNELS_SWEPT_AT: usize = 1_024;
/// Reserves places in time. Pure: the time since some start is passed in.
#[derive(Debug)]
pub(crate) struct Pacer {
    channel_burst: u32,
    methods: BTreeMap<Method, Line>,
    channels: HashMap<String, Line>,
    blocked_until: BTreeMap<Method, Duration>,
    no_burst_until: Duration,
}

/// A line at a counter that serves one every interval: when the last one in it is served.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    served_until: Duration,
}

impl Line {
    /// How long a newcomer waits if the counter may run `burst` ahead.
    fn wait(self, now: Duration, interval: Duration, burst: u32) -> Duration {
        let ahead = interval.saturating_mul(burst.saturating_sub(1));
        self.served_until.saturating_sub(ahead).saturating_sub(now)
    }

    fn join(&mut self, now: Duration, interval: Duration) {
        self.served_until = self.served_until.max(now).saturating_add(interval);
    }
}

impl Pacer {
    pub(crate) fn new(channel_burst: u32) -> Self {
        Self {
            channel_burst,
            methods: BTreeMap::new(),
            channels: HashMap::new(),
            blocked_until: BTreeMap::new(),
            no_burst_until: Duration::ZERO,
        }
    }

    /// Reserves the next place, and says how long to wait for it.
    ///
    /// # Errors
    /// The wait, if it is longer than `wait_max`. Nothing was reserved.
    pub(crate) fn reserve(
        &mut self,
        method: Method,
        channel: Option<&str>,
        now: Duration,
        wait_max: Duration,
    ) -> Result<Duration, Duration> {
        let (at_once, interval) = method.pace();
        let line = self.methods.entry(method).or_default();
        // Slack counts by the minute. Spread more evenly, the few questions that one rollback asks
        // about the members of groups would wait for one another while a person waits for them.
        let mut wait = line.wait(now, interval, at_once);
        if let Some(until) = self.blocked_until.get(&method) {
            wait = wait.max(until.saturating_sub(now));
        }
        if let Some(channel) = channel {
            let line = self.channels.get(channel).copied().unwrap_or_default();
            let burst = if now < self.no_burst_until { 1 } else { self.channel_burst };
            wait = wait.max(line.wait(now, CHANNEL_INTERVAL, burst));
        }
        if wait > wait_max {
            return Err(wait);
        }
        line.join(now, interval);
        if let Some(channel) = channel {
            self.sweep(now);
            self.channels.entry(channel.to_owned()).or_default().join(now, CHANNEL_INTERVAL);
        }
        Ok(wait)
    }

    /// Holds a method back, because Slack said 429.
    pub(crate) fn block(&mut self, method: Method, until: Duration) {
        if method == Method::ChatPostMessage {
            self.no_burst_until = until.saturating_add(NO_BURST_FOR);
        }
        let blocked = self.blocked_until.entry(method).or_default();
        *blocked = until.max(*blocked);
    }

    fn sweep(&mut self, now: Duration) {
        if self.channels.len() >= CHANNELS_SWEPT_AT {
            self.channels.retain(|_, line| line.served_until > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LONG: Duration = Duration::from_secs(3_600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn post(pacer: &mut Pacer, channel: &str, now: Duration) -> Result<Duration, Duration> {
        pacer.reserve(Method::ChatPostMessage, Some(channel), now, LONG)
    }

    #[test]
    fn a_channel_gets_its_burst_and_then_one_post_a_second() {
        let mut pacer = Pacer::new(3);
        let waits: Vec<_> =
            (0..6).map(|_| post(&mut pacer, "C1", Duration::ZERO).unwrap().as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 3]);
        assert_eq!(post(&mut pacer, "C2", Duration::ZERO), Ok(Duration::ZERO));
    }

    #[test]
    fn after_slack_said_no_to_a_post_they_go_out_one_by_one_for_a_while() {
        let mut pacer = Pacer::new(3);
        let seconds = |pacer: &mut Pacer, now| {
            [0; 3].map(|_| post(pacer, "C1", SECOND * now).unwrap().as_secs())
        };
        pacer.block(Method::ChatUpdate, SECOND);
        assert_eq!(seconds(&mut pacer, 0), [0, 0, 0], "an update is no post");
        pacer.block(Method::ChatPostMessage, SECOND * 30);
        assert_eq!(seconds(&mut pacer, 60), [0, 1, 2]);
        assert_eq!(seconds(&mut pacer, 629), [0, 1, 2]);
        assert_eq!(seconds(&mut pacer, 640), [0, 0, 0]);
    }

    #[test]
    fn half_a_minutes_worth_of_questions_about_groups_goes_out_at_once_and_no_minute_has_more() {
        let mut pacer = Pacer::new(1);
        let waits: Vec<_> = (0..21)
            .map(|_| {
                pacer.reserve(Method::UsergroupsUsersList, None, Duration::ZERO, LONG).unwrap()
            })
            .collect();
        assert!(waits.iter().take(10).all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[10..12], [SECOND * 6, SECOND * 12]);
        assert!(waits[20] > MINUTE, "the twenty-first waits for the next minute: {waits:?}");
    }

    #[test]
    fn a_wait_that_is_too_long_reserves_nothing() {
        let mut pacer = Pacer::new(1);
        post(&mut pacer, "C1", Duration::ZERO).unwrap();
        for _ in 0..3 {
            let refused = pacer.reserve(
                Method::ChatPostMessage,
                Some("C1"),
                Duration::ZERO,
                CHANNEL_INTERVAL - Duration::from_millis(1),
            );
            assert_eq!(refused, Err(CHANNEL_INTERVAL));
        }
        assert_eq!(post(&mut pacer, "C1", Duration::ZERO), Ok(CHANNEL_INTERVAL));
    }

    #[test]
    fn a_blocked_method_waits_and_others_do_not() {
        let mut pacer = Pacer::new(1);
        pacer.block(Method::UsersInfo, Duration::from_secs(30));
        pacer.block(Method::UsersInfo, Duration::from_secs(10));
        let at = |pacer: &mut Pacer, method, seconds| {
            pacer.reserve(method, None, Duration::from_secs(seconds), LONG).unwrap().as_secs()
        };
        assert_eq!(at(&mut pacer, Method::UsersInfo, 1), 29);
        assert_eq!(at(&mut pacer, Method::ViewsOpen, 1), 0);
        assert_eq!(at(&mut pacer, Method::UsersInfo, 31), 0);
    }

    #[test]
    fn channels_at_rest_are_swept() {
        let mut pacer = Pacer::new(1);
        for number in 0..5 * CHANNELS_SWEPT_AT {
            let now = CHANNEL_INTERVAL * u32::try_from(number).unwrap();
            pacer.reserve(Method::ChatPostMessage, Some(&number.to_string()), now, LONG).unwrap();
        }
        assert!(pacer.channels.len() <= CHANNELS_SWEPT_AT);
    }

    proptest! {
        #[test]
        fn no_channel_and_no_method_ever_goes_faster_than_allowed(
            burst in 1_u32..5,
            calls in proptest::collection::vec((0_u8..3, 0_u64..3_000), 1..400),
        ) {
            let mut pacer = Pacer::new(burst);
            let mut now = Duration::ZERO;
            let mut sent: Vec<(u8, Duration)> = Vec::new();
            for (channel, pause) in calls {
                now += Duration::from_millis(pause / 4);
                let name = format!("C{channel}");
                let wait = post(&mut pacer, &name, now).unwrap();
                sent.push((channel, now + wait));
            }
            sent.sort_by_key(|(_, at)| *at);
            for (index, (channel, at)) in sent.iter().enumerate() {
                let later = &sent[index..];
                for window in [1_u32, 5, 30] {
                    let until = *at + SECOND * window;
                    let here = later.iter().filter(|(c, t)| c == channel && *t < until).count();
                    prop_assert!(here <= usize::try_from(window + burst).unwrap());
                }
                let minute = later.iter().filter(|(_, t)| *t < *at + MINUTE).count();
                prop_assert!(minute <= 2 * 300);
            }
        }
    }
}
