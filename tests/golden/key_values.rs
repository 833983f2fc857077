//! Key-value stores: plain, with times, with headers.

use std::path::Path;

use kstreams::serde::{ByteArray, Nullable, Serde};
use kstreams::state::{Headed, KeyValue, KeyValueStore, Stamped};
use kstreams::store::{StateStore, StoreContext};

use super::{Subject, Words, bytes, headers, hex, hex_or_null, millis, open as open_store};

type Bytes = Vec<u8>;
type Text = Option<Bytes>;

/// What the values of a kind are: the plain one and what stands around it.
trait Value: 'static {
    fn read(words: &Words<'_>) -> Self;

    /// Plain value, time and headers in Java's columns.
    fn show(&self) -> [String; 3];
}

impl Value for Text {
    fn read(words: &Words<'_>) -> Self {
        bytes(words[3])
    }

    fn show(&self) -> [String; 3] {
        [hex_or_null(self.as_deref()), "-".into(), "-".into()]
    }
}

impl Value for Stamped<Text> {
    fn read(words: &Words<'_>) -> Self {
        // A null has no time in Java's column.
        Self::new(bytes(words[3]), millis(if words[5] == "-" { "0" } else { words[5] }))
    }

    fn show(&self) -> [String; 3] {
        let [value, _, headers] = self.value.show();
        [value, self.timestamp.as_millis().to_string(), headers]
    }
}

impl Value for Headed<Stamped<Text>> {
    fn read(words: &Words<'_>) -> Self {
        Self::new(Stamped::read(words), headers(words[6]))
    }

    fn show(&self) -> [String; 3] {
        let [value, time, _] = self.value.show();
        [value, time, super::show_headers(&self.headers)]
    }
}

struct KeyValues<V> {
    name: String,
    store: KeyValueStore<Bytes, V>,
}

impl<V: Value> Subject for KeyValues<V> {
    fn apply(&self, words: &Words<'_>) -> String {
        let key = bytes(words[2]).unwrap();
        let old = match words[0] {
            "put" => {
                self.store.put(&key, &V::read(words)).unwrap();
                None
            }
            "putIfAbsent" => self.store.put_if_absent(&key, &V::read(words)).unwrap(),
            _ => self.store.delete(&key).unwrap(),
        };
        let old = old.map_or("-".into(), |old| old.show()[0].clone());
        let last = words.len() - 1;
        [&words[..last], &[&*old]].concat().join(" ")
    }

    fn rows(&self) -> Vec<String> {
        let show = |(key, value): (Bytes, V)| {
            format!("content {} {} {}", self.name, hex(&key), value.show().join(" "))
        };
        self.store.all().map(|entry| show(entry.unwrap())).collect()
    }

    fn store(&self) -> &dyn StateStore {
        &self.store
    }

    fn n_dropped(&self) -> u64 {
        0
    }
}

pub(super) fn open(
    name: &str,
    kind: &str,
    on_disk: bool,
    dir: &Path,
) -> (Box<dyn Subject>, StoreContext) {
    let plain = builder(name, on_disk, ByteArray, Nullable(ByteArray));
    match kind {
        "kv" => subject(name, &plain, dir),
        "tkv" => subject(name, &plain.timestamped(), dir),
        _ => subject(name, &plain.timestamped().with_headers(), dir),
    }
}

fn builder(
    name: &str,
    on_disk: bool,
    key: impl Serde<Item = Bytes>,
    value: impl Serde<Item = Text>,
) -> KeyValue<Bytes, Text> {
    #[cfg(feature = "rocksdb")]
    if on_disk {
        return KeyValue::persistent(name, key, value);
    }
    let _ = on_disk;
    KeyValue::in_memory(name, key, value)
}

fn subject<V: Value>(
    name: &str,
    builder: &KeyValue<Bytes, V>,
    dir: &Path,
) -> (Box<dyn Subject>, StoreContext) {
    let (store, context) = open_store(builder, dir);
    (Box::new(KeyValues { name: name.into(), store }), context)
}
