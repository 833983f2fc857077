//! The node that turns typed records into bytes for a topic.

use std::sync::Arc;

use super::TaskEnv;
use super::slot::{Node, Slot};
use crate::error::{Error, ErrorKind, Result};
use crate::handler::{FailedOutput, ProductionVerdict, Verdict};
use crate::processor::Data;
use crate::record::Record;
use crate::serde::{At, Serde, write};
use crate::sink::{OutTopic, Partitions, SinkSpec, SinkTopic};

pub(super) struct Sink<KS: Serde, VS: Serde> {
    spec: Arc<SinkSpec<KS, VS>>,
    /// The topic last written to and its number in the outbox: for a fixed topic, always the one.
    known: Option<(Arc<str>, OutTopic)>,
}

impl<KS: Serde, VS: Serde> Sink<KS, VS>
where
    KS::Item: Data,
    VS::Item: Data,
{
    pub(super) fn new(spec: Arc<SinkSpec<KS, VS>>) -> Self {
        Self { spec, known: None }
    }

    fn send(&mut self, record: Record<KS::Item, VS::Item>, env: &mut TaskEnv) -> Result {
        let (name, number) = self.topic(&record, env);
        let partitions = match &self.spec.partitioner {
            None => Partitions::Default,
            Some(partitioner) => {
                let n_partitions = env.setup.partition_counts.partition_count(&name)?;
                let chosen = partitioner.partitions(&name, &record, n_partitions);
                check_range(&chosen, &name, n_partitions)?;
                chosen
            }
        };
        let (first, others) = match &partitions {
            Partitions::Default => (None, &[][..]),
            Partitions::One(partition) => (Some(*partition), &[][..]),
            Partitions::Many(many) => match many.split_first() {
                Some((first, others)) => (Some(*first), others),
                None => return drop_record(env),
            },
            Partitions::Drop => return drop_record(env),
        };
        let Record { key, value, timestamp, headers } = record;
        let spec = &self.spec;
        let at_headers = headers.clone();
        env.outbox.push_with(number, first, timestamp, headers, |out| {
            let start = out.len();
            let at = At::key(&name).with_headers(&at_headers);
            let has_key = write(&*spec.key, &key, &at, out)?;
            let middle = out.len();
            let at = At::value(&name).with_headers(&at_headers);
            let has_value = write(&*spec.value, &value, &at, out)?;
            Ok((has_key.then(|| middle - start), has_value.then(|| out.len() - middle)))
        })?;
        for partition in others {
            env.outbox.repeat_last(*partition);
        }
        Ok(())
    }

    fn topic(
        &mut self,
        record: &Record<KS::Item, VS::Item>,
        env: &mut TaskEnv,
    ) -> (Arc<str>, OutTopic) {
        let name = match (&self.spec.topic, &self.known) {
            (SinkTopic::Fixed(_), Some(known)) => return known.clone(),
            // A copy of its own: tasks on other threads must not share the count of references.
            (SinkTopic::Fixed(topic), None) => Arc::from(&**topic),
            (SinkTopic::PerRecord(chooser), _) => chooser.topic(record, env.record_metadata()),
        };
        if let Some((known, number)) = &self.known
            && *known == name
        {
            return (name, *number);
        }
        let number = env.outbox.topic(&name);
        self.known = Some((Arc::clone(&name), number));
        (name, number)
    }

    /// The record could not become bytes: the production handler decides, without bytes to show.
    #[cold]
    fn failed(&self, error: Error, timestamp: crate::time::Timestamp, env: &mut TaskEnv) -> Result {
        let error = env.place(error);
        let handlers = Arc::clone(&env.setup.handlers);
        let topic = self.known.as_ref().map_or("", |(name, _)| name);
        let verdict = handlers.ask_production(&FailedOutput {
            error: &error,
            task: env.task_id(),
            topic,
            key: None,
            value: None,
            timestamp,
            headers: &crate::record::Headers::default(),
        });
        match verdict {
            ProductionVerdict::Continue => env.carry_out(Verdict::Continue, error),
            ProductionVerdict::DeadLetter(topic) => {
                env.carry_out(Verdict::DeadLetter(topic), error)
            }
            // The same record would fail the same way.
            ProductionVerdict::Fail | ProductionVerdict::Retry => Err(error.handled()),
        }
    }
}

impl<KS: Serde, VS: Serde> Node<KS::Item, VS::Item> for Sink<KS, VS>
where
    KS::Item: Data,
    VS::Item: Data,
{
    fn accept(
        &mut self,
        record: Record<KS::Item, VS::Item>,
        _rest: &mut [Slot],
        env: &mut TaskEnv,
    ) -> Result {
        let timestamp = record.timestamp;
        match self.send(record, env) {
            Ok(()) => Ok(()),
            Err(error) => self.failed(error, timestamp, env),
        }
    }
}

fn drop_record(env: &mut TaskEnv) -> Result {
    env.counters.dropped += 1;
    Ok(())
}

fn check_range(chosen: &Partitions, topic: &str, n_partitions: i32) -> Result {
    let chosen = match chosen {
        Partitions::One(one) => std::slice::from_ref(one),
        Partitions::Many(many) => many.as_slice(),
        Partitions::Default | Partitions::Drop => &[],
    };
    match chosen.iter().find(|partition| !(0..n_partitions).contains(*partition)) {
        None => Ok(()),
        Some(partition) => Err(Error::new(
            ErrorKind::Production,
            format!(
                "the partitioner chose partition {partition} of topic {topic}, \
                 which has {n_partitions}"
            ),
        )),
    }
}
