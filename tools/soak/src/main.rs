//! The command: plays the load, and prints what it cost.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement stops at the first surprise, and prints"
)]

use clap::{Args, Parser, Subcommand};
use postgres_lab::Server;
use soak::{ReplicaOptions, Setup, World};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// How long a process owns a rollback without renewing.
const LEASE: Duration = Duration::from_secs(15);

/// Thousands of rollbacks on several processes and a real PostgreSQL, and what they cost.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Role>,
    #[command(flatten)]
    load: Load,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// One of the processes; the command starts them itself.
    #[command(hide = true)]
    Replica {
        #[arg(long)]
        database: String,
        #[arg(long)]
        cd: String,
        #[arg(long)]
        chat: String,
        #[arg(long)]
        keys: usize,
        #[arg(long)]
        open_max: usize,
        #[arg(long)]
        lease_ms: u64,
    },
}

#[derive(Args, Clone, Copy, Debug)]
struct Load {
    /// Processes.
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// Services.
    #[arg(long, default_value_t = 2_000)]
    keys: usize,
    /// Rollbacks that are open at once.
    #[arg(long, default_value_t = 10_000)]
    open: usize,
    /// Rounds of one rollback after the other, for what each costs at the start and at the end.
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Rollbacks in a round.
    #[arg(long, default_value_t = 1_000)]
    per_round: usize,
    /// People who confirm for one service at once.
    #[arg(long, default_value_t = 1_000)]
    confirms: usize,
    /// Signed callbacks, once with the database and once while it stands still.
    #[arg(long, default_value_t = 1_000)]
    callbacks: usize,
    /// Callbacks a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Rollbacks that a process carries out when it is killed.
    #[arg(long, default_value_t = 500)]
    held: usize,
    /// Rollbacks while the chat says that it is asked too much.
    #[arg(long, default_value_t = 500)]
    untold: usize,
    /// For how long it says so, in seconds.
    #[arg(long, default_value_t = 600)]
    untold_seconds: u64,
    /// Posts a second that a channel of the chat takes; ten services share one.
    #[arg(long, default_value_t = 20)]
    posts_per_second: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Role::Replica { database, cd, chat, keys, open_max, lease_ms }) => {
            let lease = Duration::from_millis(lease_ms);
            let options = ReplicaOptions { database, cd, chat, keys, open_max, lease };
            soak::run(options, input_ends()).await;
            ExitCode::SUCCESS
        }
        None => play(cli.load).await,
    }
}

/// Completes when whoever started this process is gone.
async fn input_ends() {
    let mut rest = Vec::new();
    drop(tokio::io::stdin().read_to_end(&mut rest).await);
}

async fn play(load: Load) -> ExitCode {
    let Some(server) = Server::own("the soak") else { return ExitCode::FAILURE };
    let program = std::env::current_exe().unwrap();
    let (replicas, keys) = (load.replicas, load.keys);
    let setup = Setup {
        replicas,
        keys,
        posts_per_second: load.posts_per_second,
        open_max: load.open.max(load.confirms).max(load.callbacks),
        lease: LEASE,
    };
    let mut world = World::start(&server, &program, setup).await;
    println!("{replicas} replicas, {keys} services; at the start {}", world.cost().await);
    play_rounds(&world, load.rounds, load.per_round.min(keys)).await;
    // Each of what follows is of a deploy of its own.
    let next = 42 + load.rounds;
    let opened = world.open_at_once(load.open, next).await;
    println!(
        "{} open at once, {} MiB in the largest replica; {} succeeded, {} refused in {:.1} s, {:.2} \
         ms of CPU each\n  click to full modal {}\n  confirmation {}",
        opened.at_once,
        opened.rss_bytes / (1 << 20),
        opened.succeeded,
        opened.refused,
        opened.took.as_secs_f64(),
        opened.cpu_each.as_secs_f64() * 1e3,
        opened.shown,
        opened.confirmed,
    );
    let hot = world.hot_key(load.confirms, next + 1).await;
    println!(
        "{} confirmed for one service at once: {} order, {} effect, {} succeeded, {} refused\n  \
         confirmation {}",
        hot.confirmations, hot.sends, hot.effects, hot.succeeded, hot.refused, hot.confirmed,
    );
    let with = world.callbacks(load.callbacks, load.rate, next).await;
    println!("callbacks at {} a second: {}, {} not 200", load.rate, with.within, with.not_200);
    let without = world.callbacks_while_stalled(load.callbacks, load.rate, next).await;
    println!(
        "the same while the database stands still: {}, {} not 200, {} opened, {} told so far",
        without.within, without.not_200, without.opened, without.told,
    );
    let all_ended = play_outages(&mut world, load, next + 2).await;
    let judged = world.judge().await;
    println!(
        "{} rollbacks, {} audit records, {} messages (told to wait {} times), {} told to try \
         again: {} violations; at the end {}",
        judged.rollbacks,
        judged.records,
        judged.messages,
        judged.too_fast,
        judged.again,
        judged.violations.len(),
        world.cost().await,
    );
    for violation in judged.violations.iter().take(20) {
        println!("VIOLATED {violation}");
    }
    let whole =
        judged.violations.is_empty() && hot.effects == 1 && without.opened == 0 && all_ended;
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One round after the other: what a rollback costs must not grow with what went before.
async fn play_rounds(world: &World<'_>, count: usize, per_round: usize) {
    let rounds = world.rounds(count, per_round).await;
    for (number, round) in rounds.iter().enumerate() {
        println!(
            "round {number}: {} succeeded in {:.1} s, {:.2} ms of CPU each, {} MiB",
            round.succeeded,
            round.took.as_secs_f64(),
            round.cpu_each.as_secs_f64() * 1e3,
            round.rss_bytes / (1 << 20),
        );
    }
    if let (Some(first), Some(last)) = (rounds.first(), rounds.last()) {
        let ratio = |last: f64, first: f64| last / first;
        let cpu = ratio(last.cpu_each.as_secs_f64(), first.cpu_each.as_secs_f64());
        let megabytes = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX));
        let memory = ratio(megabytes(last.rss_bytes), megabytes(first.rss_bytes));
        println!("last round to first: CPU {cpu:.2}, memory {memory:.2}");
    }
}

/// Without the chat, and without a process that carried rollbacks out; whether all of them ended.
async fn play_outages(world: &mut World<'_>, load: Load, revision: usize) -> bool {
    let silence = Duration::from_secs(load.untold_seconds);
    let silent = world.without_chat(load.untold.min(load.keys), silence, revision).await;
    println!(
        "{} succeeded in {:.1} s while the chat told {} times to wait ({:.1} s while it answered); \
         {} notices waited then, {} when it came back after {:.0} s, all told {:.1} s later",
        silent.succeeded,
        silent.took.as_secs_f64(),
        silent.refused_calls,
        silent.took_before.as_secs_f64(),
        silent.waiting_ended,
        silent.waiting,
        silence.as_secs_f64(),
        silent.drained.as_secs_f64(),
    );
    let killed = world.kill_one(load.held.min(load.keys), revision + 2).await;
    println!(
        "a process was killed that had {}: taken over within {:.1} s (it owned them for {:.0}), \
         ended {:.1} s after the CD system; {} succeeded of {} orders",
        killed.held,
        killed.taken_over.as_secs_f64(),
        LEASE.as_secs_f64(),
        killed.ended.as_secs_f64(),
        killed.succeeded,
        killed.sends,
    );
    silent.succeeded == load.untold.min(load.keys) && killed.succeeded == killed.sends
}
