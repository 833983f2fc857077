//! Versioned stores.

use std::path::Path;

use kstreams::serde::{ByteArray, Nullable};
use kstreams::state::versioned::Put;
use kstreams::state::{Versioned, VersionedRecord, VersionedStore};
use kstreams::store::{StateStore, StoreContext};

use super::{RETENTION, Subject, Words, bytes, hex_or_null, millis};

type Bytes = Vec<u8>;
type Text = Option<Bytes>;

struct Versions {
    name: String,
    store: VersionedStore<Bytes, Text>,
}

impl Subject for Versions {
    fn apply(&self, words: &Words<'_>) -> String {
        let key = bytes(words[2]).unwrap();
        let result = match words[0] {
            "vput" => {
                let put = self.store.put(&key, &bytes(words[3]), millis(words[4])).unwrap();
                match put {
                    Put::Latest => "-1".into(),
                    Put::ValidTo(to) => to.as_millis().to_string(),
                    Put::TooOld => i64::MIN.to_string(),
                }
            }
            "vdelete" => match self.store.delete(&key, millis(words[4])).unwrap() {
                Some(old) => {
                    format!("{} {}", hex_or_null(old.value.as_deref()), old.timestamp.as_millis())
                }
                None => "- -".into(),
            },
            _ => {
                let found = self.store.get_as_of(&key, millis(words[3])).unwrap();
                return format!("{} {}", words[..5].join(" "), show(found));
            }
        };
        format!("{} {result}", words[..6].join(" "))
    }

    fn rows(&self) -> Vec<String> {
        // Java prints these keys too.
        let keys = ["a", "b", "bb", "", "\u{e9}", "key-7"];
        let row = |key: &&str| {
            let found = self.store.get(&key.as_bytes().to_vec()).unwrap();
            let key = super::hex(key.as_bytes());
            found.map(|found| format!("vrow {} {key} {}", self.name, show(Some(found))))
        };
        keys.iter().filter_map(row).collect()
    }

    fn store(&self) -> &dyn StateStore {
        &self.store
    }

    fn n_dropped(&self) -> u64 {
        self.store.n_dropped()
    }
}

/// Without its end: Java's typed store forgets that of what it finds.
fn show(found: Option<VersionedRecord<Text>>) -> String {
    let Some(found) = found else { return "- - -".into() };
    format!("{} {} -", hex_or_null(found.value.as_deref()), found.timestamp.as_millis())
}

pub(super) fn open(name: &str, on_disk: bool, dir: &Path) -> (Box<dyn Subject>, StoreContext) {
    let (store, context) = super::open(&builder(name, on_disk), dir);
    (Box::new(Versions { name: name.into(), store }), context)
}

fn builder(name: &str, on_disk: bool) -> Versioned<Bytes, Text> {
    #[cfg(feature = "rocksdb")]
    if on_disk {
        return Versioned::persistent(name, RETENTION, ByteArray, Nullable(ByteArray));
    }
    let _ = on_disk;
    Versioned::in_memory(name, RETENTION, ByteArray, Nullable(ByteArray))
}
