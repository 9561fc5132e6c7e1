//! The trait: what the engine asks of a CD system, asked over HTTP.

use crate::classify;
use crate::config::{Config, UndoneBy};
use crate::wire::{OrderBody, Promises, Service};
use async_trait::async_trait;
use rollback_core::observed::{Live, Preflight};
use rollback_core::ports::{
    Cancelled, Capabilities, CdBackend, CompareAndSet, ErrorKind, Fence, Fenced, HistoryOptions,
    LiveOptions, ObserveOptions, PortError, StartError,
};
use rollback_core::proof::{Order, OrderRef};
use rollback_core::{
    Plan, Presence, Progress, Receipt, Restorable, Revision, RollbackId, ServiceKey,
};
use rollback_outbound::{Client, Request, SetupError};

/// Its name in errors.
pub(crate) const ADAPTER: &str = "http";

/// Whose word it is where the CD system does not say what would undo a rollback.
const VOUCHED: &str = "the configuration (`undone_by: nothing`)";

/// A CD system that speaks the CD API contract. See the [crate's page](crate).
///
/// Each method is one request, and none is ever sent twice. All are cancel safe but
/// [`CdBackend::start`], which leaves the order in doubt.
#[derive(Debug)]
pub struct HttpBackend {
    client: Client,
    capabilities: Capabilities,
    undone_by: UndoneBy,
}

impl HttpBackend {
    /// Sets up a client. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`SetupError`] when the address or the token cannot be used.
    ///
    /// ```
    /// use rollback_http::{Config, HttpBackend};
    /// let backend = HttpBackend::new(&Config::new("https://cd.example.com", "a-secret-token"))?;
    /// assert!(!format!("{backend:?}").contains("secret"));
    /// # Ok::<(), rollback_http::SetupError>(())
    /// ```
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        // The contract has a place for what is in progress, for who would undo it, and for a request to
        // cancel. A CD system that leaves one out is told as unknown, or as too late, each time.
        let mut capabilities = Capabilities::full();
        (capabilities.compare_and_set, capabilities.fence) = (config.compare_and_set, config.fence);
        Ok(Self {
            client: Client::new(&config.client())?,
            capabilities,
            undone_by: config.undone_by,
        })
    }

    async fn service(
        &self,
        key: &ServiceKey,
        operation: &'static str,
    ) -> Result<Service, PortError> {
        let (service, environment) = (key.service.as_str(), key.environment.as_str());
        let path = ["v1", "services", service, "environments", environment];
        classify::service(self.client.send(Request::get(path)).await, operation)
    }

    async fn execution(
        &self,
        rollback: &RollbackId,
        operation: &'static str,
    ) -> Result<Option<(Receipt, Progress)>, PortError> {
        let path = ["v1", "rollbacks", rollback.as_str()];
        classify::execution(self.client.send(Request::get(path)).await, operation)
    }
}

/// Why the site's word about the CD system is not to be relied on: it claims more than the CD
/// system promises.
fn overclaimed(claimed: Capabilities, promised: Promises) -> Option<&'static str> {
    let compares = match claimed.compare_and_set {
        CompareAndSet::Yes | CompareAndSet::Ticket => true,
        CompareAndSet::No => false,
    };
    if compares && !promised.compare_and_set {
        return Some(
            "the configuration says that this CD system compares what is live itself, and it says \
             that it does not; correct `compare_and_set`",
        );
    }
    if claimed.fence == Fence::Yes && !promised.fence {
        return Some(
            "the configuration says that this CD system can fence, and it says that it cannot; \
             correct `fence`",
        );
    }
    None
}

/// What the service's document says about a plan.
fn judged(plan: &Plan, service: Service, claimed: Capabilities, trusted: UndoneBy) -> Preflight {
    let (undone_by, vouched_by) = match (service.undone_by(), trusted) {
        (Presence::CannotTell(_), UndoneBy::VouchedNothing) => {
            (Presence::Nothing, Some(VOUCHED.to_owned()))
        }
        (said, UndoneBy::AsReported | UndoneBy::VouchedNothing) => (said, None),
    };
    let mut preflight = accepts(plan, service, claimed);
    (preflight.undone_by, preflight.vouched_by) = (undone_by, vouched_by);
    preflight
}

fn accepts(plan: &Plan, service: Service, claimed: Capabilities) -> Preflight {
    if let Some(why) = overclaimed(claimed, service.capabilities) {
        return Preflight::rejected(why);
    }
    let to = &plan.to().revision;
    let target = service.revisions.into_iter().find(|revision| revision.id == *to);
    match target.map(|target| Restorable::from(target.restorable)) {
        None => Preflight::rejected(format!("the CD system has no revision `{to}` any more")),
        Some(Restorable::No) => {
            Preflight::rejected(format!("the CD system cannot restore `{to}` any more"))
        }
        // Not knowing is the concern of the guard that looks at the target.
        Some(Restorable::Yes | Restorable::Unknown) => Preflight::accepted(),
    }
}

#[async_trait]
impl CdBackend for HttpBackend {
    /// As the site says, and checked against the CD system's own word in every preflight.
    fn capabilities(&self, _key: &ServiceKey) -> Capabilities {
        self.capabilities
    }

    async fn history(
        &self,
        key: &ServiceKey,
        options: HistoryOptions,
    ) -> Result<Vec<Revision>, PortError> {
        let service = self.service(key, "read the history").await?;
        Ok(service.revisions.into_iter().take(options.limit).map(Revision::from).collect())
    }

    async fn live(&self, key: &ServiceKey, _options: LiveOptions) -> Result<Live, PortError> {
        Ok(self.service(key, "read what is live").await?.live())
    }

    async fn preflight(&self, plan: &Plan) -> Result<Preflight, PortError> {
        let service = self.service(plan.key(), "check the rollback").await?;
        Ok(judged(plan, service, self.capabilities, self.undone_by))
    }

    async fn start(&self, order: Order) -> Result<Receipt, StartError> {
        let request = Request::post(["v1", "rollbacks"])
            .header("idempotency-key", order.rollback().as_str())
            .json(&OrderBody::from(&*order));
        classify::started(self.client.send(request).await)
    }

    async fn find(&self, order: &OrderRef) -> Result<Option<Receipt>, PortError> {
        let execution = self.execution(order.rollback(), "look for the order").await?;
        Ok(execution.map(|(receipt, _progress)| receipt))
    }

    async fn fence(&self, order: &OrderRef) -> Result<Fenced, PortError> {
        const OPERATION: &str = "void the order";
        if self.capabilities.fence == Fence::No {
            return Ok(Fenced::Unsupported);
        }
        let path = ["v1", "rollbacks", order.rollback().as_str(), "fence"];
        let exchange = self.client.send(Request::post(path)).await;
        if let Some(fenced) = classify::fenced(exchange, OPERATION)? {
            return Ok(fenced);
        }
        // It was accepted: a second one would be the same. Whoever looks next must find it.
        match self.execution(order.rollback(), OPERATION).await? {
            Some(_execution) => Ok(Fenced::Done),
            None => {
                let what = "the CD system says that it accepted the order, and does not know it";
                Err(PortError::new(ErrorKind::Retry(None), ADAPTER, OPERATION, what))
            }
        }
    }

    async fn observe(
        &self,
        order: &OrderRef,
        receipt: &Receipt,
        _options: ObserveOptions,
    ) -> Result<Progress, PortError> {
        const OPERATION: &str = "look at the execution";
        let error = |what: String| PortError::new(ErrorKind::Rejected, ADAPTER, OPERATION, what);
        match self.execution(order.rollback(), OPERATION).await? {
            Some((found, progress)) if found.execution == receipt.execution => Ok(progress),
            Some((found, _)) => Err(error(format!(
                "the CD system tells about the execution `{}`, not `{}`",
                found.execution, receipt.execution
            ))),
            None => Err(error(format!("the CD system does not know `{}`", receipt.execution))),
        }
    }

    async fn cancel(&self, order: &OrderRef, _receipt: &Receipt) -> Result<Cancelled, PortError> {
        let path = ["v1", "rollbacks", order.rollback().as_str()];
        let exchange = self.client.send(Request::delete(path)).await;
        classify::cancelled(exchange, "cancel the execution")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rollback_core::observed::Acceptance;
    use rollback_testkit::fixtures;

    fn service(promises: Promises) -> Service {
        let revisions: Vec<_> = fixtures::history().into_iter().map(Into::into).collect();
        let live = revisions.first().cloned();
        let (in_progress, undone_by) = (Some(None), Some(None));
        Service { live, in_progress, undone_by, revisions, capabilities: promises }
    }

    #[test]
    fn a_site_that_claims_more_than_the_cd_system_promises_is_told_so_before_any_order() {
        use CompareAndSet::{No, Ticket, Yes};
        for (compares, fences, promised_compare, promised_fence, named) in [
            (Yes, Fence::No, true, false, None),
            (Yes, Fence::No, true, true, None),
            (Yes, Fence::Yes, true, true, None),
            (No, Fence::No, false, false, None),
            (Yes, Fence::Yes, true, false, Some("`fence`")),
            (No, Fence::Yes, false, false, Some("`fence`")),
            (Yes, Fence::No, false, false, Some("`compare_and_set`")),
            (Ticket, Fence::No, false, false, Some("`compare_and_set`")),
        ] {
            let claimed = Capabilities::new(compares, fences);
            let promises = Promises { compare_and_set: promised_compare, fence: promised_fence };
            let preflight = accepts(&fixtures::plan(), service(promises), claimed);
            match (preflight.acceptance, named) {
                (Acceptance::Accepted, None) => {}
                (Acceptance::Rejected(why), Some(named)) if why.contains(named) => {}
                (other, _) => panic!("{claimed:?}, {promises:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_would_undo_it_is_the_cd_systems_word_and_where_it_has_none_the_sites() {
        use UndoneBy::{AsReported, VouchedNothing};
        let claimed = Capabilities::new(CompareAndSet::Yes, Fence::No);
        let sync = || Some("auto-sync".to_owned());
        for (said, trusted, known, vouched) in [
            (Some(None), AsReported, Some(None), false),
            (Some(sync()), AsReported, Some(sync()), false),
            (None, AsReported, None, false),
            (Some(None), VouchedNothing, Some(None), false),
            (Some(sync()), VouchedNothing, Some(sync()), false),
            (None, VouchedNothing, Some(None), true),
        ] {
            let mut service = service(Promises::default());
            service.undone_by = said.clone();
            let preflight = judged(&fixtures::plan(), service, claimed, trusted);
            let seen = match preflight.undone_by {
                Presence::Nothing => Some(None),
                Presence::Something(by) => Some(Some(by)),
                Presence::CannotTell(_) => None,
            };
            assert_eq!(seen, known, "{said:?}, {trusted:?}");
            assert_eq!(preflight.vouched_by.is_some(), vouched, "{said:?}, {trusted:?}");
        }
    }

    #[test]
    fn a_target_that_is_gone_is_rejected_and_one_nobody_knows_about_is_left_to_its_guard() {
        let claimed = Capabilities::new(CompareAndSet::Yes, Fence::No);
        for (restorable, accepted) in [(Some(true), true), (None, true), (Some(false), false)] {
            let mut service = service(Promises::default());
            for revision in &mut service.revisions {
                revision.restorable = restorable;
            }
            let acceptance = accepts(&fixtures::plan(), service, claimed).acceptance;
            assert_eq!(acceptance == Acceptance::Accepted, accepted, "{restorable:?}");
        }
        let mut empty = service(Promises::default());
        empty.revisions.clear();
        let acceptance = accepts(&fixtures::plan(), empty, claimed).acceptance;
        assert!(matches!(acceptance, Acceptance::Rejected(why) if why.contains("no revision")));
    }
}
