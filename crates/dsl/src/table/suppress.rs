//! Hold back the changes of a table (`KTable.suppress`).

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use kstreams_core::context::{Context, Init};
use kstreams_core::error::{Error, ErrorKind, Result};
use kstreams_core::processor::{Data, Processor};
use kstreams_core::record::Record;
use kstreams_core::serde::{At, Serde};
use kstreams_core::time::Timestamp;
use kstreams_state::Stamped;

use super::view::{Getter, View};
use super::{Change, KTable, Origin};
use crate::DefaultSerde;
use crate::buffer::{self, BufferBuilder, Buffered, TimeOrderedBuffer};
use crate::builder::required;
use crate::options::{BufferConfig, Suppressed, Until};
use crate::plan::{DslFault, StoreDef};
use crate::serdes::SerdeOf;
use crate::store::{self, Erased, Stores};

impl<K: Data, V: Data> KTable<K, V> {
    /// Holds back changes: of several changes of a key, the last alone comes out, when its window
    /// is closed or when it has waited long enough.
    ///
    /// Time is that of the records this operator has seen; nothing comes out without new records.
    /// What is held back lies in memory and in a changelog.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kstreams_dsl::{BufferConfig, StreamsBuilder, Suppressed, TimeWindows};
    /// # use kstreams_core::serde::{I64, Nullable, Utf8};
    /// # use kstreams_dsl::TimeWindowedSerde;
    /// # use kstreams_runtime::{Config, testing::TestDriver};
    ///
    /// let ten = Duration::from_millis(10);
    /// let builder = StreamsBuilder::new();
    /// builder
    ///     .stream::<String, String>("clicks")
    ///     .group_by_key()
    ///     .windowed_by(TimeWindows::of(ten))
    ///     .count("clicks-per-window")
    ///     .suppress(Suppressed::until_window_closes(BufferConfig::unbounded()))
    ///     .to_stream()
    ///     .to("out");
    /// # let mut driver = TestDriver::new(builder.build()?, Config::new("test"))?;
    /// # for time in [1, 5, 9, 12] {
    /// #     driver.input("clicks", Utf8, Utf8).pipe_at("ann".into(), "home".into(), time)?;
    /// # }
    /// # let serde = TimeWindowedSerde::new(Utf8, ten);
    /// # let out = driver.output("out", serde, Nullable(I64)).read_values()?;
    /// # assert_eq!(out, [Some(3)]);
    /// # Ok::<(), kstreams_core::Error>(())
    /// ```
    ///
    /// # Differs from Kafka Streams
    /// A processor behind it sees the metadata of the record that made it emit; time and headers
    /// are those of the record held back, as there. Keys are logged in the order they changed.
    pub fn suppress(&self, how: Suppressed<K, V>) -> Self
    where
        K: DefaultSerde,
        V: DefaultSerde,
    {
        self.suppress_with(how.or_default())
    }

    /// As [`suppress`](Self::suppress), for keys and values without a serde of their own: those of
    /// the table are used, or those given to [`Suppressed`].
    pub fn suppress_with(&self, how: Suppressed<K, V>) -> Self {
        let Suppressed { name, buffer, until, .. } = how;
        let mut plan = self.plan.borrow_mut();
        let (node_name, store_name): (Arc<str>, Arc<str>) = match name {
            Some(name) => {
                plan.check_name(&name);
                (Arc::clone(&name), format!("{name}-store").into())
            }
            None => {
                let name = plan.new_name("KTABLE-SUPPRESS-");
                let store = plan.new_store_name("KTABLE-SUPPRESS-");
                plan.note_unnamed("store", &store);
                (name, store)
            }
        };
        let key = required(&mut plan, &node_name, "key", &how.key, self.key.as_ref());
        let value = required(&mut plan, &node_name, "value", &how.value, self.value.as_ref());
        let (wait, window_end) = match until {
            Until::Limit(wait) => (Some(wait), None),
            Until::WindowCloses(end) => (plan.window_grace(self.node), Some(end)),
        };
        if self.origin.is_versioned() {
            let why = "changes of a versioned table cannot be held back";
            plan.fault(DslFault::NotSupported { node: node_name.to_string(), why });
        }
        if wait.is_none() {
            let why = "only windows close, and the table's keys are not all of aggregated windows";
            plan.fault(DslFault::NotSupported { node: node_name.to_string(), why });
        }
        drop(plan);
        // What downstream has seen is known from the first change that is held back.
        self.origin.send_old(true);
        let builder =
            BufferBuilder { name: Arc::clone(&store_name), logging: buffer.logging.clone() };
        let def = StoreDef {
            name: Arc::clone(&store_name),
            builder: Arc::new(Erased::new(builder)),
            cached: None,
        };
        let rules = Rules { wait: wait.unwrap_or_default(), window_end, buffer };
        let serdes = key.clone().zip(value.clone());
        let origin = SuppressOrigin {
            of: Rc::clone(&self.origin),
            store: Arc::clone(&store_name),
            serdes: serdes.clone(),
        };
        let node = self.plan.borrow_mut().add(node_name, &[self.node], move |to, at| {
            let Some((key, value)) = serdes else { return };
            to.store(&def);
            to.processor(&at.name, &at.parents, &[def.name], move || Suppress {
                name: Arc::clone(&store_name),
                buffer: None,
                rules: rules.clone(),
                key: key.clone(),
                value: value.clone(),
                stream_time: Timestamp::NONE,
            });
        });
        Self {
            plan: Rc::clone(&self.plan),
            node,
            sources: Rc::clone(&self.sources),
            key,
            value,
            store: None,
            origin: Rc::new(origin),
        }
    }
}

struct Rules<K> {
    wait: Duration,
    /// How long a key waits: until its window's end is so long ago, not its record's time.
    window_end: Option<fn(&K) -> Timestamp>,
    buffer: BufferConfig,
}

impl<K> Clone for Rules<K> {
    fn clone(&self) -> Self {
        Self { wait: self.wait, window_end: self.window_end, buffer: self.buffer.clone() }
    }
}

/// `KTableSuppressProcessor`.
struct Suppress<K, V> {
    name: Arc<str>,
    buffer: Option<Arc<TimeOrderedBuffer>>,
    rules: Rules<K>,
    key: SerdeOf<K>,
    value: SerdeOf<V>,
    stream_time: Timestamp,
}

impl<K: Data, V: Data> Processor<K, Change<V>, K, Change<V>> for Suppress<K, V> {
    fn init(&mut self, ctx: &mut Init<'_, Self, K, Change<V>>) -> Result {
        self.buffer = Some(store::open(ctx, &self.name)?);
        Ok(())
    }

    fn process(
        &mut self,
        ctx: &mut Context<'_, K, Change<V>>,
        record: Record<K, Change<V>>,
    ) -> Result {
        let Some(buffer) = self.buffer.clone() else { return Ok(()) };
        self.stream_time = self.stream_time.max(record.timestamp);
        self.hold(ctx, &buffer, &record)?;
        let due = self.stream_time - self.rules.wait;
        while buffer.first_time().is_some_and(|time| time <= due) {
            self.emit_first(ctx, &buffer)?;
        }
        while self.is_full(&buffer) {
            if !self.rules.buffer.emits_early {
                return Err(self.full(&buffer));
            }
            self.emit_first(ctx, &buffer)?;
        }
        Ok(())
    }

    fn flush(&mut self, ctx: &mut Context<'_, K, Change<V>>) -> Result {
        self.buffer.as_ref().map_or(Ok(()), |buffer| buffer.log(ctx.system_time()))
    }
}

impl<K: Data, V: Data> Suppress<K, V> {
    fn hold(
        &self,
        ctx: &Context<'_, K, Change<V>>,
        buffer: &TimeOrderedBuffer,
        record: &Record<K, Change<V>>,
    ) -> Result {
        let mut key = Vec::new();
        let at = At::key(buffer.topic()).with_headers(&record.headers);
        self.key.serialize(&record.key, &at, &mut key)?;
        let at = At::value(buffer.topic()).with_headers(&record.headers);
        let bytes = |value: Option<&V>| -> Result<buffer::Bytes> {
            let Some(value) = value else { return Ok(None) };
            let mut out = Vec::new();
            self.value.serialize(value, &at, &mut out)?;
            Ok(Some(out.into()))
        };
        let (old, new) = (bytes(record.value.old.as_ref())?, bytes(record.value.new.as_ref())?);
        let from = ctx.record_metadata();
        let origin = buffer::Origin {
            timestamp: record.timestamp.as_millis(),
            offset: from.map_or(-1, |from| from.offset),
            topic: from.map_or("", |from| from.topic).into(),
            partition: from.map_or(-1, |from| from.partition),
            headers: record.headers.clone(),
        };
        let time = self.rules.window_end.map_or(record.timestamp, |end| end(&record.key));
        buffer.put(time, &key, Buffered { origin, prior: old.clone(), old, new });
        Ok(())
    }

    /// Forwards the entry that has waited longest, then forgets it.
    fn emit_first(
        &self,
        ctx: &mut Context<'_, K, Change<V>>,
        buffer: &TimeOrderedBuffer,
    ) -> Result {
        let Some((key, Buffered { origin, old, new, .. })) = buffer.first() else { return Ok(()) };
        // Of a window that is told once, nobody has seen anything that could be deleted.
        if new.is_some() || self.rules.window_end.is_none() {
            let at = At::value(buffer.topic()).with_headers(&origin.headers);
            let read = |bytes: Option<&[u8]>| {
                bytes.map(|bytes| self.value.deserialize(bytes, &at)).transpose()
            };
            let value = Change::new(read(new.as_deref())?, read(old.as_deref())?);
            let at = At::key(buffer.topic()).with_headers(&origin.headers);
            let typed = self.key.deserialize(&key, &at)?;
            let timestamp = Timestamp::from_millis(origin.timestamp);
            ctx.forward(Record { key: typed, value, timestamp, headers: origin.headers })?;
        }
        buffer.remove(&key);
        Ok(())
    }

    fn is_full(&self, buffer: &TimeOrderedBuffer) -> bool {
        let limits = &self.rules.buffer;
        buffer.len() > limits.max_records || buffer.n_bytes() > limits.max_bytes
    }

    #[cold]
    fn full(&self, buffer: &TimeOrderedBuffer) -> Error {
        let limits = &self.rules.buffer;
        let text = format!(
            "store {}: the buffer holds {} of at most {} records and {} of at most {} bytes; allow \
             more, let it emit early, or shorten the wait",
            self.name,
            buffer.len(),
            limits.max_records,
            buffer.n_bytes(),
            limits.max_bytes
        );
        Error::new(ErrorKind::User, text)
    }
}

struct SuppressOrigin<K, V> {
    of: Rc<dyn Origin<K, V>>,
    store: Arc<str>,
    serdes: Option<(SerdeOf<K>, SerdeOf<V>)>,
}

impl<K: Data, V: Data> Origin<K, V> for SuppressOrigin<K, V> {
    fn view(&self) -> Arc<dyn View<K, V>> {
        Arc::new(SuppressView {
            of: self.of.view(),
            store: Arc::clone(&self.store),
            serdes: self.serdes.clone(),
        })
    }

    fn send_old(&self, force: bool) -> bool {
        self.of.send_old(force)
    }

    fn is_versioned(&self) -> bool {
        false
    }
}

struct SuppressView<K, V> {
    of: Arc<dyn View<K, V>>,
    store: Arc<str>,
    serdes: Option<(SerdeOf<K>, SerdeOf<V>)>,
}

impl<K: Data, V: Data> View<K, V> for SuppressView<K, V> {
    fn stores(&self) -> Vec<Arc<str>> {
        let mut stores = self.of.stores();
        stores.push(Arc::clone(&self.store));
        stores
    }

    fn open(&self, stores: &dyn Stores) -> Result<Box<dyn Getter<K, V>>> {
        let of = self.of.open(stores)?;
        let Some((key, value)) = self.serdes.clone() else { return Ok(of) };
        Ok(Box::new(SuppressGetter { of, buffer: store::open(stores, &self.store)?, key, value }))
    }
}

/// A table as downstream has seen it: without what is held back.
struct SuppressGetter<K, V> {
    of: Box<dyn Getter<K, V>>,
    buffer: Arc<TimeOrderedBuffer>,
    key: SerdeOf<K>,
    value: SerdeOf<V>,
}

impl<K: Data, V: Data> Getter<K, V> for SuppressGetter<K, V> {
    fn get(&self, key: &K) -> Result<Option<Stamped<V>>> {
        let mut bytes = Vec::new();
        self.key.serialize(key, &At::key(self.buffer.topic()), &mut bytes)?;
        let Some(prior) = self.buffer.prior(&bytes) else { return self.of.get(key) };
        let Some(prior) = prior else { return Ok(None) };
        let value = self.value.deserialize(&prior, &At::value(self.buffer.topic()))?;
        // Its time went with the record that is held back.
        Ok(Some(Stamped::new(value, Timestamp::NONE)))
    }
}
