//! How an order is decided: helm's record is created, everything is looked at once more, and the
//! order is written down.

use super::{Gate, Proxy, Sent, Stage, answered_nothing, ended_words, exists, whole};
use crate::HelmError;
use crate::journal::{Entry, State, Written};
use crate::protobuf;
use crate::record::{ORDER, clip, content, id_of, number_of, secret_name};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use core::time::Duration;
use http::{StatusCode, header};
use rollback_cluster::Meta;
use rollback_core::Receipt;
use std::sync::Arc;
use std::time::Instant;

/// How long the creation of the record may stay in doubt before it is given up.
const SETTLE_WITHIN: Duration = Duration::from_secs(120);
/// Between two tries to write down that an order was given up, which goes on until it stands: nobody
/// waits for it, and a cluster that does not answer is not asked in a hurry.
const WITHDRAW_EVERY: Duration = Duration::from_secs(2);
/// Between two looks at what is in doubt.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Proxy {
    /// Whether what helm wants to create is what was decided.
    fn check(&self, created: &protobuf::Created) -> Result<(), Stage> {
        let wanted = secret_name(&self.site.config.release.name, self.job.next());
        if created.name != wanted {
            let why = format!(
                "helm would have made `{}` and not `{wanted}`: something newer was deployed",
                clip(&created.name)
            );
            return Err(Stage::Conflict(why));
        }
        if self.site.config.clock.now() > self.job.valid_until {
            let why = "what the guards saw is too old by now; nothing was changed".to_owned();
            return Err(Stage::Refused(why));
        }
        match content(&created.release.0) {
            Ok(content) if content.is(&self.job.content) => Ok(()),
            Ok(_) | Err(_) => Err(Stage::Refused(
                "helm would have restored something else than the target; nothing was changed"
                    .to_owned(),
            )),
        }
    }

    /// Decides the order: creates the record, looks again, and writes it down.
    pub(super) async fn create(
        self: Arc<Self>,
        sent: Sent,
        created: protobuf::Created,
    ) -> Response {
        let begun = {
            let mut gate = self.gate();
            let open = *gate == Gate::Open;
            if open {
                *gate = Gate::Creating;
            }
            open
        };
        if !begun {
            return exists();
        }
        if let Err(stage) = self.check(&created) {
            return self.end(stage);
        }
        self.stage.send_replace(Stage::Sent);
        let accept = sent.parts.headers.get(header::ACCEPT).cloned();
        let made = match self.forward(sent).await {
            Ok(made) if made.status() == StatusCode::CONFLICT => {
                return self
                    .end(Stage::Conflict("somebody else made the next revision first".into()));
            }
            Ok(made) if made.status().is_client_error() => {
                let why = format!(
                    "the cluster refused to put the rollback on record ({}); nothing was changed; allow `create` on secrets (see rbac.yaml)",
                    made.status().as_u16()
                );
                return self.end(Stage::Refused(why));
            }
            Ok(made) if made.status().is_success() => Some(made),
            // In doubt: it is looked for, and not sent again.
            Ok(_) | Err(_) => None,
        };
        let meta = match self.settle().await {
            Ok(meta) => meta,
            Err(stage) => return self.end(stage),
        };
        let before = (Instant::now(), self.site.config.clock.now());
        let entry = match self.commit(&meta).await {
            Ok(entry) => entry,
            Err(stage) => {
                self.undo(&meta).await;
                return self.end(stage);
            }
        };
        let receipt = Receipt::new(id_of(self.job.next(), &meta.uid));
        self.commit_to(entry.clone(), before);
        self.stage.send_replace(Stage::Committed(receipt));
        self.site.client.mark(&entry).await;
        self.prune_what_was_put_off().await;
        match made {
            Some(made) => whole(made).await,
            None => self.read_back(&meta.name, accept).await,
        }
    }

    fn end(&self, stage: Stage) -> Response {
        self.close();
        self.stage.send_replace(stage);
        exists()
    }

    /// Looks until it is known what became of the creation.
    async fn settle(&self) -> Result<Meta, Stage> {
        let name = secret_name(&self.site.config.release.name, self.job.next());
        let since = Instant::now();
        while since.elapsed() < SETTLE_WITHIN {
            match self.site.client.secret_meta(&name).await {
                Ok(Some(meta)) if meta.annotation(ORDER) == Some(self.job.order.as_str()) => {
                    return Ok(meta);
                }
                Ok(Some(_somebody_elses)) => {
                    let why = "somebody else made the next revision first".to_owned();
                    return Err(Stage::Conflict(why));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the record could not be looked for"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        // Should it arrive after all, helm has not heard of it, and a fence removes it.
        Err(Stage::Refused("the API server did not answer; helm was told to stop".into()))
    }

    /// Looks whether everything is as it was decided on, and writes the order down. From then on it
    /// has taken effect.
    async fn commit(&self, meta: &Meta) -> Result<Entry, Stage> {
        let since = Instant::now();
        let now = self.site.config.clock.now();
        let made = (self.job.next(), meta.uid.clone());
        let entry = Entry::running(self.job.order.clone(), now, self.job.to.clone(), made);
        loop {
            let looked = self.site.client.list().await.map_err(HelmError::from);
            let error = match looked.map(|listed| self.moved(&listed.metas, meta)) {
                // Nothing was written yet.
                Ok(Some(why)) => return Err(Stage::Conflict(why)),
                Ok(None) => match self.site.client.note(&entry, |_known| false, now).await {
                    Ok(Written::Done) => return Ok(entry),
                    Ok(Written::Ended(known)) => {
                        return Err(Stage::Refused(ended_words(known.state)));
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if !error.is_passing() || since.elapsed() > SETTLE_WITHIN {
                return Err(self.withdraw(&entry, &error).await);
            }
            tracing::debug!(%error, "the order could not be written down; once more");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Gives up an order of which it is not known whether it stands in the journal: helm has not heard
    /// of it, and until that is written down too it is in doubt.
    async fn withdraw(&self, entry: &Entry, error: &HelmError) -> Stage {
        self.close();
        let over = |known: &Entry| known.state == State::Running && known.made == entry.made;
        loop {
            let now = self.site.config.clock.now();
            let void = Entry::void(entry.order.clone(), now);
            match self.site.client.note(&void, over, now).await {
                Ok(Written::Done) => return Stage::Refused(error.to_string()),
                Ok(Written::Ended(known)) => return Stage::Refused(ended_words(known.state)),
                Err(error) => {
                    tracing::warn!(%error, "an order that was given up is not written down as such yet");
                    tokio::time::sleep(WITHDRAW_EVERY).await;
                }
            }
        }
    }

    /// What is not as it was when the rollback was decided.
    fn moved(&self, metas: &[Meta], made: &Meta) -> Option<String> {
        let number = |meta: &Meta| number_of(&self.site.config.release.name, &meta.name);
        let before =
            metas.iter().filter(|meta| meta.uid != made.uid).max_by_key(|meta| number(meta));
        if before.map(|meta| &meta.uid) != Some(&self.job.from.uid) {
            return Some("another revision is the newest".to_owned());
        }
        let target = metas.iter().any(|meta| meta.uid == self.job.target.uid);
        (!target).then(|| "the target was pruned meanwhile".to_owned())
    }

    /// Removes the record of a rollback that did not begin. Helm never heard of it.
    async fn undo(&self, meta: &Meta) {
        if let Err(error) = self.site.client.delete_secret(meta).await {
            tracing::warn!(%error, "the record of a rollback that did not begin stays; the next one removes it");
        }
    }

    /// The record, in whichever encoding helm reads.
    async fn read_back(&self, name: &str, accept: Option<header::HeaderValue>) -> Response {
        let path = self.site.client.secrets().object(name);
        let mut request = Request::get(path);
        if let Some(accept) = accept {
            request = request.header(header::ACCEPT, accept);
        }
        let Ok(request) = request.body(Bytes::new()) else { return exists() };
        match self.site.client.cluster.forward(request).await {
            Ok(mut read) => {
                if read.status().is_success() {
                    *read.status_mut() = StatusCode::CREATED;
                }
                whole(read).await
            }
            Err(_unanswered) => answered_nothing(),
        }
    }
}
