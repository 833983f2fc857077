//! Window stores: plain, with duplicates, with times, with headers.

use std::path::Path;

use kstreams::record::Headers;
use kstreams::serde::{ByteArray, Nullable};
use kstreams::state::{Headed, Stamped, WindowStore, Windowed, Windows};
use kstreams::store::{StateStore, StoreContext};

use super::{
    RETENTION, SIZE, Subject, Words, bytes, headers, hex, hex_or_null, millis, open as open_store,
};

type Bytes = Vec<u8>;
type Text = Option<Bytes>;

trait Value: 'static {
    fn read(words: &Words<'_>) -> Self;

    /// Plain value and time in Java's columns.
    fn show(&self) -> [String; 2];
}

impl Value for Text {
    fn read(words: &Words<'_>) -> Self {
        bytes(words[3])
    }

    fn show(&self) -> [String; 2] {
        [hex_or_null(self.as_deref()), "-".into()]
    }
}

impl Value for Stamped<Text> {
    fn read(words: &Words<'_>) -> Self {
        Self::new(bytes(words[3]), millis(if words[6] == "-" { "0" } else { words[6] }))
    }

    fn show(&self) -> [String; 2] {
        [hex_or_null(self.value.as_deref()), self.timestamp.as_millis().to_string()]
    }
}

impl Value for Headed<Stamped<Text>> {
    fn read(words: &Words<'_>) -> Self {
        let headers = words.get(7).map_or_else(Headers::default, |word| headers(word));
        Self::new(Stamped::read(words), headers)
    }

    fn show(&self) -> [String; 2] {
        self.value.show()
    }
}

struct Windowing<V> {
    name: String,
    store: WindowStore<Bytes, V>,
}

impl<V: Value> Subject for Windowing<V> {
    fn apply(&self, words: &Words<'_>) -> String {
        let key = bytes(words[2]).unwrap();
        self.store.put(&key, &V::read(words), millis(words[4])).unwrap();
        words.join(" ")
    }

    fn rows(&self) -> Vec<String> {
        let show = |(at, value): (Windowed<Bytes>, V)| {
            let start = at.window.start.as_millis();
            format!("wrow {} {} {} {start}", self.name, hex(&at.key), value.show().join(" "))
        };
        self.store.all().map(|entry| show(entry.unwrap())).collect()
    }

    fn store(&self) -> &dyn StateStore {
        &self.store
    }

    fn n_dropped(&self) -> u64 {
        self.store.n_dropped()
    }
}

pub(super) fn open(
    name: &str,
    kind: &str,
    on_disk: bool,
    dir: &Path,
) -> (Box<dyn Subject>, StoreContext) {
    let plain = builder(name, on_disk);
    match kind {
        "win" => subject(name, &plain, dir),
        "dup" => subject(name, &plain.retain_duplicates(), dir),
        "twin" => subject(name, &plain.timestamped(), dir),
        _ => subject(name, &plain.timestamped().with_headers(), dir),
    }
}

fn builder(name: &str, on_disk: bool) -> Windows<Bytes, Text> {
    let value = Nullable(ByteArray);
    #[cfg(feature = "rocksdb")]
    if on_disk {
        return Windows::persistent(name, SIZE, RETENTION, ByteArray, value);
    }
    let _ = on_disk;
    Windows::in_memory(name, SIZE, RETENTION, ByteArray, value)
}

fn subject<V: Value>(
    name: &str,
    builder: &Windows<Bytes, V>,
    dir: &Path,
) -> (Box<dyn Subject>, StoreContext) {
    let (store, context) = open_store(builder, dir);
    (Box::new(Windowing { name: name.into(), store }), context)
}
