//! A CD backend of your own in one file, over a folder: `releases/ID` is a release, `current` links to the
//! one that runs, `orders/ID` says `taken`, `done` or `void`; `lock` is held while any of it is decided.

use async_trait::async_trait;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::*;
use rollback_core::proof::{Order, OrderRef};
use rollback_core::*;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{fs, io, path::PathBuf};

/// The releases of one service.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "an example")]
pub struct Releases {
    /// The service. Any other one is refused.
    pub key: ServiceKey,
    /// Its folder.
    pub root: PathBuf,
}

type Read<T> = Result<T, PortError>;

impl Releases {
    /// Does it under the lock, on a thread that may block.
    async fn locked<T: Send + 'static>(
        &self,
        key: &ServiceKey,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Read<T> {
        let error = |kind, what| PortError::new(kind, "releases", "look", what);
        if *key != self.key {
            return Err(error(ErrorKind::Misconfigured, format!("{key} is not in this folder")));
        }
        let ours = self.clone();
        let done = tokio::task::spawn_blocking(move || {
            let lock = fs::File::create(ours.root.join("lock"))?;
            lock.lock()?;
            work(&ours)
        });
        let done = done.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        done.map_err(|why| error(ErrorKind::Retry(None), why.to_string()))
    }
    fn live(&self) -> io::Result<Option<RevisionId>> {
        let link = known(fs::read_link(self.root.join("current")))?;
        Ok(link.and_then(|link| RevisionId::parse(link.file_name()?.to_str()?).ok()))
    }
    /// An id comes from outside, and `..` is one: only a name directly below is a release.
    fn folder(&self, id: &RevisionId) -> Option<PathBuf> {
        let releases = self.root.join("releases");
        let path = Some(releases.join(id.as_str())).filter(|it| it.parent() == Some(&releases))?;
        (path.file_name()? == id.as_str() && path.is_dir()).then_some(path)
    }
    fn order(&self, id: &RollbackId) -> io::Result<Option<String>> {
        known(fs::read_to_string(self.root.join("orders").join(id.as_str())))
    }
    /// On the disk before anything is done about it.
    fn note(&self, id: &RollbackId, text: &str) -> io::Result<()> {
        let draft = self.root.join("orders.new");
        fs::write(&draft, text)?;
        fs::File::open(&draft)?.sync_all()?;
        fs::rename(draft, self.root.join("orders").join(id.as_str()))
    }
    fn switch(&self, order: &OrderRef) -> io::Result<Result<Receipt, StartError>> {
        let (id, plan, live) = (order.rollback(), order.plan(), self.live()?);
        let refused = |why: &str| Ok(Err(StartError::Refused { why: why.into() }));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match self.order(id)? {
            Some(text) if text == "void" => return refused("it was fenced off"),
            Some(_taken) => return Ok(Ok(Receipt::new(id.as_str()))),
            None => {}
        }
        if live.as_ref() != Some(&plan.from().revision) {
            let (live, why) = (live.map(RevisionRef::new), "something else runs".into());
            return Ok(Err(StartError::Conflict { live, why }));
        }
        let Some(target) = self.folder(&plan.to().revision) else {
            return refused("the target is not in the folder");
        };
        if Timestamp::from_millis(0).after(now) > order.valid_until() {
            return refused("what the guards saw is too old by now");
        }
        self.note(id, "taken")?;
        known(fs::remove_file(self.root.join("current.new")))?; // left by a crash
        std::os::unix::fs::symlink(target, self.root.join("current.new"))?;
        fs::rename(self.root.join("current.new"), self.root.join("current"))?;
        self.note(id, "done").map(|()| Ok(Receipt::new(id.as_str())))
    }
}

fn known<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    let is_missing = read.as_ref().is_err_and(|why| why.kind() == io::ErrorKind::NotFound);
    if is_missing { Ok(None) } else { read.map(Some) }
}

#[async_trait]
impl CdBackend for Releases {
    /// All is decided under one lock. The link changes in one step: nothing is ever in progress.
    fn capabilities(&self, _: &ServiceKey) -> Capabilities {
        Capabilities::full().cancels(Cancel::No)
    }
    async fn history(&self, key: &ServiceKey, wanted: HistoryOptions) -> Read<Vec<Revision>> {
        let entries = |ours: &Self| fs::read_dir(ours.root.join("releases"))?.collect();
        let entries: Vec<fs::DirEntry> = self.locked(key, entries).await?;
        let id = |entry: &fs::DirEntry| RevisionId::parse(entry.file_name().to_str()?).ok();
        let mut ids: Vec<RevisionId> = entries.iter().filter_map(id).collect();
        ids.sort_by(|one, other| other.cmp(one));
        Ok(ids.into_iter().take(wanted.limit).map(Revision::good).collect())
    }
    async fn live(&self, key: &ServiceKey, _: LiveOptions) -> Read<Live> {
        let live = self.locked(key, Self::live).await?;
        Ok(live.map_or_else(Live::default, |id| Live::running(RevisionRef::new(id))))
    }
    async fn preflight(&self, plan: &Plan) -> Read<Preflight> {
        let history = self.history(plan.key(), HistoryOptions::newest(usize::MAX)).await?;
        Ok(Preflight::from_history(&history, plan).undone_by_nothing())
    }
    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let said = order.as_ref().clone();
        let answer = self.locked(order.plan().key(), move |ours| ours.switch(&said)).await;
        answer.unwrap_or_else(|PortError { kind, what: why, .. }| match kind {
            ErrorKind::Misconfigured => Err(StartError::Refused { why }),
            ErrorKind::Retry(_) | _ => Err(StartError::InDoubt { why }), // may be half done
        })
    }
    async fn find(&self, order: &OrderRef) -> Read<Option<Receipt>> {
        let id = order.rollback().clone();
        let text = self.locked(order.plan().key(), move |ours| ours.order(&id)).await?;
        Ok(text.filter(|text| text != "void").map(|_| Receipt::new(order.rollback().as_str())))
    }
    async fn fence(&self, order: &OrderRef) -> Read<Fenced> {
        let id = order.rollback().clone();
        let fence = move |ours: &Self| {
            if ours.order(&id)?.is_none() { ours.note(&id, "void") } else { Ok(()) }
        };
        self.locked(order.plan().key(), fence).await.map(|()| Fenced::Done)
    }
    async fn observe(&self, order: &OrderRef, it: &Receipt, _: ObserveOptions) -> Read<Progress> {
        let id = order.rollback().clone();
        let look = move |ours: &Self| Ok((ours.order(&id)?, ours.live()?));
        let (text, live) = self.locked(order.plan().key(), look).await?;
        let is_there = live.as_ref() == Some(&order.plan().to().revision);
        match text.as_deref().filter(|_| it.execution.as_str() == order.rollback().as_str()) {
            Some("done") => Ok(Progress::new(Phase::Complete)),
            Some("taken") if is_there => Ok(Progress::new(Phase::Complete)),
            Some("taken") => Ok(Progress::new(Phase::Failed)),
            _ => Err(PortError::new(ErrorKind::Rejected, "releases", "look", "no such execution")),
        }
    }
}
