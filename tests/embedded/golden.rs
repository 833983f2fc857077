//! Stores against what Kafka Streams printed once; the tests on Kafka ask it anew.

#[path = "../golden/mod.rs"]
mod texts;

#[test]
fn key_value_stores_do_what_java_s_did() {
    let text = include_str!("../golden/key_values.txt");
    let compared = texts::compare(text);
    assert!(compared.n_operations >= 200 && compared.n_changes >= 200, "{compared:?}");
}

#[test]
fn stores_with_retention_do_what_java_s_did() {
    let text = include_str!("../golden/stores.txt");
    let compared = texts::compare(text);
    assert!(compared.n_operations >= 200 && compared.n_changes >= 200, "{compared:?}");
}

#[test]
fn values_and_windowed_keys_have_java_s_bytes() {
    let n_compared = texts::compare_bytes(include_str!("../golden/bytes.txt"));
    assert!(n_compared >= 200, "{n_compared}");
}
