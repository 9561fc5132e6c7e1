//! A port that writes down whoever comes, and answers as it was told.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Somewhere that nothing of ours may go, or that sends on to such a place.
pub(crate) struct Recorder {
    pub(crate) address: String,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    /// Answers every request with these bytes and closes the connection.
    pub(crate) async fn saying(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut bytes = vec![0; 16 * 1024];
                let read = stream.read(&mut bytes).await.unwrap_or_default();
                let said = String::from_utf8_lossy(&bytes[..read]).into_owned();
                kept.lock().unwrap().push(said);
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Self { address, seen, task }
    }

    /// Answers 200, so that whoever comes stays content.
    pub(crate) async fn new() -> Self {
        Self::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await
    }

    /// Sends everybody on to `elsewhere`.
    pub(crate) async fn redirecting(status: u16, elsewhere: &str) -> Self {
        Self::saying(format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        ))
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The beginning of everything that came.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}
