//! Tasks that stay open while a classic group shares out anew: whether they may go on as they are.
//!
//! A member that is slow to hear may miss a whole generation. If a task was another's in it, the
//! one kept here is behind, although the next assignment gives it back.

use std::collections::BTreeMap;

use kstreams_core::error::Result;
use kstreams_core::record::{Offset, TopicPartition};
use kstreams_core::task::TaskId;

use crate::transport::{Isolation, OffsetSpec};
use crate::worker::Worker;

/// What is known of tasks that are kept through a pause.
#[derive(Debug, Default)]
pub(crate) enum Pause {
    /// There is none, or it is over.
    #[default]
    None,
    /// Where the changelogs ended when it began; `None` if the log did not tell.
    Since(Option<BTreeMap<TopicPartition, Offset>>),
}

impl Worker {
    /// A pause begins, everything is committed. Another one before the last is settled changes
    /// nothing.
    pub(crate) fn note_pause(&mut self) {
        if matches!(self.pause, Pause::None) {
            let ends = self.changelog_ends();
            if let Err(error) = &ends {
                log::warn!("thread {}: tasks will be opened anew: {error}", self.index);
            }
            self.pause = Pause::Since(ends.ok());
        }
    }

    /// The pause is over: opens those tasks anew that another may have worked on meanwhile.
    ///
    /// # Errors
    /// If the log does not answer; nothing may be processed before it has.
    pub(crate) fn settle_pause(&mut self) -> Result {
        let Pause::Since(before) = &self.pause else { return Ok(()) };
        let kept = self.kept();
        let partitions: Vec<TopicPartition> =
            kept.iter().flat_map(|(_, positions)| positions.keys().cloned()).collect();
        let timeout = self.shared.config.patience();
        let committed = if partitions.is_empty() {
            Vec::new()
        } else {
            self.membership.committed(&partitions, timeout)?
        };
        let now = self.changelog_ends()?;
        let mut committed = committed.into_iter();
        let mut behind = Vec::new();
        for (id, positions) in &kept {
            let changelogs = self.changelogs(*id);
            let is_written = |at: &TopicPartition| {
                before.as_ref().is_none_or(|before| before.get(at) != now.get(at))
            };
            let mut is_behind = before.is_none() || changelogs.iter().any(is_written);
            for (position, committed) in positions.values().zip(committed.by_ref()) {
                is_behind |= committed.is_some_and(|committed| committed.offset != *position);
            }
            if is_behind {
                behind.push(*id);
            }
        }
        for id in behind {
            log::info!("task {id}: opened anew, another member may have had it");
            self.reopen(id)?;
        }
        self.pause = Pause::None;
        Ok(())
    }

    /// Every task that is open, with the positions it would commit next to.
    fn kept(&self) -> Vec<(TaskId, BTreeMap<TopicPartition, Offset>)> {
        let running = self.tasks.values().map(|task| (task.id, task.committed_positions()));
        let restoring = self.restoring.iter().map(|task| {
            let at = task.positions.iter().map(|(name, offset, _)| (name.clone(), *offset));
            (task.open.id, at.collect())
        });
        running.chain(restoring).collect()
    }

    fn changelogs(&self, id: TaskId) -> Vec<TopicPartition> {
        let restoring = self.restoring.iter().find(|task| task.open.id == id);
        let stores = match (self.tasks.get(&id), restoring) {
            (Some(task), _) => task.stores(),
            (None, Some(task)) => &task.open.stores,
            (None, None) => &[],
        };
        let own = stores.iter().filter(|store| !store.is_source);
        own.filter_map(|store| store.changelog.clone()).collect()
    }

    fn changelog_ends(&self) -> Result<BTreeMap<TopicPartition, Offset>> {
        let all = self.kept().into_iter().flat_map(|(id, _)| self.changelogs(id));
        let latest = OffsetSpec::Latest(Isolation::ReadUncommitted);
        let asked: Vec<_> = all.map(|name| (name, latest)).collect();
        if asked.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ends = self.shared.admin.offsets(&asked, self.shared.config.patience())?;
        Ok(asked.into_iter().map(|(name, _)| name).zip(ends).collect())
    }

    /// Closes a task without a commit; it is opened anew.
    fn reopen(&mut self, id: TaskId) -> Result {
        if let Some(task) = self.tasks.remove(&id) {
            self.consumer.unassign(&task.lanes())?;
            self.shared.withdraw(id);
            task.close();
        }
        if let Some(at) = self.restoring.iter().position(|task| task.open.id == id) {
            self.restoring.swap_remove(at).close(&mut *self.consumer, &self.shared.config);
        }
        self.pending.insert(id);
        Ok(())
    }
}
