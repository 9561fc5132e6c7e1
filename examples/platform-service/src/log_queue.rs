//! A log that never blocks: lines wait in a bounded queue until they are read, and are dropped and
//! counted while nobody reads them.
//!
//! Of our own, and small, because of the end of the process: what is written last must not wait for a
//! reader that has stalled either.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// Most lines that wait: a minute of a busy service, for a reader that has stalled.
const LINES_MAX: usize = 2_048;

/// Most bytes that wait.
const BYTES_MAX: usize = 4 << 20;

/// How long the end of the process waits for the last lines to be read.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// How often a line says that lines were dropped.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The queue of this process, for its metrics.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// How many lines of the log were dropped because nobody read them in time.
pub(crate) fn dropped_lines() -> u64 {
    QUEUE.get().map_or(0, |queue| queue.shared.dropped.load(Ordering::Relaxed))
}

#[derive(Debug)]
enum Message {
    Line(String),
    /// Everything before it is written.
    Flush(SyncSender<()>),
}

#[derive(Debug, Default)]
struct Shared {
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// Takes lines and waits for nobody.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    sender: SyncSender<Message>,
    shared: Arc<Shared>,
}

impl Queue {
    /// Starts the thread that writes to standard error, which alone waits for its reader.
    ///
    /// # Errors
    ///
    /// When there can be no thread; nothing was set up.
    pub(crate) fn to_standard_error() -> io::Result<Self> {
        let queue = Self::to(standard_error()?)?;
        // The first one is the process's: there is one subscriber.
        drop(QUEUE.set(queue.clone()));
        Ok(queue)
    }

    fn to(to: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, lines) = sync_channel(LINES_MAX);
        let shared = Arc::new(Shared::default());
        let (kept, writer) = (Arc::clone(&shared), thread::Builder::new().name("log".into()));
        writer.spawn(move || write_all(&lines, to, &kept))?;
        Ok(Self { sender, shared })
    }

    /// Takes a line, or counts it as dropped.
    pub(crate) fn take(&self, line: String) {
        let bytes = line.len();
        let waiting = self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        let taken = waiting.saturating_add(bytes) <= BYTES_MAX
            && self.sender.try_send(Message::Line(line)).is_ok();
        if !taken {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was taken is written, but not for a reader that has stalled.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        let pause = FLUSH_MAX / 40;
        for _attempt in 0..20 {
            match self.sender.try_send(message) {
                Ok(()) => {
                    let _late = written.recv_timeout(FLUSH_MAX / 2);
                    return;
                }
                Err(TrySendError::Full(back)) => message = back,
                Err(TrySendError::Disconnected(_)) => return,
            }
            thread::sleep(pause);
        }
    }
}

/// Standard error without the lock that everybody shares who writes there: whoever holds it waits for
/// the reader.
#[cfg(unix)]
fn standard_error() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

#[cfg(not(unix))]
fn standard_error() -> io::Result<io::Stderr> {
    Ok(io::stderr())
}

fn write_all(lines: &Receiver<Message>, mut to: impl Write, shared: &Shared) {
    let (mut told, mut told_at) = (0, None::<Instant>);
    while let Ok(message) = lines.recv() {
        match message {
            Message::Line(line) => {
                // A reader that is gone is not waited for; the next line may find another one.
                drop(to.write_all(line.as_bytes()));
                shared.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Message::Flush(done) => {
                drop(to.flush());
                let _gone = done.send(());
            }
        }
        let dropped = shared.dropped.load(Ordering::Relaxed);
        if dropped > told && told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            // By way of the queue, which has room again.
            let lines = dropped.saturating_sub(told);
            tracing::warn!(lines, "lines of the log were dropped: nobody read them in time");
            (told, told_at) = (dropped, Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    /// A reader that reads nothing until it is let go.
    struct Stalled {
        go: Receiver<()>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Whoever let it go once is gone then: it reads all the rest.
            let _gone = self.go.recv();
            self.read.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_holds_nobody_up_and_what_is_dropped_is_counted() {
        let (let_go, go) = channel();
        let read = Arc::default();
        let queue = Queue::to(Stalled { go, read: Arc::clone(&read) }).unwrap();
        let began = Instant::now();
        for number in 0..LINES_MAX + 500 {
            queue.take(format!("{number}\n"));
        }
        queue.flush();
        assert!(began.elapsed() < FLUSH_MAX + Duration::from_secs(2), "{:?}", began.elapsed());
        let dropped = queue.shared.dropped.load(Ordering::Relaxed);
        assert!((498..=500).contains(&dropped), "{dropped}");
        drop(let_go);
        queue.flush();
        let text = String::from_utf8(read.lock().unwrap().clone()).unwrap();
        let first: Vec<&str> = text.lines().take(3).collect();
        assert_eq!(first, ["0", "1", "2"]);
        assert!(text.lines().count() >= LINES_MAX);
        assert_eq!(queue.shared.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn few_large_lines_are_bounded_too() {
        let (_let_go, go) = channel();
        let queue = Queue::to(Stalled { go, read: Arc::default() }).unwrap();
        for _line in 0..100 {
            queue.take("x".repeat(BYTES_MAX / 10));
        }
        let dropped = queue.shared.dropped.load(Ordering::Relaxed);
        assert!(dropped >= 89, "{dropped}");
    }
}
