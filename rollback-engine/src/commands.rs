//! What surfaces ask of the engine.

use crate::driver;
use crate::engine::{Engine, not_recorded};
use crate::operation::{By, Operation};
use crate::{posted, telling, work};
use async_trait::async_trait;
use rollback_core::access::{Duty, Standing};
use rollback_core::audit::{BackendEntry, Hash};
use rollback_core::journal::{Opening, Origin};
use rollback_core::named::resolve;
use rollback_core::notice::{DeployCard, MessageRef};
use rollback_core::ports::{Button, ClickedOn, CommandError, Commands, Consent, Query, StoreError};
use rollback_core::proof::Confirmation;
use rollback_core::{
    Actor, DeployId, Event, Label, Outcome, Plan, Proposer, Purpose, Reason, Revision,
    RevisionName, RevisionRef, RollbackId, RollbackView, Said, ServiceChange, ServiceKey,
    Settlement, StateName, Timestamp,
};
use std::sync::Arc;
use std::time::Duration;

#[async_trait]
impl Commands for Engine {
    async fn receive(
        &self,
        digests: &[[u8; 32]],
        at: Timestamp,
        keep: Duration,
    ) -> Result<(), CommandError> {
        match self.inner.store.see(digests, at, keep).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(CommandError::ReceivedBefore),
            Err(error) => Err(not_recorded(&error)),
        }
    }

    async fn pressed_in(
        &self,
        button: &Button,
        notifier: &str,
        message: &MessageRef,
    ) -> Result<(), CommandError> {
        let on_deploy = |view: &RollbackView| view.deploy.as_ref().map(telling::deploy_key);
        let keys = match button {
            Button::Open(deploy) => vec![telling::deploy_key(&self.card(deploy).await?.deploy.id)],
            Button::Decide(id) => vec![telling::approval_key(&self.view(id).await?.id)],
            Button::Stop(id) | Button::Release(id) => {
                on_deploy(&self.view(id).await?).into_iter().collect()
            }
            Button::Settle(id) => {
                let view = self.view(id).await?;
                on_deploy(&view).into_iter().chain([telling::on_call_key(&view.id)]).collect()
            }
        };
        posted::is(&self.inner, notifier, &keys, message).await
    }

    async fn click(&self, on: &ClickedOn, actor: Actor) -> Result<RollbackView, CommandError> {
        self.inner.turned_away.knocks(&actor.id, self.inner.clock.now())?;
        self.clicked(on, actor).await
    }

    async fn confirm(
        &self,
        id: &RollbackId,
        actor: Actor,
        consent: Consent,
    ) -> Result<RollbackView, CommandError> {
        let _confirms = self.inner.openings.confirms(id);
        let standing = self.standing(id, &actor, Duty::Request).await?;
        let Consent { reason, shown, acknowledged, .. } = consent;
        let given = Confirmation::new(actor, standing, reason, shown).acknowledging(acknowledged);
        let view = self.say(id, Event::ConfirmationGiven(Box::new(given))).await?;
        // No confirmation leads there: it came too late, and whoever gave it is told.
        if matches!(view.state, StateName::Withdrawn | StateName::Expired | StateName::Proposed) {
            return Err(CommandError::Closed);
        }
        Ok(view)
    }

    async fn approve(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError> {
        let standing = self.standing(id, &actor, Duty::Approve).await?;
        self.say(id, Event::ApprovalGiven(Box::new(Said::new(actor, standing)))).await
    }

    async fn reject(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError> {
        let standing = self.standing(id, &actor, Duty::Approve).await?;
        self.say(id, Event::RejectionGiven(Box::new(Said::new(actor, standing)))).await
    }

    async fn withdraw(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError> {
        let standing = self.standing(id, &actor, Duty::Withdraw).await?;
        self.say(id, Event::WithdrawalGiven(Box::new(Said::new(actor, standing)))).await
    }

    async fn settle(
        &self,
        id: &RollbackId,
        actor: Actor,
        outcome: Outcome,
        finding: Reason,
    ) -> Result<RollbackView, CommandError> {
        let standing = self.standing(id, &actor, Duty::Settle).await?;
        let settlement = Settlement::new(actor, standing, finding).with_outcome(outcome);
        self.say(id, Event::Settled(Box::new(settlement))).await
    }

    async fn release(&self, id: &RollbackId, actor: Actor) -> Result<RollbackView, CommandError> {
        let standing = self.standing(id, &actor, Duty::Release).await?;
        self.say(id, Event::Released(Box::new(Said::new(actor, standing)))).await
    }

    async fn change_service(
        &self,
        key: &ServiceKey,
        change: ServiceChange,
        actor: Actor,
    ) -> Result<bool, CommandError> {
        self.change_service_by_person(key, change, actor).await
    }

    async fn card(&self, id: &DeployId) -> Result<DeployCard, CommandError> {
        let card = self.inner.store.deploy(id).await.map_err(|error| not_recorded(&error))?;
        card.ok_or_else(|| CommandError::NotFound(Label::new(id.as_str())))
    }

    async fn view(&self, id: &RollbackId) -> Result<RollbackView, CommandError> {
        self.known(id).await?.view(&self.inner).await.map_err(|error| not_recorded(&error))
    }

    async fn changed(&self, id: &RollbackId, steps: u64) -> Result<RollbackView, CommandError> {
        let operation = self.known(id).await?;
        let mut views = operation.watch();
        let now = operation.view(&self.inner).await.map_err(|error| not_recorded(&error))?;
        if now.steps > steps || now.state.is_end() {
            return Ok(now);
        }
        let newer = |view: &Option<RollbackView>| {
            view.as_ref().is_some_and(|view| view.steps > steps || view.state.is_end())
        };
        tokio::select! {
            biased;
            () = self.inner.stopping.cancelled() => Err(CommandError::Stopping),
            changed = views.wait_for(newer) => match changed {
                Ok(view) => view.clone().ok_or(CommandError::Stopping),
                Err(_closed) => Err(CommandError::Stopping),
            },
        }
    }
}

/// What somebody or something proposes.
///
/// ```
/// use rollback_core::{Proposer, Reason, ServiceKey};
/// use rollback_engine::Proposal;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = ServiceKey::new("checkout".parse()?, "production".parse()?);
/// let by = Proposer::new("watchdog", None);
/// let proposal = Proposal::new(key, Reason::parse("errors doubled")?, by).once("alert-4711");
/// # drop(proposal);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Proposal {
    /// The service.
    pub key: ServiceKey,
    /// Why.
    pub reason: Reason,
    /// Who.
    pub by: Proposer,
    /// Where to: by its identity, or as people call it now, which must be one revision of the deploy
    /// history. The one that the policy chooses where none is named.
    pub target: Option<RevisionName>,
    /// Whether it is a drill; as the service is configured where that is not said.
    pub purpose: Option<Purpose>,
    /// What identifies it: a repeat under the same key is the same proposal.
    pub once: Option<String>,
}

impl Proposal {
    /// Proposes to roll back to what the policy chooses.
    #[must_use]
    pub const fn new(key: ServiceKey, reason: Reason, by: Proposer) -> Self {
        Self { key, reason, by, target: None, purpose: None, once: None }
    }

    /// The same, to this revision.
    #[must_use]
    pub fn to(mut self, target: RevisionName) -> Self {
        self.target = Some(target);
        self
    }

    /// The same as a drill, whatever the configuration of the service says.
    #[must_use]
    pub const fn drill(mut self) -> Self {
        self.purpose = Some(Purpose::Drill);
        self
    }

    /// The same under a key, so that a repeat is this proposal and no second one. All keys share one
    /// namespace: prefix yours with the caller's name where several callers choose keys.
    #[must_use]
    pub fn once(mut self, key: impl Into<String>) -> Self {
        self.once = Some(key.into());
        self
    }

    /// What was asked for, as it was asked: a repeat has the same, whatever the names mean by then.
    fn digest(&self) -> Hash {
        let purpose = match self.purpose {
            Some(Purpose::Real) => "real",
            Some(Purpose::Drill) => "drill",
            None => "",
        };
        let asked = [
            self.key.service.as_str(),
            self.key.environment.as_str(),
            self.by.id.as_str(),
            self.by.name.as_ref().map_or("", Label::as_str),
            self.target.as_ref().map_or("", RevisionName::as_str),
            purpose,
            self.reason.as_str(),
        ];
        // With its length, no part can be taken for two.
        let asked = asked.map(|part| format!("{}:{part}\n", part.len()));
        Hash::of(asked.concat().as_bytes())
    }
}

/// The identity of a proposal under a key: a digest of the key, so that a repeat gets the same one.
fn once_id(key: &str) -> Result<RollbackId, CommandError> {
    let digest = Hash::of(format!("proposal\n{key}").as_bytes()).to_string();
    let id = format!("p-{}", digest.get(..32).unwrap_or_default());
    RollbackId::parse(id).map_err(|error| CommandError::NotRecorded(error.to_string()))
}

/// Why nothing was opened.
#[derive(Debug)]
enum Unopened {
    /// There is one of the same identity.
    Exists,
    /// Another reason.
    Not(CommandError),
}

impl From<CommandError> for Unopened {
    fn from(error: CommandError) -> Self {
        Self::Not(error)
    }
}

impl From<Unopened> for CommandError {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Exists => Self::NotRecorded("its identity is taken".into()),
            Unopened::Not(error) => error,
        }
    }
}

impl Engine {
    /// Proposes a rollback: posts the prompt with the reason, and executes nothing. A proposal under a
    /// [key](Proposal::once) that was used before is the one from before, however it stands by now.
    ///
    /// # Errors
    ///
    /// [`CommandError`] when nothing was proposed; [`CommandError::KeyUsed`] when something else was
    /// proposed under the same key.
    pub async fn propose(&self, proposal: Proposal) -> Result<RollbackView, CommandError> {
        let id = match &proposal.once {
            Some(key) => once_id(key)?,
            None => self.inner.new_rollback_id()?,
        };
        if proposal.once.is_some()
            && let Some(before) = self.proposed_before(&id, &proposal).await?
        {
            return Ok(before);
        }
        match self.suggest(id.clone(), &proposal).await {
            // Somebody was faster with the same key.
            Err(Unopened::Exists) => match self.proposed_before(&id, &proposal).await? {
                Some(before) => Ok(before),
                None => Err(CommandError::NotRecorded("it was stored and cannot be found".into())),
            },
            Err(Unopened::Not(error)) => Err(error),
            Ok(view) => Ok(view),
        }
    }

    /// What was proposed under the same key before.
    async fn proposed_before(
        &self,
        id: &RollbackId,
        proposal: &Proposal,
    ) -> Result<Option<RollbackView>, CommandError> {
        let before = self.inner.store.load(id).await.map_err(|error| not_recorded(&error))?;
        let Some(before) = before else {
            // Its journal may have been forgotten since. Under the same identity nothing new would be
            // recorded.
            let last = self.inner.store.last_record(id).await;
            return match last.map_err(|error| not_recorded(&error))? {
                Some(_) => Err(CommandError::KeyUsed(id.clone())),
                None => Ok(None),
            };
        };
        if before.opening.request != Some(proposal.digest()) {
            return Err(CommandError::KeyUsed(id.clone()));
        }
        self.view(id).await.map(Some)
    }

    /// Opens a rollback from what is live now to the named target, or else the one that the policy
    /// chooses; for the configured purpose unless another is given.
    async fn suggest(&self, id: RollbackId, proposal: &Proposal) -> Result<RollbackView, Unopened> {
        let Proposal { key, target, purpose, reason, by, .. } = proposal;
        let origin = Origin::Proposal { by: by.clone(), reason: reason.clone() };
        let status = self.status(key).await?;
        let live = status.live.ok_or_else(|| CommandError::NoTarget(status.why.clone()))?;
        let live = live.reference();
        let to = match target {
            Some(_) if status.history.is_empty() => {
                return Err(CommandError::NoTarget(status.why).into());
            }
            Some(name) => {
                let id = resolve(name, None, &status.history, None)
                    .map_err(|why| CommandError::NoTarget(why.to_string()))?;
                let told = status.history.iter().find(|entry| entry.id == id);
                told.map_or_else(|| RevisionRef::new(id.clone()), Revision::reference)
            }
            None => status
                .target
                .map(|target| target.reference())
                .ok_or(CommandError::NoTarget(status.why))?,
        };
        let plan = Plan::new(key.clone(), live.clone(), to)
            .map_err(|error| CommandError::NoTarget(error.to_string()))?;
        let deploy = self.deploy_of(key, &live).await?;
        let mut opening = self.opening(id, plan, origin)?;
        opening.purpose = purpose.unwrap_or(opening.purpose);
        opening.request = proposal.once.as_ref().map(|_key| proposal.digest());
        opening.deployer = deploy.deployer;
        opening.deploy = Some(deploy.id);
        self.open(opening).await
    }

    /// The proposal that the button of a deploy message stands for, while there is one.
    async fn open_proposal(&self, card: &DeployCard) -> Result<Option<RollbackId>, CommandError> {
        let mut query = Query::all(1);
        query.service = Some(card.deploy.service.as_str().into());
        query.environment = Some(card.deploy.environment.as_str().into());
        query.state = Some(StateName::Proposed);
        let open = self.rollbacks(&query).await.map_err(|error| not_recorded(&error))?;
        let ours = open.into_iter().find(|view| view.deploy.as_ref() == Some(&card.deploy.id));
        Ok(ours.map(|view| view.id))
    }

    fn opening(&self, id: RollbackId, plan: Plan, origin: Origin) -> Result<Opening, CommandError> {
        let inner = &self.inner;
        if inner.stopping.is_cancelled() {
            return Err(CommandError::Stopping);
        }
        let key = plan.key().clone();
        let not_configured = || CommandError::NotConfigured(key.clone());
        let service = inner.catalog.services.get(&key).ok_or_else(not_configured)?;
        if !inner.admits() {
            return Err(CommandError::NotAdmitting);
        }
        let backend = inner.backends.get(&service.backend).ok_or_else(not_configured)?;
        let entry = BackendEntry::new(service.backend.clone(), backend.capabilities(&key));
        let policy = inner.policy(&key, service);
        let mut opening = Opening::new(id, plan, policy, origin, entry, inner.clock.now());
        opening.purpose = service.purpose;
        Ok(opening)
    }

    async fn open(&self, opening: Opening) -> Result<RollbackView, Unopened> {
        let _turn = match &opening.origin {
            Origin::Click(person) => self.make_room(person, opening.plan.key()).await?,
            Origin::Proposal { .. } => None,
        };
        // Held until the driver has a place of its own.
        let Some(_place) = self.inner.places.find() else {
            return Err(CommandError::TooMany(self.inner.places.standing().open_max).into());
        };
        let operation = self.inner.operation(&opening.id);
        let view = operation.open(&self.inner, opening).await.map_err(|error| {
            if matches!(error, StoreError::MovedOn(_)) {
                Unopened::Exists
            } else {
                Unopened::Not(not_recorded(&error))
            }
        })?;
        driver::ensure(&self.inner, &operation);
        Ok(view)
    }

    /// Feeds what a person said. It is decided on and stored when this returns.
    pub(crate) async fn say(
        &self,
        id: &RollbackId,
        event: Event,
    ) -> Result<RollbackView, CommandError> {
        self.say_as(id, event, By::Person).await
    }

    /// The same, said by somebody of whom it counts only sometimes.
    pub(crate) async fn say_as(
        &self,
        id: &RollbackId,
        event: Event,
        by: By<'_>,
    ) -> Result<RollbackView, CommandError> {
        if self.inner.stopping.is_cancelled() {
            return Err(CommandError::Stopping);
        }
        let operation = self.known(id).await?;
        if let Some(view) = operation.said_to_stopped(&self.inner, &event).await? {
            return Ok(view);
        }
        let applied = operation.apply(&self.inner, event, by).await;
        let view = applied.map_err(|error| not_recorded(&error))?;
        driver::ensure(&self.inner, &operation);
        Ok(view)
    }

    async fn standing(
        &self,
        id: &RollbackId,
        actor: &Actor,
        duty: Duty,
    ) -> Result<Standing, CommandError> {
        let view = self.view(id).await?;
        let is_unconfirmed = matches!(view.state, StateName::Authorizing | StateName::Confirming);
        if duty == Duty::Withdraw
            && is_unconfirmed
            && view.requested_by.as_ref().is_some_and(|asked| asked.is(actor))
        {
            // Whoever closes their own modal needs nobody's permission.
            return Ok(Standing::unknown("not asked: it is their own").about(actor.id.clone()));
        }
        work::standing_of_a_caller(&self.inner, &view, actor, duty).await
    }

    /// Takes a click, after the denial limit was checked.
    async fn clicked(&self, on: &ClickedOn, actor: Actor) -> Result<RollbackView, CommandError> {
        match on {
            ClickedOn::Proposal(id) => self.say(id, Event::Clicked(actor)).await,
            ClickedOn::Deploy(id) => {
                let card = self.card(id).await?;
                if let Some(proposal) = self.open_proposal(&card).await? {
                    return self.say(&proposal, Event::Clicked(actor)).await;
                }
                let Some(target) = &card.choice.target else {
                    return Err(CommandError::NoTarget(card.choice.why));
                };
                let from = card.deploy.reference().ok_or_else(|| {
                    CommandError::NoTarget("it is not known which revision this deploy is".into())
                })?;
                let plan = Plan::new(card.deploy.key(), from, target.reference())
                    .map_err(|error| CommandError::NoTarget(error.to_string()))?;
                let id_of_it = self.inner.new_rollback_id()?;
                let mut opening = self.opening(id_of_it, plan, Origin::Click(actor))?;
                opening.deploy = Some(id.clone());
                opening.deployer = card.deploy.deployer.clone();
                self.open(opening).await.map_err(CommandError::from)
            }
        }
    }

    /// The rollback, if the store has ever heard of it.
    async fn known(&self, id: &RollbackId) -> Result<Arc<Operation>, CommandError> {
        let operation = self.inner.operation(id);
        match operation.view(&self.inner).await {
            Ok(_) => Ok(operation),
            Err(StoreError::NotFound(_)) => {
                drop(operation);
                self.inner.forget(id);
                Err(CommandError::NotFound(Label::new(id.as_str())))
            }
            Err(error) => Err(not_recorded(&error)),
        }
    }
}
