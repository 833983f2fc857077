//! Rules about stores and who uses them.
//!
//! Called through the list in `mod.rs`.

use std::collections::{BTreeMap, HashSet};

use super::Check;
use crate::draft::Connection;
use crate::fault::Fault;
use crate::topics::{Topics, illegal_name};

pub(super) fn names_are_unique_and_legal(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let (mut seen, mut told) = (HashSet::new(), HashSet::new());
    for store in &check.draft.stores {
        if !seen.insert(&store.name) && told.insert(&store.name) {
            faults.push(Fault::DuplicateStore { store: store.name.to_string() });
        }
        if let Some(why) = illegal_name(&store.name) {
            let name = store.name.to_string();
            faults.push(Fault::IllegalName { what: "store", name, why });
        }
    }
}

pub(super) fn connections_name_stores(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for connection in &check.draft.connections {
        let wanted_by = check.name(&connection.node).unwrap_or("connect").to_owned();
        if connection.stores.is_empty() {
            faults.push(Fault::NoStores { node: wanted_by.clone() });
        }
        for store in &connection.stores {
            if check.draft.store_named(store).is_none() {
                let (store, wanted_by) = (store.to_string(), wanted_by.clone());
                faults.push(Fault::UnknownStore { store, wanted_by });
            }
        }
    }
    for (store, topic) in &check.draft.restores {
        if check.draft.store_named(store).is_none() {
            let wanted_by = format!("restore_from_source of topic {topic}");
            faults.push(Fault::UnknownStore { store: store.to_string(), wanted_by });
        }
    }
}

pub(super) fn connections_name_processors(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for Connection { node, stores, of_global } in &check.draft.connections {
        match (check.find(node), check.name(node)) {
            (Some(found), Some(name)) => {
                let found = &check.draft.nodes[found];
                let is_processor = !found.is_source() && !found.is_sink();
                for store in stores.iter().filter(|_| !is_processor && !of_global) {
                    let (node, store) = (name.to_owned(), store.to_string());
                    faults.push(Fault::StoreOnWrongNode { node, store });
                }
            }
            (_, Some(name)) => faults.push(Fault::UnknownProcessor {
                processor: name.to_owned(),
                stores: stores.iter().map(|store| store.to_string()).collect(),
            }),
            (_, None) => faults.push(Fault::ForeignHandle { given_to: "connect".to_owned() }),
        }
    }
}

pub(super) fn stores_are_used(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let used: HashSet<_> = check.draft.connections.iter().flat_map(|c| &c.stores).collect();
    for store in check.draft.stores.iter().filter(|store| !used.contains(&store.name)) {
        faults.push(Fault::UnusedStore { store: store.name.to_string() });
    }
}

pub(super) fn global_stores_stand_alone(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for connection in check.draft.connections.iter().filter(|connection| !connection.of_global) {
        let Some(node) = check.find(&connection.node) else { continue };
        let node = &check.draft.nodes[node];
        for store in &connection.stores {
            let Some(found) = check.draft.store_named(store) else { continue };
            let (store, processor) = (store.to_string(), node.name.to_string());
            if check.draft.stores[found].is_global {
                faults.push(Fault::GlobalStoreConnected { store, processor });
            } else if node.is_global() {
                faults.push(Fault::StoreOnGlobalProcessor { store, processor });
            }
        }
    }
}

pub(super) fn source_and_processor_differ(check: &Check<'_>, faults: &mut Vec<Fault>) {
    for connection in check.draft.connections.iter().filter(|connection| connection.of_global) {
        let Some(name) = check.name(&connection.node) else { continue };
        let mut same = check.draft.nodes.iter().filter(|node| &*node.name == name);
        if same.any(|node| node.is_global() && node.is_source()) {
            for store in &connection.stores {
                let (node, store) = (name.to_owned(), store.to_string());
                faults.push(Fault::SameSourceAndProcessor { node, store });
            }
        }
    }
}

pub(super) fn restored_from_one_source(check: &Check<'_>, faults: &mut Vec<Fault>) {
    let draft = check.draft;
    let mut topics_of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (store, topic) in &draft.restores {
        topics_of.entry(store).or_default().push(topic.to_string());
        let read = draft.nodes.iter().filter_map(|node| node.topics());
        if !read.clone().any(|t| matches!(t, Topics::Named(names) if names.contains(topic))) {
            let (store, topic) = (store.to_string(), topic.to_string());
            faults.push(Fault::RestoreTopicNotRead { store, topic });
        }
    }
    // Two stores of one name are told apart by their own rule.
    let several = topics_of.into_iter().filter(|(store, topics)| {
        topics.len() > 1 && draft.stores.iter().filter(|s| &*s.name == *store).count() == 1
    });
    for (store, topics) in several {
        faults.push(Fault::TwoSourceTopics { store: store.to_owned(), topics });
    }
}
