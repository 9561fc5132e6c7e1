//! One piece of work, so many times: what `instructions` counts.
#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up ends")]

use benches::{Decider, Organization, Sender, card, running, told};
use rollback_slack::UnixSeconds;
use rollback_slack::views::deploy_message;
use rollback_testkit::fixtures;
use std::hint::black_box;

fn main() {
    // The same number is prepared whatever the number of times, so that the difference of two runs
    // is the work alone.
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let times: usize = arguments.next().and_then(|times| times.parse().ok()).unwrap_or_default();
    match what.as_str() {
        "step" => {
            #[expect(clippy::needless_collect, reason = "made before what is counted")]
            let events: Vec<_> = (0..2_000).map(told).collect();
            let at = fixtures::at(0);
            let end = events.into_iter().take(times).fold(running(), |rollback, event| {
                black_box(rollback.step(at, black_box(event))).rollback
            });
            black_box(end);
        }
        "decision" => {
            let organization = Organization::resolved();
            let (key, actor) = (Organization::key(777), Organization::actor());
            for _time in 0..times {
                black_box(organization.permits(black_box(&key), black_box(&actor)));
            }
        }
        "message" => {
            let card = card();
            for _time in 0..times {
                black_box(deploy_message(black_box(&card), 3).unwrap());
            }
        }
        "click" => {
            let entrance = Decider::entrance(Organization::resolved());
            let now = UnixSeconds(1_700_000_000);
            let mut sender = Sender::new();
            let clicks: Vec<_> = (0..200).map(|_click| sender.next_read(now)).collect();
            for (headers, body) in clicks.iter().take(times) {
                assert_eq!(entrance.handle(black_box(headers), black_box(body), now).status, 200);
            }
        }
        _ => std::process::exit(2),
    }
}
