//! Session stores, without and with headers.

use std::path::Path;

use kstreams::serde::{ByteArray, Nullable};
use kstreams::state::{Headed, SessionStore, Sessions, Window, Windowed};
use kstreams::store::{StateStore, StoreContext};

use super::{RETENTION, Subject, Words, bytes, headers, hex, hex_or_null, millis};

type Bytes = Vec<u8>;
type Text = Option<Bytes>;

trait Value: 'static {
    fn read(words: &Words<'_>) -> Self;
    fn show(&self) -> String;
}

impl Value for Text {
    fn read(words: &Words<'_>) -> Self {
        bytes(words[3])
    }

    fn show(&self) -> String {
        hex_or_null(self.as_deref())
    }
}

impl Value for Headed<Text> {
    fn read(words: &Words<'_>) -> Self {
        Self::new(bytes(words[3]), headers(words[7]))
    }

    fn show(&self) -> String {
        self.value.show()
    }
}

struct Sessioning<V> {
    name: String,
    store: SessionStore<Bytes, V>,
}

impl<V: Value> Subject for Sessioning<V> {
    fn apply(&self, words: &Words<'_>) -> String {
        let window = Window::new(millis(words[4]), millis(words[5]));
        let session = Windowed::new(bytes(words[2]).unwrap(), window);
        if words[0] == "sremove" {
            self.store.remove(&session).unwrap();
        } else {
            self.store.put(&session, &V::read(words)).unwrap();
        }
        words.join(" ")
    }

    fn rows(&self) -> Vec<String> {
        let show = |(at, value): (Windowed<Bytes>, V)| {
            let (start, end) = (at.window.start.as_millis(), at.window.end.as_millis());
            format!("srow {} {} {} {start} {end}", self.name, hex(&at.key), value.show())
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
        "session" => subject(name, &plain, dir),
        _ => subject(name, &plain.with_headers(), dir),
    }
}

fn builder(name: &str, on_disk: bool) -> Sessions<Bytes, Text> {
    #[cfg(feature = "rocksdb")]
    if on_disk {
        return Sessions::persistent(name, RETENTION, ByteArray, Nullable(ByteArray));
    }
    let _ = on_disk;
    Sessions::in_memory(name, RETENTION, ByteArray, Nullable(ByteArray))
}

fn subject<V: Value>(
    name: &str,
    builder: &Sessions<Bytes, V>,
    dir: &Path,
) -> (Box<dyn Subject>, StoreContext) {
    let (store, context) = super::open(builder, dir);
    (Box::new(Sessioning { name: name.into(), store }), context)
}
