//! Which changes of a topology its fingerprint sees, and in which words.

use kstreams_core::store::{ChangelogConfig, Cleanup};
use kstreams_topology::Fingerprint;

use crate::support::cells;
use crate::text::{read, topology};

const BASE: &str = "
    internal r
    source a x
    sink k r a
    source b r
    processor p b
    store t p
    store u p nolog";

fn fingerprint(text: &str) -> Fingerprint {
    topology(text).fingerprint()
}

#[test]
fn the_text_is_stable() {
    let text = "\
kstreams topology 1
internal topic r: read by sub-topology 1, partitions derived
store t: in sub-topology 1, logged
store u: in sub-topology 1, not logged
topic x: read by sub-topology 0
";
    let base = fingerprint(BASE);
    assert_eq!(base.to_string(), text);
    assert_eq!(text.parse::<Fingerprint>().unwrap(), base);
    assert_eq!(base.digest(), 0x3e07_4cfe_da2e_cc03);
}

#[test]
fn differences_are_named() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("source a x", "source renamed x", &[]),
        (
            "source a x",
            "source z new\nsource a x",
            &[
                "internal topic r: was read by sub-topology 1, partitions derived, is read by \
                 sub-topology 2, partitions derived",
                "store t: was in sub-topology 1, logged, is in sub-topology 2, logged",
                "store u: was in sub-topology 1, not logged, is in sub-topology 2, not logged",
                "topic x: was read by sub-topology 0, is read by sub-topology 1",
                "topic new: new, read by sub-topology 0",
            ],
        ),
        (
            "store t p",
            "store t p window retention=5",
            &["store t: was in sub-topology 1, logged, is in sub-topology 1, logged for 5 ms, \
               compacted"],
        ),
        ("store u p nolog", "", &["store u: was in sub-topology 1, not logged, is gone"]),
        (
            "internal r",
            "internal r 8",
            &["internal topic r: was read by sub-topology 1, partitions derived, is read by \
               sub-topology 1, partitions 8"],
        ),
    ];
    for (from, to, expected) in cases {
        let text = BASE.replacen(from, to, 1);
        // A renamed source keeps its sink.
        let text =
            if *to == "source renamed x" { text.replace("r a\n", "r renamed\n") } else { text };
        assert_eq!(fingerprint(&text).diff(&fingerprint(BASE)), *expected, "{text}");
    }
}

#[test]
fn any_pattern_and_changelog_survives_the_text() {
    let mut builder = read("source s in\nprocessor p s\nglobal g gs gt gp\nreadonly v vs vt vp");
    let pattern = kstreams_topology::Topics::pattern("a: b\n|\\d: ").unwrap();
    builder.by_name().source("q", pattern, None, crate::text::source());
    for (name, cleanup) in
        [("c", Cleanup::CompactAfter { min_lag_ms: 9 }), ("d", Cleanup::Delete { retention_ms: 9 })]
    {
        let changelog = ChangelogConfig { cleanup, overrides: Vec::new() };
        builder.store(cells(name).changelog(Some(changelog)));
        builder.connect("p", name);
    }
    let fingerprint = builder.build().unwrap().fingerprint();
    assert_eq!(fingerprint.to_string().parse::<Fingerprint>().unwrap(), fingerprint);
    assert_eq!(fingerprint.to_string().lines().count(), 9);
}

#[test]
fn what_is_no_fingerprint_is_refused() {
    for text in ["", "kstreams topology 2\n", "kstreams topology 1\nnonsense\n"] {
        let error = text.parse::<Fingerprint>().unwrap_err();
        assert_eq!(error.kind(), kstreams_core::ErrorKind::StateDir, "{text}");
    }
}
