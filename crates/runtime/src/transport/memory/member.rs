//! The membership client: each poll is a heartbeat, and turns what the group says into news.

use std::sync::Arc;
use std::time::Duration;

use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::record::TopicPartition;

use super::broker::Broker;
use super::fault::{Request, RequestKind};
use super::group::{Proof, Standing};
use super::plan::Plan;
use crate::transport::{
    Assignment, CommittedOffset, GroupMetadata, MemberOptions, Membership, MembershipEvent, Peer,
    Waker,
};

/// A member of a group of a [`MemoryLog`](super::MemoryLog).
#[derive(Debug)]
pub(super) struct MemoryMember {
    broker: Arc<Broker>,
    options: Arc<MemberOptions>,
    plan: Plan,
    state: State,
    /// A commit that goes on: what it is of, and its time-out.
    underway: Option<(Vec<(TopicPartition, CommittedOffset)>, Duration)>,
}

#[derive(Debug)]
enum State {
    /// Not a member: the next poll joins.
    Outside,
    Inside(Inside),
    /// Told that everything is lost; waits for the acknowledgement.
    Lost,
    /// Left for good.
    Left,
}

#[derive(Debug)]
struct Inside {
    id: String,
    epoch: i32,
    /// What the group last said, and at which version.
    version: Option<u64>,
    told: Option<Standing>,
    /// What the next poll tells.
    news: Option<Standing>,
    was_told_to_stop: bool,
    must_stop: bool,
}

impl MemoryMember {
    pub(super) fn new(broker: Arc<Broker>, options: MemberOptions) -> Self {
        let plan = Plan::new(&options.topology, &options.application_id);
        Self { broker, options: Arc::new(options), plan, state: State::Outside, underway: None }
    }

    fn request(&self, kind: RequestKind) -> Request<'_> {
        Request { client_id: &self.options.client_id, kind, partition: None }
    }

    fn join(&mut self) -> Result {
        let (options, plan) = (Arc::clone(&self.options), self.plan.clone());
        let id = self.broker.call(&self.request(RequestKind::Heartbeat), move |broker| {
            broker.with_group(&options.application_id, |group, now| {
                group.join(&options, &plan, broker, now)
            })
        })?;
        self.state = State::Inside(Inside {
            id,
            epoch: 0,
            version: None,
            told: None,
            news: None,
            was_told_to_stop: false,
            must_stop: false,
        });
        Ok(())
    }

    fn proof(&self) -> Result<Proof> {
        let group = Arc::clone(&self.options.application_id);
        match &self.state {
            State::Inside(Inside { id, epoch, .. }) => {
                Ok(Proof { group, member: id.clone(), epoch: *epoch })
            }
            State::Lost => Err(Error::new(ErrorKind::Fenced, "the group has expelled the member")),
            State::Outside => Err(Error::new(ErrorKind::Unavailable, "the member has not joined")),
            State::Left => Err(left()),
        }
    }

    /// Says that the member lives; false if the group does not know it.
    fn heartbeat(&mut self) -> Result<bool> {
        let State::Inside(inside) = &mut self.state else { return Ok(true) };
        let (group, id, version) = (&self.options.application_id, &inside.id, inside.version);
        let client_id = &self.options.client_id;
        let request = Request { client_id, kind: RequestKind::Heartbeat, partition: None };
        let broker = &self.broker;
        let view = broker.ask(&request, || {
            broker.with_group(group, |group, now| group.heartbeat(id, version, now))
        })?;
        let Some(view) = view else { return Ok(false) };
        if let Some(view) = view {
            inside.version = Some(view.version);
            inside.epoch = view.epoch;
            inside.must_stop = view.must_stop;
            let is_new = inside.told.as_ref() != Some(&view.standing);
            inside.news = is_new.then_some(view.standing);
        }
        Ok(true)
    }
}

impl Membership for MemoryMember {
    fn poll(&mut self) -> Result<Option<MembershipEvent>> {
        match self.state {
            State::Outside => self.join()?,
            State::Lost => return Ok(None),
            State::Left => return Err(left()),
            State::Inside(_) => {}
        }
        if !self.heartbeat()? {
            self.state = State::Lost;
            return Ok(Some(MembershipEvent::Lost));
        }
        let State::Inside(inside) = &mut self.state else { return Ok(None) };
        if inside.must_stop && !inside.was_told_to_stop {
            inside.was_told_to_stop = true;
            return Ok(Some(MembershipEvent::ShutdownRequested));
        }
        let Some(news) = inside.news.take() else { return Ok(None) };
        inside.told = Some(news.clone());
        Ok(match news {
            Standing::Owns(assignment) => Some(MembershipEvent::Assigned(assignment)),
            Standing::Pauses => Some(MembershipEvent::Suspend),
            Standing::Waits => None,
        })
    }

    fn acknowledge(&mut self, owned: &Assignment) -> Result {
        // The next pause is news again, also if the generation between the two went unseen.
        if let State::Inside(inside) = &mut self.state {
            inside.told.take_if(|told| *told == Standing::Pauses);
        }
        match &self.state {
            State::Lost => self.state = State::Outside,
            State::Outside => {}
            State::Left => return Err(left()),
            State::Inside(Inside { id, .. }) => {
                let (group, id) = (Arc::clone(&self.options.application_id), id.clone());
                let owned = owned.clone();
                let request = self.request(RequestKind::Acknowledge);
                let epoch = self.broker.call(&request, move |broker| {
                    let work =
                        |group: &mut super::group::Group, now| group.acknowledge(&id, &owned, now);
                    Ok(broker.with_group(&group, work))
                })?;
                // A member that is not known any more is told by the next poll.
                if let (Some(epoch), State::Inside(inside)) = (epoch, &mut self.state) {
                    inside.epoch = epoch;
                }
            }
        }
        Ok(())
    }

    fn committed(
        &mut self,
        partitions: &[TopicPartition],
        _: Duration,
    ) -> Result<Vec<Option<CommittedOffset>>> {
        let group = &self.options.application_id;
        self.broker.ask(&self.request(RequestKind::Committed), || {
            self.broker.expire_transactions();
            self.broker.with_group(group, |group, _| group.offsets.stable(partitions))
        })
    }

    fn commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
    ) -> Result {
        let proof = self.proof()?;
        self.broker.retry(timeout, || {
            let (proof, offsets) = (proof.clone(), offsets.to_vec());
            self.broker.call(&self.request(RequestKind::Commit), move |broker| {
                broker.with_group(&proof.group, |group, _| {
                    group.check(&proof, &offsets)?;
                    group.offsets.commit(&offsets);
                    Ok(())
                })
            })
        })
    }

    /// For simulation one that takes until the next poll, as on a real broker.
    fn start_commit(
        &mut self,
        offsets: &[(TopicPartition, CommittedOffset)],
        timeout: Duration,
        _: Waker,
    ) -> Result {
        if self.broker.has_stepwise_commits {
            self.underway = Some((offsets.to_vec(), timeout));
            return Ok(());
        }
        self.commit(offsets, timeout)
    }

    fn poll_commit(&mut self, _: Duration) -> Result<bool> {
        if let Some((offsets, timeout)) = self.underway.take() {
            self.commit(&offsets, timeout)?;
        }
        Ok(true)
    }

    fn peers(&mut self) -> Vec<Peer> {
        self.broker.with_group(&self.options.application_id, |group, _| group.peers())
    }

    fn group_metadata(&mut self) -> Result<GroupMetadata> {
        self.proof().map(GroupMetadata::new)
    }

    fn request_shutdown(&mut self) -> Result {
        let group = Arc::clone(&self.options.application_id);
        self.broker.call(&self.request(RequestKind::Heartbeat), move |broker| {
            broker.with_group(&group, |group, _| group.stop());
            Ok(())
        })
    }

    fn leave(&mut self, timeout: Duration) -> Result {
        let State::Inside(Inside { id, .. }) = std::mem::replace(&mut self.state, State::Left)
        else {
            return Ok(());
        };
        self.broker.retry(timeout, || {
            let (group, id) = (Arc::clone(&self.options.application_id), id.clone());
            self.broker.call(&self.request(RequestKind::Leave), move |broker| {
                broker.with_group(&group, |group, now| group.leave(&id, now));
                Ok(())
            })
        })
    }
}

fn left() -> Error {
    Error::new(ErrorKind::Closed, "the member has left its group")
}
